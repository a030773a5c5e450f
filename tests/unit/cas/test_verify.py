from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.cas.action import ActionResult, OutputFile
from dlpubuild.cas.digest import digest_bytes
from dlpubuild.cas.verify import VerifyReport, verify

if TYPE_CHECKING:
    from dlpubuild.cas.store import Store
    from tests.unit.cas.clock import Clock


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_sound_store_is_left_as_it_is(store: Store, clock: Clock) -> None:
    output = store.put_bytes(b"output")
    action = digest_bytes(b"action")
    result = ActionResult(output_files=(OutputFile(path="o", digest=output),))
    store.put_action_result(action, result)
    put_ns = clock.now_ns
    clock.advance(60)
    seen: list[tuple[int, int]] = []
    report = verify(store, progress=lambda done, total: seen.append((done, total)))
    assert report == VerifyReport(blobs=1, blob_bytes=6, damaged_blobs=0, results=1, dropped_results=0)
    assert report.is_clean
    assert seen == [(6, 6)]
    assert store.blob_path(output).stat().st_mtime_ns == put_ns
    assert store.get_action_result(action) == result


def test_what_is_bad_is_removed_and_counted(store: Store) -> None:
    good, flipped, short, gone = (store.put_bytes(name * 10) for name in (b"g", b"f", b"s", b"x"))
    actions = {digest: digest_bytes(f"makes {digest}".encode()) for digest in (good, flipped, short, gone)}
    for digest, action in actions.items():
        store.put_action_result(action, ActionResult(output_files=(OutputFile(path="o", digest=digest),)))
    damaged_action = digest_bytes(b"damaged")
    store.put_action_result(damaged_action, ActionResult(output_files=()))
    rewrite(Path(store.folder.result_path(damaged_action)), b"")
    rewrite(store.blob_path(flipped), b"F" * 10)
    rewrite(store.blob_path(short), b"s")
    store.blob_path(gone).unlink()
    report = verify(store)
    assert report == VerifyReport(blobs=1, blob_bytes=10, damaged_blobs=2, results=1, dropped_results=4)
    assert not report.is_clean
    assert verify(store).is_clean
    assert store.get_action_result(actions[good]) is not None


def test_a_folder_that_does_not_exist_is_clean(store: Store) -> None:
    assert verify(store).is_clean
    assert not store.root.exists()
