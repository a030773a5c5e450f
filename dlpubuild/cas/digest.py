"""Content digests: the sha256 and size of a byte string, the only name a blob has.

In: bytes, an open file, or the text form. Out: a `Digest`. Never opens a file itself.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import BinaryIO

CHUNK_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The sha256 (lower-case hex) and the size in bytes of some content, as in REAPI v2."""

    hash: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.hash):
            raise ValueError(f"not a sha256 in lower-case hex: {self.hash!r}")
        if self.size_bytes < 0:
            raise ValueError(f"negative size: {self.size_bytes}")

    def __str__(self) -> str:
        return f"{self.hash}/{self.size_bytes}"

    @property
    def short(self) -> str:
        """The first 12 hex digits, enough to name a log or to find an action."""
        return self.hash[:12]


def digest_bytes(data: bytes) -> Digest:
    """Return the digest of `data`."""
    return Digest(hashlib.sha256(data).hexdigest(), len(data))


def digest_stream(stream: BinaryIO) -> Digest:
    """Return the digest of what is left to read from `stream`."""
    sha = hashlib.sha256()
    size = 0
    while chunk := stream.read(CHUNK_BYTES):
        sha.update(chunk)
        size += len(chunk)
    return Digest(sha.hexdigest(), size)


def parse_digest(text: str) -> Digest:
    """Return the digest written as `<sha256>/<size in bytes>`, the form of `str(digest)`.

    Raises:
        ValueError: the text has another form.
    """
    name, slash, size = text.partition("/")
    if not slash or not (size.isascii() and size.isdecimal()):
        raise ValueError(f"not a digest of the form <sha256>/<size>: {text!r}")
    return Digest(name, int(size))


EMPTY_DIGEST = digest_bytes(b"")
