"""GNU tar, entry by entry: the bytes that `tar --format=gnu` writes of files, folders and symbolic links.

In: entries in the order they shall have, and one modification time. Out: the archive on a binary stream. Nothing of
the host enters: owner and group are 0 and have no names, modes are those of the entries. Sorting is the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dlpubuild.package.members import read_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dlpubuild.package.members import Member

BLOCK_BYTES = 512
RECORD_BYTES = 20 * BLOCK_BYTES
NAME_BYTES = 100
# Eleven octal digits; larger sizes need a base-256 field, and no camera loads a model of 8 GiB.
LARGEST_NUMBER = 8**11 - 1

PLAIN, EXECUTABLE, PRIVATE, LINKED = 0o644, 0o755, 0o600, 0o777
_FILE, _LINK, _FOLDER, _LONG_TARGET, _LONG_NAME = b"0", b"2", b"5", b"K", b"L"


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TarFile:
    """A regular file; `mode` are the permission bits."""

    member: Member
    mode: int

    @property
    def path(self) -> str:
        """The file's path in the archive."""
        return self.member.path


@dataclass(frozen=True, slots=True, kw_only=True)
class TarFolder:
    """A folder; `path` has no slash at its end."""

    path: str
    mode: int = EXECUTABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class TarLink:
    """A symbolic link."""

    path: str
    target: str


TarEntry = TarFile | TarFolder | TarLink


def write_entries(target: Sink, entries: Iterable[TarEntry], *, mtime_s: int) -> None:
    """Write an archive of `entries`, whose files are streamed and checked against their digests.

    Args:
        target: where the bytes go; stays open.
        entries: what the archive holds, in this order.
        mtime_s: modification time of every entry, in seconds since 1970.

    Raises:
        BlobMissingError: a member's file is gone.
        StoreError: it cannot be read or is not what its digest says.
        ValueError: a size or time does not fit a tar header.
    """
    written = 0
    for entry in entries:
        for piece in _pieces(entry, mtime_s):
            target.write(piece)
            written += len(piece)
    # Two empty blocks end an archive; tar fills up its record of twenty.
    target.write(bytes(2 * BLOCK_BYTES))
    target.write(bytes(-(written + 2 * BLOCK_BYTES) % RECORD_BYTES))


def _pieces(entry: TarEntry, mtime_s: int) -> Iterator[bytes]:
    match entry:
        case TarFile(member=member, mode=mode):
            size_bytes = member.digest.size_bytes
            yield _headers(entry.path, _FILE, mode=mode, mtime_s=mtime_s, size_bytes=size_bytes)
            yield from read_chunks(member)
            yield bytes(-size_bytes % BLOCK_BYTES)
        case TarFolder(path=path, mode=mode):
            yield _headers(f"{path}/", _FOLDER, mode=mode, mtime_s=mtime_s)
        case TarLink(path=path, target=points_to):
            yield _headers(path, _LINK, mode=LINKED, mtime_s=mtime_s, points_to=points_to)


def _headers(name: str, kind: bytes, *, mode: int, mtime_s: int, size_bytes: int = 0, points_to: str = "") -> bytes:
    """The header of an entry, and before it a name or a link's target that does not fit into it."""
    raw, raw_target = name.encode(), points_to.encode()
    header = _header(raw, kind, mode=mode, size_bytes=size_bytes, mtime_s=mtime_s, points_to=raw_target)
    return _long(raw_target, _LONG_TARGET) + _long(raw, _LONG_NAME) + header


def _long(name: bytes, kind: bytes) -> bytes:
    if len(name) <= NAME_BYTES:
        return b""
    ended = name + b"\0"
    header = _header(b"././@LongLink", kind, mode=PLAIN, size_bytes=len(ended), mtime_s=0)
    return header + ended + bytes(-len(ended) % BLOCK_BYTES)


def _header(name: bytes, kind: bytes, *, mode: int, size_bytes: int, mtime_s: int, points_to: bytes = b"") -> bytes:
    # name, mode, uid, gid, size, mtime | checksum | type, linkname, magic, owner names, device numbers, prefix
    owner_and_group = _octal(0, 8) * 2
    size_and_time = _octal(size_bytes, 12) + _octal(mtime_s, 12)
    before = name[:NAME_BYTES].ljust(NAME_BYTES, b"\0") + _octal(mode, 8) + owner_and_group + size_and_time
    named = kind + points_to[:NAME_BYTES].ljust(NAME_BYTES, b"\0") + b"ustar  \0"
    after = named.ljust(BLOCK_BYTES - len(before) - 8, b"\0")
    checksum = sum(before) + sum(b" " * 8) + sum(after)
    return before + b"%06o\0 " % checksum + after


def _octal(number: int, width: int) -> bytes:
    if not 0 <= number <= LARGEST_NUMBER:
        raise ValueError(f"{number} does not fit a tar header")
    return b"%0*o\0" % (width - 1, number)
