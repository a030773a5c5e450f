from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.action import ActionResult, OutputFile
from dlpubuild.cas.collect import StoreUsage, clear, collect, usage
from dlpubuild.cas.digest import Digest, digest_bytes
from dlpubuild.cas.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cas.clock import Clock


def put_in_turn(store: Store, clock: Clock, count: int) -> list[Digest]:
    """Blobs of 100 bytes, a minute apart."""
    digests = []
    for index in range(count):
        digests.append(store.put_bytes(bytes([index]) * 100))
        clock.advance(60)
    return digests


def present(store: Store, digests: list[Digest]) -> list[bool]:
    return [store.contains(digest) for digest in digests]


def test_what_was_used_longest_ago_goes_first(store: Store, clock: Clock) -> None:
    digests = put_in_turn(store, clock, 5)
    store.use([digests[0]])
    collected = collect(store, budget_bytes=250, now_ns=clock.now_ns)
    assert present(store, digests) == [True, False, False, False, True]
    assert (collected.removed, collected.freed_bytes) == (3, 300)
    assert (collected.kept_bytes, collected.in_use_bytes) == (200, 0)


def test_nothing_goes_within_the_budget(store: Store, clock: Clock) -> None:
    digests = put_in_turn(store, clock, 3)
    collected = collect(store, budget_bytes=300, now_ns=clock.now_ns)
    assert (collected.removed, collected.kept_bytes) == (0, 300)
    assert present(store, digests) == [True] * 3


def test_results_count_and_go_like_blobs(store: Store, clock: Clock) -> None:
    action = digest_bytes(b"action")
    store.put_action_result(action, ActionResult(output_files=()))
    clock.advance(60)
    (blob,) = put_in_turn(store, clock, 1)
    size_bytes = usage(store).result_bytes
    assert size_bytes > 0
    assert collect(store, budget_bytes=100, now_ns=clock.now_ns).freed_bytes == size_bytes
    assert store.get_action_result(action) is None
    assert store.contains(blob)


def test_a_hit_protects_result_and_outputs_alike(store: Store, clock: Clock) -> None:
    action = digest_bytes(b"action")
    output = store.put_bytes(b"o" * 100)
    store.put_action_result(action, ActionResult(output_files=(OutputFile(path="o", digest=output),)))
    clock.advance(60)
    put_in_turn(store, clock, 3)
    assert store.get_action_result(action) is not None
    collect(store, budget_bytes=100 + usage(store).result_bytes, now_ns=clock.now_ns)
    assert store.get_action_result(action) is not None


def test_a_running_build_keeps_what_it_uses(store: Store, clock: Clock) -> None:
    old, marked = put_in_turn(store, clock, 2)
    with store.running_build():
        clock.advance(60)
        assert store.use([marked]) == ()
        new = store.put_bytes(b"new" * 100)
        collected = clear(store, now_ns=clock.now_ns)
        assert present(store, [old, marked, new]) == [False, True, True]
        assert (collected.removed, collected.kept_bytes, collected.in_use_bytes) == (1, 400, 400)
        assert usage(store).running_builds == 1
    assert clear(store, now_ns=clock.now_ns).removed == 2
    assert usage(store).total_bytes == 0


def test_the_oldest_of_several_builds_counts(store: Store, clock: Clock) -> None:
    other = Store(store.root, now_ns=clock)
    with store.running_build():
        clock.advance(60)
        used = store.put_bytes(b"used by the first build")
        clock.advance(60)
        with other.running_build():
            clear(store, now_ns=clock.now_ns)
            assert store.contains(used)
        clear(other, now_ns=clock.now_ns)
        assert store.contains(used)


def test_a_clock_set_back_takes_no_protection_away(store: Store, clock: Clock) -> None:
    with store.running_build():
        clock.advance(-7200)
        used = store.put_bytes(b"used")
        with Store(store.root, now_ns=clock).running_build():
            clear(store, now_ns=clock.now_ns)
        assert store.contains(used)


def test_a_mark_in_the_future_counts_as_now(store: Store, clock: Clock) -> None:
    clock.advance(1_000_000)
    (future,) = put_in_turn(store, clock, 1)
    clock.advance(-2_000_000)
    (past,) = [store.put_bytes(b"p" * 100)]
    clock.advance(60)
    collect(store, budget_bytes=100, now_ns=clock.now_ns)
    assert present(store, [past, future]) == [False, True]


def test_the_registration_of_a_killed_build_protects_nothing(store: Store, clock: Clock) -> None:
    (store.root / "builds").mkdir(parents=True)
    abandoned = store.root / "builds" / "1-abandoned"
    abandoned.write_bytes(b"")
    (blob,) = put_in_turn(store, clock, 1)
    assert usage(store).running_builds == 0
    assert abandoned.exists()
    clear(store, now_ns=clock.now_ns)
    assert not store.contains(blob)
    assert not abandoned.exists()


def test_many_batches(store: Store, clock: Clock) -> None:
    digests = [store.put_bytes(b"%06d" % index) for index in range(450)]
    collected = collect(store, budget_bytes=60, now_ns=clock.now_ns)
    assert (collected.removed, collected.kept_bytes) == (440, 60)
    assert sum(present(store, digests)) == 10


def test_usage_counts(store: Store, clock: Clock) -> None:
    assert usage(store) == StoreUsage(
        blobs=0, blob_bytes=0, results=0, result_bytes=0, tmp_bytes=0, running_builds=0, oldest_use_ns=None
    )
    assert not store.root.exists()
    first_ns = clock.now_ns
    put_in_turn(store, clock, 3)
    store.put_action_result(digest_bytes(b"action"), ActionResult(output_files=()))
    (store.root / "tmp" / "half").write_bytes(b"12345")
    found = usage(store)
    assert (found.blobs, found.blob_bytes, found.results, found.tmp_bytes) == (3, 300, 1, 5)
    assert found.total_bytes == 300 + found.result_bytes
    assert found.oldest_use_ns == first_ns


@pytest.mark.parametrize("name", ["cas/notes.txt", "cas/ab/notes.txt", f"cas/ab/{'c' * 64}", "cas/xyz/x"])
def test_foreign_files_are_left_alone(store: Store, clock: Clock, name: str) -> None:
    foreign: Path = store.root / name
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"foreign")
    assert usage(store).blobs == 0
    assert clear(store, now_ns=clock.now_ns).removed == 0
    assert foreign.exists()


def test_collecting_sweeps_what_killed_writers_left(store: Store, clock: Clock) -> None:
    (store.root / "tmp").mkdir(parents=True)
    (store.root / "tmp" / "1-abandoned").write_bytes(b"half")
    collect(store, budget_bytes=0, now_ns=clock.now_ns)
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("how", ["put", "use"])
def test_a_slower_build_does_not_take_back_the_mark_of_another(store: Store, clock: Clock, how: str) -> None:
    """The slow one has read its clock; before it marks, the other starts and marks the same blob."""
    digest = store.put_bytes(b"shared")
    collector = Store(store.root, now_ns=clock)
    early_ns = clock.now_ns
    with ExitStack() as running:

        def slow_clock() -> int:
            clock.advance(60)
            running.enter_context(store.running_build())
            assert store.use([digest]) == ()
            return early_ns

        slow = Store(store.root, now_ns=slow_clock)
        slow.put_bytes(b"shared") if how == "put" else slow.use([digest])
        clear(collector, now_ns=clock.now_ns)
        assert store.contains(digest)
