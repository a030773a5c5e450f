"""A reader of tar archives that trusts nothing in them: members one by one, from a stream that is read once.

In: a function that reads bytes. Out: what each header says, and the content of the members that are asked for. It knows
what engines write (ustar with PAX or GNU long names) and refuses all else, sparse files and damaged headers included.
Never writes anything, never follows a name, and holds no more than one header and one chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK_BYTES = 512
_CHUNK_BYTES = 1 << 20
# One record of an extended attribute can have 64 KiB.
_MAX_EXTENSION_BYTES = 1 << 20
_MAX_DIGITS = 18
_LONG_NAMES = MappingProxyType({b"L": "path", b"K": "linkpath"})
_OCTAL = frozenset(b"01234567")
_CHECKSUM = slice(148, 156)
_SIGNED_HIGH = 0x80


class Kind(StrEnum):
    """What a member is; the values are words for a person."""

    FILE = "a plain file"
    FOLDER = "a folder"
    HARD_LINK = "a hard link"
    SYMBOLIC_LINK = "a symbolic link"
    DEVICE = "a device"
    PIPE = "a named pipe"


_KINDS = MappingProxyType(
    {
        b"0": Kind.FILE,
        b"\0": Kind.FILE,
        b"7": Kind.FILE,
        b"1": Kind.HARD_LINK,
        b"2": Kind.SYMBOLIC_LINK,
        b"3": Kind.DEVICE,
        b"4": Kind.DEVICE,
        b"5": Kind.FOLDER,
        b"6": Kind.PIPE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What a header says. `name` is as it stands there; bytes that are not UTF-8 are lone surrogates."""

    name: str
    kind: Kind
    size_bytes: int
    mode: int
    uid: int
    link: str


class TarFaultError(Exception):
    """The archive is not one that an engine writes.

    Attributes:
        member: the last name that was read; empty before the first.
        what: what is wrong with it, as the end of a sentence that begins with the name.
    """

    def __init__(self, member: str, what: str) -> None:
        super().__init__(f"{member}: {what}")
        self.member = member
        self.what = what


@dataclass(slots=True)
class _Extension:
    """What extension headers say of the next member."""

    name: str | None = None
    link: str | None = None
    size_bytes: int | None = None
    kinds: set[bytes] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


@dataclass(slots=True)
class TarStream:
    """An archive that is read once; `read(n)` returns n bytes, or fewer at the end."""

    read: Callable[[int], bytes]
    member: str = ""
    # Content of the current member that was not asked for yet, then its padding.
    rest_bytes: int = field(default=0, init=False)
    padding_bytes: int = field(default=0, init=False)

    def members(self) -> Iterator[Member]:
        """Yield each member; content that was not taken with `content` is skipped.

        Raises:
            TarFaultError: what follows is no tar archive, or it ends early.
        """
        extension = _Extension()
        while True:
            self._skip_rest()
            header = self._exactly(BLOCK_BYTES)
            if not any(header):
                if extension != _Extension() or any(self._exactly(BLOCK_BYTES)):
                    raise TarFaultError(self.member, "is followed by a damaged header")
                return
            self._check(header)
            kind = header[156:157]
            if kind in b"xLK":
                self._extend(extension, kind, self._number(header[124:136]))
                continue
            member = self._member(header, extension)
            extension = _Extension()
            self.member = member.name
            if member.kind is not Kind.FILE and member.size_bytes:
                raise TarFaultError(member.name, f"is {member.kind} with content")
            self.rest_bytes = member.size_bytes
            self.padding_bytes = -member.size_bytes % BLOCK_BYTES
            yield member

    def content(self) -> Iterator[bytes]:
        """Yield the content of the member that was yielded last, chunk by chunk.

        Raises:
            TarFaultError: it ends early.
        """
        while self.rest_bytes:
            chunk = self._exactly(min(self.rest_bytes, _CHUNK_BYTES))
            self.rest_bytes -= len(chunk)
            yield chunk

    def _skip_rest(self) -> None:
        for _ in self.content():
            pass
        self._exactly(self.padding_bytes)
        self.padding_bytes = 0

    def _exactly(self, size_bytes: int) -> bytes:
        data = self.read(size_bytes) if size_bytes else b""
        while len(data) < size_bytes:
            more = self.read(size_bytes - len(data))
            if not more:
                raise TarFaultError(self.member, "is cut off: the archive ends early")
            data += more
        return data

    def _check(self, header: bytes) -> None:
        if not header[257:262] == b"ustar":
            raise TarFaultError(self.member, "is followed by what is no tar header")
        blank = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
        if sum(blank) != self._number(header[_CHECKSUM]):
            raise TarFaultError(self.member, "is followed by a damaged header")

    def _number(self, field: bytes) -> int:
        """A number as tar writes it: octal digits, or binary where they do not do."""
        if field[0] == _SIGNED_HIGH:
            return int.from_bytes(field[1:], "big")
        digits = field.strip(b" \0")
        # More than `int` takes: a sign, an underscore, a prefix.
        if digits and not _OCTAL.issuperset(digits):
            raise TarFaultError(self.member, "is followed by a header with a number that is none")
        return int(digits or b"0", 8)

    def _extend(self, extension: _Extension, kind: bytes, size_bytes: int) -> None:
        """Take what an extension header says of the next member; each kind of header comes once at most."""
        if size_bytes > _MAX_EXTENSION_BYTES:
            raise TarFaultError(self.member, f"is followed by a header of {size_bytes} bytes")
        data = self._exactly(size_bytes + -size_bytes % BLOCK_BYTES)[:size_bytes]
        records = self._records(data) if kind == b"x" else {_LONG_NAMES[kind]: _field(data)}
        sparse = next((key for key in records if key.startswith("GNU.sparse.")), None)
        if kind in extension.kinds or not extension.keys.isdisjoint(records):
            raise TarFaultError(self.member, "is followed by a member with two headers")
        extension.kinds.add(kind)
        extension.keys.update(records)
        if (name := records.get("path")) is not None:
            extension.name = _text(name)
        if (link := records.get("linkpath")) is not None:
            extension.link = _text(link)
        if (size := records.get("size")) is not None:
            if not size.isdigit() or len(size) > _MAX_DIGITS:
                raise TarFaultError(self.member, "is followed by a header with a number that is none")
            extension.size_bytes = int(size)
        if sparse:
            raise TarFaultError(extension.name or self.member, "is a sparse file, or is followed by one")

    def _records(self, data: bytes) -> dict[str, bytes]:
        """The records of a PAX header, each `LENGTH KEY=VALUE` and a line end."""
        records: dict[str, bytes] = {}
        while data:
            digits = data[:_MAX_DIGITS].partition(b" ")[0]
            length = int(digits) if digits.isdigit() else 0
            record, data = data[:length], data[length:]
            key, _, value = record[len(digits) + 1 :].partition(b"=")
            # A length of 0, and one that is too long, leave no value with a line end.
            if not value.endswith(b"\n") or len(record) != length or _text(key) in records:
                raise TarFaultError(self.member, "is followed by a damaged PAX header")
            records[_text(key)] = value[:-1]
        return records

    def _member(self, header: bytes, extension: _Extension) -> Member:
        name = _text(_field(header[0:100]))
        if header[257:263] == b"ustar\0" and (prefix := _text(_field(header[345:500]))):
            name = f"{prefix}/{name}"
        name = name if extension.name is None else extension.name
        kind = _KINDS.get(header[156:157])
        if kind is None:
            raise TarFaultError(name, f"is of a kind that is not known, {header[156:157]!r}")
        link = _text(_field(header[157:257]))
        member = Member(
            name=name,
            kind=kind,
            size_bytes=self._number(header[124:136]),
            mode=self._number(header[100:108]),
            uid=self._number(header[108:116]),
            link=link if extension.link is None else extension.link,
        )
        return member if extension.size_bytes is None else replace(member, size_bytes=extension.size_bytes)


def _field(data: bytes) -> bytes:
    return data.partition(b"\0")[0]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
