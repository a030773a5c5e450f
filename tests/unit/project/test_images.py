"""Images that decode whatever they look like, and images that do not, each with a reason."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

from dlpubuild.project import images
from dlpubuild.project.images import is_image_name, undecodable
from tests.factories.image_factory import animated_gif, image_bytes

GOOD = {
    "plain.png": image_bytes(),
    "one_pixel.png": image_bytes(size=(1, 1)),
    "gray.png": image_bytes(mode="L"),
    "palette.png": image_bytes(mode="P"),
    "alpha.png": image_bytes(mode="LA"),
    "sixteen.png": image_bytes(mode="I;16"),
    "one_bit.png": image_bytes(mode="1"),
    "plain.jpg": image_bytes("JPEG"),
    "cmyk.jpg": image_bytes("JPEG", mode="CMYK"),
    "progressive.jpg": image_bytes("JPEG", progressive=True),
    "animated.gif": animated_gif(),
    "plain.bmp": image_bytes("BMP"),
    "plain.tif": image_bytes("TIFF"),
    "plain.webp": image_bytes("WEBP"),
    "plain.ppm": image_bytes("PPM"),
    "wrong_name.jpg": image_bytes("PNG"),
}
BAD = {
    "empty.png": (b"", "it is empty"),
    "text.jpg": (b"this is no image", "not an image of a known format"),
    "cut.jpg": (image_bytes("JPEG", size=(64, 64))[:-200], "truncated"),
    "cut.png": (image_bytes(size=(64, 64))[:80], ""),
    "float.tif": (image_bytes("TIFF", mode="F"), "floating-point"),
    "html.gif": (b"<!DOCTYPE html>", "not an image"),
}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_an_image_decodes_whatever_it_looks_like(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    assert undecodable([tmp_path / name]) == []


@pytest.mark.parametrize("name", sorted(BAD))
def test_what_does_not_decode_is_named_with_a_reason(tmp_path: Path, name: str) -> None:
    data, said = BAD[name]
    (tmp_path / name).write_bytes(data)
    ((path, reason),) = undecodable([tmp_path / name])
    assert path == tmp_path / name
    assert reason
    assert said in reason


def test_the_bad_ones_are_told_in_the_order_given(tmp_path: Path) -> None:
    paths = []
    for name, data in sorted((GOOD | {name: data for name, (data, _) in BAD.items()}).items(), reverse=True):
        (tmp_path / name).write_bytes(data)
        paths.append(tmp_path / name)
    assert [path.name for path, _ in undecodable(paths)] == sorted(BAD, reverse=True)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_MAX_PIXELS", 99)
    (tmp_path / "small.png").write_bytes(image_bytes(size=(9, 11)))
    (tmp_path / "large.png").write_bytes(image_bytes(size=(10, 10)))
    ((path, reason),) = undecodable([tmp_path / "small.png", tmp_path / "large.png"])
    assert path.name == "large.png"
    assert "pixels" in reason


def test_a_real_decompression_bomb_is_refused(tmp_path: Path) -> None:
    """A kilobyte that claims 20,000 x 20,000 pixels."""
    data = bytearray(image_bytes("BMP"))
    data[18:26] = (20_000).to_bytes(4, "little") * 2
    (tmp_path / "bomb.bmp").write_bytes(data)
    ((_, reason),) = undecodable([tmp_path / "bomb.bmp"])
    assert "pixels" in reason


def test_the_limit_is_pillows_own() -> None:
    assert images._MAX_PIXELS == Image.MAX_IMAGE_PIXELS


def test_decoding_leaves_the_warning_filters_as_they_were(tmp_path: Path) -> None:
    before = list(warnings.filters)
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(image_bytes(mode="P"))
    undecodable(sorted(tmp_path.iterdir()))
    assert list(warnings.filters) == before


def test_a_file_that_went_away_is_an_image_that_cannot_be_decoded(tmp_path: Path) -> None:
    ((_, reason),) = undecodable([tmp_path / "gone.png"])
    assert reason


def test_nothing_is_imported_where_nothing_is_decoded() -> None:
    assert undecodable([]) == []
    assert "PIL" not in images.__dict__
    assert "PIL" in sys.modules  # by this test


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", True), ("a.JPG", True), ("x/y.jpeg", True), ("a.txt", False), ("png", False), (".png", False)],
)
def test_an_image_is_told_by_its_suffix(name: str, expected: bool) -> None:
    assert is_image_name(name) is expected
