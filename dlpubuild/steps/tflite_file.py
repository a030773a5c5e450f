"""A `.tflite` file, read with the standard library alone, for toolchains that have no TensorFlow.

In: the bytes of a file. Out: tensors, operators, inputs and outputs of its first subgraph; copies with other tensor
names, or with inputs and outputs in another order. Field numbers are those of tensorflow/lite/schema/schema.fbs.
Weights are measured and never looked at. What is damaged is a `ValueError`; a file that a converter wrote is expected,
not an attack.
"""

import struct
from typing import NamedTuple, Optional, Tuple

from tflite_operators import operator_name

IDENTIFIER = b"TFL3"
CUSTOM = "CUSTOM"
EDGETPU_OPERATOR = "edgetpu-custom-op"
# TensorType, with the bytes of one element; packed and variable ones count 1.
_DTYPES = (
    *(("float32", 4), ("float16", 2), ("int32", 4), ("uint8", 1), ("int64", 8), ("string", 1), ("bool", 1)),
    *(("int16", 2), ("complex64", 8), ("int8", 1), ("float64", 8), ("complex128", 16), ("uint64", 8), ("resource", 1)),
    *(("variant", 1), ("uint32", 4), ("uint16", 2), ("int4", 1), ("bfloat16", 2)),
)
_ELEMENT_BYTES = dict(_DTYPES)
# Offsets of buffers that lie behind the flatbuffer begin there; 0 and 1 are placeholders.
_FIRST_OUTSIDE_OFFSET = 2


class Tensor(NamedTuple):
    """One tensor: `shape` has -1 for a dynamic size, `constant_bytes` is 0 for what an operator computes.

    `scale` and `zero_point` are the first of each, None where there is none. `name_at` is where the text of the name
    begins in the file, and `name_bytes` how long it is; `name_field` is where the file refers to it, 0 where there is
    no name.
    """

    index: int
    name: str
    shape: Tuple[int, ...]
    dtype: str
    scale: Optional[float]
    zero_point: Optional[int]
    constant_bytes: int
    name_at: int
    name_bytes: int
    name_field: int

    @property
    def bytes(self):
        """What it takes in memory; a dynamic size counts as 1."""
        elements = 1
        for size in self.shape:
            elements *= max(size, 1)
        return elements * _ELEMENT_BYTES.get(self.dtype, 1)


class Operator(NamedTuple):
    """One operator: `name` as the schema has it; `inputs` and `outputs` are tensors, -1 for an absent input."""

    index: int
    name: str
    version: int
    custom_code: str
    inputs: Tuple[int, ...]
    outputs: Tuple[int, ...]

    @property
    def label(self):
        """The name a person knows it by."""
        return self.custom_code or self.name


class Model(NamedTuple):
    """The first subgraph of a file, and how many there are.

    `names` are those that the first signature gives to tensors, by index.
    """

    content: bytes
    subgraphs: int
    tensors: Tuple[Tensor, ...]
    operators: Tuple[Operator, ...]
    inputs: Tuple[int, ...]
    outputs: Tuple[int, ...]
    names: dict


def read_tflite(content):
    """Return the model in `content`.

    Raises:
        ValueError: it is no `.tflite` file, or damaged.
    """
    if content[4:8] != IDENTIFIER:
        raise ValueError("it is no .tflite file: bytes 4 to 7 are {!r}, not {!r}".format(content[4:8], IDENTIFIER))
    try:
        return _model(content)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError("it is damaged: {}".format(error)) from error


def describe(model, named_by=None):
    """Return inputs and outputs as `stepio.write_step_json` takes them.

    Args:
        model: the file to describe.
        named_by: a model with the same inputs and outputs whose signature names them, where `model` has none.
    """
    source = named_by or model

    def described(indices, name_indices):
        return [_described(model.tensors[at], source, named) for at, named in zip(indices, name_indices)]

    return {"inputs": described(model.inputs, source.inputs), "outputs": described(model.outputs, source.outputs)}


def renamed(model, names):
    """Return the bytes of the file with other names for some tensors; nothing else changes, and nothing moves.

    Args:
        model: the file.
        names: new name, in ASCII, by tensor index; at most as long as the old one.
    """
    content = bytearray(model.content)
    for index, name in names.items():
        tensor, text = model.tensors[index], name.encode("ascii")
        if len(text) > tensor.name_bytes:
            raise ValueError('"{}" is longer than the name of tensor {}'.format(name, index))
        content[tensor.name_at : tensor.name_at + tensor.name_bytes] = text.ljust(tensor.name_bytes, b"\0")
        struct.pack_into("<I", content, tensor.name_at - 4, len(text))
    return bytes(content)


def with_names(model, names):
    """Return the bytes of the file with other names for some tensors, of any length: they are put behind all else.

    Args:
        model: the file.
        names: new name by tensor index.
    """
    content = bytearray(model.content)
    for index, name in sorted(names.items()):
        tensor, text = model.tensors[index], name.encode("utf-8")
        if not tensor.name_field:
            raise ValueError("tensor {} has no name to be replaced".format(index))
        if tensor.name != name:
            # A string is its length, its bytes and a zero; references point forwards, so that it may lie at the end.
            content.extend(b"\0" * (-len(content) % 4))
            struct.pack_into("<I", content, tensor.name_field, len(content) - tensor.name_field)
            content.extend(struct.pack("<I", len(text)) + text + b"\0")
    content.extend(b"\0" * (-len(content) % 4))
    return bytes(content)


def with_order(model, inputs, outputs):
    """Return the bytes of the file with its inputs and outputs, given as tensor indices, in this order."""
    content = bytearray(model.content)
    graph = _table(model.content, 0).tables(2)[0]
    for field, known, wanted in ((1, model.inputs, inputs), (2, model.outputs, outputs)):
        if sorted(known) != sorted(wanted):
            raise ValueError("the file has the tensors {}, not {}".format(sorted(known), sorted(wanted)))
        struct.pack_into("<{}i".format(len(wanted)), content, graph.span(field)[0], *wanted)
    return bytes(content)


def _described(tensor, source, named):
    entry = {
        "name": source.names.get(named, source.tensors[named].name),
        "tensor": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
    }
    if tensor.scale is not None:
        entry["scale"] = tensor.scale
        entry["zero_point"] = tensor.zero_point
    return entry


def _model(content):
    root = _table(content, 0)
    buffers = [_buffer_bytes(each) for each in root.tables(4)]
    codes = [_operator_code(each) for each in root.tables(1)]
    graphs = root.tables(2)
    if not graphs:
        raise ValueError("it holds no graph")
    graph = graphs[0]
    tensors = tuple(_tensor(index, each, buffers) for index, each in enumerate(graph.tables(0)))
    operators = tuple(_operator(index, each, codes) for index, each in enumerate(graph.tables(3)))
    inputs, outputs = graph.numbers(1, "i"), graph.numbers(2, "i")
    for index in (*inputs, *outputs, *(at for each in operators for at in (*each.inputs, *each.outputs) if at != -1)):
        if not 0 <= index < len(tensors):
            raise ValueError("it is damaged: it refers to tensor {}, and has {}".format(index, len(tensors)))
    names = {}
    for signature in [each for each in root.tables(7) if not each.number(4, "I")][:1]:
        for entry in (*signature.tables(0), *signature.tables(1)):
            names[entry.number(1, "I")] = entry.text(0)
    return Model(content, len(graphs), tensors, operators, inputs, outputs, names)


def _buffer_bytes(table):
    outside = table.number(2, "Q") if table.number(1, "Q") >= _FIRST_OUTSIDE_OFFSET else 0
    return outside or table.span(0)[1]


def _operator_code(table):
    # Files older than TensorFlow 2.4 have the signed byte only; newer ones put 127 there where the code does not fit.
    code = max(table.number(0, "b"), table.number(3, "i"))
    name = operator_name(code)
    return name, table.number(2, "i", 1), table.text(1) if name == CUSTOM else ""


def _tensor(index, table, buffers):
    shape = table.numbers(7, "i") or table.numbers(0, "i")
    code = table.number(1, "b")
    quantization = table.table(4)
    scales = quantization.numbers(2, "f") if quantization else ()
    zero_points = quantization.numbers(3, "q") if quantization else ()
    buffer = table.number(2, "I")
    name_at, name_bytes = table.span(3)
    return Tensor(
        index=index,
        name=table.text(3),
        shape=shape,
        dtype=_DTYPES[code][0] if 0 <= code < len(_DTYPES) else "unknown_{}".format(code),
        scale=scales[0] if scales else None,
        zero_point=(zero_points[0] if zero_points else 0) if scales else None,
        constant_bytes=buffers[buffer] if buffer else 0,
        name_at=name_at,
        name_bytes=name_bytes,
        name_field=table.at(3),
    )


def _operator(index, table, codes):
    name, version, custom_code = codes[table.number(0, "I")]
    return Operator(index, name, version, custom_code, table.numbers(1, "i"), table.numbers(2, "i"))


def _table(content, at):
    """Return the table that the reference at `at` leads to."""
    return _Table(content, at + struct.unpack_from("<I", content, at)[0])


class _Table:
    """One table of a flatbuffer; a field is named by its number in the schema."""

    def __init__(self, content, position):
        self._content = content
        self._position = position
        self._fields = position - struct.unpack_from("<i", content, position)[0]
        if self._fields < 0:
            raise IndexError("a table begins before the file")
        self._fields_bytes = struct.unpack_from("<H", content, self._fields)[0]

    def at(self, field):
        """Return where a field lies, 0 where it is absent."""
        slot = 4 + 2 * field
        if slot + 2 > self._fields_bytes:
            return 0
        offset = struct.unpack_from("<H", self._content, self._fields + slot)[0]
        return self._position + offset if offset else 0

    def number(self, field, code, default=0):
        """Return a number, `code` being that of the struct module."""
        at = self.at(field)
        return struct.unpack_from("<" + code, self._content, at)[0] if at else default

    def span(self, field):
        """Return where the elements of a vector begin, and how many there are."""
        at = self.at(field)
        if not at:
            return 0, 0
        at += struct.unpack_from("<I", self._content, at)[0]
        return at + 4, struct.unpack_from("<I", self._content, at)[0]

    def numbers(self, field, code):
        """Return a vector of numbers."""
        start, count = self.span(field)
        return struct.unpack_from("<{}{}".format(count, code), self._content, start) if count else ()

    def text(self, field):
        """Return a string; bytes that are not UTF-8 become U+FFFD."""
        start, count = self.span(field)
        return bytes(self._content[start : start + count]).decode("utf-8", "replace")

    def table(self, field):
        """Return a table, None where it is absent."""
        at = self.at(field)
        return _table(self._content, at) if at else None

    def tables(self, field):
        """Return a vector of tables."""
        start, count = self.span(field)
        return [_table(self._content, start + 4 * index) for index in range(count)]
