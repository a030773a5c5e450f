"""Reading a `.tflite` file without TensorFlow.

In: the bytes of a file. Out: a `TfliteModel`, every index in it checked against what it points to, or a
`NotAModelError` that says what the bytes are instead. Weights are measured, never copied or interpreted.

Field numbers are those of `tensorflow/lite/schema/schema.fbs`; they stand beside the field's name.
"""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from dlpubuild.errors import DlpuError, ErrorCode, Location
from dlpubuild.tflite import schema
from dlpubuild.tflite.flatbuffer import (
    HEADER_BYTES,
    INT8,
    INT32,
    INT64,
    UINT32,
    UINT64,
    FlatBuffer,
    NotAModelError,
    Table,
)
from dlpubuild.tflite.foreign import describe_foreign
from dlpubuild.tflite.model import Operator, Signature, Subgraph, Tensor, TensorQuantization, TfliteModel
from dlpubuild.tflite.opening import without_waiting
from dlpubuild.tflite.read_options import FIRST_OUTSIDE_OFFSET, builtin_options, custom_span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Kernels stop at 8 dimensions; a shape without a limit would make a product of millions of factors.
MAX_RANK = 16
# What is larger fits into no camera.
MAX_FILE_BYTES = 512 << 20
_HEAD_BYTES = 4096
# Loops, conditions and signatures have a few each; every one of them costs a heading wherever graphs are shown.
MAX_SUBGRAPHS = 2_000

_T = TypeVar("_T")


def read_file(path: Path) -> TfliteModel:
    """Return the model in the file `path`.

    Raises:
        DlpuError: `MODEL_UNREADABLE` where the file cannot be read, `NOT_A_MODEL` where it is something else;
            its location is `path`.
    """
    place = Location(str(path))
    try:
        data = _contents(path)
    except OSError as error:
        raise DlpuError(
            ErrorCode.MODEL_UNREADABLE, f"the model cannot be read: {error.strerror or error}", location=place
        ) from error
    try:
        return read_model(data)
    except NotAModelError as error:
        error.location = place
        raise


def _contents(path: Path) -> bytes:
    """Return the bytes of a file; of what is no model, or too large for one, the first."""
    with open(path, "rb", opener=without_waiting) as stream:
        head = stream.read(_HEAD_BYTES)
        size = os.fstat(stream.fileno()).st_size
        if head[4:HEADER_BYTES] != schema.FILE_IDENTIFIER:
            return head
        if size > MAX_FILE_BYTES:
            raise NotAModelError(
                f"the file has {size} bytes, more than the {MAX_FILE_BYTES >> 20} MiB that are read here",
                location=Location(str(path)),
            )
        if not stream.seekable():
            return head + stream.read()
        # From the beginning, so that the file is not in memory twice.
        stream.seek(0)
        return stream.read()


def read_model(data: bytes) -> TfliteModel:
    """Return the model whose `.tflite` file has the bytes `data`.

    Raises:
        NotAModelError: `data` is another format, damaged, or of a schema version other than 3.
    """
    if data[4:HEADER_BYTES] != schema.FILE_IDENTIFIER:
        raise describe_foreign(data)
    buffer = FlatBuffer(data)
    model = buffer.root()
    version = model.integer(0, UINT32)  # version
    if version != schema.SCHEMA_VERSION:
        raise NotAModelError(
            f"the TensorFlow Lite schema version is {version}; {schema.SCHEMA_VERSION} is the only one in use",
            hint="convert the model again with a current TensorFlow",
        )
    # Buffer 0 means "no data", and a file without constants may leave even that one out.
    spans = [_buffer_span(buffer, table) for table in model.tables(4)] or [(0, 0)]  # buffers
    codes = [_operator_code(table) for table in model.tables(1)]  # operator_codes
    tables = model.tables(2)  # subgraphs
    if len(tables) > MAX_SUBGRAPHS:
        raise NotAModelError(
            f"the TensorFlow Lite file has {len(tables)} graphs, more than {MAX_SUBGRAPHS}",
            hint="convert the model again",
        )
    subgraphs = tuple(_subgraph(buffer, table, spans, codes) for table in tables)
    if not subgraphs:
        raise NotAModelError("the TensorFlow Lite file holds no graph", hint="convert the model again")
    return TfliteModel(
        size_bytes=buffer.size,
        schema_version=version,
        description=model.text(3),  # description
        subgraphs=subgraphs,
        signatures=tuple(_signature(table, subgraphs) for table in model.tables(7)),  # signature_defs
        metadata=_metadata(buffer, model, spans),
        data=data,
    )


def _pick(items: Sequence[_T], index: int, what: str) -> _T:
    """Return `items[index]`; `what` names it where there is no such item."""
    if not 0 <= index < len(items):
        raise _bad_index(what, index, len(items))
    return items[index]


def _bad_index(what: str, index: int, count: int) -> NotAModelError:
    return NotAModelError(
        f"the TensorFlow Lite file is damaged: it refers to {what} {index}, and has {count} of them",
        hint="convert the model again",
    )


def _buffer_span(buffer: FlatBuffer, table: Table) -> tuple[int, int]:
    """Return start and length in bytes of a Buffer's contents, which lie in the flatbuffer or behind it."""
    offset = table.integer(1, UINT64)  # offset
    if offset >= FIRST_OUTSIDE_OFFSET:
        length = table.integer(2, UINT64)  # size
        buffer.check(offset, length)
        return offset, length
    return table.span(0) or (0, 0)  # data


def _operator_code(table: Table) -> tuple[str, str, int]:
    """Return name, custom code and version.

    Codes up to 127 may stand in either field: files older than TensorFlow 2.4 have the signed byte only, and
    newer ones put 127 there where the code does not fit, so the greater of the two holds.
    """
    code = max(table.integer(0, INT8), table.integer(3, INT32))  # deprecated_builtin_code, builtin_code
    custom = table.text(1) if code == schema.CUSTOM_CODE else ""  # custom_code
    return schema.name_of(schema.OPERATOR_NAMES, code), custom, table.integer(2, INT32, 1)  # version


def _subgraph(
    buffer: FlatBuffer, table: Table, spans: Sequence[tuple[int, int]], codes: Sequence[tuple[str, str, int]]
) -> Subgraph:
    tensors = tuple(_tensor(i, entry, spans) for i, entry in enumerate(table.tables(0)))  # tensors
    operators = tuple(  # operators
        _operator(buffer, i, entry, codes, len(tensors)) for i, entry in enumerate(table.tables(3))
    )
    return Subgraph(
        name=table.text(4),  # name
        tensors=tensors,
        operators=operators,
        inputs=_tensor_indices(table.integers(1, INT32), len(tensors), lowest=0),  # inputs
        outputs=_tensor_indices(table.integers(2, INT32), len(tensors), lowest=0),  # outputs
    )


def _tensor_indices(indices: tuple[int, ...], count: int, *, lowest: int) -> tuple[int, ...]:
    for index in indices:
        if not lowest <= index < count:
            raise _bad_index("tensor", index, count)
    return indices


def _tensor(index: int, table: Table, spans: Sequence[tuple[int, int]]) -> Tensor:
    shape = table.integers(0, INT32)  # shape
    if len(shape) > MAX_RANK:
        raise NotAModelError(
            f"the TensorFlow Lite file is damaged: tensor {index} has {len(shape)} dimensions",
            hint="convert the model again",
        )
    buffer = table.integer(2, UINT32)  # buffer
    offset, length = _pick(spans, buffer, "buffer")
    return Tensor(
        index=index,
        name=table.text(3),  # name
        shape=shape,
        shape_signature=table.integers(7, INT32) or shape,  # shape_signature
        dtype=schema.tensor_type(table.integer(1, INT8)),  # type
        quantization=_quantization(table.table(4)),  # quantization
        constant_bytes=length,
        constant_offset=offset if length else 0,
        buffer=buffer,
        is_variable=table.flag(5),  # is_variable
    )


def _quantization(table: Table | None) -> TensorQuantization | None:
    """Return scales and zero points; `None` where there are no scales, as in tables that keep min and max only."""
    scales = table.reals(2) if table else ()  # scale
    if not table or not scales:
        return None
    return TensorQuantization(
        scales=scales,
        zero_points=table.integers(3, INT64) or (0,) * len(scales),  # zero_point
        axis=table.integer(6, INT32),  # quantized_dimension
    )


def _operator(
    buffer: FlatBuffer, index: int, table: Table, codes: Sequence[tuple[str, str, int]], tensor_count: int
) -> Operator:
    name, custom_code, version = _pick(codes, table.integer(0, UINT32), "operator code")  # opcode_index
    custom_offset, custom_bytes = custom_span(buffer, table)
    return Operator(
        index=index,
        name=name,
        version=version,
        inputs=_tensor_indices(table.integers(1, INT32), tensor_count, lowest=-1),  # inputs
        outputs=_tensor_indices(table.integers(2, INT32), tensor_count, lowest=-1),  # outputs
        custom_code=custom_code,
        custom_bytes=custom_bytes,
        custom_offset=custom_offset,
        options=builtin_options(table),
    )


def _signature(table: Table, subgraphs: Sequence[Subgraph]) -> Signature:
    subgraph = table.integer(4, UINT32)  # subgraph_index
    count = len(_pick(subgraphs, subgraph, "subgraph").tensors)
    return Signature(
        key=table.text(2),  # signature_key
        subgraph=subgraph,
        inputs=_tensor_map(table.tables(0), count),  # inputs
        outputs=_tensor_map(table.tables(1), count),  # outputs
    )


def _tensor_map(tables: Sequence[Table], tensor_count: int) -> tuple[tuple[str, int], ...]:
    names = tuple(table.text(0) for table in tables)  # name
    indices = tuple(table.integer(1, UINT32) for table in tables)  # tensor_index
    return tuple(zip(names, _tensor_indices(indices, tensor_count, lowest=0), strict=True))


def _metadata(buffer: FlatBuffer, model: Table, spans: Sequence[tuple[int, int]]) -> Mapping[str, bytes]:
    found = {}
    for table in model.tables(6):  # metadata
        span = _pick(spans, table.integer(1, UINT32), "buffer")  # buffer
        found[table.text(0)] = buffer.copy(*span)  # name
    return MappingProxyType(dict(sorted(found.items())))
