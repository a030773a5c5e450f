"""An ONNX file, read with the standard library alone, for toolchains that have no `onnx`.

In: the bytes of a file. Out: names, shapes and types of its inputs and outputs, and the operators in use. Field numbers
are those of onnx/onnx.proto. Weights are never looked at. What is damaged is a `ValueError`.
"""

import struct
from typing import NamedTuple, Optional, Tuple

# TensorProto.DataType
_DTYPES = (
    *("undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16"),
    *("float64", "uint32", "uint64", "complex64", "complex128", "bfloat16"),
)
_EXTERNAL = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
_MAX_DEPTH = 32


class Value(NamedTuple):
    """An input or output: `shape` has -1 for a size that is not fixed, and is None where not even the rank is known."""

    name: str
    dtype: str
    shape: Optional[Tuple[int, ...]]


class Model(NamedTuple):
    """What is in a file; `operators` are the types of its nodes, those of subgraphs too, sorted.

    `external` is the name of a weight that lies in another file, None where all of them are here.
    """

    inputs: Tuple[Value, ...]
    outputs: Tuple[Value, ...]
    operators: Tuple[str, ...]
    external: Optional[str]


def read_onnx(content):
    """Return the model in `content`.

    Raises:
        ValueError: it is no ONNX file, or damaged.
    """
    try:
        fields = _fields(memoryview(content))
        graphs = _messages(fields, 7)
        if not graphs:
            raise ValueError("it holds no graph")
        return _model(_fields(graphs[-1]))
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError("it is damaged: {}".format(error)) from error


def _model(graph):
    weights = [_fields(each) for each in _messages(graph, 5)]
    constant = {_text(weight, 8) for weight in weights}
    external = [_text(weight, 8) for weight in weights if _number(weight, 14) == _EXTERNAL]
    # Before IR version 4 every weight was an input, too.
    inputs = tuple(value for value in map(_value, _messages(graph, 11)) if value.name not in constant)
    operators = set()
    _collect_operators(graph, operators, 0)
    outputs = tuple(map(_value, _messages(graph, 12)))
    if not inputs or not outputs:
        raise ValueError("its graph has no {}".format("outputs" if inputs else "inputs"))
    return Model(inputs, outputs, tuple(sorted(operators)), external[0] if external else None)


def _collect_operators(graph, found, depth):
    if depth > _MAX_DEPTH:
        raise ValueError("its subgraphs are nested too deeply")
    for node in _messages(graph, 1):
        fields = _fields(node)
        found.add(_text(fields, 4))
        for attribute in _messages(fields, 5):
            for number in (6, 11):
                for inner in _messages(_fields(attribute), number):
                    _collect_operators(_fields(inner), found, depth + 1)


def _value(message):
    fields = _fields(message)
    tensors = [tensor for kind in _messages(fields, 2) for tensor in _messages(_fields(kind), 1)]
    if not tensors:
        return Value(_text(fields, 1), "no tensor", None)
    tensor = _fields(tensors[-1])
    shapes = _messages(tensor, 2)
    shape = tuple(_size(each) for each in _messages(_fields(shapes[-1]), 1)) if shapes else None
    return Value(_text(fields, 1), _dtype(_number(tensor, 1)), shape)


def _dtype(code):
    return _DTYPES[code] if code < len(_DTYPES) else "type {}".format(code)


def _size(message):
    size = _number(_fields(message), 1)
    return size if 0 < size < 1 << 31 else -1


def _fields(data):
    """Return (number, wire type, value) of each field of a message; bytes are views."""
    fields, at = [], 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
        elif wire == _BYTES:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
            value, at = data[at : at + length], at + length
        else:
            raise ValueError("it is no ONNX file, or damaged: a field has the type {}".format(wire))
        if at > len(data) or not number:
            raise ValueError("it is no ONNX file, or damaged: a field goes beyond its end")
        fields.append((number, wire, value))
    return fields


def _varint(data, at):
    value = 0
    for position in range(_MAX_VARINT_BYTES):
        byte = data[at + position]
        value |= (byte & 0x7F) << (7 * position)
        if not byte & 0x80:
            return value, at + position + 1
    raise ValueError("it is no ONNX file, or damaged: a number has no end")


def _messages(fields, number):
    return [value for found, wire, value in fields if found == number and wire == _BYTES]


def _number(fields, number):
    return next((value for found, wire, value in reversed(fields) if found == number and wire == _VARINT), 0)


def _text(fields, number):
    found = _messages(fields, number)
    return bytes(found[-1]).decode("utf-8") if found else ""
