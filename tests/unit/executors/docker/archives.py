"""Tar archives made header by header, so that each can be wrong in one way."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Form = Literal[0, 1, 2]
BLOCK = 512
END = bytes(2 * BLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A member. `stated` is the size in the header where it is not that of the content."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    link: str = ""
    stated: int | None = None

    def packed(self, form: Form = tarfile.PAX_FORMAT) -> bytes:
        member = tarfile.TarInfo(self.name)
        member.type, member.mode, member.linkname = self.kind, self.mode, self.link
        member.size = len(self.content) if self.stated is None else self.stated
        return member.tobuf(form, "utf-8", "surrogateescape") + padded(self.content)


def folder(name: str) -> Entry:
    return Entry(name=name, kind=tarfile.DIRTYPE, mode=0o755)


def archive(*entries: Entry, form: Form = tarfile.PAX_FORMAT) -> bytes:
    return b"".join(entry.packed(form) for entry in entries) + END


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    """An extension header with these records, each `LENGTH KEY=VALUE` and a line end."""
    content = b"".join(records)
    return header(b"pax", size=len(content), kind=kind) + padded(content)


def record(key: str, value: str) -> bytes:
    text = f" {key}={value}\n".encode()
    length = len(text)
    while len(str(length)) + len(text) != length:
        length = len(str(length)) + len(text)
    return str(length).encode() + text


def header(name: bytes, *, size: int = 0, kind: bytes = b"0", **fields: bytes) -> bytes:
    """A ustar header. `fields` replaces raw ones: size_field, mode_field, magic, link."""
    raw = bytearray(BLOCK)
    raw[0 : len(name)] = name
    raw[100:108] = fields.get("mode_field", b"0000644\0")
    raw[108:116] = raw[116:124] = b"0000000\0"
    raw[124:136] = fields.get("size_field", b"%011o\0" % size)
    raw[136:148] = b"%011o\0" % 0
    raw[148:156] = b" " * 8
    raw[156:157] = kind
    link = fields.get("link", b"")
    raw[157 : 157 + len(link)] = link
    raw[257:265] = fields.get("magic", b"ustar\x0000")
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def reader(data: bytes, *, at_most: int | None = None) -> Callable[[int], bytes]:
    """A function that reads `data`, no more than `at_most` bytes at once."""
    stream = io.BytesIO(data)
    return lambda size: stream.read(size if at_most is None else min(size, at_most))
