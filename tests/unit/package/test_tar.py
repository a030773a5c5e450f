from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.package.members import made_member
from dlpubuild.package.tar import RECORD_BYTES, TarEntry, TarFile, TarFolder, TarLink, write_entries

EPOCH_S = 1700000000
PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=60)
LENGTHS = (1, 99, 100, 101, 155, 156, 255)


def tar_bytes(entries: list[TarEntry], mtime_s: int = EPOCH_S) -> bytes:
    target = io.BytesIO()
    write_entries(target, entries, mtime_s=mtime_s)
    return target.getvalue()


def place(folder: Path, entries: list[TarEntry]) -> None:
    for entry in entries:
        path = folder / entry.path
        match entry:
            case TarFolder(mode=mode):
                path.mkdir()
                path.chmod(mode)
            case TarLink(target=target):
                path.symlink_to(target)
            case TarFile(member=member, mode=mode):
                path.write_bytes(member.content if isinstance(member.content, bytes) else b"")
                path.chmod(mode)


def gnu_tar() -> str:
    tar = shutil.which("tar")
    if tar is None or b"GNU tar" not in subprocess.run([tar, "--version"], capture_output=True, check=True).stdout:
        pytest.skip("GNU tar is not installed")
    return tar


def file(path: str, content: bytes = b"x", mode: int = 0o644) -> TarFile:
    return TarFile(member=made_member(path, content), mode=mode)


def test_entries_of_every_kind_are_what_gnu_tar_writes(tmp_path: Path) -> None:
    """Also names and targets around the 100 bytes of a header, alone and both together."""
    entries: list[TarEntry] = [
        TarFolder(path="d"),
        TarFolder(path="d/empty", mode=0o750),
        file("d/manifest.json", b"{}", mode=0o600),
        file("d/run", b"#!/bin/sh\n", mode=0o755),
        file("d/å"),
        *(file("d/" + "n" * (length - 2)) for length in LENGTHS if length > 2),
        *(TarLink(path=f"d/to{length:03}", target="t" * length) for length in LENGTHS),
        TarLink(path="d/" + "l" * 200, target="d/" + "t" * 200),
        TarFolder(path="d/" + "f" * 98),
        TarFolder(path="d/" + "f" * 97),
    ]
    place(tmp_path, entries)
    argv = [gnu_tar(), "--create", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner", f"--mtime=@{EPOCH_S}"]
    argv += ["--no-recursion", *(entry.path for entry in entries)]
    made = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"})
    assert tar_bytes(entries) == made.stdout


def test_an_archive_of_nothing_is_one_record() -> None:
    assert tar_bytes([]) == bytes(RECORD_BYTES)


@PROPERTY
@given(st.lists(st.integers(min_value=0, max_value=30_000), max_size=8))
def test_archives_are_whole_records_whatever_the_sizes(sizes: list[int]) -> None:
    entries: list[TarEntry] = [file(f"f{index}", bytes(size)) for index, size in enumerate(sizes)]
    data = tar_bytes(entries)
    assert len(data) % RECORD_BYTES == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert [member.size for member in archive.getmembers()] == sizes


@pytest.mark.parametrize("mtime_s", [-1, 8**11])
def test_a_time_that_no_header_holds_is_refused(mtime_s: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        tar_bytes([file("x")], mtime_s=mtime_s)
