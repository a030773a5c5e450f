"""Scratch folders of builds that were killed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from dlpubuild.executors.staging import scratch_folder, sweep_scratch

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
