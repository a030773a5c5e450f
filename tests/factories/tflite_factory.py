"""Tiny `.tflite` files, made byte by byte with the `flatbuffers` builder.

In: specs of tensors and operators, or one of the named models below. Out: the bytes of a file that TensorFlow
Lite's interpreter loads. The numbers of the schema are written out here a second time, and not taken from
`dlpubuild.tflite.schema`: a reader and a writer that share a wrong table would agree with each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Literal, TypeAlias

import flatbuffers  # type: ignore[import-untyped] # it has neither stubs nor a py.typed marker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

DTYPES = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "int4": 17,
}
ELEMENT_BYTES = {"float32": 4, "float16": 2, "int32": 4, "uint8": 1, "int64": 8, "bool": 1, "int16": 2, "int8": 1}
OPERATORS = {
    "ADD": 0,
    "AVERAGE_POOL_2D": 1,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "DEPTH_TO_SPACE": 5,
    "DEQUANTIZE": 6,
    "FLOOR": 8,
    "FULLY_CONNECTED": 9,
    "L2_NORMALIZATION": 11,
    "LOGISTIC": 14,
    "LSTM": 16,
    "MAX_POOL_2D": 17,
    "MUL": 18,
    "RELU": 19,
    "RELU_N1_TO_1": 20,
    "RELU6": 21,
    "RESHAPE": 22,
    "RESIZE_BILINEAR": 23,
    "SOFTMAX": 25,
    "SPACE_TO_DEPTH": 26,
    "TANH": 28,
    "CUSTOM": 32,
    "PAD": 34,
    "GATHER": 36,
    "TRANSPOSE": 39,
    "MEAN": 40,
    "SUB": 41,
    "DIV": 42,
    "SQUEEZE": 43,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 44,
    "STRIDED_SLICE": 45,
    "EXP": 47,
    "SPLIT": 49,
    "LOG_SOFTMAX": 50,
    "CAST": 53,
    "PRELU": 54,
    "MAXIMUM": 55,
    "ARG_MAX": 56,
    "MINIMUM": 57,
    "LESS": 58,
    "NEG": 59,
    "PADV2": 60,
    "GREATER": 61,
    "GREATER_EQUAL": 62,
    "LESS_EQUAL": 63,
    "SELECT": 64,
    "SLICE": 65,
    "SIN": 66,
    "TRANSPOSE_CONV": 67,
    "TILE": 69,
    "EXPAND_DIMS": 70,
    "EQUAL": 71,
    "NOT_EQUAL": 72,
    "LOG": 73,
    "SUM": 74,
    "SQRT": 75,
    "RSQRT": 76,
    "SHAPE": 77,
    "POW": 78,
    "ARG_MIN": 79,
    "REDUCE_PROD": 81,
    "REDUCE_MAX": 82,
    "PACK": 83,
    "LOGICAL_OR": 84,
    "ONE_HOT": 85,
    "LOGICAL_AND": 86,
    "LOGICAL_NOT": 87,
    "UNPACK": 88,
    "REDUCE_MIN": 89,
    "FLOOR_DIV": 90,
    "REDUCE_ANY": 91,
    "SQUARE": 92,
    "RESIZE_NEAREST_NEIGHBOR": 97,
    "LEAKY_RELU": 98,
    "SQUARED_DIFFERENCE": 99,
    "MIRROR_PAD": 100,
    "ABS": 101,
    "SPLIT_V": 102,
    "ADD_N": 106,
    "GATHER_ND": 107,
    "ELU": 111,
    "QUANTIZE": 114,
    "HARD_SWISH": 117,
    "NON_MAX_SUPPRESSION_V4": 120,
    "NON_MAX_SUPPRESSION_V5": 121,
    "BATCH_MATMUL": 126,
    "CUMSUM": 128,
    "BROADCAST_TO": 130,
    "GELU": 150,
}
# Code 127 tells readers of the old one-byte field to look at the new one.
PLACEHOLDER_FOR_GREATER_OP_CODES = 127

Scalar: TypeAlias = "int | float | bool"
IoType: TypeAlias = Literal["uint8", "int8", "float32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A tensor; `data` makes it a constant, `shape_signature` (with -1) a dynamic one."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "int8"
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    data: bytes = b""
    shape_signature: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsSpec:
    """Builtin options: member number of the union, and (field number, kind, value) for each field."""

    union_type: int
    fields: tuple[tuple[int, Literal["int8", "int32", "float32", "bool"], Scalar], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSpec:
    """An operator on tensors named by index."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    version: int = 1
    custom_code: str = ""
    options: OptionsSpec | None = None
    custom_options: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSpec:
    """A subgraph."""

    tensors: tuple[TensorSpec, ...]
    operators: tuple[OperatorSpec, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureSpec:
    """A signature of the first subgraph."""

    key: str
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A file; `data_outside` puts constants behind the flatbuffer, as files of more than 2 GB have them."""

    graphs: tuple[GraphSpec, ...]
    signatures: tuple[SignatureSpec, ...] = ()
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    description: str = "made by a test"
    version: int = 3
    data_outside: bool = False


def encode(spec: ModelSpec) -> bytes:
    """Return the file that `spec` describes."""
    # Offsets are stored in 64 bits whatever their value: the first pass measures how long the flatbuffer will be.
    size = len(_Encoder(spec, outside_start=2).finish()) if spec.data_outside else 0
    encoder = _Encoder(spec, outside_start=size)
    return encoder.finish() + b"".join(encoder.outside)


class _Encoder:
    """One pass over a `ModelSpec`: children are written before the tables that refer to them."""

    def __init__(self, spec: ModelSpec, *, outside_start: int) -> None:
        self._spec = spec
        self._builder = flatbuffers.Builder(1024)
        self._buffers: list[bytes] = [b""]  # buffer 0 is empty by convention
        self._codes: list[tuple[str, str, int]] = []
        self._outside_next = outside_start
        self.outside: list[bytes] = []

    def finish(self) -> bytes:
        spec = self._spec
        graphs = self._refs([self._graph(graph) for graph in spec.graphs])
        metadata = self._refs([self._metadata(name, data) for name, data in spec.metadata.items()])
        signatures = self._refs([self._signature(signature) for signature in spec.signatures])
        codes = self._refs([self._code(*code) for code in self._codes])
        buffers = self._refs([self._buffer(data) for data in self._buffers])
        description = self._text(spec.description)
        model = self._table(
            8,
            (0, "uint32", spec.version),
            (1, "ref", codes),
            (2, "ref", graphs),
            (3, "ref", description),
            (4, "ref", buffers),
            (6, "ref", metadata),
            (7, "ref", signatures),
        )
        self._builder.Finish(model, file_identifier=b"TFL3")
        return bytes(self._builder.Output())

    def _table(self, size: int, *fields: tuple[int, str, Scalar | None]) -> int:
        """Write a table; a field of value `None` is left out."""
        self._builder.StartObject(size)
        prepend: Mapping[str, Callable[[int, Scalar, int], None]] = {
            "ref": self._builder.PrependUOffsetTRelativeSlot,
            "bool": self._builder.PrependBoolSlot,
            "int8": self._builder.PrependInt8Slot,
            "uint8": self._builder.PrependUint8Slot,
            "int32": self._builder.PrependInt32Slot,
            "uint32": self._builder.PrependUint32Slot,
            "uint64": self._builder.PrependUint64Slot,
            "float32": self._builder.PrependFloat32Slot,
        }
        for number, kind, value in fields:
            if value is not None:
                prepend[kind](number, value, 0)
        return int(self._builder.EndObject())

    def _text(self, text: str) -> int:
        return int(self._builder.CreateString(text))

    def _refs(self, offsets: Sequence[int]) -> int:
        return self._vector(offsets, 4, self._builder.PrependUOffsetTRelative)

    def _int32s(self, values: Sequence[int]) -> int:
        return self._vector(values, 4, self._builder.PrependInt32)

    def _vector(self, values: Sequence[Scalar], width: int, prepend: Callable[[Scalar], None]) -> int:
        self._builder.StartVector(width, len(values), width)
        for value in reversed(values):
            prepend(value)
        return int(self._builder.EndVector())

    def _bytes(self, data: bytes) -> int:
        self._builder.StartVector(1, len(data), 16)
        self._builder.head -= len(data)
        self._builder.Bytes[self._builder.head : self._builder.head + len(data)] = data
        return int(self._builder.EndVector())

    def _buffer(self, data: bytes) -> int:
        if not data:
            return self._table(3)
        if not self._spec.data_outside:
            return self._table(3, (0, "ref", self._bytes(data)))
        return self._table(3, (1, "uint64", self._put_outside(data)), (2, "uint64", len(data)))

    def _put_outside(self, data: bytes) -> int:
        self.outside.append(data)
        offset = self._outside_next
        self._outside_next += len(data)
        return offset

    def _metadata(self, name: str, data: bytes) -> int:
        self._buffers.append(data)
        return self._table(2, (0, "ref", self._text(name)), (1, "uint32", len(self._buffers) - 1))

    def _signature(self, signature: SignatureSpec) -> int:
        inputs = self._refs([self._tensor_map(*entry) for entry in signature.inputs])
        outputs = self._refs([self._tensor_map(*entry) for entry in signature.outputs])
        key = self._text(signature.key)
        return self._table(5, (0, "ref", inputs), (1, "ref", outputs), (2, "ref", key), (4, "uint32", 0))

    def _tensor_map(self, name: str, index: int) -> int:
        return self._table(2, (0, "ref", self._text(name)), (1, "uint32", index))

    def _code(self, name: str, custom_code: str, version: int) -> int:
        code = OPERATORS[name]
        return self._table(
            4,
            (0, "int8", min(code, PLACEHOLDER_FOR_GREATER_OP_CODES)),
            (1, "ref", self._text(custom_code) if custom_code else None),
            (2, "int32", version),
            (3, "int32", code),
        )

    def _graph(self, graph: GraphSpec) -> int:
        tensors = self._refs([self._tensor(tensor) for tensor in graph.tensors])
        operators = self._refs([self._operator(operator) for operator in graph.operators])
        inputs, outputs = self._int32s(graph.inputs), self._int32s(graph.outputs)
        name = self._text(graph.name)
        return self._table(
            5,
            (0, "ref", tensors),
            (1, "ref", inputs),
            (2, "ref", outputs),
            (3, "ref", operators),
            (4, "ref", name),
        )

    def _tensor(self, tensor: TensorSpec) -> int:
        if tensor.data:
            self._buffers.append(tensor.data)
        shape, name = self._int32s(tensor.shape), self._text(tensor.name)
        signature = self._int32s(tensor.shape_signature) if tensor.shape_signature else None
        return self._table(
            8,
            (0, "ref", shape),
            (1, "int8", DTYPES[tensor.dtype]),
            (2, "uint32", len(self._buffers) - 1 if tensor.data else 0),
            (3, "ref", name),
            (4, "ref", self._quantization(tensor)),
            (7, "ref", signature),
        )

    def _quantization(self, tensor: TensorSpec) -> int | None:
        if not tensor.scales:
            return None
        scales = self._vector(tensor.scales, 4, self._builder.PrependFloat32)
        points = tensor.zero_points or (0,) * len(tensor.scales)
        zero_points = self._vector(points, 8, self._builder.PrependInt64)
        return self._table(7, (2, "ref", scales), (3, "ref", zero_points), (6, "int32", tensor.axis))

    def _operator(self, operator: OperatorSpec) -> int:
        code = (operator.name, operator.custom_code, operator.version)
        if code not in self._codes:
            self._codes.append(code)
        options = operator.options
        inputs, outputs = self._int32s(operator.inputs), self._int32s(operator.outputs)
        written = self._table(8, *options.fields) if options else None
        custom = self._custom_options(operator.custom_options) if operator.custom_options else ()
        return self._table(
            11,
            (0, "uint32", self._codes.index(code)),
            (1, "ref", inputs),
            (2, "ref", outputs),
            (3, "uint8", options.union_type if options else 0),
            (4, "ref", written),
            *custom,
        )

    def _custom_options(self, data: bytes) -> tuple[tuple[int, str, int], ...]:
        if not self._spec.data_outside:
            return ((5, "ref", self._bytes(data)),)
        return ((9, "uint64", self._put_outside(data)), (10, "uint64", len(data)))


# Conv2DOptions: VALID is 1, strides of 2, fused RELU6 is 3; field 4 and 5, the dilations, default to 1.
CONV_OPTIONS = OptionsSpec(union_type=1, fields=((0, "int8", 1), (1, "int32", 2), (2, "int32", 2), (3, "int8", 3)))
SOFTMAX_OPTIONS = OptionsSpec(union_type=9, fields=((0, "float32", 1.0),))
# What tests need to know of the convolution model below, batch 1: 1x9x9x3 -> 1x4x4x8 -> 1x10.
CONV_MACS = 4 * 4 * 8 * 3 * 3 * 3
DENSE_MACS = 10 * 4 * 4 * 8
_INPUT = (1, 9, 9, 3)
_FILTERS = (8, 3, 3, 3)
_FEATURES = (1, 4, 4, 8)
_DENSE = (10, 4 * 4 * 8)
_CLASSES = (1, 10)


def _filled(shape: Iterable[int], dtype: str) -> bytes:
    return bytes(prod(shape) * ELEMENT_BYTES[dtype])


def _constant(
    name: str, shape: tuple[int, ...], dtype: str, scales: tuple[float, ...] = (), axis: int = 0
) -> TensorSpec:
    """Return a constant of zeros; scales, where given, come with zero points 0."""
    return TensorSpec(name=name, shape=shape, dtype=dtype, scales=scales, axis=axis, data=_filled(shape, dtype))


def _activation(name: str, shape: tuple[int, ...], dtype: str) -> TensorSpec:
    scales = () if dtype == "float32" else (0.5,)
    return TensorSpec(name=name, shape=shape, dtype=dtype, scales=scales)


def _network(
    spec_tensors: Sequence[TensorSpec], operators: Sequence[OperatorSpec], inputs: int, outputs: int
) -> ModelSpec:
    """Return a model with the signature and metadata that TensorFlow's converter writes."""
    graph = GraphSpec(tensors=tuple(spec_tensors), operators=tuple(operators), inputs=(inputs,), outputs=(outputs,))
    signature = SignatureSpec(key="serving_default", inputs=(("image", inputs),), outputs=(("probabilities", outputs),))
    return ModelSpec(
        graphs=(graph,),
        signatures=(signature,),
        metadata={"min_runtime_version": b"2.3.0".ljust(16, b"\0")},
    )


def integer_model(*, per_channel: bool = False, io: IoType = "int8", output_io: IoType | None = None) -> ModelSpec:
    """Return convolution and fully connected layer in int8.

    Tensors 0 to 6 are the int8 network (input, filters, bias, features, dense weights, dense bias, output). With
    another `io`, the file's inputs and outputs are further tensors behind QUANTIZE or DEQUANTIZE, as TensorFlow's
    converter adds them.
    """
    scales = tuple(0.25 * (i + 1) for i in range(8)) if per_channel else (0.25,)
    tensors = [
        _activation("image_int8", _INPUT, "int8"),
        _constant("conv/filters", _FILTERS, "int8", scales),
        _constant("conv/bias", (8,), "int32", tuple(0.5 * scale for scale in scales)),
        _activation("conv/relu6", _FEATURES, "int8"),
        _constant("dense/weights", _DENSE, "int8", (0.25,)),
        _constant("dense/bias", (10,), "int32", (0.125,)),
        _activation("probabilities_int8", _CLASSES, "int8"),
    ]
    operators = [
        OperatorSpec(name="CONV_2D", inputs=(0, 1, 2), outputs=(3,), version=3, options=CONV_OPTIONS),
        OperatorSpec(name="FULLY_CONNECTED", inputs=(3, 4, 5), outputs=(6,), version=4),
    ]
    first, last = 0, 6
    if io != "int8":
        first = len(tensors)
        tensors.append(_activation("serving_default_image:0", _INPUT, io))
        operators.insert(0, OperatorSpec(name="QUANTIZE", inputs=(first,), outputs=(0,)))
    output_io = output_io or io
    if output_io != "int8":
        last = len(tensors)
        tensors.append(_activation("StatefulPartitionedCall:0", _CLASSES, output_io))
        name = "DEQUANTIZE" if output_io == "float32" else "QUANTIZE"
        operators.append(OperatorSpec(name=name, inputs=(6,), outputs=(last,)))
    return _network(tensors, operators, first, last)


def float_model(*, weights: Literal["float32", "float16", "int8"] = "float32") -> ModelSpec:
    """Return the same network in float32.

    Weights of `float16` stand behind DEQUANTIZE; `int8` ones are used as they are, with per-channel filters, which
    is what dynamic-range quantization makes.
    """
    tensors = [
        _activation("serving_default_image:0", _INPUT, "float32"),
        _constant("conv/filters", _FILTERS, weights),
        _constant("conv/bias", (8,), "float32"),
        _activation("conv/relu6", _FEATURES, "float32"),
        _constant("dense/weights", _DENSE, weights),
        _constant("dense/bias", (10,), "float32"),
        _activation("StatefulPartitionedCall:0", _CLASSES, "float32"),
    ]
    operators = [
        OperatorSpec(name="CONV_2D", inputs=(0, 1, 2), outputs=(3,), options=CONV_OPTIONS),
        OperatorSpec(name="FULLY_CONNECTED", inputs=(3, 4, 5), outputs=(6,)),
    ]
    if weights == "int8":
        tensors[1] = replace(tensors[1], scales=(0.25,) * 8)
        tensors[4] = replace(tensors[4], scales=(0.25,))
    if weights == "float16":
        operators = [
            OperatorSpec(name="DEQUANTIZE", inputs=(1,), outputs=(7,)),
            OperatorSpec(name="DEQUANTIZE", inputs=(4,), outputs=(8,)),
            replace(operators[0], inputs=(0, 7, 2)),
            replace(operators[1], inputs=(3, 8, 5)),
        ]
        tensors += [
            _activation("conv/filters_float32", _FILTERS, "float32"),
            _activation("dense/weights_float32", _DENSE, "float32"),
        ]
    return _network(tensors, operators, 0, 6)


def custom_model(custom_code: str) -> ModelSpec:
    """Return the int8 network with a custom operator behind it; a code such as `FlexErf` is TensorFlow's own."""
    spec = integer_model()
    tensors = (*spec.graphs[0].tensors, _activation("custom", _CLASSES, "int8"))
    operators = (
        *spec.graphs[0].operators,
        OperatorSpec(name="CUSTOM", inputs=(6,), outputs=(7,), custom_code=custom_code),
    )
    return with_graph(spec, tensors=tensors, operators=operators, outputs=(7,))


def with_dynamic_batch(spec: ModelSpec) -> ModelSpec:
    """Return `spec` with the first dimension of each activation left open, as a SavedModel leaves it."""
    tensors = tuple(
        tensor if tensor.data else replace(tensor, shape_signature=(-1, *tensor.shape[1:]))
        for tensor in spec.graphs[0].tensors
    )
    return with_graph(spec, tensors=tensors)


def with_tensor(spec: ModelSpec, index: int, tensor: TensorSpec) -> ModelSpec:
    """Return `spec` with one tensor of its main graph replaced."""
    tensors = list(spec.graphs[0].tensors)
    tensors[index] = tensor
    return with_graph(spec, tensors=tuple(tensors))


def with_graph(
    spec: ModelSpec,
    *,
    tensors: tuple[TensorSpec, ...] | None = None,
    operators: tuple[OperatorSpec, ...] | None = None,
    inputs: tuple[int, ...] | None = None,
    outputs: tuple[int, ...] | None = None,
) -> ModelSpec:
    """Return `spec` with parts of its main graph replaced; signatures are dropped with the outputs they name."""
    graph = spec.graphs[0]
    changed = GraphSpec(
        tensors=graph.tensors if tensors is None else tensors,
        operators=graph.operators if operators is None else operators,
        inputs=graph.inputs if inputs is None else inputs,
        outputs=graph.outputs if outputs is None else outputs,
        name=graph.name,
    )
    signatures = spec.signatures if (inputs, outputs) == (None, None) else ()
    return replace(spec, graphs=(changed, *spec.graphs[1:]), signatures=signatures)
