"""Several processes on one cache folder, and processes that die there."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlpubuild.cas.collect import clear, usage
from dlpubuild.cas.digest import digest_bytes
from dlpubuild.cas.store import Store
from dlpubuild.cas.verify import verify
from tests.unit.cas.workers import BLOBS

PROJECT = Path(__file__).parents[3]


def start(role: str, root: Path, seconds: float = 0.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.unit.cas.workers", role, str(root), str(seconds)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(processes: list[subprocess.Popen[str]]) -> list[int]:
    """Wait for all and return the numbers they print."""
    numbers = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        numbers.append(int(out))
    return numbers


@pytest.fixture
def real_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", now_ns=time.time_ns)


def test_several_writers_of_the_same_blobs_are_all_right(real_store: Store) -> None:
    rounds = finish([start("write", real_store.root, 0.3) for _ in range(4)])
    assert min(rounds) >= 1
    assert usage(real_store).blobs == len(BLOBS)
    assert usage(real_store).tmp_bytes == 0
    assert verify(real_store).is_clean


def test_collectors_never_take_what_running_builds_use(real_store: Store) -> None:
    processes = [start(role, real_store.root, 1.0) for role in ("build", "collect", "build", "collect")]
    missing_a, removed_a, missing_b, removed_b = finish(processes)
    # Both sides had their turn: blobs went between builds, and every build found or remade all of its own.
    assert removed_a + removed_b > 0
    assert missing_a + missing_b > 0
    assert usage(real_store).running_builds == 0


def test_several_processes_share_a_memo(real_store: Store) -> None:
    inputs = real_store.root / "inputs"
    inputs.mkdir(parents=True)
    for index in range(100):
        (inputs / str(index)).write_bytes(b"%d" % index)
    assert min(finish([start("memo", real_store.root, 0.3) for _ in range(3)])) >= 1


def start_hanging(role: str, store: Store) -> subprocess.Popen[str]:
    process = start(role, store.root)
    assert process.stdout is not None
    assert process.stdout.readline() == "hanging\n"
    return process


def test_kill_in_the_middle_of_a_put_leaves_only_a_file_in_tmp(real_store: Store) -> None:
    digest = digest_bytes(b"x" * 100_000)
    process = start_hanging("hang_in_put", real_store)
    try:
        with real_store.running_build():
            assert usage(real_store).tmp_bytes == 100_000  # its writer lives: not swept
    finally:
        process.kill()
        process.communicate()
    assert usage(real_store).tmp_bytes == 100_000
    assert not real_store.contains(digest)
    with real_store.running_build():
        assert usage(real_store).tmp_bytes == 0
        assert real_store.put_bytes(b"x" * 100_000) == digest


def test_a_build_protects_until_it_is_killed(real_store: Store) -> None:
    process = start_hanging("hang_in_build", real_store)
    try:
        digest = real_store.put_bytes(b"put while the other build runs")
        clear(real_store, now_ns=time.time_ns())
        assert real_store.contains(digest)
        assert usage(real_store).running_builds == 1
    finally:
        process.kill()
        process.communicate()
    assert usage(real_store).running_builds == 0
    clear(real_store, now_ns=time.time_ns())
    assert not real_store.contains(digest)


def test_threads_share_a_store(real_store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: real_store.read(real_store.put_bytes(BLOBS[index % 5])), range(100)))
    assert found == [BLOBS[index % 5] for index in range(100)]
    assert verify(real_store).is_clean
