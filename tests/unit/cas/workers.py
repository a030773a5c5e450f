"""What the tests of concurrency run in processes of their own: `python -m tests.unit.cas.workers ROLE ...`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from dlpubuild.cas.collect import clear
from dlpubuild.cas.memo import Memo
from dlpubuild.cas.store import Store

BLOBS = tuple(b"%d" % index * 2000 for index in range(25))


def write(store: Store, seconds: float) -> int:
    """Put the same blobs over and over, and read each back; return how often."""
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end or not rounds:
        with store.running_build():
            digests = [store.put_bytes(data) for data in BLOBS]
            if [store.read(digest) for digest in digests] != list(BLOBS):
                raise AssertionError("a blob is not what was put")
        rounds += 1
    return rounds


def build(store: Store, seconds: float) -> int:
    """Build over and over: use the blobs, put what is missing, rely on all; return how many were missing."""
    digests = [store.put_bytes(data) for data in BLOBS]
    end = time.monotonic() + seconds
    missing_at_start = 0
    while time.monotonic() < end:
        with store.running_build():
            missing = store.use(digests)
            missing_at_start += len(missing)
            for digest in missing:
                store.put_bytes(BLOBS[digests.index(digest)])
            for _ in range(3):
                for data, digest in zip(BLOBS, digests, strict=True):
                    if store.read(digest) != data:
                        raise AssertionError("a blob is not what was put")
    return missing_at_start


def collect(store: Store, seconds: float) -> int:
    """Clear the store over and over; return how much was removed."""
    end = time.monotonic() + seconds
    removed = 0
    while time.monotonic() < end:
        removed += clear(store, now_ns=time.time_ns()).removed
    return removed


def memo(store: Store, seconds: float) -> int:
    """Ask one memo for the digests of a folder over and over; return how often."""
    end = time.monotonic() + seconds
    rounds = 0
    with Memo(store.root / "memo.sqlite3", now_ns=lambda: time.time_ns() + 10_000_000_000) as opened:
        while time.monotonic() < end or not rounds:
            files = opened.digest_tree(store.root / "inputs")
            if [file.digest for file in files] != opened.digest_files(
                [store.root / "inputs" / file.path for file in files]
            ):
                raise AssertionError("two answers to one question")
            opened.remember("kind", str(rounds), b"value")
            rounds += 1
    return rounds


def hang_in_put(root: Path) -> None:
    """Stop for good in the middle of a put: the clock is read after writing and before renaming."""

    def clock() -> int:
        print("hanging", flush=True)  # noqa: T201
        time.sleep(60)
        raise AssertionError("not killed in time")

    Store(root, now_ns=clock).put_bytes(b"x" * 100_000)


def hang_in_build(root: Path) -> None:
    """Stop for good in a running build."""
    with Store(root, now_ns=time.time_ns).running_build():
        print("hanging", flush=True)  # noqa: T201
        time.sleep(60)


def main(role: str, root: Path, seconds: float) -> None:
    """Run one role and print the number that it returns."""
    if role == "hang_in_put":
        hang_in_put(root)
    elif role == "hang_in_build":
        hang_in_build(root)
    else:
        roles = {"write": write, "build": build, "collect": collect, "memo": memo}
        print(roles[role](Store(root, now_ns=time.time_ns), seconds))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
