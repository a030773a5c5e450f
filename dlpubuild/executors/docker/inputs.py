"""An action's staged folder as a tar archive, for an engine that does not see our files.

In: a folder with inputs, and the outputs that are declared. Out: the archive, piece by piece: all is root's and
read-only but `out/`, which is the step's. The same inputs give the same bytes. Nothing is written anywhere.
"""

from __future__ import annotations

import os
import stat
import tarfile
from typing import TYPE_CHECKING

from dlpubuild.cas.digest import CHUNK_BYTES
from dlpubuild.executors.docker.container import OUT, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# 1980-01-01: the first time that every archive format can express; a step may make archives of its inputs.
_TIME_S = 315_532_800
_BLOCK_BYTES = 512


def pack_inputs(root: Path, user: User, check: Callable[[], None]) -> Iterator[bytes]:
    """Yield the archive of `root`, whose folder `out` and all in it belongs to `user`.

    Args:
        root: the staged folder; there are only folders and plain files in it.
        user: who runs the step.
        check: called now and then; what it raises ends the packing.

    Raises:
        OSError: a file cannot be read.
    """
    for parent, folders, files in os.walk(root):
        folders.sort()
        relative = os.path.relpath(parent, root)
        if relative != ".":
            is_out = relative.split("/")[0] == OUT
            yield _header(relative, tarfile.DIRTYPE, 0o755, 0, user if is_out else User(uid=0, gid=0))
        for name in sorted(files):
            check()
            yield from _file(os.path.join(parent, name), os.path.normpath(os.path.join(relative, name)), check)  # noqa: PTH118 - text paths throughout
    yield bytes(2 * _BLOCK_BYTES)


def _file(path: str, name: str, check: Callable[[], None]) -> Iterator[bytes]:
    with open(path, "rb") as reader:  # noqa: PTH123 - as above
        state = os.fstat(reader.fileno())
        mode = 0o555 if state.st_mode & stat.S_IXUSR else 0o444
        yield _header(name, tarfile.REGTYPE, mode, state.st_size, User(uid=0, gid=0))
        rest = state.st_size
        while rest and (chunk := reader.read(min(rest, CHUNK_BYTES))):
            rest -= len(chunk)
            check()
            yield chunk
        # A file that was cut off meanwhile cannot be sent right any more: the engine refuses what is too short.
        if not rest:
            yield bytes(-state.st_size % _BLOCK_BYTES)


def _header(name: str, kind: bytes, mode: int, size_bytes: int, owner: User) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.mtime = kind, mode, size_bytes, _TIME_S
    member.uid, member.gid = owner.uid, owner.gid
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
