from __future__ import annotations

import io

import pytest

from dlpubuild.cas.digest import EMPTY_DIGEST, Digest, digest_bytes, digest_stream, parse_digest

ABC = Digest("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3)  # FIPS 180-2, B.1


def test_a_digest_is_sha256_and_size() -> None:
    assert digest_bytes(b"abc") == ABC
    assert digest_stream(io.BytesIO(b"abc")) == ABC
    assert Digest("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0) == EMPTY_DIGEST


def test_a_digest_survives_its_text_form() -> None:
    assert parse_digest(str(ABC)) == ABC
    assert ABC.short == "ba7816bf8f01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ABC.hash,
        f"{ABC.hash}/",
        f"{ABC.hash}/-1",
        f"{ABC.hash}/3 ",
        f"{ABC.hash}/\u0663",
        "ab/3",
        f"{ABC.hash.upper()}/3",
    ],
)
def test_other_text_is_not_a_digest(text: str) -> None:
    with pytest.raises(ValueError):
        parse_digest(text)


def test_a_digest_refuses_what_is_none() -> None:
    with pytest.raises(ValueError):
        Digest("0" * 63, 0)
    with pytest.raises(ValueError):
        Digest("0" * 64, -1)
