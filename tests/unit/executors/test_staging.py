"""Scratch folders of builds that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from dlpubuild.executors.staging import remove_tree, scratch_folder, sweep_scratch

if TYPE_CHECKING:
    from pathlib import Path

KILLED = """
import os, signal, sys
from pathlib import Path
from dlpubuild.executors.staging import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("made")
    (folder / "locked").mkdir(mode=0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_scratch_folder_is_gone_after_its_block(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_build_is_swept_and_that_of_a_running_one_is_not(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    with scratch_folder(tmp_path) as mine:
        (mine / "file").write_text("x")
        assert sweep_scratch(tmp_path) == 1
        assert (mine / "file").is_file()
    assert list(tmp_path.iterdir()) == []


def test_sweeping_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    assert sweep_scratch(tmp_path / "none") == 0


def test_a_folder_nested_deeper_than_a_path_can_say_is_removed(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    remove_tree(tmp_path / "deep")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_closed_or_in_the_way_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "a/b/c/file").write_text("x")
    (folder / "1.removed/full").mkdir(parents=True)
    (folder / "2.removed").write_text("x")
    (folder / "a/b").chmod(0)
    (folder / "a").chmod(0)
    remove_tree(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_never_followed_when_a_folder_is_removed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "in").mkdir(parents=True)
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "a/link").symlink_to(kept)
    (folder / "gone").symlink_to("nowhere")
    remove_tree(folder)
    assert (kept / "in").is_dir()
    assert not folder.exists()
    link = tmp_path / "link"
    link.symlink_to(kept)
    remove_tree(link)
    assert (kept / "in").is_dir()


def test_nobody_else_can_look_into_a_scratch_folder(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
