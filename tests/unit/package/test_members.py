from __future__ import annotations

import pytest

from dlpubuild.package.members import in_order, listed_paths, made_member, with_checksums


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/..", "./a", "a\\b", "a\nb", "a\x00b"])
def test_a_path_that_is_not_plain_and_relative_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="plain relative path"):
        made_member(path, b"")


def test_two_members_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two members"):
        in_order([made_member("a", b"1"), made_member("a", b"2")])


def test_a_folder_sorts_before_a_file_whose_name_begins_like_it() -> None:
    members = in_order([made_member(path, b"") for path in ("model.json", "model/z", "Model", "model/a")])
    assert [member.path for member in members] == ["Model", "model/a", "model/z", "model.json"]


def test_checksums_cover_every_other_member() -> None:
    members = with_checksums([made_member("b", b"b"), made_member("a", b"a")])
    sums = next(member for member in members if member.path == "SHA256SUMS")
    assert sums.content == (
        b"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a\n"
        b"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b\n"
    )
    assert isinstance(sums.content, bytes)
    assert listed_paths(sums.content.decode()) == {"a", "b"}


def test_lines_that_are_no_checksums_name_no_path() -> None:
    assert listed_paths("hello\n\nabc  x\n" + "0" * 64 + " *binary file\n") == {"binary file"}
