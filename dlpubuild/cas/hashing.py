"""Hashing input files that may change under our hands.

In: paths. Out: the digest of each file with the state in which it was hashed, and whether that state can be
trusted to name the same bytes later. Never remembers anything; `dlpubuild.cas.memo` does.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dlpubuild.cas.digest import CHUNK_BYTES, Digest
from dlpubuild.cas.faults import input_faults
from dlpubuild.errors import DlpuError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NS_PER_S = 1_000_000_000
_RACY_NS = 50_000_000
"""A kernel stamps files with a clock of some milliseconds, so two writes can share one time stamp."""
_RACY_COARSE_NS = 2 * _NS_PER_S
"""The same for file systems that keep whole seconds; FAT keeps even ones."""
_FILES_PER_TASK = 64
_BYTES_PER_TASK = 8 << 20


class FileState(NamedTuple):
    """What of a file's metadata changes when its content does."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedFile:
    """A digest and the state that the file had before and after it was read.

    `is_settled` is False if the file changed so shortly before it was read that a further change could leave
    the same state: the digest is right, and must not be found again by that state.
    """

    digest: Digest
    state: FileState
    is_settled: bool


def file_state(status: os.stat_result) -> FileState:
    """Return the part of a file's status that identifies its content."""
    return FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def hash_files(
    files: Sequence[tuple[str, int]], *, now_ns: Callable[[], int], workers: int | None = None
) -> list[HashedFile]:
    """Return the hashed files in the order given; many or large ones are read by several threads.

    Args:
        files: path and expected size in bytes, by which the work is shared out.
        now_ns: the clock, nanoseconds since the epoch.
        workers: number of threads; as many as there are processors, at most 8, if not given.

    Raises:
        DlpuError: a file cannot be read (INPUT_UNREADABLE) or changes while it is read (INPUT_CHANGED).
    """
    tasks = _tasks(files)
    if len(tasks) <= 1:
        return [hash_file(path, now_ns=now_ns) for path, _ in files]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # not needed when all is remembered

    pool = ThreadPoolExecutor(workers or min(8, len(os.sched_getaffinity(0))))
    try:
        done = pool.map(lambda task: [hash_file(path, now_ns=now_ns) for path in task], tasks)
        return [hashed for task in done for hashed in task]
    finally:
        pool.shutdown(cancel_futures=True)


def hash_file(path: str, *, now_ns: Callable[[], int]) -> HashedFile:
    """Return the hashed file; if it changes while it is read, it is read once more.

    Raises:
        DlpuError: as for `hash_files`.
    """
    hashed = _hash_once(path, now_ns) or _hash_once(path, now_ns)
    if hashed is None:
        raise DlpuError(
            ErrorCode.INPUT_CHANGED,
            f"{path} changed while it was read, twice",
            hint="wait until whatever writes the file is done",
        )
    return hashed


def _tasks(files: Sequence[tuple[str, int]]) -> list[list[str]]:
    """Share out the files, in order; small ones go together, as a task costs more than a small file."""
    tasks: list[list[str]] = []
    room_bytes = 0
    for path, size_bytes in files:
        if room_bytes <= 0 or len(tasks[-1]) == _FILES_PER_TASK:
            tasks.append([])
            room_bytes = _BYTES_PER_TASK
        tasks[-1].append(path)
        room_bytes -= size_bytes
    return tasks


def _hash_once(path: str, now_ns: Callable[[], int]) -> HashedFile | None:
    """Return the hashed file, None if it changed meanwhile."""
    with input_faults(path):
        # O_NONBLOCK: opening a named pipe would wait for someone to write to it.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise DlpuError(ErrorCode.INPUT_UNREADABLE, f"cannot read {path}: it is not a regular file")
            before = file_state(status)
            started_ns = now_ns()
            sha = hashlib.sha256()
            size_bytes = 0
            # One byte more than expected, so that a small file takes two reads: its content, and its end.
            while chunk := os.read(fd, min(before.size_bytes + 1, CHUNK_BYTES)):
                sha.update(chunk)
                size_bytes += len(chunk)
            after = file_state(os.fstat(fd))
        finally:
            os.close(fd)
    if before != after or size_bytes != before.size_bytes:
        return None
    return HashedFile(
        digest=Digest(sha.hexdigest(), size_bytes),
        state=before,
        is_settled=_is_settled(before.mtime_ns, started_ns) and _is_settled(before.ctime_ns, started_ns),
    )


def _is_settled(changed_ns: int, started_ns: int) -> bool:
    window_ns = _RACY_NS if changed_ns % _NS_PER_S else _RACY_COARSE_NS
    return abs(started_ns - changed_ns) > window_ns
