"""Files that live as long as their process: half-written blobs and the registrations of running builds.

In: a folder. Out: a new file whose owner holds a lock (flock) on it. The kernel drops the lock when the owner
ends, `kill -9` included, so a file whose lock can be had is abandoned and may be removed. This needs no
process ids, which mean nothing across containers and are used again. Works on local file systems; never
waits for another process.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Lease:
    """A locked file: open descriptor and path."""

    fd: int
    path: str


def create_lease(folder: Path) -> Lease:
    """Create an empty file in `folder`, locked by this process, mode 0600; its name starts with the pid.

    Raises:
        OSError: the file cannot be created.
    """
    while True:
        try:
            fd, path = tempfile.mkstemp(prefix=f"{os.getpid()}-", dir=folder)
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        # Between creation and lock the file looked abandoned and may have been swept.
        if os.fstat(fd).st_nlink:
            return Lease(fd, path)
        os.close(fd)


def release_lease(lease: Lease) -> None:
    """Remove the file, if it is still there under its name, and drop the lock."""
    with suppress(FileNotFoundError):
        os.unlink(lease.path)  # noqa: PTH108  # text paths throughout, pathlib costs more than the call
    os.close(lease.fd)


@contextmanager
def leased(folder: Path) -> Iterator[Lease]:
    """A lease for the time of a `with` block; the file is removed, unless it was renamed meanwhile."""
    lease = create_lease(folder)
    try:
        yield lease
    finally:
        release_lease(lease)


def living(folder: Path) -> list[str]:
    """Return the paths of the files in `folder` whose owners run, sorted.

    Raises:
        OSError: the folder cannot be read.
    """
    return [path for path in _regular_files(folder) if not _is_abandoned(path, remove=False)]


def sweep(folder: Path) -> list[str]:
    """Remove the abandoned files of `folder` and return the paths of the others, sorted.

    Raises:
        OSError: the folder cannot be read or an abandoned file cannot be removed.
    """
    return [path for path in _regular_files(folder) if not _is_abandoned(path, remove=True)]


def _regular_files(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.path for entry in entries if entry.is_file(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _is_abandoned(path: str, *, remove: bool) -> bool:
    """Return whether nobody holds the file. One that may not be opened is another user's, and may be held."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    except PermissionError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if remove:
            with suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108  # as above
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
