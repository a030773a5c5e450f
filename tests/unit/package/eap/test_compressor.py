from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dlpubuild.errors import ErrorCode, OutputError
from dlpubuild.package.eap.compressor import find_gzip


def fake(folder: Path, version: str, code: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "gzip"
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{version}\nEND\nexit {code}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def refused(search_path: str | None) -> OutputError:
    with pytest.raises(OutputError) as caught:
        find_gzip(search_path)
    assert caught.value.code is ErrorCode.OUTPUT
    assert "apt-get install gzip" in caught.value.hint
    return caught.value


def test_gnu_gzip_is_found_with_its_version() -> None:
    if shutil.which("gzip") is None:
        pytest.skip("gzip is not installed")
    found = find_gzip(os.environ["PATH"])
    assert found.program.name == "gzip"
    assert subprocess.run([found.program, "--version"], capture_output=True, check=True).stdout.startswith(
        f"gzip {found.version}\n".encode()
    )


@pytest.mark.parametrize("search_path", [None, "", "/nowhere"])
def test_no_gzip_is_told(search_path: str | None) -> None:
    assert "there is no `gzip` on PATH" in refused(search_path).message


@pytest.mark.parametrize(
    ("version", "code", "shown"),
    [
        ("pigz 2.6", 0, "pigz 2.6"),
        ("BusyBox v1.35.0 (Debian) multi-call binary.\nUsage: gzip", 1, "BusyBox v1.35.0 (Debian) multi-call binary."),
        ("Apple gzip 430.0.0", 0, "Apple gzip 430.0.0"),
        ("gzip 1.9\nby somebody else", 0, "gzip 1.9"),
        ("", 2, "nothing (exit code 2)"),
    ],
)
def test_another_gzip_is_refused_by_what_it_says(tmp_path: Path, version: str, code: int, shown: str) -> None:
    fake(tmp_path / "bin", version, code)
    message = refused(str(tmp_path / "bin")).message
    assert f'is not GNU gzip: asked for its version it says "{shown}"' in message


def test_busybox_itself_is_refused(tmp_path: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    (tmp_path / "gzip").symlink_to(busybox)
    assert "is not GNU gzip" in refused(str(tmp_path)).message


def test_a_gzip_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    path = tmp_path / "gzip"
    path.write_bytes(b"\x7fELF rubbish")
    path.chmod(0o755)
    assert "cannot be run" in refused(str(tmp_path)).message


def test_the_first_on_the_path_counts(tmp_path: Path) -> None:
    fake(tmp_path / "first", "gzip 9.9\nCopyright (C) 2030 Free Software Foundation, Inc.")
    fake(tmp_path / "second", "pigz 2.6")
    found = find_gzip(f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert (found.program.parent.name, found.version) == ("first", "9.9")
