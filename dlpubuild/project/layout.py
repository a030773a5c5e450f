"""Where the channels of an image input are, and what becomes of that on the way to TensorFlow.

In: the inputs as an ONNX model has them. Out: the same as the built `.tflite` has them, NHWC, and what an SoC that
starts from ONNX needs to know of the file's own. Shapes of other ranks stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dlpubuild.project.model import IMAGE_RANK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlpubuild.manifest.model import ModelInput

# `keep`: not an image.
Layout = Literal["nchw", "nhwc", "keep"]
_COLORS = (1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxInput:
    """An input as the ONNX model has it."""

    name: str
    shape: tuple[int, ...] | None
    layout: Layout


def layout_of(shape: Sequence[int] | None, declared: Layout | None, *, is_onnx: bool) -> Layout:
    """Return the layout of an input of this shape.

    An ONNX model has its channels first but where they can only be last, as in one that was made from TensorFlow: then
    the last size is 1 or 3, and the second is neither.
    """
    if shape is None or len(shape) != IMAGE_RANK:
        return "keep"
    if declared is not None:
        return declared
    return "nhwc" if not is_onnx or (shape[3] in _COLORS and shape[1] not in _COLORS) else "nchw"


def channels_of(shape: Sequence[int] | None, layout: Layout) -> int | None:
    """Return how many channels an image input has; None of what is no image."""
    if shape is None or len(shape) != IMAGE_RANK:
        return None
    return shape[1] if layout == "nchw" else shape[3]


def onnx_inputs(inputs: Iterable[ModelInput]) -> tuple[OnnxInput, ...]:
    """Return what the steps that read the ONNX model itself need to know of its inputs."""
    return tuple(
        OnnxInput(name=each.name, shape=each.shape, layout=layout_of(each.shape, each.layout, is_onnx=True))
        for each in inputs
    )


def as_built(inputs: Iterable[ModelInput]) -> tuple[ModelInput, ...]:
    """Return the inputs of an ONNX model as the `.tflite` made of it has them."""
    built = []
    for each in inputs:
        shape = each.shape
        if shape is not None and layout_of(shape, each.layout, is_onnx=True) == "nchw":
            shape = (shape[0], shape[2], shape[3], shape[1])
        built.append(replace(each, shape=shape))
    return tuple(built)
