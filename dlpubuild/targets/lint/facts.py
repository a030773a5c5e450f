"""What a lint rule may ask of a model: facts of its operators, its tensors and of all of it.

In: a `TfliteModel`. Out: objects with one attribute for each fact, each worked out when it is asked for. What a file
leaves out has the schema's default; what it computes at run time, or does not have, is None. Whatever stands in the
file, no fact raises: shapes and axes that contradict one another give None.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Final, Literal

from dlpubuild.tflite.constants import values as constant_values
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.option_defaults import complete_options, option_names
from dlpubuild.tflite.runtime import first_runtime, min_runtime, version_key
from dlpubuild.tflite.weights import EIGHT_BIT_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dlpubuild.targets.lint.model import Placement
    from dlpubuild.tflite.model import Operator, OptionValue, Subgraph, Tensor, TfliteModel

FactKind = Literal["operator", "tensor", "model"]
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
# Positions of weights and biases among the inputs (tensorflow/lite/kernels).
_WEIGHTS: Final[Mapping[str, int]] = dict.fromkeys(
    ("CONV_2D", "CONV_3D", "CONV_3D_TRANSPOSE", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SVDF", "TRANSPOSE_CONV"), 1
)
_BIASES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), 2),
    **dict.fromkeys(("CONV_3D_TRANSPOSE", "TRANSPOSE_CONV"), 3),
}
_WITH_KERNEL: Final = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})
# Where an operator has its axes: the position of a constant input, or the name of an option.
_AXES_INPUT: Final[Mapping[str, int]] = {
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"), 1),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "CUMSUM", "EXPAND_DIMS", "REVERSE_V2"), 1),
    "SPLIT": 0,
    "SPLIT_V": 2,
}
_AXIS_OPTION: Final = frozenset({"CONCATENATION", "GATHER", "ONE_HOT", "PACK", "UNPACK"})
_LAST_AXIS: Final = frozenset({"SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"})
# These count their axes in the output, which has one dimension more.
_AXES_OF_OUTPUT: Final = frozenset({"EXPAND_DIMS", "ONE_HOT", "PACK"})
_IMAGE_RANK: Final = 4


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


class OperatorFacts:
    """Facts of one operator of one subgraph."""

    def __init__(self, model: TfliteModel, graph: Subgraph, operator: Operator) -> None:
        self._model = model
        self._graph = graph
        self._operator = operator

    @property
    def name(self) -> str:
        """`CONV_2D`, `CUSTOM`..."""
        return self._operator.name

    @property
    def version(self) -> int:
        """Its version."""
        return self._operator.version

    @property
    def runtime(self) -> tuple[int, ...] | None:
        """The first TensorFlow Lite that has it in this version, as numbers: (2, 7, 0)."""
        found = first_runtime(self._operator.name, self._operator.version)
        return None if found is None else version_key(found)

    @property
    def custom_code(self) -> str:
        """Which custom operator it is; empty for a builtin."""
        return self._operator.custom_code[:MAX_NAME]

    @cached_property
    def op(self) -> Mapping[str, OptionValue]:
        """Its builtin options by schema name."""
        return complete_options(self._operator)

    def _tensor(self, index: int) -> TensorFacts | None:
        return TensorFacts(self._model, self._graph.tensors[index]) if index >= 0 else None

    def _input(self, position: int) -> TensorFacts | None:
        inputs = self._operator.inputs
        return self._tensor(inputs[position]) if 0 <= position < len(inputs) else None

    @cached_property
    def inputs(self) -> list[TensorFacts]:
        """Its inputs, absent optional ones left out."""
        return [each for index in self._operator.inputs if (each := self._tensor(index)) is not None]

    @cached_property
    def outputs(self) -> list[TensorFacts]:
        """Its outputs."""
        return [each for index in self._operator.outputs if (each := self._tensor(index)) is not None]

    @property
    def constants(self) -> list[TensorFacts]:
        """Its constant inputs."""
        return [each for each in self.inputs if each.is_constant]

    @cached_property
    def x(self) -> TensorFacts | None:
        """Its first input that is not constant, else its first."""
        return next((each for each in self.inputs if not each.is_constant), self.inputs[0] if self.inputs else None)

    @property
    def y(self) -> TensorFacts | None:
        """Its first output."""
        return self.outputs[0] if self.outputs else None

    @property
    def w(self) -> TensorFacts | None:
        """The weights of a convolution or a fully connected layer."""
        return self._input(_WEIGHTS.get(self._operator.name, -1))

    @property
    def bias(self) -> TensorFacts | None:
        """The bias of a convolution or a fully connected layer."""
        return self._input(_BIASES.get(self._operator.name, -1))

    def _kernel(self, position: int, option: str) -> int | None:
        if self._operator.name in _WITH_KERNEL:
            weights = self.w
            return weights.shape[position] if weights is not None and weights.rank == _IMAGE_RANK else None
        size = self.op.get(option)
        return size if isinstance(size, int) else None

    @property
    def kernel_h(self) -> int | None:
        """Height of the window of a convolution or a pool."""
        return self._kernel(1, "filter_height")

    @property
    def kernel_w(self) -> int | None:
        """Width of the window of a convolution or a pool."""
        return self._kernel(2, "filter_width")

    @property
    def groups(self) -> int | None:
        """Into how many groups a convolution divides its input channels: all of them for a depthwise one."""
        weights, taken = self.w, self.x
        if weights is None or taken is None:
            return None
        if self._operator.name == "DEPTHWISE_CONV_2D":
            return taken.c
        return taken.c // weights.c if self._operator.name == "CONV_2D" and weights.c > 0 else None

    def _constant(self, position: int) -> tuple[int, ...] | None:
        tensor = self._input(position)
        found = tensor.values if tensor is not None else None
        return None if found is None else tuple(int(each) for each in found if isinstance(each, int))

    @cached_property
    def axes(self) -> tuple[int, ...] | None:
        """Along which dimensions it works, counted from 0."""
        name = self._operator.name
        base = self.y if name in _AXES_OF_OUTPUT else self.x
        if base is None:
            return None
        found: tuple[int, ...] | None = None
        if name in _AXES_INPUT:
            found = self._constant(_AXES_INPUT[name])
        elif name in _AXIS_OPTION:
            axis = self.op.get("axis")
            found = (axis,) if isinstance(axis, int) else None
        elif name in _LAST_AXIS:
            found = (-1,)
        elif name == "SQUEEZE":
            dims = self.op.get("squeeze_dims")
            found = dims if isinstance(dims, tuple) and dims else tuple(i for i, s in enumerate(base.shape) if s == 1)
        if found is None:
            return None
        counted = tuple(axis + base.rank if axis < 0 else axis for axis in found)
        return counted if all(0 <= axis < base.rank for axis in counted) else None

    @property
    def pads(self) -> tuple[tuple[int, int], ...] | None:
        """How much is put before and after, for each dimension."""
        found = self._constant(1) if self._operator.name in ("PAD", "PADV2", "MIRROR_PAD") else None
        return None if found is None or len(found) % 2 else tuple(zip(found[::2], found[1::2], strict=True))

    @property
    def begin(self) -> tuple[int, ...] | None:
        """Where a slice begins."""
        return self._constant(1) if self._operator.name in ("SLICE", "STRIDED_SLICE") else None

    @property
    def end(self) -> tuple[int, ...] | None:
        """Where a strided slice ends."""
        return self._constant(2) if self._operator.name == "STRIDED_SLICE" else None

    @property
    def size(self) -> tuple[int, ...] | None:
        """How much a slice takes; height and width that an image is resized to."""
        if self._operator.name == "SLICE":
            return self._constant(2)
        return self._constant(1) if self._operator.name.startswith("RESIZE_") else None

    @property
    def strides(self) -> tuple[int, ...] | None:
        """The steps of a strided slice."""
        return self._constant(3) if self._operator.name == "STRIDED_SLICE" else None

    @property
    def new_shape(self) -> tuple[int, ...] | None:
        """What a reshape was asked for; -1 stands for what is left."""
        if self._operator.name != "RESHAPE":
            return None
        found = self._constant(1)
        option = self.op.get("new_shape")
        return found or (option if isinstance(option, tuple) and option else None)


class SingleTensorFacts:
    """What a rule about inputs, outputs or tensors sees: the tensor as `t`."""

    __slots__ = ("t",)

    def __init__(self, model: TfliteModel, tensor: Tensor) -> None:
        self.t = TensorFacts(model, tensor)


class WholeModelFacts:
    """What a rule about all of a model sees: itself, as `model`."""

    def __init__(self, model: TfliteModel, placement: Placement | None) -> None:
        self._model = model
        self._placement = placement
        self._facts = summarise(model)

    @property
    def model(self) -> WholeModelFacts:
        """The facts below."""
        return self

    @property
    def granularity(self) -> str:
        """`per-tensor`, `per-channel` or `none`."""
        return self._facts.granularity

    @property
    def quantization(self) -> str:
        """`per-tensor`, `per-channel`, `dynamic`, `float16` or `none`."""
        return self._facts.quantization

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all constants."""
        return self._facts.parameter_bytes

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return self._facts.macs

    @property
    def operators(self) -> Mapping[str, int]:
        """How many operators there are, by name."""
        return self._facts.operators

    @property
    def parts(self) -> int | None:
        """Into how many parts the graph falls, None where that cannot be said."""
        return self._placement.parts if self._placement else None

    @property
    def switches(self) -> int | None:
        """How often work goes from one processor to the other."""
        return self._placement.switches if self._placement else None

    @property
    def dlpu_operators(self) -> int | None:
        """How many operators run on the DLPU."""
        return len(self._placement.on_dlpu) if self._placement else None

    @property
    def cpu_operators(self) -> int | None:
        """How many operators run on the CPU."""
        return len(self._placement.on_cpu) if self._placement else None

    @property
    def inputs(self) -> list[TensorFacts]:
        """What the model takes."""
        return [TensorFacts(self._model, tensor) for tensor in self._model.inputs]

    @property
    def outputs(self) -> list[TensorFacts]:
        """What the model gives."""
        return [TensorFacts(self._model, tensor) for tensor in self._model.outputs]

    @cached_property
    def min_runtime(self) -> str | None:
        """The oldest TensorFlow Lite that has all operators, by their versions."""
        return min_runtime(self._model).version


def _public(owner: type) -> tuple[str, ...]:
    return tuple(sorted(name for name in vars(owner) if not name.startswith("_")))


# What an expression may name, by what it is about, and what the parts of that have.
FACTS: Final[Mapping[FactKind, tuple[str, ...]]] = {
    "operator": _public(OperatorFacts),
    "tensor": ("t",),
    "model": ("model",),
}
_TENSOR_FACTS: Final = frozenset(_public(TensorFacts))
_MODEL_FACTS: Final = frozenset(_public(WholeModelFacts)) - {"model"}
PART_FACTS: Final[Mapping[str, Callable[[], frozenset[str]]]] = {
    **dict.fromkeys(("x", "w", "bias", "y", "t"), lambda: _TENSOR_FACTS),
    "op": option_names,
    "model": lambda: _MODEL_FACTS,
}
