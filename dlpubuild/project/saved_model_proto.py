"""The few messages of a SavedModel that are read here, without TensorFlow's generated code.

In: the bytes of `saved_model.pb`. Out: a message object with `meta_graphs`, each with `meta_info_def.tags` and
`signature_def`, whose tensors have `tensor_shape`. Everything else in the file is skipped. Source of the field
numbers: tensorflow/core/protobuf/{saved_model,meta_graph}.proto and tensorflow/core/framework/tensor_shape.proto.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import Any

# message -> field -> (number, type); a type in brackets is repeated, `map` has text keys.
_MESSAGES = MappingProxyType(
    {
        "Dim": {"size": (1, "int64")},
        "Shape": {"dim": (2, "[Dim]"), "unknown_rank": (3, "bool")},
        "TensorInfo": {"tensor_shape": (3, "Shape")},
        "Signature": {"inputs": (1, "map TensorInfo"), "outputs": (2, "map TensorInfo")},
        "MetaInfo": {"tags": (4, "[string]")},
        "MetaGraph": {"meta_info_def": (1, "MetaInfo"), "signature_def": (5, "map Signature")},
        "SavedModel": {"meta_graphs": (2, "[MetaGraph]")},
    }
)
_PACKAGE = "dlpubuild.saved_model"


def parse_saved_model(data: bytes) -> Any:
    """Return the SavedModel message in `data`.

    Raises:
        ValueError: the bytes are not a protocol buffer of that kind.
    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - slow to import

    message = _saved_model_class()()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    return message


@cache
def _saved_model_class() -> Any:
    """A pool of its own: TensorFlow's messages of the same meaning may be loaded beside these."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415 - slow to import

    file = descriptor_pb2.FileDescriptorProto(name="saved_model_subset.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.SavedModel"))


def _add_field(message: Any, name: str, number: int, kind: str) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Proto  # noqa: PLC0415 - slow to import

    scalars = {"int64": Proto.TYPE_INT64, "bool": Proto.TYPE_BOOL, "string": Proto.TYPE_STRING}
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
