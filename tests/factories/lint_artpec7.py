"""For each rule of ARTPEC-7's table a model that breaks it, and nothing else.

In: nothing. Out: `BREAKING`, models by the id of the rule that they break, most of them one int8 operator between the
inputs and outputs of the graph. A rule that stands at several operators has a model for each.
"""

from __future__ import annotations

from math import prod
from struct import pack
from typing import TYPE_CHECKING, Final

from tests.factories.tflite_factory import (
    ELEMENT_BYTES,
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    OptionsSpec,
    TensorSpec,
    integer_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Shape = tuple[int, ...]


def act(shape: Shape, dtype: str = "int8", name: str = "") -> TensorSpec:
    """Return an activation: what the graph or an operator gives."""
    scales = () if dtype in ("float32", "int32") else (0.5,)
    return TensorSpec(name=name, shape=shape, dtype=dtype, scales=scales)


def const(shape: Shape, dtype: str = "int8", fill: int = 1, channels: int = 1) -> TensorSpec:
    """Return a constant of equal bytes; `channels` of more than 1 gives each its scale."""
    scales = () if dtype == "int32" and channels == 0 else (0.25,) * max(channels, 1)
    return TensorSpec(
        name="constant",
        shape=shape,
        dtype=dtype,
        scales=scales,
        data=bytes([fill]) * prod(shape) * ELEMENT_BYTES[dtype],
    )


def numbers(*values: int, shape: Shape | None = None) -> TensorSpec:
    """Return a constant of int32: axes, sizes, paddings."""
    return TensorSpec(
        name="numbers",
        shape=(len(values),) if shape is None else shape,
        dtype="int32",
        data=pack(f"<{len(values)}i", *values),
    )


def single(
    operator: str,
    inputs: Sequence[TensorSpec],
    output: TensorSpec,
    options: OptionsSpec | None = None,
    *,
    version: int = 1,
) -> ModelSpec:
    """Return a model of one operator, whose inputs without values are those of the graph."""
    named = [_named(tensor, f"tensor_{i}") for i, tensor in enumerate((*inputs, output))]
    last = len(named) - 1
    graph = GraphSpec(
        tensors=tuple(named),
        operators=(
            OperatorSpec(name=operator, inputs=tuple(range(last)), outputs=(last,), options=options, version=version),
        ),
        inputs=tuple(i for i, tensor in enumerate(inputs) if not tensor.data),
        outputs=(last,),
    )
    return ModelSpec(graphs=(graph,))


def _named(tensor: TensorSpec, name: str) -> TensorSpec:
    return TensorSpec(
        name=name, shape=tensor.shape, dtype=tensor.dtype, scales=tensor.scales, axis=tensor.axis, data=tensor.data
    )


def conv_options(*, dilation_h: int = 1, dilation_w: int = 1) -> OptionsSpec:
    """Return options of CONV_2D: VALID, strides 1, no activation."""
    fields = ((0, "int8", 1), (1, "int32", 1), (2, "int32", 1), (4, "int32", dilation_w), (5, "int32", dilation_h))
    return OptionsSpec(union_type=1, fields=fields)  # type: ignore[arg-type] # kinds are literals


def convolution(
    weights: TensorSpec | None = None, options: OptionsSpec | None = None, image: Shape = (1, 8, 8, 4)
) -> ModelSpec:
    """Return a convolution of 3x3 with 8 filters, each with its scale."""
    weights = weights or const((8, 3, 3, 4), channels=8)
    filters = weights.shape[0]
    return single(
        "CONV_2D",
        (act(image), weights, const((filters,), "int32", channels=filters)),
        act((1, image[1] - 2, image[2] - 2, filters)),
        options or conv_options(),
        version=3,
    )


def pool(name: str) -> ModelSpec:
    """Return a pool of 2x2 with RELU fused into it."""
    fields = ((1, "int32", 2), (2, "int32", 2), (3, "int32", 2), (4, "int32", 2), (5, "int8", 1))
    options = OptionsSpec(union_type=5, fields=fields)  # type: ignore[arg-type] # as above
    return single(name, (act((1, 8, 8, 4)),), act((1, 4, 4, 4)), options)


def concatenation(*inputs: TensorSpec, activation: int = 0) -> ModelSpec:
    """Return a concatenation along the channels."""
    options = OptionsSpec(union_type=10, fields=((0, "int32", 3), (1, "int8", activation)))
    return single("CONCATENATION", inputs, act((1, 4, 4, 4 * len(inputs))), options)


def dense(image: Shape, units: int, *, options: OptionsSpec | None = None) -> ModelSpec:
    """Return a fully connected layer."""
    width = image[-1]
    rows = prod(image) // width
    return single("FULLY_CONNECTED", (act(image), const((units, width))), act((rows, units)), options)


def reduction(name: str, image: Shape, *axes: int, output: Shape) -> ModelSpec:
    """Return a reduction over `axes` that keeps the rank."""
    return single(
        name, (act(image), numbers(*axes)), act(output), OptionsSpec(union_type=27, fields=((0, "bool", True),))
    )


def resize(name: str, image: Shape, output: Shape) -> ModelSpec:
    """Return a resize to the height and width of `output`."""
    return single(name, (act(image), numbers(*output[1:3])), act(output))


def strided_slice(strides: Shape, *, ellipsis_mask: int = 0, new_axis_mask: int = 0) -> ModelSpec:
    """Return a slice of a whole image."""
    image = (1, 8, 8, 4)
    output = tuple(-(-size // stride) for size, stride in zip(image, strides, strict=True))
    options = OptionsSpec(union_type=32, fields=((2, "int32", ellipsis_mask), (3, "int32", new_axis_mask)))
    return single(
        "STRIDED_SLICE", (act(image), numbers(0, 0, 0, 0), numbers(*image), numbers(*strides)), act(output), options
    )


def product_of_indices() -> ModelSpec:
    """Return a model that quantizes an image anew and, beside it, multiplies indices."""
    tensors = (*(act((1, 8), "uint8"), act((1, 8))), *(act((1, 4), "int32"), act((1, 4), "int32")))
    graph = GraphSpec(
        tensors=tuple(_named(tensor, f"tensor_{i}") for i, tensor in enumerate(tensors)),
        operators=(
            OperatorSpec(name="QUANTIZE", inputs=(0,), outputs=(1,)),
            OperatorSpec(name="MUL", inputs=(2, 2), outputs=(3,)),
        ),
        inputs=(0, 2),
        outputs=(1, 3),
    )
    return ModelSpec(graphs=(graph,))


BATCH_SHAPE: Final = (1, 4, 4, 8)

# By rule id as it stands in the table; the first part of a key is the id, what follows tells models of one rule apart.
BREAKING: Final[Mapping[str, Callable[[], ModelSpec]]] = {
    "eight-bit": product_of_indices,
    "three-inner-dimensions": lambda: single(
        "RESHAPE", (act((1, 4, 4, 8)), numbers(1, 2, 2, 4, 8)), act((1, 2, 2, 4, 8))
    ),
    "constant-parameters": lambda: single(
        "CONV_2D",
        (act((1, 8, 8, 4)), act((1, 3, 3, 4)), const((1,), "int32")),
        act((1, 6, 6, 1)),
        conv_options(),
    ),
    "no-fused-activation MAX_POOL_2D": lambda: pool("MAX_POOL_2D"),
    "no-fused-activation AVERAGE_POOL_2D": lambda: pool("AVERAGE_POOL_2D"),
    "no-fused-activation CONCATENATION": lambda: concatenation(act((1, 4, 4, 4)), act((1, 4, 4, 4)), activation=1),
    "constant-only-as-zero-padding": lambda: concatenation(act((1, 4, 4, 4)), const((1, 4, 4, 4))),
    "constant-only-as-zero-padding of three": lambda: concatenation(
        act((1, 4, 4, 4)), act((1, 4, 4, 4)), const((1, 4, 4, 4), fill=0)
    ),
    "same-dilation": lambda: convolution(options=conv_options(dilation_h=2)),
    "default-weights-format": lambda: dense((1, 8), 4, options=OptionsSpec(union_type=8, fields=((1, "int8", 1),))),
    "one-dimensional-output": lambda: dense((1, 4, 8), 4),
    "at-most-65535-outputs": lambda: dense((1, 1), 65536),
    "not-along-batch MEAN": lambda: reduction("MEAN", BATCH_SHAPE, 0, output=BATCH_SHAPE),
    "not-along-batch SUM": lambda: reduction("SUM", BATCH_SHAPE, -4, output=BATCH_SHAPE),
    "not-along-batch REDUCE_MAX": lambda: reduction("REDUCE_MAX", BATCH_SHAPE, 0, output=BATCH_SHAPE),
    "not-along-batch REDUCE_MIN": lambda: reduction("REDUCE_MIN", BATCH_SHAPE, 0, output=BATCH_SHAPE),
    "not-along-batch PACK": lambda: single(
        "PACK", (act((1, 4, 8)),), act((1, 1, 4, 8)), OptionsSpec(union_type=59, fields=((0, "int32", 1),))
    ),
    "not-along-batch PAD": lambda: single(
        "PAD", (act(BATCH_SHAPE), numbers(0, 1, 0, 0, 0, 0, 0, 0, shape=(4, 2))), act((2, 4, 4, 8))
    ),
    "depth-multiple-of-4": lambda: reduction("MEAN", (1, 4, 4, 6), 3, output=(1, 4, 4, 1)),
    "mean-area": lambda: reduction("MEAN", (1, 256, 128, 3), 1, 2, output=(1, 1, 1, 3)),
    "alpha-one-dimensional": lambda: single("PRELU", (act((1, 4, 4, 8)), const((4, 4, 8))), act((1, 4, 4, 8))),
    "resize-factor": lambda: resize("RESIZE_BILINEAR", (1, 1, 1, 8), (1, 33, 33, 8)),
    "resize-output RESIZE_BILINEAR": lambda: resize("RESIZE_BILINEAR", (1, 256, 256, 32), (1, 512, 512, 32)),
    "resize-output RESIZE_NEAREST_NEIGHBOR": lambda: resize(
        "RESIZE_NEAREST_NEIGHBOR", (1, 256, 256, 32), (1, 512, 512, 32)
    ),
    "softmax-one-dimensional": lambda: single("SOFTMAX", (act((1, 4, 8)),), act((1, 4, 8))),
    "softmax-at-most-16000": lambda: single("SOFTMAX", (act((1, 16001)),), act((1, 16001))),
    "squeeze-leading-only": lambda: single("SQUEEZE", (act((1, 5, 1, 10)),), act((1, 5, 10))),
    "strides-of-1": lambda: strided_slice((1, 2, 2, 1)),
    "no-ellipsis-nor-new-axis ellipsis": lambda: strided_slice((1, 1, 1, 1), ellipsis_mask=1),
    "no-ellipsis-nor-new-axis new axis": lambda: strided_slice((1, 1, 1, 1), new_axis_mask=1),
    "operator-version": lambda: single("QUANTIZE", (act((1, 8), "uint8"),), act((1, 8)), version=3),
    "no-grouped-convolution": lambda: convolution(image=(1, 8, 8, 8)),
    "parameters-fit-on-chip": lambda: convolution(const((1024, 3, 3, 1024), channels=1024), image=(1, 8, 8, 1024)),
    "per-channel-advised": integer_model,
    "operator-not-listed": lambda: single("LEAKY_RELU", (act((1, 8)),), act((1, 8))),
}
