"""Model files as far as they are looked at without TensorFlow: a Keras configuration, a SavedModel's signature.

In: names and shapes of inputs and outputs. Out: bytes. The protocol buffer is written here by hand, and not with the
descriptors of `dlpubuild.project.tensorflow_proto`: a reader and a writer that share a wrong number would agree.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def keras_archive(config: object, name: str = "config.json") -> bytes:
    """Return a `.keras` file with this configuration and no weights."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        # A fixed time: equal configurations are equal files.
        archive.writestr(zipfile.ZipInfo(name), config if isinstance(config, bytes | str) else json.dumps(config))
    return stream.getvalue()


def input_layer(name: str, shape: Sequence[int | None]) -> dict[str, Any]:
    """Return an input as Keras 3 writes it; `shape` has the batch first, None where it is dynamic."""
    return {"class_name": "InputLayer", "config": {"name": name, "batch_shape": list(shape)}}


def dense_layer(name: str, units: int, built: Sequence[int | None] | None = (None, 64)) -> dict[str, Any]:
    """Return a dense layer; `built` is the shape it takes, None where the file does not say."""
    layer: dict[str, Any] = {"class_name": "Dense", "config": {"name": name, "units": units}}
    if built is not None:
        layer["build_config"] = {"input_shape": list(built)}
    return layer


def functional(layers: Sequence[Mapping[str, Any]], inputs: object, outputs: object) -> dict[str, Any]:
    """Return the configuration of a functional model; `inputs` and `outputs` refer to layers as Keras writes it."""
    body = {"name": "model", "layers": list(layers), "input_layers": inputs, "output_layers": outputs}
    return {"module": "keras", "class_name": "Functional", "config": body}


def classifier(
    *,
    image: str = "image",
    shape: Sequence[int | None] = (None, 8, 8, 3),
    output: str = "probabilities",
    classes: int = 3,
) -> dict[str, Any]:
    """Return the configuration of a model with one input and one vector of scores."""
    layers = [input_layer(image, shape), dense_layer(output, classes)]
    return functional(layers, [image, 0, 0], [output, 0, 0])


def hdf5(config: object, *, before: bytes = b"", after: bytes = b"\0" * 8) -> bytes:
    """Return what of an HDF5 file is looked at: its first bytes, and the configuration in one piece."""
    return b"\x89HDF\r\n\x1a\n" + b"\0" * 88 + before + json.dumps(config).encode() + after


def saved_model(
    inputs: Mapping[str, Sequence[int] | None],
    outputs: Mapping[str, Sequence[int] | None],
    *,
    signature: str = "serving_default",
    tag: str = "serve",
    graph: bytes | None = None,
) -> bytes:
    """Return a `saved_model.pb`; a shape has -1 for a dynamic dimension and is None where the rank is unknown.

    Args:
        inputs: shape by name.
        outputs: likewise.
        signature: name of the signature that has them.
        tag: of the graph.
        graph: the GraphDef in it, as `graph_def` returns it.
    """
    meta_info = _field(4, tag.encode())  # MetaInfoDef.tags
    tables = [
        _field(number, _entry(name, _tensor(name, shape)))  # SignatureDef.inputs, outputs
        for number, table in ((1, inputs), (2, outputs))
        for name, shape in table.items()
    ]
    other = _field(5, _entry("__saved_model_init_op", _field(2, _entry("init", _tensor("init", None)))))
    nodes = _field(2, graph_def([("x", "Identity", [])]) if graph is None else graph)  # MetaGraphDef.graph_def
    signatures = _field(5, _entry(signature, b"".join(tables) + _field(3, b"tensorflow/serving/predict")))
    meta_graph = _field(1, meta_info) + nodes + other + signatures
    return b"\x08\x01" + _field(2, meta_graph)  # SavedModel.saved_model_schema_version, meta_graphs


def graph_def(
    nodes: Sequence[tuple[str, str, Sequence[str]]],
    *,
    shapes: Mapping[str, Sequence[int] | None] | None = None,
    function_nodes: Sequence[tuple[str, str, Sequence[str]]] = (),
) -> bytes:
    """Return a GraphDef, which in a file of its own is a frozen graph.

    Args:
        nodes: name, operator and inputs of each.
        shapes: attribute `shape` of nodes by name, which also get `dtype` float32; None for an unknown rank.
        function_nodes: the same as `nodes`, of one function in the library.
    """
    encoded = []
    for name, operator, inputs in nodes:
        node = _field(1, name.encode()) + _field(2, operator.encode())  # NodeDef.name, op
        node += b"".join(_field(3, each.encode()) for each in inputs)  # input
        if shapes and name in shapes:
            node += _field(5, _entry("dtype", b"\x30\x01"))  # attr: AttrValue.type
            node += _field(5, _entry("shape", _field(7, _shape(shapes[name]))))  # attr: AttrValue.shape
        encoded.append(_field(1, node))  # GraphDef.node
    library = b"".join(_field(3, _field(1, n.encode()) + _field(2, op.encode())) for n, op, _ in function_nodes)
    versions = _field(4, b"\x08\xc0\x10")  # GraphDef.versions
    return b"".join(encoded) + (_field(2, _field(1, library)) if function_nodes else b"") + versions


def _shape(shape: Sequence[int] | None) -> bytes:
    return b"\x18\x01" if shape is None else b"".join(_field(2, b"\x08" + _varint(size)) for size in shape)


def _tensor(name: str, shape: Sequence[int] | None) -> bytes:
    return (
        _field(1, f"{name}:0".encode()) + b"\x10\x01" + _field(3, _shape(shape))
    )  # TensorInfo.name, dtype, tensor_shape


def _entry(key: str, value: bytes) -> bytes:
    return _field(1, key.encode()) + _field(2, value)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))
