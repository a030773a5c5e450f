"""The files of a package, as values.

In: bytes that were made here, or the path and digest of a file that lies elsewhere. Out: `Member`s in the one
order every writer uses, and the checksum list over them. Content on disk is streamed and checked against its
digest, never loaded whole; nothing here writes to disk.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from dlpubuild.cas.digest import CHUNK_BYTES, Digest, digest_bytes
from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.errors import ErrorCode, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SUMS_NAME = "SHA256SUMS"
# sha256sum escapes names with a backslash or a line break; such names are refused instead.
_PATH = re.compile(r"[^/\\\x00-\x1f\x7f]+(?:/[^/\\\x00-\x1f\x7f]+)*")
_SUM_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<path>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of a package; `path` is relative to the package's top folder and uses `/`."""

    path: str
    content: bytes | Path
    digest: Digest
    executable: bool = False

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path) or {".", ".."} & set(self.path.split("/")):
            raise ValueError(f"not a plain relative path: {self.path!r}")

    @property
    def sort_key(self) -> tuple[bytes, ...]:
        """The order of `tar --sort=name`: folder by folder, names compared as bytes."""
        return tuple(part.encode() for part in self.path.split("/"))


def made_member(path: str, content: bytes) -> Member:
    """Return a member whose content was made in memory."""
    return Member(path=path, content=content, digest=digest_bytes(content))


def in_order(members: Iterable[Member]) -> tuple[Member, ...]:
    """Return `members` sorted; two of one name are a programmer's mistake (ValueError)."""
    ordered = tuple(sorted(members, key=lambda member: member.sort_key))
    for left, right in pairwise(ordered):
        if left.path == right.path:
            raise ValueError(f"two members are called {left.path!r}")
    return ordered


def with_checksums(members: Iterable[Member]) -> tuple[Member, ...]:
    """Return `members` in order, with a `SHA256SUMS` over all of them that `sha256sum -c` accepts."""
    ordered = in_order(members)
    lines = "".join(f"{member.digest.hash}  {member.path}\n" for member in ordered)
    return in_order((*ordered, made_member(SUMS_NAME, lines.encode())))


def listed_paths(checksums: str) -> frozenset[str]:
    """Return the paths that a `SHA256SUMS` names; lines of another form are passed over."""
    return frozenset(match["path"] for line in checksums.splitlines() if (match := _SUM_LINE.fullmatch(line)))


def read_chunks(member: Member) -> Iterator[bytes]:
    """Yield the content of `member`, in pieces of at most `CHUNK_BYTES` where it lies on disk.

    Raises:
        BlobMissingError: the file is gone.
        StoreError: it cannot be read, or does not have the digest the member promises. What was yielded up to
            then must be thrown away.
    """
    if isinstance(member.content, bytes):
        yield member.content
        return
    sha = hashlib.sha256()
    size = 0
    try:
        with member.content.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                sha.update(chunk)
                size += len(chunk)
                yield chunk
    except FileNotFoundError as error:
        raise BlobMissingError(member.digest, member.content.parent, damaged=False) from error
    except OSError as error:
        raise StoreError(
            ErrorCode.STORE,
            f"{member.content}: cannot be read for {member.path}: {error.strerror or error}",
            hint="look at the permissions and the health of that disk, then build again",
        ) from error
    found = Digest(sha.hexdigest(), size)
    if found != member.digest:
        raise StoreError(
            ErrorCode.BLOB_MISSING,
            f"{member.content}: is not what {member.path} must be: sha256 {found}, expected {member.digest}",
            hint="run `dlpubuild cache verify`, then build again",
        )
