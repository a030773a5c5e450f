"""The few messages of TensorFlow's graphs that are read here, without TensorFlow's generated code.

In: the bytes of a `saved_model.pb` or of a frozen graph. Out: a message object: a SavedModel with `meta_graphs`, each
with `meta_info_def.tags`, `graph_def`, and `signature_def`, whose tensors have `tensor_shape`; or a GraphDef with
`node` and `library`. Everything else in the file is skipped. Source of the field numbers:
tensorflow/core/protobuf/{saved_model,meta_graph}.proto and
tensorflow/core/framework/{graph,node_def,attr_value,function,tensor_shape}.proto.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

# message -> field -> (number, type); a type in brackets is repeated, `map` has text keys.
_MESSAGES = MappingProxyType(
    {
        "Dim": {"size": (1, "int64")},
        "Shape": {"dim": (2, "[Dim]"), "unknown_rank": (3, "bool")},
        "TensorInfo": {"tensor_shape": (3, "Shape")},
        "Signature": {"inputs": (1, "map TensorInfo"), "outputs": (2, "map TensorInfo")},
        "MetaInfo": {"tags": (4, "[string]")},
        # `type` is the number of a DataType.
        "Attr": {"type": (6, "int32"), "shape": (7, "Shape")},
        "Node": {"name": (1, "string"), "op": (2, "string"), "input": (3, "[string]"), "attr": (5, "map Attr")},
        "Function": {"node_def": (3, "[Node]")},
        "Library": {"function": (1, "[Function]")},
        "Graph": {"node": (1, "[Node]"), "library": (2, "Library")},
        "MetaGraph": {
            "meta_info_def": (1, "MetaInfo"),
            "graph_def": (2, "Graph"),
            "signature_def": (5, "map Signature"),
        },
        "SavedModel": {"meta_graphs": (2, "[MetaGraph]")},
    }
)
_PACKAGE = "dlpubuild.tensorflow"
_FAKE_QUANT = "FakeQuant"


def parse_saved_model(data: bytes) -> Any:
    """Return the SavedModel message in `data`.

    Raises:
        ValueError: the bytes are not a protocol buffer of that kind.
    """
    return _parsed("SavedModel", data)


def parse_graph(data: bytes) -> Any:
    """Return the GraphDef message in `data`.

    Raises:
        ValueError: the bytes are not a protocol buffer of that kind.
    """
    return _parsed("Graph", data)


def graph_operators(graph: Any) -> Counter[str]:
    """Return how many nodes of each operator a GraphDef has, those of its functions included."""
    counts = Counter(node.op for node in graph.node)
    for function in graph.library.function:
        counts.update(node.op for node in function.node_def)
    return counts


def is_quantization_aware(operators: Iterable[str]) -> bool:
    """Return whether some of these operators are those by which training imitates integers."""
    return any(name.startswith(_FAKE_QUANT) for name in operators)


def _parsed(name: str, data: bytes) -> Any:
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - slow to import

    message = _message_class(name)()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    return message


@cache
def _message_class(wanted: str) -> Any:
    """A pool of its own: TensorFlow's messages of the same meaning may be loaded beside these."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415 - slow to import

    file = descriptor_pb2.FileDescriptorProto(name="tensorflow_subset.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{wanted}"))


def _add_field(message: Any, name: str, number: int, kind: str) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Proto  # noqa: PLC0415 - slow to import

    scalars = {
        "int32": Proto.TYPE_INT32,
        "int64": Proto.TYPE_INT64,
        "bool": Proto.TYPE_BOOL,
        "string": Proto.TYPE_STRING,
    }
    if kind.startswith("map "):
        entry = message.nested_type.add(name="".join(part.capitalize() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, kind.removeprefix("map "))
        kind = f"[{message.name}.{entry.name}]"
    element = kind.strip("[]")
    message.field.add(
        name=name,
        number=number,
        type=scalars.get(element, Proto.TYPE_MESSAGE),
        type_name=None if element in scalars else f".{_PACKAGE}.{element}",
        label=Proto.LABEL_REPEATED if kind.startswith("[") else Proto.LABEL_OPTIONAL,
    )
