"""Protocol buffers read field by field, without what is not asked for.

In: bytes, or a mapped file. Out: the fields of one message at a time, as their numbers and where they lie. Nothing is
copied but what the caller takes, so a file of gigabytes is looked at in the time its structure takes. Source of the
encoding: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
_INT64_SIGN = 1 << 63


class WireError(ValueError):
    """The bytes are not a protocol buffer of the kind that is expected; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One message, or one text, within a buffer: from `start` up to `end`."""

    data: bytes | mmap.mmap
    start: int
    end: int

    def fields(self) -> Iterator[tuple[int, int | Span]]:
        """Yield (number, value) of each field: a number, or the span of a message or text.

        Raises:
            WireError: the bytes end too early, or are nothing that the encoding has.
        """
        data, position, end = self.data, self.start, self.end
        while position < end:
            key, position = _varint(data, position, end)
            number, kind = key >> 3, key & 7
            if number == 0:
                raise WireError("a field has the number 0")
            if kind == _VARINT:
                value, position = _varint(data, position, end)
                yield number, value - (1 << 64) if value & _INT64_SIGN else value
                continue
            if kind == _LENGTH:
                size, position = _varint(data, position, end)
            elif kind in (_FIXED64, _FIXED32):
                size = 8 if kind == _FIXED64 else 4
            else:
                raise WireError(f"a field has the unknown encoding {kind}")
            if size > end - position:
                raise WireError("it ends in the middle of a field")
            if kind == _LENGTH:
                yield number, Span(data=data, start=position, end=position + size)
            position += size

    def spans(self, number: int) -> Iterator[Span]:
        """Yield the spans of the fields with this number.

        Raises:
            WireError: as `fields`; or one is a number.
        """
        for found, value in self.fields():
            if found == number:
                yield span(value)

    def text(self) -> str:
        """Return the bytes as text.

        Raises:
            WireError: they are not UTF-8.
        """
        try:
            return self.data[self.start : self.end].decode()
        except UnicodeDecodeError as error:
            raise WireError("a name in it is not text") from error


def span(value: int | Span) -> Span:
    """Return a value that has to be a message or a text.

    Raises:
        WireError: it is a number.
    """
    if isinstance(value, int):
        raise WireError("a number stands where a message belongs")
    return value


def number(value: int | Span) -> int:
    """Return a value that has to be a number.

    Raises:
        WireError: it is a message or a text.
    """
    if not isinstance(value, int):
        raise WireError("a message stands where a number belongs")
    return value


def _varint(data: bytes | mmap.mmap, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    for offset in range(_MAX_VARINT_BYTES):
        if position + offset >= end:
            raise WireError("it ends in the middle of a number")
        byte = data[position + offset]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says whether more follows
            return value & ((1 << 64) - 1), position + offset + 1
        shift += 7
    raise WireError("a number in it is too long")
