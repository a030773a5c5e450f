"""Models for tests of lint rules: one that breaks none, and the same with one thing in it that may break one.

In: what is special. Out: a `ModelSpec`. Each stands for something that a developer does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.factories.lint_network import SCALE, Network
from tests.factories.tflite_factory import OptionsSpec, with_graph, with_tensor

if TYPE_CHECKING:
    from tests.factories.tflite_factory import ModelSpec


def start(*shape: int) -> tuple[Network, int]:
    """Return a network and its first feature map: 48 channels, half the size of the image, which has 32x32."""
    net = Network(*shape)
    return net, net.conv(net.input, stride=(2, 2))


def clean() -> ModelSpec:
    """Return a model that no DLPU has anything against: regular convolutions of 48 filters, and a dense layer."""
    net, x = start()
    x = net.conv(x, kernel=(1, 1))
    x = net.conv(net.pool("MAX_POOL_2D", x))
    net.dense(net.reshape(x, 1, 8 * 8 * 48))
    return net.model()


def with_convolution(**options: object) -> ModelSpec:
    """Return a model whose second convolution is special."""
    net, x = start()
    net.conv(x, **options)  # type: ignore[arg-type] # each caller gives what `conv` takes
    return net.model()


def with_depthwise(**options: object) -> ModelSpec:
    """Return a model with one depthwise convolution."""
    net, x = start()
    net.depthwise(x, **options)  # type: ignore[arg-type] # as above
    return net.model()


def with_transpose_conv(**options: object) -> ModelSpec:
    """Return a model with one transposed convolution."""
    net, x = start()
    net.transpose_conv(x, **options)  # type: ignore[arg-type] # as above
    return net.model()


def with_pool(name: str, size: tuple[int, int], image: tuple[int, int] = (32, 32), **options: object) -> ModelSpec:
    """Return a model with one pool, on half the size of the image."""
    net, x = start(1, *image, 3)
    net.pool(name, x, size, **options)  # type: ignore[arg-type] # as above
    return net.model()


def with_unary(name: str, *, scale: float = SCALE, zero_point: int = 0) -> ModelSpec:
    """Return a model that ends with an operator of one input."""
    net, x = start()
    net.unary(name, x, scale=scale, zero_point=zero_point)
    return net.model()


def with_image(h: int, w: int, c: int = 3) -> ModelSpec:
    """Return a model for images of this size."""
    net, _ = start(1, h, w, c)
    return net.model()


def with_mean(image: int = 14, axes: tuple[int, ...] = (1, 2), *, keep: bool = True) -> ModelSpec:
    """Return a model that averages over half the size of the image."""
    net, x = start(1, image, image, 3)
    net.mean(x, axes, keep=keep)
    return net.model()


def with_padding(*pads: tuple[int, int], scale: float = SCALE, name: str = "PAD") -> ModelSpec:
    """Return a model with explicit padding."""
    net, x = start()
    net.pad(x, pads, scale=scale, name=name)
    return net.model()


def with_concat(*filters: int, axis: int = 3, scale: float = SCALE) -> ModelSpec:
    """Return a model that joins the outputs of convolutions."""
    net, x = start()
    net.concat([net.conv(x, each) for each in filters], axis, scale=scale)
    return net.model()


def with_split(*sizes: int, axis: int = 3, name: str = "SPLIT") -> ModelSpec:
    """Return a model that is cut along a dimension at its end."""
    net, x = start()
    net.split(x, axis, sizes, name=name)
    return net.model()


def with_resize(h: int, w: int, *, name: str = "RESIZE_NEAREST_NEIGHBOR", centers: bool = False) -> ModelSpec:
    """Return a model that resizes 16x16."""
    net, x = start()
    net.resize(x, h, w, name=name, centers=centers)
    return net.model()


def with_leaky_relu(slope: float) -> ModelSpec:
    """Return a model with LeakyReLU."""
    net, x = start()
    net.layer("LEAKY_RELU", (x,), net.shape(x), options=OptionsSpec(union_type=75, fields=((0, "float32", slope),)))
    return net.model()


def with_depth_to_space(block: int) -> ModelSpec:
    """Return a model with depth_to_space."""
    net, x = start()
    n, h, w, c = net.shape(x)
    net.layer(
        "DEPTH_TO_SPACE",
        (x,),
        (n, h * block, w * block, c // block**2),
        options=OptionsSpec(union_type=94, fields=((0, "int32", block),)),
    )
    return net.model()


def with_multiplication(shape: tuple[int, ...] | None, *, stored: int = 2, scale: float = SCALE) -> ModelSpec:
    """Return a model that multiplies by a constant of this shape, or by another tensor where there is none."""
    net, x = start()
    other = net.conv(net.input, stride=(2, 2)) if shape is None else net.constant(shape, value=stored)
    net.layer("MUL", (x, other), net.shape(x), scale=scale)
    return net.model()


def with_addition(shape: tuple[int, ...]) -> ModelSpec:
    """Return a model that adds a constant of this shape."""
    net, x = start()
    net.layer("ADD", (x, net.constant(shape)), net.shape(x))
    return net.model()


def with_dense(**options: object) -> ModelSpec:
    """Return a model that ends with a dense layer."""
    net, x = start()
    net.dense(net.reshape(x, 1, 16 * 16 * 48), **options)  # type: ignore[arg-type] # as above
    return net.model()


def with_computed_weights() -> ModelSpec:
    """Return a model that multiplies two of its own tensors."""
    net, x = start()
    features = net.dense(net.reshape(x, 1, 16 * 16 * 48), 48)
    net.layer("FULLY_CONNECTED", (features, net.reshape(x, 256, 48)), (1, 256), version=4)
    return net.model()


def with_indices() -> ModelSpec:
    """Return a model with a further input of int32, which it computes with."""
    net, _ = start()
    positions = net.further_input(1, 4, dtype="int32")
    net.layer("RESHAPE", (positions, net.numbers((2, 2))), (2, 2), dtype="int32")
    return net.model()


def with_reshape(*shape: int, image: int = 32) -> ModelSpec:
    """Return a model that ends with another shape of the same numbers: half the size of the image, 48 channels."""
    net, x = start(1, image, image, 3)
    net.reshape(x, *shape)
    return net.model()


def with_slice() -> ModelSpec:
    """Return a model that ends with x[:, :8]."""
    net, x = start()
    net.layer(
        "STRIDED_SLICE",
        (x, net.numbers((0, 0, 0, 0)), net.numbers((1, 8, 16, 48)), net.numbers((1, 1, 1, 1))),
        (1, 8, 16, 48),
    )
    return net.model()


def with_tile() -> ModelSpec:
    """Return a model that ends with its last feature map repeated."""
    net, x = start()
    net.layer("TILE", (x, net.numbers((1, 1, 2, 1))), (1, 16, 32, 48))
    return net.model()


def in_parts(count: int) -> ModelSpec:
    """Return a model that goes from the DLPU to the CPU and back, so that it falls into `count` parts."""
    net, x = start()
    for number in range(1, count):
        x = net.unary("EXP" if number % 2 else "RELU6", x)
    return net.model()


def with_custom(code: str) -> ModelSpec:
    """Return a model that ends with a custom operator."""
    net, x = start()
    net.layer("CUSTOM", (x,), (1, 10, 4), custom_code=code)
    return net.model()


def with_version(name: str, version: int) -> ModelSpec:
    """Return a model whose last operator has this version."""
    spec = with_unary(name)
    operators = spec.graphs[0].operators
    return with_graph(spec, operators=(*operators[:-1], replace(operators[-1], version=version)))


def with_scales_in_activation() -> ModelSpec:
    """Return a model whose output has a scale for each channel."""
    spec = with_unary("RELU6")
    last = spec.graphs[0].outputs[0]
    tensor = replace(spec.graphs[0].tensors[last], scales=(SCALE,) * 48, zero_points=(0,) * 48, axis=3)
    return with_tensor(spec, last, tensor)


def in_float(spec: ModelSpec) -> ModelSpec:
    """Return the model with float activations and weights, as the toolchains of CV25 and CV75 take it."""
    sizes = {"int8": 4, "int32": 1}
    tensors = tuple(
        replace(
            tensor,
            dtype="float32" if tensor.scales else tensor.dtype,
            scales=(),
            zero_points=(),
            data=bytes(len(tensor.data) * sizes[tensor.dtype]) if tensor.scales else tensor.data,
        )
        for tensor in spec.graphs[0].tensors
    )
    return with_graph(spec, tensors=tensors)


def with_subtraction() -> ModelSpec:
    """Return a model that ends with the subtraction of a constant."""
    net, x = start()
    net.layer("SUB", (x, net.constant((1, 1, 1, 48))), net.shape(x))
    return net.model()
