"""The cache folder as files: where things lie, who may change them, and when they were last used.

In: the root of the folder. Out: paths, locks, and files that appear and vanish atomically.

    cas/ab/<sha256>   blobs, mode 0444
    ac/ab/<sha256>    action results, named by the hash of the action
    tmp/              half-written files, each locked by its writer
    builds/           one locked file per running build; its mtime is the start of the build
    cas.lock          held to register a build, to publish, to mark as used, and to remove

The mtime of a blob or result is the time of its last use. mtime, not atime: reading does not change it, and
as it is always set explicitly, mount options such as noatime do not matter. It is only ever raised: two
builds may mark one blob at once, and the slower one must not take back the mark of the other, which may have
started later. Never looks into a file: hashes and messages are the business of `dlpubuild.cas.store`. Errors
are plain `OSError`.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.cas.lease import create_lease, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.lease import Lease

BLOBS = "cas"
RESULTS = "ac"
_LOCK = "cas.lock"
_BATCH = 200


class CacheFolder:
    """One cache folder. Making the object touches nothing; folders appear when something is written.

    Paths of entries are text: they are made by the thousand, and `pathlib` costs more than the system call.
    """

    __slots__ = ("_floor_ns", "_now_ns", "_root", "root")

    def __init__(self, root: Path, *, now_ns: Callable[[], int]) -> None:
        """Describe the folder `root`; `now_ns` gives nanoseconds since the epoch."""
        self.root = root
        self._root = str(root)
        self._now_ns = now_ns
        self._floor_ns = 0

    @property
    def tmp(self) -> Path:
        """Where files are written before they get their name."""
        return self.root / "tmp"

    @property
    def builds(self) -> Path:
        """Where running builds are registered."""
        return self.root / "builds"

    def blob_path(self, digest: Digest) -> str:
        """Return where the blob `digest` lies, if it is there."""
        return f"{self._root}/{BLOBS}/{digest.hash[:2]}/{digest.hash}"

    def result_path(self, action: Digest) -> str:
        """Return where the result of `action` lies, if there is one."""
        return f"{self._root}/{RESULTS}/{action.hash[:2]}/{action.hash}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold `cas.lock`, alone. Not re-entrant; hold it briefly, never while reading or writing content."""
        fd = self._open_lock()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _open_lock(self) -> int:
        # O_RDONLY is enough for flock, and lets a folder be read on a read-only mount.
        flags = os.O_RDONLY | os.O_CREAT
        try:
            return os.open(f"{self._root}/{_LOCK}", flags, 0o644)
        except FileNotFoundError:
            self.root.mkdir(parents=True, exist_ok=True)
            return os.open(f"{self._root}/{_LOCK}", flags, 0o644)

    def publish(self, source: str, path: str) -> None:
        """Rename `source` to `path`, marked as used now; replaces what is there, but not a later mark.

        With the lock, or a collector that has just found the old file unused would remove the new one.
        """
        used_ns = self._time_of_use()
        with self.locked():
            with suppress(FileNotFoundError):
                used_ns = max(used_ns, os.lstat(path).st_mtime_ns)
            os.utime(source, ns=(used_ns, used_ns))
            try:
                os.rename(source, path)  # noqa: PTH104  # text paths, see the class
            except FileNotFoundError:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                os.rename(source, path)  # noqa: PTH104  # text paths, see the class

    def mark_used(self, paths: Sequence[str]) -> list[os.stat_result | None]:
        """Mark entries as used now and return their states, in the order given; None for what is not there."""
        used_ns = self._time_of_use()
        states: list[os.stat_result | None] = []
        for first in range(0, len(paths), _BATCH):
            with self.locked():
                states += [_raise_mark(path, used_ns) for path in paths[first : first + _BATCH]]
        return states

    def _time_of_use(self) -> int:
        # Never before the start of our own build, or an entry would lose its protection when the clock is set
        # back during the build.
        return max(self._now_ns(), self._floor_ns)

    def remove_if(self, path: str, condition: Callable[[os.stat_result], bool]) -> bool:
        """Remove an entry if, with everyone else kept out, `condition` holds; return whether it was removed.

        The condition is asked again under the lock because another build may have put a good file in the place
        of the bad one that the caller has seen.
        """
        with self.locked(), suppress(FileNotFoundError):
            if condition(os.lstat(path)):
                os.unlink(path)  # noqa: PTH108  # text paths, see the class
                return True
        return False

    def register_build(self) -> Lease:
        """Register a build of this process as running until the lease is released or the process ends."""
        start_ns = self._time_of_use()
        with self.locked():
            lease = create_lease(self.builds)
            os.utime(lease.path, ns=(start_ns, start_ns))
        # Read back: a file system may keep coarser times.
        self._floor_ns = max(self._floor_ns, os.fstat(lease.fd).st_mtime_ns)
        return lease

    def oldest_build_ns(self) -> int | None:
        """Return the start of the oldest running build, None if none runs. Hold the lock."""
        starts = []
        for path in sweep(self.builds):
            with suppress(FileNotFoundError):
                starts.append(os.stat(path).st_mtime_ns)  # noqa: PTH116  # text paths, see the class
        return min(starts, default=None)


def _raise_mark(path: str, used_ns: int) -> os.stat_result | None:
    try:
        state = os.lstat(path)
        if state.st_mtime_ns < used_ns:
            os.utime(path, ns=(used_ns, used_ns), follow_symlinks=False)
    except FileNotFoundError:
        return None
    return state
