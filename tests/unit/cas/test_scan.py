from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.scan import scan_folder
from dlpubuild.errors import DlpuError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def paths(folder: Path) -> list[str]:
    return [file.path for file in scan_folder(folder)]


def test_files_come_in_order_of_their_whole_path(tmp_path: Path) -> None:
    make(tmp_path, "b/z", "b/a/x", "b.txt", "\u00e9/\U0001f600", "a b", ".hidden", "B")
    (tmp_path / "empty").mkdir()
    assert paths(tmp_path) == [".hidden", "B", "a b", "b.txt", "b/a/x", "b/z", "\u00e9/\U0001f600"]


def test_links_count_as_what_they_point_to(tmp_path: Path) -> None:
    make(tmp_path, "store/blob", "project/own")
    (tmp_path / "project" / "file").symlink_to("../store/blob")
    (tmp_path / "project" / "folder").symlink_to("../store")
    found = scan_folder(tmp_path / "project")
    assert [file.path for file in found] == ["file", "folder/blob", "own"]
    assert found[0].status.st_ino == (tmp_path / "store" / "blob").stat().st_ino


def test_only_selected_files_are_looked_at(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.txt", "c/d.png")
    os.mkfifo(tmp_path / "pipe")
    found = scan_folder(tmp_path, lambda path: path.endswith(".png"))
    assert [file.path for file in found] == ["a.png", "c/d.png"]


def test_a_link_back_to_a_folder_above_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "a/b/file")
    (tmp_path / "a" / "b" / "loop").symlink_to("..")
    with pytest.raises(DlpuError) as caught:
        scan_folder(tmp_path)
    assert caught.value.code == ErrorCode.PATH_KIND
    assert "loop" in caught.value.message


def _make_dangling(path: Path) -> None:
    path.symlink_to("absent")


def _make_circular(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("create", [os.mkfifo, _make_dangling, _make_circular])
def test_what_cannot_be_an_input_is_named(tmp_path: Path, create: Callable[[Path], None]) -> None:
    create(tmp_path / "entry")
    with pytest.raises(DlpuError) as caught:
        scan_folder(tmp_path)
    assert caught.value.code == ErrorCode.INPUT_UNREADABLE
    assert str(tmp_path / "entry") in caught.value.message


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    make(tmp_path, "file")
    for name in ("absent", "file"):
        with pytest.raises(DlpuError) as caught:
            scan_folder(tmp_path / name)
        assert caught.value.code == ErrorCode.INPUT_UNREADABLE
        assert str(tmp_path / name) in caught.value.message


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(DlpuError) as caught:
        scan_folder(tmp_path)
    assert caught.value.code == ErrorCode.INPUT_UNREADABLE
    assert r"caf\xe9.png" in caught.value.message
