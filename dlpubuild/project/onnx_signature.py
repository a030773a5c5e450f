"""What an ONNX model says of itself, without the onnx package.

In: the path of an `.onnx` file. Out: an `OnnxFacts`, or the `ModelReading` in it. Weights are passed over, not read:
a file of two gigabytes costs what its structure costs. Source of the field numbers: onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
import os
import re
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.project.model import KnownSignature, KnownTensor, ModelReading
from dlpubuild.project.onnx_wire import Span, WireError, number, span
from dlpubuild.project.signature import UnreadableModelError
from dlpubuild.tflite.opening import without_waiting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

# Operators of this domain are ONNX's own; it has two names.
_OWN_DOMAINS = ("", "ai.onnx")
# As in steps/onnx_model.py.
_QUANTIZED = re.compile(r"^(QLinear\w+|QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|\w+Integer)$")
# Subgraphs lie in one another as loops and branches do; a file that is deeper than that is made to exhaust the reader.
_MAX_DEPTH = 32
_EXPORT = "export it again, with PyTorch as docs/guide.md says under ONNX and PyTorch"

_MODEL_IR, _MODEL_PRODUCER, _MODEL_PRODUCER_VERSION, _MODEL_GRAPH, _MODEL_OPSET = 1, 2, 3, 7, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 11, 12, 15
_NODE_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_NAME, _TENSOR_EXTERNAL = 8, 13
_SPARSE_VALUES = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _SHAPE_DIM, _DIM_VALUE = 1, 2, 1, 1, 1
_TENSOR_TYPE_ELEMENT, _TENSOR_TYPE_SHAPE = 1, 2
# TensorProto.DataType, in NumPy's words.
_DTYPES = MappingProxyType(
    dict(
        enumerate(
            (
                *("float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "str", "bool", "float16", "float64"),
                *("uint32", "uint64", "complex64", "complex128", "bfloat16"),
            ),
            start=1,
        )
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFacts:
    """What an `.onnx` file says of itself.

    `opset` is the version of ONNX's own operators; `operators` says how often each occurs, subgraphs included, those of
    another domain as `domain.Operator`. `external` are the files, relative to the model's own, that hold weights. Sizes
    that have a name instead of a number are -1.
    """

    ir_version: int
    producer: str
    opset: int
    operators: Mapping[str, int]
    external: tuple[str, ...]
    inputs: tuple[KnownTensor, ...]
    outputs: tuple[KnownTensor, ...]


def read_onnx_model(path: Path) -> ModelReading:
    """Return the inputs and outputs of a float model, in its order, and where it keeps weights.

    Raises:
        UnreadableModelError: it is not an ONNX model, or one that is quantized.
        OSError: it cannot be read.
    """
    facts = read_onnx(path)
    quantized = [name for name in facts.operators if _QUANTIZED.match(name)]
    if quantized:
        raise UnreadableModelError(
            f"it is quantized (it has {', '.join(quantized)}), and its scales would be lost; give the float model"
        )
    signature = KnownSignature(inputs=facts.inputs, outputs=facts.outputs)
    return ModelReading(signature=signature, external=facts.external)


def read_onnx(path: Path) -> OnnxFacts:
    """Return what the model says of itself.

    Raises:
        UnreadableModelError: it is not an ONNX model; the text says why.
        OSError: it cannot be read.
    """
    with open(path, "rb", opener=without_waiting) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size == 0:
            raise UnreadableModelError("the file is empty")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _model(Span(data=data, start=0, end=size))
            except WireError as error:
                raise UnreadableModelError(f"it is damaged, or not an ONNX model ({error}); {_EXPORT}") from error


def _model(model: Span) -> OnnxFacts:
    ir_version = opset = 0
    producer = ["", ""]
    graphs = []
    for field, value in model.fields():
        if field == _MODEL_IR:
            ir_version = number(value)
        elif field in (_MODEL_PRODUCER, _MODEL_PRODUCER_VERSION):
            producer[field - _MODEL_PRODUCER] = span(value).text()
        elif field == _MODEL_GRAPH:
            graphs.append(span(value))
        elif field == _MODEL_OPSET:
            opset = max(opset, _own_opset(span(value)))
    if len(graphs) != 1 or ir_version < 1:
        raise WireError("it has no graph" if not graphs else "it is no model")
    operators: Counter[str] = Counter()
    external: set[str] = set()
    _walk(graphs[0], operators, external, 0)
    if not operators:
        raise WireError("its graph has no operators")
    inputs, outputs = _signature(graphs[0])
    return OnnxFacts(
        ir_version=ir_version,
        producer=" ".join(part for part in producer if part),
        opset=opset,
        operators=dict(sorted(operators.items())),
        external=tuple(sorted(external)),
        inputs=_named("input", inputs),
        outputs=_named("output", outputs),
    )


def _signature(graph: Span) -> tuple[list[KnownTensor], list[KnownTensor]]:
    weights, inputs, outputs = set[str](), list[KnownTensor](), list[KnownTensor]()
    for field, value in graph.fields():
        if field == _GRAPH_INITIALIZER:
            weights.add(_first_text(span(value), _TENSOR_NAME))
        elif field == _GRAPH_SPARSE:
            weights.update(_first_text(each, _TENSOR_NAME) for each in span(value).spans(_SPARSE_VALUES))
        elif field == _GRAPH_INPUT:
            inputs.append(_tensor(span(value)))
        elif field == _GRAPH_OUTPUT:
            outputs.append(_tensor(span(value)))
    # Before version 4 of the format weights are listed among the inputs.
    return [tensor for tensor in inputs if tensor.name not in weights], outputs


def _named(what: str, tensors: Iterable[KnownTensor]) -> tuple[KnownTensor, ...]:
    found = tuple(tensors)
    names = [tensor.name for tensor in found]
    if not names:
        raise WireError(f"it has no {what}")
    if "" in names or len(set(names)) < len(names):
        raise WireError(f"two of its {what}s have one name, or one has none")
    return found


def _own_opset(entry: Span) -> int:
    """Return the version of an operator set that is ONNX's own; 0 of another one."""
    domain, version = "", 0
    for field, value in entry.fields():
        if field == _OPSET_DOMAIN:
            domain = span(value).text()
        elif field == _OPSET_VERSION:
            version = number(value)
    return version if domain in _OWN_DOMAINS else 0


def _walk(graph: Span, operators: Counter[str], external: set[str], depth: int) -> None:
    """Count the operators of a graph and those below it, and collect the files that hold weights."""
    if depth > _MAX_DEPTH:
        raise WireError(f"its graphs are nested more than {_MAX_DEPTH} deep")
    for field, value in graph.fields():
        if field == _GRAPH_INITIALIZER:
            external.update(_external(span(value)))
        elif field == _GRAPH_NODE:
            operators[_node(span(value), operators, external, depth)] += 1


def _node(node: Span, operators: Counter[str], external: set[str], depth: int) -> str:
    """Return what a node's operator is called, after walking its attributes."""
    domain = kind = ""
    for field, value in node.fields():
        if field == _NODE_TYPE:
            kind = span(value).text()
        elif field == _NODE_DOMAIN:
            domain = span(value).text()
        elif field == _NODE_ATTRIBUTE:
            for part, content in span(value).fields():
                if part in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                    external.update(_external(span(content)))
                elif part in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                    _walk(span(content), operators, external, depth + 1)
    if not kind:
        raise WireError("an operator in it has no name")
    return kind if domain in _OWN_DOMAINS else f"{domain}.{kind}"


def _external(tensor: Span) -> Iterator[str]:
    for entry in tensor.spans(_TENSOR_EXTERNAL):
        if _first_text(entry, _ENTRY_KEY) == "location":
            yield _first_text(entry, _ENTRY_VALUE)


def _first_text(message: Span, field: int) -> str:
    return next((each.text() for each in message.spans(field)), "")


def _tensor(value: Span) -> KnownTensor:
    name, shape, dtype = "", None, None
    for field, part in value.fields():
        if field == _VALUE_NAME:
            name = span(part).text()
        elif field == _VALUE_TYPE:
            tensors = list(span(part).spans(_TYPE_TENSOR))
            if not tensors:
                raise WireError("an input or output of it is not a tensor but a sequence or the like")
            for detail, content in tensors[-1].fields():
                if detail == _TENSOR_TYPE_ELEMENT:
                    dtype = _DTYPES.get(number(content))
                elif detail == _TENSOR_TYPE_SHAPE:
                    shape = tuple(_size(dim) for dim in span(content).spans(_SHAPE_DIM))
    return KnownTensor(name=name, shape=shape, dtype=dtype)


def _size(dim: Span) -> int:
    for field, value in dim.fields():
        if field == _DIM_VALUE:
            size = number(value)
            return size if size > 0 else -1
    return -1
