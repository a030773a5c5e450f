"""What a lint rule may ask of an operator.

In: a `TfliteModel` and an operator of one of its graphs. Out: an object with one attribute for each fact, worked out
when it is asked for. What a file leaves out has the schema's default; what the model computes, or the operator does not
have, is None. Whatever stands in the file, no fact raises: shapes and axes that contradict one another give None.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from dlpubuild.targets.lint.tensor_facts import MAX_NAME, TensorFacts
from dlpubuild.tflite.option_defaults import complete_options
from dlpubuild.tflite.runtime import first_runtime, version_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.tflite.model import Operator, OptionValue, Subgraph, TfliteModel

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
