from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.cas.hashing import hash_file, hash_files
from dlpubuild.errors import DlpuError, ErrorCode

if TYPE_CHECKING:
    from pathlib import Path

SECOND_NS = 1_000_000_000


def test_many_files_come_back_in_order(tmp_path: Path) -> None:
    files = []
    for index in range(300):
        path = tmp_path / str(index)
        path.write_bytes(b"%d" % index * index)
        files.append((str(path), path.stat().st_size))
    hashed = hash_files(files, now_ns=time.time_ns, workers=4)
    assert [file.digest for file in hashed] == [digest_bytes(b"%d" % index * index) for index in range(300)]


def test_a_large_file_is_hashed_whole(tmp_path: Path) -> None:
    data = bytes(range(256)) * 12_345
    (tmp_path / "large").write_bytes(data)
    assert hash_file(str(tmp_path / "large"), now_ns=time.time_ns).digest == digest_bytes(data)


@pytest.mark.parametrize(
    ("mtime_ns", "age_ns", "is_settled"),
    [
        (1_700_000_000 * SECOND_NS + 1, 49_000_000, False),
        (1_700_000_000 * SECOND_NS + 1, 51_000_000, True),
        (1_700_000_000 * SECOND_NS + 1, -10_000_000, False),
        (1_700_000_000 * SECOND_NS, 1_900_000_000, False),
        (1_700_000_000 * SECOND_NS, 2_100_000_000, True),
    ],
)
def test_a_file_settles_when_the_clock_has_moved_on(
    tmp_path: Path, mtime_ns: int, age_ns: int, is_settled: bool
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    os.utime(tmp_path / "file", ns=(mtime_ns, mtime_ns))
    assert hash_file(str(tmp_path / "file"), now_ns=lambda: mtime_ns + age_ns).is_settled is is_settled


def test_a_change_of_mode_just_now_unsettles_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    os.utime(tmp_path / "file", ns=(1, 1))
    ctime_ns = (tmp_path / "file").stat().st_ctime_ns
    assert not hash_file(str(tmp_path / "file"), now_ns=lambda: ctime_ns + 1_000_000).is_settled


def test_a_file_that_changes_once_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    contents = [b"after all"]

    def now_ns() -> int:
        if contents:
            path.write_bytes(contents.pop())
        return time.time_ns()

    assert hash_file(str(path), now_ns=now_ns).digest == digest_bytes(b"after all")


def test_a_file_that_keeps_changing_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")

    def now_ns() -> int:
        with path.open("ab") as file:
            file.write(b"more")
        return time.time_ns()

    with pytest.raises(DlpuError) as caught:
        hash_file(str(path), now_ns=now_ns)
    assert caught.value.code == ErrorCode.INPUT_CHANGED
    assert str(path) in caught.value.message


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "absent"):
        with pytest.raises(DlpuError) as caught:
            hash_files([(str(tmp_path / name), 0)], now_ns=time.time_ns)
        assert caught.value.code == ErrorCode.INPUT_UNREADABLE
        assert str(tmp_path / name) in caught.value.message
