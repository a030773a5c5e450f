"""Small quantized networks, layer by layer, for tests of lint rules.

In: layers in order, each a method that returns the index of its output. Out: a `ModelSpec`. Shapes are worked out as
TensorFlow Lite does; every activation is int8 with one scale unless a test asks for another.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, prod
from typing import TYPE_CHECKING

from tests.factories.tflite_factory import (
    ELEMENT_BYTES,
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    OptionsSpec,
    TensorSpec,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

Pair = tuple[int, int]
Shape = tuple[int, ...]

# Of the schema: Padding, ActivationFunctionType.
PADDINGS = {"SAME": 0, "VALID": 1}
ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3, "TANH": 4}
SCALE = 0.0625
WEIGHT_SCALE = 0.125


def _int32(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(4, "little", signed=True) for value in values)


class Network:
    """A graph that grows; the first tensor is its input."""

    def __init__(self, *shape: int, dtype: str = "int8") -> None:
        self._tensors: list[TensorSpec] = []
        self._operators: list[OperatorSpec] = []
        self.input = self.tensor(shape or (1, 32, 32, 3), dtype=dtype, name="image")
        self._inputs = [self.input]

    def shape(self, index: int) -> Shape:
        """Return the sizes of a tensor."""
        return self._tensors[index].shape

    def tensor(
        self, shape: Shape, *, dtype: str = "int8", scale: float = SCALE, zero_point: int = 0, name: str = ""
    ) -> int:
        """Add a tensor; integers of 8 bits have a scale, others have none."""
        is_quantized = dtype in ("int8", "uint8")
        return self._add(
            TensorSpec(
                name=name or f"tensor_{len(self._tensors)}",
                shape=shape,
                dtype=dtype,
                scales=(scale,) if is_quantized else (),
                zero_points=(zero_point,) if is_quantized else (),
            )
        )

    def further_input(self, *shape: int, dtype: str = "int8") -> int:
        """Add an input of the model."""
        self._inputs.append(self.tensor(shape, dtype=dtype))
        return self._inputs[-1]

    def constant(
        self, shape: Shape, *, scales: tuple[float, ...] = (WEIGHT_SCALE,), value: int = 0, zero_point: int = 0
    ) -> int:
        """Add a constant of int8, all of one stored value."""
        return self._add(
            TensorSpec(
                name=f"constant_{len(self._tensors)}",
                shape=shape,
                scales=scales,
                zero_points=(zero_point,) * len(scales),
                data=value.to_bytes(1, "little", signed=True) * prod(shape),
            )
        )

    def numbers(self, values: Sequence[int], shape: Shape | None = None) -> int:
        """Add a constant of int32: a shape, an axis, paddings."""
        return self._add(
            TensorSpec(
                name=f"numbers_{len(self._tensors)}",
                shape=(len(values),) if shape is None else shape,
                dtype="int32",
                data=_int32(values),
            )
        )

    def _bias(self, count: int, scales: tuple[float, ...]) -> int:
        return self._add(
            TensorSpec(
                name=f"bias_{len(self._tensors)}",
                shape=(count,),
                dtype="int32",
                scales=scales,
                zero_points=(0,) * len(scales),
                data=bytes(count * ELEMENT_BYTES["int32"]),
            )
        )

    def _add(self, tensor: TensorSpec) -> int:
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def layer(
        self,
        name: str,
        inputs: Sequence[int],
        shape: Shape,
        *,
        options: OptionsSpec | None = None,
        dtype: str = "int8",
        scale: float = SCALE,
        zero_point: int = 0,
        version: int = 1,
        custom_code: str = "",
    ) -> int:
        """Add an operator of one output."""
        output = self.tensor(shape, dtype=dtype, scale=scale, zero_point=zero_point)
        self._operators.append(
            OperatorSpec(
                name=name,
                inputs=tuple(inputs),
                outputs=(output,),
                options=options,
                version=version,
                custom_code=custom_code,
            )
        )
        return output

    def further_output(self, shape: Shape) -> int:
        """Give the last operator one more output."""
        output = self.tensor(shape)
        self._operators[-1] = replace(self._operators[-1], outputs=(*self._operators[-1].outputs, output))
        return output

    def conv(
        self,
        x: int,
        filters: int = 48,
        *,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        padding: str = "SAME",
        dilation: Pair = (1, 1),
        activation: str = "RELU6",
        weight_scales: tuple[float, ...] = (WEIGHT_SCALE,),
        bias_scales: tuple[float, ...] = (),
        scale: float = SCALE,
    ) -> int:
        """Add a convolution; 48 filters are a multiple of 6 and of 16."""
        n, h, w, c = self.shape(x)
        weights = self.constant((filters, *kernel, c), scales=weight_scales)
        bias = self._bias(filters, bias_scales or tuple(SCALE * each for each in weight_scales))
        shape = (n, *_window((h, w), kernel, stride, padding, dilation), filters)
        options = OptionsSpec(
            union_type=1,
            fields=(
                (0, "int8", PADDINGS[padding]),
                (1, "int32", stride[1]),
                (2, "int32", stride[0]),
                (3, "int8", ACTIVATIONS[activation]),
                (4, "int32", dilation[1]),
                (5, "int32", dilation[0]),
            ),
        )
        return self.layer("CONV_2D", (x, weights, bias), shape, options=options, scale=scale, version=3)

    def depthwise(
        self, x: int, *, kernel: Pair = (3, 3), stride: Pair = (1, 1), padding: str = "SAME", multiplier: int = 1
    ) -> int:
        """Add a depthwise convolution."""
        n, h, w, c = self.shape(x)
        weights = self.constant((1, *kernel, c * multiplier))
        bias = self._bias(c * multiplier, (SCALE * WEIGHT_SCALE,))
        shape = (n, *_window((h, w), kernel, stride, padding), c * multiplier)
        options = OptionsSpec(
            union_type=2,
            fields=(
                (0, "int8", PADDINGS[padding]),
                (1, "int32", stride[1]),
                (2, "int32", stride[0]),
                (3, "int32", multiplier),
                (4, "int8", ACTIVATIONS["RELU6"]),
            ),
        )
        return self.layer("DEPTHWISE_CONV_2D", (x, weights, bias), shape, options=options, version=3)

    def transpose_conv(
        self, x: int, filters: int = 48, *, kernel: Pair = (3, 3), stride: Pair = (2, 2), padding: str = "SAME"
    ) -> int:
        """Add a transposed convolution."""
        n, h, w, c = self.shape(x)
        extra = (0, 0) if padding == "SAME" else (kernel[0] - stride[0], kernel[1] - stride[1])
        shape = (n, h * stride[0] + max(extra[0], 0), w * stride[1] + max(extra[1], 0), filters)
        weights = self.constant((filters, *kernel, c))
        options = OptionsSpec(
            union_type=49,
            fields=((0, "int8", PADDINGS[padding]), (1, "int32", stride[1]), (2, "int32", stride[0])),
        )
        return self.layer("TRANSPOSE_CONV", (self.numbers(shape), weights, x), shape, options=options)

    def pool(self, name: str, x: int, size: Pair = (2, 2), *, stride: Pair = (2, 2), padding: str = "VALID") -> int:
        """Add MAX_POOL_2D or AVERAGE_POOL_2D."""
        n, h, w, c = self.shape(x)
        options = OptionsSpec(
            union_type=5,
            fields=(
                (0, "int8", PADDINGS[padding]),
                (1, "int32", stride[1]),
                (2, "int32", stride[0]),
                (3, "int32", size[1]),
                (4, "int32", size[0]),
            ),
        )
        return self.layer(name, (x,), (n, *_window((h, w), size, stride, padding), c), options=options, version=2)

    def dense(self, x: int, units: int = 10, *, weight_scales: tuple[float, ...] = (WEIGHT_SCALE,)) -> int:
        """Add a fully connected layer on all of `x`."""
        weights = self.constant((units, prod(self.shape(x))), scales=weight_scales)
        bias = self._bias(units, tuple(SCALE * each for each in weight_scales))
        return self.layer("FULLY_CONNECTED", (x, weights, bias), (1, units), version=4)

    def reshape(self, x: int, *shape: int) -> int:
        """Add a reshape."""
        return self.layer("RESHAPE", (x, self.numbers(shape)), shape)

    def mean(self, x: int, axes: tuple[int, ...] = (1, 2), *, keep: bool = True) -> int:
        """Add a mean along dimensions."""
        sizes = self.shape(x)
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(sizes) if keep or axis not in axes)
        options = OptionsSpec(union_type=27, fields=((0, "bool", keep),))
        return self.layer("MEAN", (x, self.numbers(axes)), shape, options=options)

    def pad(self, x: int, pads: Sequence[Pair], *, scale: float = SCALE, name: str = "PAD") -> int:
        """Add padding."""
        shape = tuple(size + sum(pad) for size, pad in zip(self.shape(x), pads, strict=True))
        flat = [each for pad in pads for each in pad]
        return self.layer(name, (x, self.numbers(flat, (len(pads), 2))), shape, scale=scale)

    def concat(self, inputs: Sequence[int], axis: int = 3, *, scale: float = SCALE) -> int:
        """Join tensors."""
        shapes = [self.shape(each) for each in inputs]
        rank = len(shapes[0])
        shape = tuple(
            sum(each[position] for each in shapes) if position == axis % rank else size
            for position, size in enumerate(shapes[0])
        )
        options = OptionsSpec(union_type=10, fields=((0, "int32", axis),))
        return self.layer("CONCATENATION", inputs, shape, options=options, scale=scale)

    def resize(self, x: int, h: int, w: int, *, name: str = "RESIZE_NEAREST_NEIGHBOR", centers: bool = False) -> int:
        """Change height and width."""
        n, _, _, c = self.shape(x)
        union, first = (15, 2) if name == "RESIZE_BILINEAR" else (74, 0)
        options = OptionsSpec(union_type=union, fields=((first, "bool", False), (first + 1, "bool", centers)))
        return self.layer(name, (x, self.numbers((h, w))), (n, h, w, c), options=options)

    def split(self, x: int, axis: int, sizes: Sequence[int], *, name: str = "SPLIT") -> list[int]:
        """Cut a tensor into parts."""
        along = self.numbers((axis,), ())
        inputs = (along, x) if name == "SPLIT" else (x, self.numbers(sizes), along)
        shapes = [
            tuple(size if position == axis else old for position, old in enumerate(self.shape(x))) for size in sizes
        ]
        options = OptionsSpec(union_type=35 if name == "SPLIT" else 79, fields=((0, "int32", len(sizes)),))
        first = self.layer(name, inputs, shapes[0], options=options)
        return [first, *(self.further_output(shape) for shape in shapes[1:])]

    def unary(self, name: str, x: int, *, scale: float = SCALE, zero_point: int = 0, dtype: str = "int8") -> int:
        """Add an operator that keeps the shape."""
        return self.layer(name, (x,), self.shape(x), scale=scale, zero_point=zero_point, dtype=dtype)

    def model(self, *outputs: int) -> ModelSpec:
        """Return the file; without `outputs`, what nothing takes are the outputs."""
        taken = {index for operator in self._operators for index in operator.inputs}
        made = [index for operator in self._operators for index in operator.outputs]
        graph = GraphSpec(
            tensors=tuple(self._tensors),
            operators=tuple(self._operators),
            inputs=tuple(self._inputs),
            outputs=outputs or tuple(index for index in made if index not in taken),
        )
        return ModelSpec(graphs=(graph,), metadata={"min_runtime_version": b"2.3.0".ljust(16, b"\0")})


def _window(size: Pair, kernel: Pair, stride: Pair, padding: str, dilation: Pair = (1, 1)) -> Pair:
    """Return height and width behind a convolution or a pool."""
    if padding == "SAME":
        return ceil(size[0] / stride[0]), ceil(size[1] / stride[1])
    reach = [(each - 1) * step + 1 for each, step in zip(kernel, dilation, strict=True)]
    return (size[0] - reach[0]) // stride[0] + 1, (size[1] - reach[1]) // stride[1] + 1
