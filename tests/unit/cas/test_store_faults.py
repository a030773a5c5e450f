from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.cas.store import Store
from dlpubuild.errors import DlpuError, ErrorCode, ExitCode, OutputError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cas.clock import Clock

BIG = bytes(3 << 20)


@pytest.fixture
def small_store(small_disk: Path, clock: Clock) -> Store:
    return Store(small_disk / "cache", now_ns=clock)


def test_a_full_disk_is_reported_and_nothing_is_left(small_store: Store, tmp_path: Path) -> None:
    kept = small_store.put_bytes(b"kept")
    (tmp_path / "big").write_bytes(BIG)

    def put_bytes() -> object:
        return small_store.put_bytes(BIG)

    def put_file() -> object:
        return small_store.put_file(tmp_path / "big")

    def move_file() -> object:
        return small_store.put_file(tmp_path / "big", move=True)

    for put in (put_bytes, put_file, move_file):
        with pytest.raises(StoreError) as caught:
            put()
        assert caught.value.code == ErrorCode.STORE_FULL
        assert str(small_store.root) in caught.value.message
        assert "3.0 MiB" in caught.value.message
        assert "dlpubuild cache gc" in caught.value.hint
        assert "DLPU_CACHE_DIR" in caught.value.hint
        assert list((small_store.root / "tmp").iterdir()) == []
    assert (tmp_path / "big").exists()
    assert not small_store.contains(digest_bytes(BIG))
    assert small_store.read(kept) == b"kept"


def test_a_full_disk_of_the_target_is_not_blamed_on_the_cache(store: Store, small_disk: Path) -> None:
    digest = store.put_bytes(BIG)
    with pytest.raises(OutputError) as caught:
        store.copy_to(digest, small_disk / "copy")
    assert caught.value.code == ErrorCode.OUTPUT
    assert str(small_disk / "copy") in caught.value.message
    assert list(small_disk.iterdir()) == []
    assert store.contains(digest)


def test_a_missing_folder_of_the_target_is_reported(store: Store, tmp_path: Path) -> None:
    digest = store.put_bytes(b"x")
    with pytest.raises(OutputError):
        store.copy_to(digest, tmp_path / "absent" / "copy")


def test_a_cache_that_cannot_be_written_is_reported(read_only: Path, clock: Clock, tmp_path: Path) -> None:
    store = Store(read_only / "cache", now_ns=clock)
    (tmp_path / "file").write_bytes(b"x")

    def build() -> object:
        with store.running_build():
            raise AssertionError

    def put_bytes() -> object:
        return store.put_bytes(b"x")

    def put_file() -> object:
        return store.put_file(tmp_path / "file", move=True)

    for use in (build, put_bytes, put_file):
        with pytest.raises(StoreError) as caught:
            use()
        assert caught.value.code == ErrorCode.STORE
        assert caught.value.exit_code == ExitCode.STEP_FAILED
        assert str(store.root) in caught.value.message
        assert "DLPU_CACHE_DIR" in caught.value.hint
    assert (tmp_path / "file").exists()


def test_a_cache_that_is_a_file_is_reported(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(StoreError) as caught:
        Store(tmp_path / "cache", now_ns=clock).put_bytes(b"x")
    assert caught.value.code == ErrorCode.STORE


def test_wording_of_a_missing_blob(store: Store) -> None:
    digest = digest_bytes(b"")
    with pytest.raises(DlpuError) as caught:
        store.read(digest)
    assert str(caught.value) == (
        f"blob {digest} is missing; cache folder: {store.root}\n"
        "  hint: build again: what made the blob runs again; `dlpubuild cache verify` checks all others"
    )
