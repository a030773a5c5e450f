"""What a package says of a model that only the SoC's own runtime can read: a `.bin` for CV25.

In: the inputs and outputs of the model that it was compiled from, and how the accelerator lays rows out in memory. Out:
a `ModelDescription`, as `describe_tflite` makes one of a `.tflite`. The file itself is not looked at: its format is not
public, so operators and sizes of parameters stay unknown.

What is documented: the input is uint8, planar (NCHW), and every row of it begins at a multiple of 32 bytes (README and
`app/argparse.c` of object-detection-cv25 in AxisCommunications/acap-native-sdk-examples). What is concluded: outputs
are float32 with rows laid out likewise, because the output of 1001 classes takes 32032 bytes there (the accuracy test
of AxisCommunications/axis-model-zoo); such memory is marked as inferred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlpubuild.errors import ErrorCode, GateError
from dlpubuild.package.description import IoTensor, ModelDescription, TensorMemory

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW_ALIGNMENT_BYTES = 32
_FLOAT32_BYTES = 4
_IMAGE_RANK = 4
_VECTOR_RANK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryTensor:
    """An input or output of the model that a `.bin` was compiled from.

    `shape` is as that model has it, the batch first; `layout` the order of its four dimensions. An input stores bytes:
    `scale` times a byte is the value that the model was trained on.
    """

    name: str
    shape: tuple[int, ...]
    layout: Literal["NHWC", "NCHW"] = "NCHW"
    scale: float | None = None


def describe_binary(
    inputs: Sequence[BinaryTensor], outputs: Sequence[BinaryTensor], *, input_is_inferred: bool = False
) -> ModelDescription:
    """Return what a package says of a `.bin`.

    Args:
        inputs: in the model's order.
        outputs: in the model's order; those of unknown shape are left out.
        input_is_inferred: no document says how this SoC lays its input out.

    Raises:
        GateError: a tensor without a shape, or with a size that is not fixed.
    """
    return ModelDescription(
        inputs=tuple(_input(each, is_inferred=input_is_inferred) for each in inputs),
        outputs=tuple(_output(each) for each in outputs),
        operators=(),
        macs=None,
        parameter_bytes=None,
        quantization="compiled",
        granularity="unknown",
        min_runtime=None,
    )


def _input(tensor: BinaryTensor, *, is_inferred: bool) -> IoTensor:
    shape = _planar(tensor)
    return IoTensor(
        name=tensor.name,
        shape=shape,
        dtype="uint8",
        scale=tensor.scale,
        zero_point=None if tensor.scale is None else 0,
        memory=_memory(shape, 1, is_inferred=is_inferred) if len(shape) == _IMAGE_RANK else None,
    )


def _output(tensor: BinaryTensor) -> IoTensor:
    shape = _planar(tensor)
    return IoTensor(
        name=tensor.name,
        shape=shape,
        dtype="float32",
        scale=None,
        zero_point=None,
        memory=_memory(shape, _FLOAT32_BYTES, is_inferred=True),
    )


def _planar(tensor: BinaryTensor) -> tuple[int, ...]:
    if not tensor.shape or any(size < 1 for size in tensor.shape):
        raise GateError(
            ErrorCode.MODEL_SHAPE,
            f"tensor {tensor.name!r} has the shape {list(tensor.shape)}; a compiled model has fixed sizes",
            hint="give shape under [[model.input]], or export the model with fixed sizes",
        )
    if tensor.layout == "NHWC" and len(tensor.shape) == _IMAGE_RANK:
        batch, height, width, channels = tensor.shape
        return (batch, channels, height, width)
    return tensor.shape


def _memory(shape: tuple[int, ...], element_bytes: int, *, is_inferred: bool) -> TensorMemory:
    # A vector counts as so many channels of one pixel: each of its elements has a row of its own.
    rows = shape if len(shape) > _VECTOR_RANK else (*shape, 1)
    row_bytes = rows[-1] * element_bytes
    return TensorMemory(
        layout="NCHW",
        planes=math.prod(rows[:-2]),
        rows=rows[-2],
        row_bytes=row_bytes,
        pitch_bytes=-(-row_bytes // ROW_ALIGNMENT_BYTES) * ROW_ALIGNMENT_BYTES,
        is_inferred=is_inferred,
    )
