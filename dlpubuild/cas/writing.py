"""How bytes and files get into the cache folder: hashed while they are written, and all or nothing.

In: bytes or a regular file. Out: a file under its final name, mode 0444, marked as used now. A file is
written in `tmp/`, then renamed. There is no fsync: after a power cut a file may hold wrong bytes under a right
name, which its next reader finds out. Two builds that write the same blob both rename the same bytes to the
same name, and both are right. `kill -9` leaves at most a file in `tmp/`, which the next build sweeps away.
Never leaves a file in `tmp/` on an error.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from dlpubuild.cas.digest import CHUNK_BYTES, Digest, digest_stream
from dlpubuild.cas.faults import input_faults, store_faults
from dlpubuild.cas.lease import leased
from dlpubuild.errors import DlpuError, ErrorCode

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.cas.folder import CacheFolder

_MODE = 0o444
_COPY_INSTEAD = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES})


def write_entry(folder: CacheFolder, path: str, data: bytes) -> None:
    """Write `data` to the entry `path` of the cache folder, replacing what is there.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    with store_faults(folder.root, needed_bytes=len(data)), leased(folder.tmp) as lease:
        write_all(lease.fd, data)
        os.fchmod(lease.fd, _MODE)
        folder.publish(lease.path, path)


def copy_in(folder: CacheFolder, path: Path) -> Digest:
    """Keep the content of `path`, a regular file or a symbolic link to one.

    The digest is that of the bytes that were kept, even if the file changes meanwhile.

    Raises:
        DlpuError: the file cannot be read (INPUT_UNREADABLE).
        StoreError: the disk is full or the folder cannot be written.
    """
    with _open_regular(path, 0) as source:
        return _copy_in(folder, path, source)


def move_in(folder: CacheFolder, path: Path) -> Digest:
    """Keep the content of the regular file `path`, which is gone from there afterwards.

    It is renamed where that is possible, else copied and removed.

    Raises:
        DlpuError: the file cannot be read, or it is a symbolic link (INPUT_UNREADABLE).
        StoreError: the disk is full or the folder cannot be written.
    """
    with _open_regular(path, os.O_NOFOLLOW) as source:
        digest = _rename_in(folder, path, source)
        if digest is None:
            digest = _copy_in(folder, path, source)
            with input_faults(path):
                path.unlink()
    return digest


def _open_regular(path: Path, extra_flags: int) -> BinaryIO:
    def opener(name: str, flags: int) -> int:
        # O_NONBLOCK: opening a named pipe would wait for someone to write to it.
        return os.open(name, flags | extra_flags | os.O_NONBLOCK)

    with input_faults(path):
        source = open(path, "rb", buffering=0, opener=opener)  # noqa: SIM115  # handed to the caller
    if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
        source.close()
        raise DlpuError(ErrorCode.INPUT_UNREADABLE, f"cannot read {path}: it is not a regular file")
    return source


def _copy_in(folder: CacheFolder, path: Path, source: BinaryIO) -> Digest:
    sha = hashlib.sha256()
    size_bytes = 0
    needed_bytes = os.fstat(source.fileno()).st_size
    with store_faults(folder.root, needed_bytes=needed_bytes), leased(folder.tmp) as lease:
        while chunk := _read_chunk(path, source):
            sha.update(chunk)
            size_bytes += len(chunk)
            write_all(lease.fd, chunk)
        os.fchmod(lease.fd, _MODE)
        digest = Digest(sha.hexdigest(), size_bytes)
        folder.publish(lease.path, folder.blob_path(digest))
    return digest


def _rename_in(folder: CacheFolder, path: Path, source: BinaryIO) -> Digest | None:
    """Rename `path` into the store; None, with `source` rewound, where only a copy will do."""
    if os.fstat(source.fileno()).st_nlink > 1:
        return None  # through its other name the blob could be changed
    with input_faults(path):
        digest = digest_stream(source)
    with store_faults(folder.root):
        try:
            os.fchmod(source.fileno(), _MODE)
            folder.publish(str(path), folder.blob_path(digest))
        except OSError as error:
            if error.errno not in _COPY_INSTEAD:  # another file system, or another user's file
                raise
            source.seek(0)
            return None
    return digest


def _read_chunk(path: Path, source: BinaryIO) -> bytes:
    with input_faults(path):
        return source.read(CHUNK_BYTES)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`; a single `os.write` may stop short, at 2 GiB for one.

    Raises:
        OSError: it cannot be written.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
