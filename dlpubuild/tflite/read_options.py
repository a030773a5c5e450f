"""What an operator of a `.tflite` file was given beside its tensors: builtin options, and how many custom ones.

In: the table of an operator. Out: the builtin options by schema name, or the length of the custom ones, which only the
operator itself can read. Field numbers stand beside the field's name, as in `dlpubuild.tflite.read`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.tflite import schema
from dlpubuild.tflite.flatbuffer import INT8, INT32, UINT8, UINT64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.tflite.flatbuffer import FlatBuffer, Table
    from dlpubuild.tflite.model import OptionValue

# Offsets 0 and 1 are placeholders: the bytes of a buffer or of custom options, if any, are inside the flatbuffer.
FIRST_OUTSIDE_OFFSET = 2


def custom_span(buffer: FlatBuffer, table: Table) -> tuple[int, int]:
    """Return where custom options begin, and their length: in the flatbuffer or, like a Buffer's contents, behind."""
    offset = table.integer(9, UINT64)  # large_custom_options_offset
    if offset >= FIRST_OUTSIDE_OFFSET:
        length = table.integer(10, UINT64)  # large_custom_options_size
        buffer.check(offset, length)
        return offset, length
    return table.span(5) or (0, 0)  # custom_options


def builtin_options(table: Table) -> Mapping[str, OptionValue]:
    """Return the builtin options of an operator, as far as `schema.OPTION_FIELDS` knows their table."""
    fields = schema.OPTION_FIELDS.get(table.integer(3, UINT8), ())  # builtin_options_type
    options = table.table(4) if fields else None  # builtin_options
    if not options:
        return MappingProxyType({})
    return MappingProxyType({field.name: _option(options, field) for field in fields})


def _option(table: Table, field: schema.OptionField) -> OptionValue:
    kind, number = field.kind, field.number
    if kind is schema.OptionKind.INT32:
        return table.integer(number, INT32, field.default)
    if kind is schema.OptionKind.INT32_VECTOR:
        return table.integers(number, INT32)
    if kind is schema.OptionKind.FLOAT32:
        return table.real(number, field.default)
    if kind is schema.OptionKind.BOOL:
        return table.flag(number, default=bool(field.default))
    return schema.name_of(schema.ENUMERATIONS[kind], table.integer(number, INT8, field.default))
