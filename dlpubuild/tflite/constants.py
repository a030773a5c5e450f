"""The values of a small constant: an axis, a shape, paddings, a slope.

In: a model and one of its tensors. Out: numbers, in the order in which they are stored, or None where the file does not
hold them as it says it does. Weights are not for here: what has more than a few thousand elements is left alone.
"""

from __future__ import annotations

from math import prod
from struct import unpack_from
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.tflite.model import Tensor, TfliteModel

MAX_VALUES: Final = 4096
# Codes of Python's struct by the schema's type. Those with less than a byte or without a struct code are left out.
_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "float16": "e",
        "float32": "f",
        "float64": "d",
        "int8": "b",
        "uint8": "B",
        "int16": "h",
        "uint16": "H",
        "int32": "i",
        "uint32": "I",
        "int64": "q",
        "uint64": "Q",
        "bool": "?",
    }
)
_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {"e": 2, "f": 4, "d": 8, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8, "?": 1}
)


def values(model: TfliteModel, tensor: Tensor, limit: int = MAX_VALUES) -> tuple[int | float | bool, ...] | None:
    """Return the values of a constant, in row-major order.

    Args:
        model: where the tensor is from.
        tensor: any tensor of it.
        limit: how many elements there may be.

    Returns:
        As many values as the shape has elements. None where the tensor is no constant, is larger than `limit`, has a
        type that is not read here, or has another number of bytes than its shape and type need.
    """
    code = _CODES.get(tensor.dtype)
    if code is None or not tensor.is_constant or any(size < 0 for size in tensor.shape):
        return None
    # The length is compared before the product is used: a shape may claim anything.
    count = prod(tensor.shape)
    if count > limit or count * _BYTES[code] != tensor.constant_bytes:
        return None
    return unpack_from(f"<{count}{code}", model.data, tensor.constant_offset)
