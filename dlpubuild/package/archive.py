"""Tar archives that are the same bytes wherever they are written.

In: members in order, the name of the top folder, one modification time. Out: a `.tar.gz` on a binary stream,
and its digest. Nothing of the host enters: no owner, no clock, no umask, no compression library.

The tar is what `tar --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime=@EPOCH` writes of a
folder with modes 0644 and 0755; its headers are made by `dlpubuild.package.tar` because those of Python's `tarfile`
have changed between versions.

The gzip stream holds stored blocks (RFC 1951, 3.2.4), not compressed ones: zlib and zlib-ng, either of which a
Python may be built with, compress to different bytes, and the bytes of a package must not depend on that. What
`gzip -9` would have saved was measured: MobileNet, DeepLab and MoveNet quantized to 8 bits, 17 to 24 percent
(3.6 MB to 2.9 MB); MobileNetV2 in float32 (13.9 MB), 8 percent, in float16, 10 percent; Edge TPU models, 25 to
47 percent.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from dlpubuild.cas.digest import Digest
from dlpubuild.package.members import in_order
from dlpubuild.package.tar import EXECUTABLE, PLAIN, TarFile, TarFolder, write_entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dlpubuild.package.members import Member
    from dlpubuild.package.tar import Sink, TarEntry

STORED_BYTES = 0xFFFF
# ID, method 8, no flags, mtime 0 (as `gzip -n`), no extra flags, OS 3 (Unix).
GZIP_HEADER = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3))


class DigestingSink:
    """Passes bytes on and knows the digest of all of them."""

    def __init__(self, target: Sink) -> None:
        self._target = target
        self._sha = hashlib.sha256()
        self._size_bytes = 0

    def write(self, data: bytes) -> None:
        """Pass `data` on."""
        self._sha.update(data)
        self._size_bytes += len(data)
        self._target.write(data)

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest(self._sha.hexdigest(), self._size_bytes)


class StoredGzip:
    """A gzip stream of stored blocks; `close` ends it and leaves the target open."""

    def __init__(self, target: Sink) -> None:
        self._target = target
        self._pending = bytearray()
        self._crc = 0
        self._size_bytes = 0
        target.write(GZIP_HEADER)

    def write(self, data: bytes) -> None:
        """Add `data`; at most one block of it is kept back."""
        self._crc = zlib.crc32(data, self._crc)
        self._size_bytes += len(data)
        self._pending += data
        whole = len(self._pending) - len(self._pending) % STORED_BYTES
        for start in range(0, whole, STORED_BYTES):
            self._block(bytes(self._pending[start : start + STORED_BYTES]), last=False)
        del self._pending[:whole]

    def close(self) -> None:
        """Write the last block, the CRC-32 and the size."""
        self._block(bytes(self._pending), last=True)
        self._target.write(self._crc.to_bytes(4, "little"))
        self._target.write((self._size_bytes & 0xFFFFFFFF).to_bytes(4, "little"))

    def _block(self, data: bytes, *, last: bool) -> None:
        size = len(data)
        self._target.write(bytes((last,)) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little"))
        self._target.write(data)


def write_tar_gz(target: Sink, top: str, members: Iterable[Member], *, mtime_s: int) -> Digest:
    """Write `members` below the folder `top` as a gzip'd GNU tar and return the archive's digest.

    Args:
        target: where the bytes go; stays open.
        top: name of the one folder at the root of the archive.
        members: the files; folders above them are added, the order does not matter.
        mtime_s: modification time of every entry, in seconds since 1970.

    Raises:
        BlobMissingError: a member's file is gone.
        StoreError: it cannot be read or is not what its digest says.
        ValueError: a size or time does not fit a tar header.
    """
    digesting = DigestingSink(target)
    gzip = StoredGzip(digesting)
    write_tar(gzip, top, members, mtime_s=mtime_s)
    gzip.close()
    return digesting.digest


def write_tar(target: Sink, top: str, members: Iterable[Member], *, mtime_s: int) -> None:
    """Write `members` below the folder `top` as a GNU tar; arguments and errors as for `write_tar_gz`."""
    write_entries(target, _below(top, in_order(members)), mtime_s=mtime_s)


def _below(top: str, members: Iterable[Member]) -> Iterator[TarEntry]:
    """The entries of `members`, each folder before what is in it."""
    yield TarFolder(path=top)
    seen: set[str] = set()
    for member in members:
        for folder in _folders_above(member.path):
            if folder not in seen:
                seen.add(folder)
                yield TarFolder(path=f"{top}/{folder}")
        placed = replace(member, path=f"{top}/{member.path}")
        yield TarFile(member=placed, mode=EXECUTABLE if member.executable else PLAIN)


def _folders_above(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
