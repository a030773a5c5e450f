"""Bounds-checked access to a flatbuffer that may be damaged or hostile.

In: the bytes of a file. Out: tables whose fields are read on demand as numbers, strings, vectors and tables.
It never copies what it is not asked for, never reads outside the file, and never does more work than the
file's size justifies: vectors are measured against what is left of the file before they are read, and every
table and every copied byte is charged to an allowance, so that one vector that is referred to a million times
ends in an error and not in gigabytes.

The encoding (https://flatbuffers.dev/internals/): little-endian; a table begins with the signed distance back
to its vtable, which holds its own size, the table's size and one 16-bit offset per field, 0 for an absent
field; strings and vectors begin with a 32-bit count; references are unsigned distances forward.
"""

from __future__ import annotations

from struct import Struct, unpack_from
from struct import error as StructError  # noqa: N812 - it is a class
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import DlpuError, ErrorCode

if TYPE_CHECKING:
    from dlpubuild.errors import Location

INT8 = Struct("<b")
UINT8 = Struct("<B")
UINT16 = Struct("<H")
INT32 = Struct("<i")
UINT32 = Struct("<I")
INT64 = Struct("<q")
UINT64 = Struct("<Q")
FLOAT32 = Struct("<f")

HEADER_BYTES = 8
# A network of 10,000 operators has some 100,000 tables; far beyond that a file is an attack or a mistake.
MAX_TABLES = 250_000
MAX_COPIED_BYTES = 64 << 20
# A number of a vector becomes a Python object; 16 keeps the allowance an honest measure of memory.
_NUMBER_COST = 16
# No table that is read has more fields; a vtable may claim 32,765 of them.
_MAX_FIELDS = 32
# Small files may share a little between tables; big ones are held to their own size.
_FREE_TABLES = 256
_FREE_BYTES = 1 << 16


class NotAModelError(DlpuError):
    """What was given cannot be read as a TensorFlow Lite model; the code is `ErrorCode.NOT_A_MODEL`."""

    def __init__(self, reason: str, *, hint: str = "", location: Location | None = None) -> None:
        super().__init__(ErrorCode.NOT_A_MODEL, reason, hint=hint, location=location)


def _damaged(reason: str) -> NotAModelError:
    return NotAModelError(
        f"the TensorFlow Lite file is damaged: {reason}",
        hint="copy or convert the model again and compare the size of the file with that of the original",
    )


class FlatBuffer:
    """The bytes of a flatbuffer and what may still be read of them.

    Attributes:
        size: length of the file in bytes.
    """

    __slots__ = ("_bytes_left", "_data", "_tables_left", "_vtables", "size")

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self.size = len(data)
        # Without sharing, each table takes 4 bytes of its own and 4 of a reference to it.
        self._tables_left = min(MAX_TABLES, self.size // 8 + _FREE_TABLES)
        # Without sharing, each number takes 4 bytes.
        self._bytes_left = min(MAX_COPIED_BYTES, _NUMBER_COST // 4 * self.size + _FREE_BYTES)
        # What a vtable says, by its place: tables of one kind share a few.
        self._vtables: dict[int, tuple[int, ...]] = {}

    def root(self) -> Table:
        """Return the root table.

        Raises:
            NotAModelError: the file is too short or the reference leads out of it.
        """
        return self.table_at(self.follow(0))

    def integer(self, codec: Struct, offset: int) -> int:
        """Return the integer that `codec` finds at `offset`."""
        # A negative offset would count from the end.
        if offset < 0:
            self.check(offset, codec.size)
        try:
            value: int = codec.unpack_from(self._data, offset)[0]
        except StructError:
            self.check(offset, codec.size)
            raise
        return value

    def real(self, offset: int) -> float:
        """Return the 32-bit float at `offset`."""
        self.check(offset, FLOAT32.size)
        value: float = FLOAT32.unpack_from(self._data, offset)[0]
        return value

    def check(self, offset: int, length: int) -> None:
        """Raise `NotAModelError` unless `length` bytes at `offset` lie in the file."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise _damaged(f"{length} bytes at byte {offset} lie outside its {self.size} bytes")

    def follow(self, offset: int) -> int:
        """Return where the reference at `offset` leads."""
        target = offset + self.integer(UINT32, offset)
        if target == offset or target >= self.size:
            raise _damaged(f"the reference at byte {offset} leads to byte {target} of {self.size}")
        return target

    def vector(self, offset: int, width: int) -> tuple[int, int]:
        """Return the first byte and the element count of the vector at `offset`, without reading it."""
        count = self.integer(UINT32, offset)
        start = offset + UINT32.size
        left = (self.size - start) // width
        if count > left:
            raise _damaged(f"the vector at byte {offset} claims {count} elements, there is room for {left}")
        return start, count

    def numbers(self, code: str, start: int, count: int) -> tuple[Any, ...]:
        """Return `count` numbers of the struct code `code`, the vector having been measured."""
        self._charge_bytes(count * _NUMBER_COST)
        return unpack_from(f"<{count}{code}", self._data, start)

    def copy(self, start: int, count: int) -> bytes:
        """Return a copy of `count` bytes at `start`."""
        self.check(start, count)
        self._charge_bytes(count)
        return bytes(self._data[start : start + count])

    def table_at(self, position: int) -> Table:
        """Return the table at `position`, its vtable measured."""
        self._charge_tables(1)
        vtable = position - self.integer(INT32, position)
        fields = self._vtables.get(vtable)
        if fields is None:
            fields = self._vtables[vtable] = self._read_vtable(vtable)
        return Table(self, position, fields)

    def _read_vtable(self, vtable: int) -> tuple[int, ...]:
        """Return where each field lies, counted from the table; 0 is an absent one."""
        vtable_bytes = self.integer(UINT16, vtable)
        # Two bytes each for its own size and the table's size come before the first field.
        if vtable_bytes < 2 * UINT16.size:
            raise _damaged(f"the vtable at byte {vtable} says it has {vtable_bytes} bytes")
        self.check(vtable, vtable_bytes)
        count = min(vtable_bytes // UINT16.size - 2, _MAX_FIELDS)
        return unpack_from(f"<{count}H", self._data, vtable + 2 * UINT16.size)

    def tables_at(self, offset: int) -> list[Table]:
        """Return the tables that the vector at `offset` refers to."""
        start, count = self.vector(offset, UINT32.size)
        # Asked before the list is made: the vector itself may be what is shared.
        if count > self._tables_left:
            self._charge_tables(count)
        return [self.table_at(self.follow(start + UINT32.size * i)) for i in range(count)]

    def _charge_tables(self, count: int) -> None:
        self._tables_left -= count
        if self._tables_left < 0:
            raise _damaged("it refers to more tables than a file of its size can hold")

    def _charge_bytes(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise _damaged("it refers to more text and numbers than a file of its size can hold")


class Table:
    """One table; a field is named by its number in the schema, and an absent field gives the default."""

    __slots__ = ("_buffer", "_fields", "_position")

    def __init__(self, buffer: FlatBuffer, position: int, fields: tuple[int, ...]) -> None:
        self._buffer = buffer
        self._position = position
        self._fields = fields

    def _field(self, number: int) -> int:
        """Return the byte at which field `number` lies, 0 where it is absent."""
        offset = self._fields[number] if number < len(self._fields) else 0
        return self._position + offset if offset else 0

    def integer(self, number: int, codec: Struct, default: int = 0) -> int:
        """Return a scalar field."""
        offset = self._field(number)
        return self._buffer.integer(codec, offset) if offset else default

    def flag(self, number: int, *, default: bool = False) -> bool:
        """Return a boolean field."""
        return bool(self.integer(number, UINT8, int(default)))

    def real(self, number: int, default: float = 0.0) -> float:
        """Return a 32-bit float field."""
        offset = self._field(number)
        return self._buffer.real(offset) if offset else default

    def text(self, number: int) -> str:
        """Return a string field; bytes that are not UTF-8 become U+FFFD."""
        span = self.span(number)
        return self._buffer.copy(*span).decode("utf-8", errors="replace") if span else ""

    def span(self, number: int) -> tuple[int, int] | None:
        """Return start and length of a field that is a string or a vector of bytes, without reading it."""
        offset = self._field(number)
        return self._buffer.vector(self._buffer.follow(offset), 1) if offset else None

    def integers(self, number: int, codec: Struct) -> tuple[int, ...]:
        """Return a vector of integers; empty where it is absent."""
        return self._numbers(number, codec)

    def reals(self, number: int) -> tuple[float, ...]:
        """Return a vector of 32-bit floats; empty where it is absent."""
        return self._numbers(number, FLOAT32)

    def _numbers(self, number: int, codec: Struct) -> tuple[Any, ...]:
        offset = self._field(number)
        if not offset:
            return ()
        start, count = self._buffer.vector(self._buffer.follow(offset), codec.size)
        return self._buffer.numbers(codec.format[-1], start, count)

    def table(self, number: int) -> Table | None:
        """Return a table field, or a member of a union; `None` where it is absent."""
        offset = self._field(number)
        return self._buffer.table_at(self._buffer.follow(offset)) if offset else None

    def tables(self, number: int) -> list[Table]:
        """Return a vector of tables; empty where it is absent."""
        offset = self._field(number)
        return self._buffer.tables_at(self._buffer.follow(offset)) if offset else []
