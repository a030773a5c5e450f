"""Opening a file that somebody named, which may be a pipe.

In: a path and flags, as `open` hands them to its `opener`. Out: a descriptor that reads as every other. A pipe that
nobody writes to is empty rather than waited for; one that has a writer, as `<(command)` in a shell, is read to its end.
Nothing is read here.
"""

from __future__ import annotations

import os


def without_waiting(path: str, flags: int) -> int:
    """Open `path` to read it, as `opener` of `open`.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    return descriptor
