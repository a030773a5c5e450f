"""One run per action on one machine: a second build that wants the same action waits, then finds its result.

Uses a file lock per running action, which the kernel releases with the process that holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dlpubuild.cas.faults import store_faults
from dlpubuild.errors import ErrorCode, InterruptedBuildError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dlpubuild.cas.digest import Digest

_POLL_S = 0.1


@contextmanager
def only_one(
    folder: Path, action: Digest, *, cancelled: threading.Event, on_wait: Callable[[], None]
) -> Iterator[None]:
    """Hold the right to run `action`; another build may have run it until just before.

    Args:
        on_wait: called once if another holds the right.

    Raises:
        StoreError: the lock file cannot be made.
        InterruptedBuildError: `cancelled` was set while waiting.
    """
    path = folder / action.hash
    handle = _lock(path)
    if handle is None:
        on_wait()
        while handle is None:
            if cancelled.wait(_POLL_S):
                raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")
            handle = _lock(path)
    try:
        yield
    finally:
        # Removed while we hold it: whoever opened it meanwhile sees a file without a name, and begins again.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def _lock(path: Path) -> int | None:
    """Return a descriptor of the file at `path` that holds its lock, or None where another holds it."""
    with store_faults(path.parent):
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_nlink:
                    return handle
            except BlockingIOError:
                os.close(handle)
                return None
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)
