from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.action import ActionResult, OutputFile
from dlpubuild.cas.digest import EMPTY_DIGEST, digest_bytes
from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.cas.results import frame_result
from dlpubuild.errors import DlpuError, ErrorCode

if TYPE_CHECKING:
    from dlpubuild.cas.store import Store
    from tests.unit.cas.clock import Clock

DATA = b"weights" * 1000
DIGEST = digest_bytes(DATA)
ACTION = digest_bytes(b"an action")


def blob_file(store: Store) -> Path:
    return store.root / "cas" / DIGEST.hash[:2] / DIGEST.hash


def damage(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def leftovers(store: Store) -> list[Path]:
    return list((store.root / "tmp").iterdir())


def test_making_a_store_touches_nothing(store: Store) -> None:
    assert not store.contains(DIGEST)
    assert store.get_action_result(ACTION, mark=False) is None
    assert not store.root.exists()


def test_bytes_come_back(store: Store, tmp_path: Path) -> None:
    assert store.put_bytes(DATA) == DIGEST
    assert store.contains(DIGEST)
    assert store.read(DIGEST) == DATA
    with store.open_verified(DIGEST) as source:
        assert source.read() == DATA
    store.copy_to(DIGEST, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == DATA
    assert store.blob_path(DIGEST) == blob_file(store)
    assert leftovers(store) == []


def test_the_empty_blob_is_a_blob(store: Store) -> None:
    assert store.put_bytes(b"") == EMPTY_DIGEST
    assert store.contains(EMPTY_DIGEST)
    assert store.read(EMPTY_DIGEST) == b""


def test_blobs_are_read_only_files(store: Store) -> None:
    store.put_bytes(DATA)
    assert stat.S_IMODE(blob_file(store).stat().st_mode) == 0o444


def test_a_file_comes_back(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "größe 1.bin"
    source.write_bytes(DATA)
    assert store.put_file(source) == DIGEST
    assert source.read_bytes() == DATA
    assert store.read(DIGEST) == DATA


def test_a_link_to_a_file_is_followed_but_not_moved(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    (tmp_path / "link").symlink_to("file")
    assert store.put_file(tmp_path / "link") == DIGEST
    with pytest.raises(DlpuError) as caught:
        store.put_file(tmp_path / "link", move=True)
    assert caught.value.code == ErrorCode.INPUT_UNREADABLE


def test_a_moved_file_is_renamed(store: Store, tmp_path: Path, clock: Clock) -> None:
    source = tmp_path / "out.bin"
    source.write_bytes(DATA)
    inode = source.stat().st_ino
    assert store.put_file(source, move=True) == DIGEST
    assert not source.exists()
    kept = blob_file(store).stat()
    assert (kept.st_ino, stat.S_IMODE(kept.st_mode), kept.st_mtime_ns) == (inode, 0o444, clock.now_ns)
    assert store.read(DIGEST) == DATA


def test_a_file_with_another_name_is_copied_and_removed(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "out.bin"
    source.write_bytes(DATA)
    os.link(source, tmp_path / "other name")
    assert store.put_file(source, move=True) == DIGEST
    assert not source.exists()
    damage(tmp_path / "other name", b"changed")
    assert store.read(DIGEST) == DATA


def test_a_file_of_another_file_system_is_copied_and_removed(store: Store, small_disk: Path) -> None:
    source = small_disk / "out.bin"
    source.write_bytes(DATA)
    assert store.put_file(source, move=True) == DIGEST
    assert not source.exists()
    assert store.read(DIGEST) == DATA


@pytest.mark.parametrize("move", [False, True])
def test_what_is_no_file_is_not_kept(store: Store, tmp_path: Path, move: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "absent"):
        with pytest.raises(DlpuError) as caught:
            store.put_file(tmp_path / name, move=move)
        assert caught.value.code == ErrorCode.INPUT_UNREADABLE
        assert name in caught.value.message


def test_putting_again_repairs(store: Store) -> None:
    store.put_bytes(DATA)
    damage(blob_file(store), b"x" * len(DATA))
    store.put_bytes(DATA)
    assert store.read(DIGEST) == DATA


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"x", b"x" * len(DATA)])
@pytest.mark.parametrize("how", ["read", "open_verified", "copy_to"])
def test_a_damaged_blob_is_removed_and_reported_missing(store: Store, tmp_path: Path, data: bytes, how: str) -> None:
    store.put_bytes(DATA)
    damage(blob_file(store), data)
    target = tmp_path / "copies" / "copy"
    target.parent.mkdir()
    with pytest.raises(BlobMissingError) as caught:
        store.copy_to(DIGEST, target) if how == "copy_to" else getattr(store, how)(DIGEST)
    assert caught.value.code == ErrorCode.BLOB_MISSING
    assert caught.value.digest == DIGEST
    assert "damaged" in caught.value.message
    assert not blob_file(store).exists()
    assert list(target.parent.iterdir()) == []


def test_a_blob_that_never_was_is_missing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BlobMissingError) as caught:
        store.copy_to(DIGEST, tmp_path / "copy")
    assert caught.value.code == ErrorCode.BLOB_MISSING
    assert not (tmp_path / "copy").exists()


def test_a_blob_of_the_wrong_size_is_not_there(store: Store) -> None:
    store.put_bytes(DATA)
    damage(blob_file(store), DATA[:10])
    assert not store.contains(DIGEST)
    assert not blob_file(store).exists()
    store.put_bytes(DATA)
    damage(blob_file(store), DATA[:10])
    assert store.use([DIGEST]) == (DIGEST,)
    assert not blob_file(store).exists()


def test_use_names_the_missing_and_marks_the_others(store: Store, clock: Clock) -> None:
    store.put_bytes(DATA)
    missing = [digest_bytes(b"1"), digest_bytes(b"0")]
    clock.advance(60)
    assert store.use([missing[0], DIGEST, missing[1]]) == tuple(missing)
    assert blob_file(store).stat().st_mtime_ns == clock.now_ns


def test_looking_does_not_mark(store: Store, clock: Clock, tmp_path: Path) -> None:
    store.put_bytes(DATA)
    put_ns = clock.now_ns
    clock.advance(60)
    store.contains(DIGEST)
    store.read(DIGEST)
    store.copy_to(DIGEST, tmp_path / "copy")
    assert blob_file(store).stat().st_mtime_ns == put_ns


@pytest.mark.parametrize(("options", "mode"), [({}, 0o444), ({"executable": True}, 0o555), ({"mode": 0o664}, 0o664)])
def test_copies_have_the_mode_asked_for(store: Store, tmp_path: Path, options: dict[str, int], mode: int) -> None:
    store.put_bytes(DATA)
    store.copy_to(DIGEST, tmp_path / "copy", **options)  # type: ignore[arg-type]
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == mode


def test_a_copy_replaces_a_file_and_does_not_write_into_it(store: Store, tmp_path: Path) -> None:
    store.put_bytes(DATA)
    old = tmp_path / "old"
    old.write_bytes(b"old")
    os.link(old, tmp_path / "target")
    store.copy_to(DIGEST, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA
    assert old.read_bytes() == b"old"


def result_of(store: Store) -> ActionResult:
    return ActionResult(
        output_files=(OutputFile(path="out/model.tflite", digest=store.put_bytes(DATA)),),
        stdout=store.put_bytes(b"log"),
        stderr=store.put_bytes(b""),
        worker="local",
    )


def test_a_result_comes_back_and_is_marked(store: Store, clock: Clock) -> None:
    result = result_of(store)
    store.put_action_result(ACTION, result)
    clock.advance(60)
    assert store.get_action_result(ACTION, mark=False) == result
    files = [path for path in store.root.rglob("*") if path.is_file() and path.parent.parent.name in {"ac", "cas"}]
    assert len(files) == 4
    assert not any(path.stat().st_mtime_ns == clock.now_ns for path in files)
    assert store.get_action_result(ACTION) == result
    assert all(path.stat().st_mtime_ns == clock.now_ns for path in files)


def test_failures_are_not_cached(store: Store) -> None:
    with pytest.raises(ValueError, match="not cached"):
        store.put_action_result(ACTION, replace(result_of(store), exit_code=1))
    assert store.get_action_result(ACTION) is None


def result_file(store: Store) -> Path:
    return store.root / "ac" / ACTION.hash[:2] / ACTION.hash


@pytest.mark.parametrize("mark", [True, False])
def test_a_failure_in_the_cache_is_a_miss(store: Store, mark: bool) -> None:
    store.put_action_result(ACTION, result_of(store))
    damage(result_file(store), frame_result(ACTION.hash, replace(result_of(store), exit_code=3)))
    assert store.get_action_result(ACTION, mark=mark) is None


@pytest.mark.parametrize("mark", [True, False])
@pytest.mark.parametrize("gone", [DATA, b"log", b""])
def test_a_result_without_one_of_its_blobs_is_a_miss(store: Store, gone: bytes, mark: bool) -> None:
    store.put_action_result(ACTION, result_of(store))
    store.blob_path(digest_bytes(gone)).unlink()
    assert store.get_action_result(ACTION, mark=mark) is None
    store.put_bytes(gone)
    assert store.get_action_result(ACTION, mark=mark) is not None


@pytest.mark.parametrize("cut", [0, 1, 31, 32, 33, -50, -1])
def test_a_result_cut_short_is_a_miss_and_removed(store: Store, cut: int) -> None:
    store.put_action_result(ACTION, result_of(store))
    damage(result_file(store), result_file(store).read_bytes()[:cut])
    assert store.get_action_result(ACTION, mark=False) is None
    assert result_file(store).exists()
    assert store.get_action_result(ACTION) is None
    assert not result_file(store).exists()


def test_a_result_under_the_name_of_another_action_is_a_miss(store: Store) -> None:
    store.put_action_result(ACTION, result_of(store))
    other = digest_bytes(b"another action")
    store.put_action_result(other, ActionResult(output_files=()))
    damage(result_file(store), Path(store.folder.result_path(other)).read_bytes())
    assert store.get_action_result(ACTION) is None
    assert store.get_action_result(other) is not None


def test_a_running_build_sweeps_what_killed_writers_left(store: Store) -> None:
    (store.root / "tmp").mkdir(parents=True)
    (store.root / "tmp" / "1-abandoned").write_bytes(b"half")
    with store.running_build():
        assert leftovers(store) == []
        assert len(list((store.root / "builds").iterdir())) == 1
    assert list((store.root / "builds").iterdir()) == []


def test_marks_never_lie_before_the_start_of_the_build(store: Store, clock: Clock) -> None:
    with store.running_build():
        start_ns = clock.now_ns
        clock.advance(-3600)
        store.put_bytes(DATA)
        assert blob_file(store).stat().st_mtime_ns == start_ns
