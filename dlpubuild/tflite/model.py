"""A `.tflite` file as a value.

In: nothing. Out: frozen dataclasses that name what the flatbuffer holds, in the words of its schema
(tensorflow/lite/schema/schema.fbs, version 3). `dlpubuild.tflite.read` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

OptionValue: TypeAlias = "int | float | bool | str | tuple[int, ...]"
"""A builtin option: a number, a flag, the name of an enumeration's member, or a vector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorQuantization:
    """Affine quantization: `real = scale * (stored - zero_point)`.

    One scale is per-tensor; several, along `axis`, are per-channel.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        """True where there is more than one scale."""
        return len(self.scales) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a subgraph.

    `shape` is the shape stored; `shape_signature` has -1 for each dynamic dimension and equals `shape` where
    the file has none. `dtype` is the schema's name in lower case (`int8`, `uint8`, `float32`, `int32`, ...).
    `constant_bytes` is the length of its buffer, 0 for activations, `constant_offset` where in the file it begins;
    tensors with equal `buffer` share one.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    quantization: TensorQuantization | None
    constant_bytes: int
    constant_offset: int = field(default=0, compare=False)
    buffer: int = 0
    is_variable: bool = False

    @property
    def is_constant(self) -> bool:
        """True where the file holds the tensor's values."""
        return self.constant_bytes > 0

    @property
    def is_dynamic(self) -> bool:
        """True where a dimension is only known at run time."""
        return any(size < 0 for size in self.shape_signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator of a subgraph, in execution order.

    `name` is the schema's builtin name (`CONV_2D`), or `CUSTOM`; `custom_code` names a custom operator
    (`edgetpu-custom-op`, `FlexErf`). `inputs` and `outputs` are tensor indices, -1 for an absent optional input.
    `options` holds the builtin options by schema name (`stride_h`, `padding`: `SAME`, `fused_activation_function`:
    `RELU6`), as far as the reader knows the operator. `custom_bytes` is the length of a custom operator's options,
    which is where a compiler keeps what it made of the operators that it mapped, `custom_offset` where they begin.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom_code: str = ""
    custom_bytes: int = 0
    custom_offset: int = field(default=0, compare=False)
    options: Mapping[str, OptionValue]

    @property
    def is_custom(self) -> bool:
        """True for anything that is not a builtin, TensorFlow's Flex operators included."""
        return self.name == "CUSTOM"

    @property
    def label(self) -> str:
        """The name a person knows it by."""
        return self.custom_code or self.name

    @property
    def activation(self) -> str:
        """What is fused behind it, such as `RELU6`; empty for nothing, and where it cannot have one."""
        found = self.options.get("fused_activation_function", "NONE")
        return "" if found == "NONE" else str(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgraph:
    """One graph: its tensors, operators, and the indices of the tensors it takes and gives."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature: the names under which the exporting framework knew inputs and outputs."""

    key: str
    subgraph: int
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TfliteModel:
    """A whole file; `data` are its bytes, for those who want the value of a constant."""

    size_bytes: int
    schema_version: int
    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    metadata: Mapping[str, bytes]
    data: bytes | memoryview = field(default=b"", repr=False, compare=False)
    _names: dict[int, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def main(self) -> Subgraph:
        """The subgraph an interpreter runs: the first."""
        return self.subgraphs[0]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Tensors the main subgraph takes, in order."""
        return tuple(self.main.tensors[i] for i in self.main.inputs)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Tensors the main subgraph gives, in order."""
        return tuple(self.main.tensors[i] for i in self.main.outputs)

    def public_name(self, tensor: Tensor) -> str:
        """Return the signature's name of an input or output; else the tensor's own, without `:0` and prefix."""
        # Looked up once for all: a hostile file may have a hundred thousand of each.
        if self.signatures and not self._names:
            named = ((*each.inputs, *each.outputs) for each in reversed(self.signatures) if each.subgraph == 0)
            self._names.update({index: name for entries in named for name, index in reversed(entries)})
        is_in_main = tensor.index < len(self.main.tensors) and self.main.tensors[tensor.index] is tensor
        if is_in_main and tensor.index in self._names:
            return self._names[tensor.index]
        return tensor.name.removeprefix("serving_default_").removesuffix(":0")
