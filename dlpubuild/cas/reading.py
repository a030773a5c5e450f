"""How blobs leave the cache folder: always hashed again on the way.

In: a digest. Out: its bytes, as bytes, open file or copy. A blob that does not match its name is removed and
reported as missing, so that it is made anew; a cache that trusts names can be poisoned (GHSA-3fqg-8hpf-5682).
Never leaves half a copy, and never follows a symbolic link inside the cache folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dlpubuild.cas.digest import CHUNK_BYTES, Digest, digest_bytes, digest_stream
from dlpubuild.cas.faults import BlobMissingError, output_faults, store_faults
from dlpubuild.cas.writing import write_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlpubuild.cas.folder import CacheFolder


def read_blob(folder: CacheFolder, digest: Digest) -> bytes:
    """Return the bytes of a blob.

    Raises:
        BlobMissingError: it is not there, or was damaged and has been removed.
        StoreError: the cache folder cannot be used.
    """
    with _open(folder, digest) as source:
        with store_faults(folder.root):
            data = source.read()
        _check(folder, digest, digest_bytes(data), source)
        return data


def open_blob(folder: CacheFolder, digest: Digest) -> BinaryIO:
    """Return a blob open for reading from its start, after reading and checking all of it.

    Raises:
        BlobMissingError, StoreError: as for `read_blob`.
    """
    source = _open(folder, digest)
    try:
        with store_faults(folder.root):
            found = digest_stream(source)
            source.seek(0)
        _check(folder, digest, found, source)
    except BaseException:
        source.close()
        raise
    return source


def copy_blob(folder: CacheFolder, digest: Digest, target: Path, *, mode: int) -> None:
    """Copy a blob to `target`, which appears whole or not at all; its folder must exist.

    Raises:
        BlobMissingError, StoreError: as for `read_blob`.
        OutputError: `target` cannot be written.
    """
    with _open(folder, digest) as source, _beside(target, digest.size_bytes) as (fd, temporary):
        sha = hashlib.sha256()
        size_bytes = 0
        while chunk := _read_chunk(folder, source):
            sha.update(chunk)
            size_bytes += len(chunk)
            with output_faults(target, needed_bytes=digest.size_bytes):
                write_all(fd, chunk)
        _check(folder, digest, Digest(sha.hexdigest(), size_bytes), source)
        with output_faults(target, needed_bytes=0):
            os.fchmod(fd, mode)
            Path(temporary).replace(target)


def _open(folder: CacheFolder, digest: Digest) -> BinaryIO:
    path = folder.blob_path(digest)
    with store_faults(folder.root):
        try:
            source = open(path, "rb", buffering=0, opener=_no_link)  # noqa: SIM115  # handed to the caller
        except FileNotFoundError:
            raise BlobMissingError(digest, folder.root, damaged=False) from None
        size_bytes = os.fstat(source.fileno()).st_size
    if size_bytes != digest.size_bytes:
        with source:
            _refuse(folder, digest, source)
    return source


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _check(folder: CacheFolder, digest: Digest, found: Digest, source: BinaryIO) -> None:
    if found != digest:
        _refuse(folder, digest, source)


def _refuse(folder: CacheFolder, digest: Digest, source: BinaryIO) -> None:
    opened = os.fstat(source.fileno())
    with store_faults(folder.root):
        # Only the very file that was read: another build may have put a good one in its place.
        folder.remove_if(folder.blob_path(digest), lambda found: os.path.samestat(found, opened))
    raise BlobMissingError(digest, folder.root, damaged=True)


def _read_chunk(folder: CacheFolder, source: BinaryIO) -> bytes:
    with store_faults(folder.root):
        return source.read(CHUNK_BYTES)


@contextmanager
def _beside(target: Path, needed_bytes: int) -> Iterator[tuple[int, str]]:
    """An open temporary file in the folder of `target`; removed at the end, unless it was renamed."""
    with output_faults(target, needed_bytes=needed_bytes):
        fd, temporary = tempfile.mkstemp(prefix=".dlpubuild-", dir=target.parent)
    try:
        yield fd, temporary
    finally:
        os.close(fd)
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108  # text path from mkstemp
