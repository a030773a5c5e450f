"""Keeping the cache folder within a budget: what was used longest ago goes first.

In: a store and a number of bytes. Out: what was removed and what is left. Never removes what a running build
uses, and never waits for a build to end.

Why no running build loses a blob, with any number of builds and collectors at once:

1. A build registers: a file in `builds/` whose mtime is its start, locked (flock) until the build ends,
   however it ends.
2. A build marks all that it relies on, blobs and results alike, in `put_*`, `use` and `get_action_result`:
   the mtime of the entry becomes now, and never less than the start of the build. What `use` calls missing it
   takes as missing.
3. A mark is only ever raised, by `use` and by a put that replaces the file alike. Otherwise a build that read
   its clock, was slow, and then marked would take back what a younger build had marked meanwhile.
4. A collector works in batches. For each it lists the running builds anew and asks each entry for its mtime
   anew, and it leaves every entry whose mtime is at or after the oldest start.
5. All of this, registering, marking, putting in place, removing a batch, happens under the one `cas.lock`, so
   each happens wholly before or wholly after each other.

So when a build has marked an entry, its mtime is at or after the start of the build for as long as the build
runs (2, 3), and every later batch leaves it (4). If a batch came before, the entry is gone and the build
learns so from `use`. Nothing depends on clocks that agree or never step back. The lock is held for some
milliseconds at most, never while content is read or written. A build that was killed holds no lock any more;
its file counts as abandoned and is removed.

An entry that someone else marked after the oldest start is kept although no running build uses it. That is
the price of marks that do not say whose they are; it lasts until the build ends.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.cas.faults import store_faults
from dlpubuild.cas.folder import BLOBS, RESULTS
from dlpubuild.cas.lease import living, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlpubuild.cas.store import Store

_BATCH = 200
_SHARD = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A blob or an action result as it lies in the folder; `name` is the hash that it is kept under."""

    path: str
    name: str
    size_bytes: int
    used_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection did.

    Attributes:
        removed: number of blobs and results that were removed.
        freed_bytes: their size.
        kept_bytes: size of all that is left.
        in_use_bytes: the part of `kept_bytes` that cannot be removed while the present builds run.
    """

    removed: int
    freed_bytes: int
    kept_bytes: int
    in_use_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUsage:
    """How full the cache folder is.

    Attributes:
        blobs: number of blobs.
        blob_bytes: their size.
        results: number of action results.
        result_bytes: their size.
        tmp_bytes: size of files being written, and of those left by builds that were killed.
        running_builds: number of builds that run now.
        oldest_use_ns: when the entry that goes first was last used, nanoseconds since the epoch; None if empty.
    """

    blobs: int
    blob_bytes: int
    results: int
    result_bytes: int
    tmp_bytes: int
    running_builds: int
    oldest_use_ns: int | None

    @property
    def total_bytes(self) -> int:
        """Size of all blobs and results: what a budget is compared with."""
        return self.blob_bytes + self.result_bytes


def collect(store: Store, *, budget_bytes: int, now_ns: int) -> Collected:
    """Remove the blobs and results used longest ago until the rest fits into `budget_bytes`.

    More is kept where running builds use more than the budget.

    Args:
        store: the store.
        budget_bytes: how much may stay.
        now_ns: the time, nanoseconds since the epoch. An entry marked later than this (the clock was set back)
            counts as used now.

    Raises:
        StoreError: the cache folder cannot be read or written.
    """
    with store_faults(store.root):
        sweep(store.folder.tmp)
        found = sorted(_all_entries(store), key=lambda entry: (min(entry.used_ns, now_ns), entry.path))
        excess_bytes = sum(entry.size_bytes for entry in found) - budget_bytes
        removed: list[Entry] = []
        for first in range(0, len(found), _BATCH):
            freed_bytes = sum(entry.size_bytes for entry in removed)
            if freed_bytes >= excess_bytes:
                break
            removed += _remove_batch(store, found[first : first + _BATCH], excess_bytes - freed_bytes)
        return _collected(store, removed)


def clear(store: Store, *, now_ns: int) -> Collected:
    """Remove everything that no running build uses; `in_use_bytes` of the result says how much had to stay.

    Raises:
        StoreError: the cache folder cannot be read or written.
    """
    # Less than nothing, so that blobs of no bytes go as well.
    return collect(store, budget_bytes=-1, now_ns=now_ns)


def usage(store: Store) -> StoreUsage:
    """Return how full the cache folder is, all zero for one that does not exist. Changes nothing.

    Raises:
        StoreError: the cache folder cannot be read.
    """
    with store_faults(store.root):
        blobs = entries(store, BLOBS)
        results = entries(store, RESULTS)
        return StoreUsage(
            blobs=len(blobs),
            blob_bytes=sum(entry.size_bytes for entry in blobs),
            results=len(results),
            result_bytes=sum(entry.size_bytes for entry in results),
            tmp_bytes=sum(state.st_size for _, state in _files(str(store.folder.tmp))),
            running_builds=len(living(store.folder.builds)),
            oldest_use_ns=min((entry.used_ns for entry in (*blobs, *results)), default=None),
        )


def entries(store: Store, kind: str) -> list[Entry]:
    """Return the entries of one kind, `BLOBS` or `RESULTS`, sorted by name; foreign files are passed over.

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted(_entries(f"{store.root}/{kind}"), key=lambda entry: entry.name)


def _all_entries(store: Store) -> list[Entry]:
    return entries(store, BLOBS) + entries(store, RESULTS)


def _entries(folder: str) -> Iterator[Entry]:
    with suppress(FileNotFoundError):
        for shard in sorted(os.listdir(folder)):  # noqa: PTH208  # names only
            if not _SHARD.fullmatch(shard):
                continue
            for name, state in _files(f"{folder}/{shard}"):
                if _NAME.fullmatch(name) and name.startswith(shard):
                    yield Entry(
                        path=f"{folder}/{shard}/{name}",
                        name=name,
                        size_bytes=state.st_size,
                        used_ns=state.st_mtime_ns,
                    )


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield name and state of the regular files of a folder; what vanishes meanwhile is passed over."""
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for entry in found:
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    yield entry.name, entry.stat(follow_symlinks=False)


def _remove_batch(store: Store, batch: Sequence[Entry], excess_bytes: int) -> list[Entry]:
    """Remove entries of `batch`, in order, until `excess_bytes` are freed; return those removed."""
    removed: list[Entry] = []
    with store.folder.locked():
        oldest_start_ns = store.folder.oldest_build_ns()
        for entry in batch:
            if excess_bytes <= 0:
                break
            with suppress(FileNotFoundError):
                used_ns = os.lstat(entry.path).st_mtime_ns
                # Used since the scan: not what was used longest ago any more.
                if used_ns != entry.used_ns or (oldest_start_ns is not None and used_ns >= oldest_start_ns):
                    continue
                os.unlink(entry.path)  # noqa: PTH108  # text paths throughout
                removed.append(entry)
                excess_bytes -= entry.size_bytes
    return removed


def _collected(store: Store, removed: Sequence[Entry]) -> Collected:
    with store.folder.locked():
        oldest_start_ns = store.folder.oldest_build_ns()
    left = _all_entries(store)
    return Collected(
        removed=len(removed),
        freed_bytes=sum(entry.size_bytes for entry in removed),
        kept_bytes=sum(entry.size_bytes for entry in left),
        in_use_bytes=sum(
            entry.size_bytes for entry in left if oldest_start_ns is not None and entry.used_ns >= oldest_start_ns
        ),
    )
