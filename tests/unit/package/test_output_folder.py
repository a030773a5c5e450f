from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dlpubuild.errors import ErrorCode, OutputError
from dlpubuild.package.output_folder import LOCK_NAME, replace_folder, require_replaceable, sweep, temporary, writable
from dlpubuild.package.stamp import ARCHIVE_SUFFIX

BASE = "digits-1.0.0-artpec8"


def folder_with(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_leftovers_are_swept_and_nothing_else(tmp_path: Path) -> None:
    folder_with(temporary(tmp_path, BASE, "new"), "model.json", "model/x")
    temporary(tmp_path, BASE, "archive").write_text("half")
    temporary(tmp_path, "other-2.0.0-cpu", "stamp").write_text("half")
    kept = [f"{BASE}{ARCHIVE_SUFFIX}", ".digits.tmp", "x.tmp-new", ".x.tmp-newer", f".{BASE}.stamp.json"]
    folder_with(tmp_path, *kept)
    assert len(sweep(tmp_path)) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_an_old_package_that_lost_its_place_is_put_back(tmp_path: Path) -> None:
    folder_with(temporary(tmp_path, BASE, "old"), "model.json")
    folder_with(temporary(tmp_path, BASE, "new"), "model.json", "README.md")
    sweep(tmp_path)
    assert [path.name for path in (tmp_path / BASE).iterdir()] == ["model.json"]
    assert [path.name for path in tmp_path.iterdir()] == [BASE]


def test_an_old_package_that_was_replaced_is_removed(tmp_path: Path) -> None:
    folder_with(temporary(tmp_path, BASE, "old"), "old")
    folder_with(tmp_path / BASE, "new")
    sweep(tmp_path)
    assert [path.name for path in (tmp_path / BASE).iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == [BASE]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    folder_with(tmp_path / BASE, "old")
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path, BASE)
    assert [path.name for path in (tmp_path / BASE).iterdir()] == ["old"]


@pytest.mark.parametrize("names", [(), ("SHA256SUMS", "model.json"), ("SHA256SUMS", "model.json", "model/m")])
def test_what_a_build_made_may_be_replaced(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = folder_with(tmp_path / BASE, *names)
    folder.mkdir(exist_ok=True)
    lines = [f"{'0' * 64}  {name}\n" for name in names if name != "SHA256SUMS"]
    if names:
        (folder / "SHA256SUMS").write_text("".join(lines))
    require_replaceable(folder)
    require_replaceable(tmp_path / "absent")


@pytest.mark.parametrize(
    "names", [("notes.txt",), ("SHA256SUMS",), ("model.json",), ("SHA256SUMS", "model.json", "notes.txt")]
)
def test_what_no_build_made_is_not_replaced(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = folder_with(tmp_path / BASE, *names)
    if "SHA256SUMS" in names:
        (folder / "SHA256SUMS").write_text(f"{'0' * 64}  model.json\n")
    with pytest.raises(OutputError) as caught:
        require_replaceable(folder)
    assert caught.value.code is ErrorCode.OUTPUT
    assert str(folder) in caught.value.message
    assert "--output" in caught.value.hint


def test_a_link_or_a_file_in_the_place_of_a_package_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(folder_with(tmp_path / "real", "SHA256SUMS", "model.json"))
    for name in ("file", "link"):
        with pytest.raises(OutputError):
            require_replaceable(tmp_path / name)


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="there is no /sys, which nobody can write to")
def test_a_place_where_nothing_can_be_written_is_named() -> None:
    out_dir = Path("/sys/dist")
    with pytest.raises(OutputError) as caught, writable(out_dir):
        pass
    assert caught.value.code is ErrorCode.OUTPUT
    assert "/sys/dist" in caught.value.message
    assert "--output DIR" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError) as caught, writable(tmp_path):
            pass
    finally:
        tmp_path.chmod(0o755)
    assert caught.value.code is ErrorCode.OUTPUT


def test_a_file_in_the_place_of_the_output_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("")
    with pytest.raises(OutputError) as caught, writable(tmp_path / "dist" / "deeper"):
        pass
    assert caught.value.code is ErrorCode.OUTPUT


def test_a_second_writer_waits(tmp_path: Path) -> None:
    seen: list[str] = []
    entered = threading.Event()

    def second() -> None:
        entered.set()
        with writable(tmp_path):
            seen.append("second")

    thread = threading.Thread(target=second)
    with writable(tmp_path):
        thread.start()
        entered.wait()
        thread.join(timeout=0.1)
        seen.append("first")
    thread.join()
    assert seen == ["first", "second"]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "from dlpubuild.package.output_folder import writable\n"
        "with writable(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    with writable(tmp_path):
        assert (tmp_path / LOCK_NAME).exists()
