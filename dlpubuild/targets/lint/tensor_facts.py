"""What a lint rule may ask of a tensor.

In: a `TfliteModel` and a tensor of it. Out: an object with one attribute for each fact, worked out when it is asked
for. Whatever stands in the file, no fact raises.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from dlpubuild.tflite.constants import values as constant_values
from dlpubuild.tflite.weights import EIGHT_BIT_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.tflite.model import Tensor, TfliteModel

Values = tuple[int | float | bool, ...]

MAX_NAME: Final = 256
# Bits of one element; strings, resources and types that are not known count nothing.
_BITS: Final[Mapping[str, int]] = {
    "int4": 4,
    **dict.fromkeys(("int8", "uint8", "bool"), 8),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 16),
    **dict.fromkeys(("int32", "uint32", "float32"), 32),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 64),
    "complex128": 128,
}


class TensorFacts:
    """Facts of one tensor; sizes are those stored, where a dimension that is only known at run time is 1."""

    def __init__(self, model: TfliteModel, tensor: Tensor) -> None:
        self._model = model
        self._tensor = tensor

    @property
    def index(self) -> int:
        """Its index in its subgraph."""
        return self._tensor.index

    @property
    def name(self) -> str:
        """Its name, cut where it is unreasonably long."""
        return self._tensor.name[:MAX_NAME]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return self._tensor.shape

    @property
    def rank(self) -> int:
        """How many dimensions it has."""
        return len(self._tensor.shape)

    def _from_right(self, position: int) -> int:
        shape = self._tensor.shape
        return shape[-position] if position <= len(shape) else 1

    @property
    def n(self) -> int:
        """The fourth size from the right: the batch of an image."""
        return self._from_right(4)

    @property
    def h(self) -> int:
        """The third size from the right: the height of an image."""
        return self._from_right(3)

    @property
    def w(self) -> int:
        """The second size from the right: the width of an image."""
        return self._from_right(2)

    @property
    def c(self) -> int:
        """The last size: channels."""
        return self._from_right(1)

    @property
    def elements(self) -> int:
        """How many values it holds."""
        return prod(1 if size < 0 else size for size in self._tensor.shape)

    @property
    def dtype(self) -> str:
        """Its type: `int8`, `uint8`, `float32`..."""
        return self._tensor.dtype

    @property
    def is_integer8(self) -> bool:
        """Whether it holds quantized integers of 8 bits."""
        return self._tensor.dtype in EIGHT_BIT_TYPES and self._tensor.quantization is not None

    @property
    def scales(self) -> tuple[float, ...]:
        """Its scales; none where it is not quantized."""
        quantization = self._tensor.quantization
        return quantization.scales if quantization else ()

    @property
    def scale(self) -> float | None:
        """Its first scale."""
        return self.scales[0] if self.scales else None

    @property
    def zero_point(self) -> int | None:
        """Its first zero point."""
        quantization = self._tensor.quantization
        return quantization.zero_points[0] if quantization and quantization.zero_points else None

    @property
    def per_channel(self) -> bool:
        """Whether it has more than one scale."""
        return len(self.scales) > 1

    @property
    def is_constant(self) -> bool:
        """Whether the file holds its values."""
        return self._tensor.is_constant

    @property
    def is_dynamic(self) -> bool:
        """Whether a size is only known at run time."""
        return self._tensor.is_dynamic

    @property
    def values(self) -> Values | None:
        """The values of a small constant."""
        return constant_values(self._model, self._tensor)

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return self._tensor.constant_bytes or (self.elements * _BITS.get(self._tensor.dtype, 0) + 7) // 8


class SingleTensorFacts:
    """What a rule about inputs, outputs or tensors sees: the tensor as `t`."""

    __slots__ = ("t",)

    def __init__(self, model: TfliteModel, tensor: Tensor) -> None:
        self.t = TensorFacts(model, tensor)
