from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import Digest, digest_bytes
from dlpubuild.cas.memo import MAX_FACT_BYTES, Memo, TreeFile
from dlpubuild.errors import DlpuError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MARKER = Digest("0" * 64, 5)


def later_ns() -> int:
    """A clock by which everything on disk has settled."""
    return time.time_ns() + 10_000_000_000


@pytest.fixture
def memo_path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "memo.sqlite3"


@pytest.fixture
def memo(memo_path: Path) -> Iterator[Memo]:
    with Memo(memo_path, now_ns=later_ns) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "größe 1.bin"
    path.write_bytes(b"12345")
    return path


def mark_rows(memo_path: Path) -> int:
    """Replace every remembered hash by that of `MARKER`, so that a digest tells where it comes from."""
    with closing(sqlite3.connect(memo_path)) as connection, connection:
        return connection.execute("UPDATE files SET sha256 = ?", (MARKER.hash,)).rowcount


def test_making_a_memo_touches_nothing(memo: Memo, memo_path: Path) -> None:
    assert memo is not None
    assert not memo_path.parent.exists()


def test_digests_come_in_the_order_given(memo: Memo, tmp_path: Path) -> None:
    paths = [tmp_path / str(index) for index in (3, 1, 2, 1)]
    for path in paths:
        path.write_bytes(path.name.encode())
    expected = [digest_bytes(path.name.encode()) for path in paths]
    assert memo.digest_files(paths) == expected
    assert memo.digest_files(paths) == expected
    assert memo.digest_files([]) == []


def test_an_unchanged_file_is_not_read_again(memo: Memo, memo_path: Path, file: Path) -> None:
    assert memo.digest_files([file]) == [digest_bytes(b"12345")]
    assert mark_rows(memo_path) == 1
    assert memo.digest_files([file]) == [MARKER]
    with Memo(memo_path, now_ns=later_ns) as other:
        assert other.digest_files([file]) == [MARKER]


def _rewrite(path: Path) -> None:
    path.write_bytes(b"54321")


def _rewrite_and_restore_mtime(path: Path) -> None:
    status = path.stat()
    path.write_bytes(b"54321")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _replace(path: Path) -> None:
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"54321")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def _touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [_rewrite, _rewrite_and_restore_mtime, _replace, _touch])
def test_a_file_that_may_have_changed_is_read_again(
    memo: Memo, memo_path: Path, file: Path, change: Callable[[Path], None]
) -> None:
    memo.digest_files([file])
    mark_rows(memo_path)
    change(file)
    assert memo.digest_files([file]) == [digest_bytes(file.read_bytes())]


def test_a_file_changed_a_moment_ago_is_not_remembered(memo_path: Path, file: Path) -> None:
    changed_ns = file.stat().st_ctime_ns
    with Memo(memo_path, now_ns=lambda: changed_ns + 1_000_000) as memo:
        assert memo.digest_files([file]) == [digest_bytes(b"12345")]
        assert mark_rows(memo_path) == 0


def test_a_folder_gives_paths_digests_and_executable_bits(memo: Memo, memo_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images 1"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "images 10").mkdir()
    (tmp_path / "images 10" / "not below").write_bytes(b"12345")
    for name in ("b", "sub/a", "a"):
        (folder / name).write_bytes(b"12345")
    (folder / "b").chmod(0o755)
    content = digest_bytes(b"12345")
    expected = (TreeFile("a", content, False), TreeFile("b", content, True), TreeFile("sub/a", content, False))
    assert memo.digest_tree(folder) == expected
    assert memo.digest_tree(folder, lambda path: path == "a") == expected[:1]
    assert mark_rows(memo_path) == 3
    assert [found.digest for found in memo.digest_tree(folder)] == [MARKER] * 3
    (folder / "a").unlink()
    (folder / "c").write_bytes(b"new")
    assert [found.path for found in memo.digest_tree(folder)] == ["b", "c", "sub/a"]
    assert memo.digest_files([folder / "c"]) == [digest_bytes(b"new")]


def test_relative_paths_are_refused(memo: Memo, file: Path) -> None:
    with pytest.raises(ValueError, match="absolute"):
        memo.digest_stated([("file", file.stat())])


def test_a_missing_file_is_named(memo: Memo, tmp_path: Path) -> None:
    with pytest.raises(DlpuError) as caught:
        memo.digest_files([tmp_path / "absent"])
    assert caught.value.code == ErrorCode.INPUT_UNREADABLE
    assert str(tmp_path / "absent") in caught.value.message


def _garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


def _broken_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


def _foreign_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE files")
        connection.execute("CREATE TABLE files (other TEXT)")


@pytest.mark.parametrize("damage", [_garbage, _broken_page, _foreign_tables])
def test_a_damaged_memo_is_set_aside_and_made_anew(
    memo: Memo, memo_path: Path, file: Path, damage: Callable[[Path], None]
) -> None:
    memo.digest_files([file])
    memo.close()
    damage(memo_path)
    with Memo(memo_path, now_ns=later_ns) as other:
        for _ in range(2):
            assert other.digest_files([file]) == [digest_bytes(b"12345")]
    assert memo_path.with_name("memo.sqlite3.damaged").exists()
    assert mark_rows(memo_path) == 1
    assert memo.digest_files([file]) == [MARKER]


def test_an_empty_file_is_no_damage(memo: Memo, memo_path: Path, file: Path) -> None:
    memo_path.parent.mkdir()
    memo_path.write_bytes(b"")
    memo.digest_files([file])
    assert mark_rows(memo_path) == 1


def test_a_memo_of_another_version_starts_anew(memo: Memo, memo_path: Path, file: Path) -> None:
    memo.digest_files([file])
    memo.close()
    mark_rows(memo_path)
    with closing(sqlite3.connect(memo_path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert memo.digest_files([file]) == [digest_bytes(b"12345")]


def test_a_row_that_makes_no_sense_is_ignored(memo: Memo, memo_path: Path, file: Path) -> None:
    memo.digest_files([file])
    for nonsense in ("zz", None, 7, b"\xff"):
        with closing(sqlite3.connect(memo_path)) as connection, connection:
            connection.execute("UPDATE files SET sha256 = ?", (nonsense,))
        assert memo.digest_files([file]) == [digest_bytes(b"12345")]


def test_without_a_writable_folder_nothing_is_remembered(read_only: Path, file: Path) -> None:
    with Memo(read_only / "cache" / "memo.sqlite3", now_ns=later_ns) as memo:
        assert memo.digest_files([file]) == [digest_bytes(b"12345")]
        memo.remember("kind", "key", b"value")
        assert memo.recall("kind", "key") is None


def test_a_full_disk_is_no_reason_to_fail(small_disk: Path, file: Path) -> None:
    with Memo(small_disk / "memo.sqlite3", now_ns=later_ns) as memo:
        memo.remember("kind", "small", b"value")
        memo.remember_many("kind", {str(index): bytes(MAX_FACT_BYTES) for index in range(3)})
        assert memo.recall_many("kind", ["small", "0", "1", "2"]) == {"small": b"value"}
        assert memo.digest_files([file]) == [digest_bytes(b"12345")]


def test_a_memo_that_another_process_writes_is_not_waited_for(memo: Memo, memo_path: Path, file: Path) -> None:
    memo.remember("kind", "key", b"value")
    with closing(sqlite3.connect(memo_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.perf_counter()
        assert memo.digest_files([file]) == [digest_bytes(b"12345")]
        assert memo.recall("kind", "key") == b"value"
        assert time.perf_counter() - started < 2
        other.execute("ROLLBACK")
    memo.digest_files([file])
    assert mark_rows(memo_path) == 1


def test_results_are_remembered_by_kind_and_key(memo: Memo, memo_path: Path) -> None:
    assert memo.recall("manifest", "key") is None
    memo.remember("manifest", "key", b"one")
    memo.remember("image", "key", b"two")
    memo.remember("manifest", "key", b"three")
    memo.remember_many("image", {"a": b"", "é": b"\0"})
    with Memo(memo_path, now_ns=later_ns) as other:
        assert other.recall("manifest", "key") == b"three"
        assert other.recall_many("image", ["key", "absent", "a", "é"]) == {"key": b"two", "a": b"", "é": b"\0"}
    memo.clear()
    assert memo.recall("manifest", "key") is None


def test_many_keys_at_once(memo: Memo) -> None:
    values = {f"{index:05}": b"%d" % index for index in range(2500)}
    memo.remember_many("kind", values)
    assert memo.recall_many("kind", sorted(values)) == values


def test_a_result_that_is_too_large_is_a_mistake(memo: Memo) -> None:
    with pytest.raises(ValueError, match="more than a memo takes"):
        memo.remember("kind", "key", bytes(MAX_FACT_BYTES + 1))


def test_the_oldest_results_go_beyond_the_limit(memo_path: Path) -> None:
    now = iter(range(1, 1000))
    with Memo(memo_path, now_ns=lambda: next(now), max_facts=100) as memo:
        for index in range(101):
            memo.remember("kind", str(index), b"")
        kept = memo.recall_many("kind", [str(index) for index in range(101)])
    assert sorted(kept, key=int) == [str(index) for index in range(26, 101)]


def test_the_oldest_files_go_beyond_the_limit(memo_path: Path, tmp_path: Path) -> None:
    with Memo(memo_path, now_ns=later_ns, max_files=8) as memo:
        for index in range(20):
            path = tmp_path / str(index)
            path.write_bytes(b"x")
            memo.digest_files([path])
    assert 6 <= mark_rows(memo_path) <= 8


def test_thousands_of_remembered_files_take_a_moment(memo: Memo, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(3000):
        (folder / f"image {index:05}").touch()
    memo.digest_tree(folder)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        assert len(memo.digest_tree(folder)) == 3000
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.25  # some 0.03 s on a quiet machine
