"""What a package says of a built model.

In: a `.tflite` as a value, and the figures made of it. Out: a `ModelDescription`, which is all that the writers
of a package know of a model, so that a model in another format needs a function beside `describe_tflite` and
nothing else. Nothing here reads a file.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dlpubuild.errors import ErrorCode, GateError
from dlpubuild.tflite.detection import detection_shapes
from dlpubuild.tflite.runtime import min_runtime

if TYPE_CHECKING:
    from dlpubuild.package.spec import InputPreprocessing
    from dlpubuild.tflite.facts import ModelFacts
    from dlpubuild.tflite.model import Tensor, TfliteModel

# Nine significant digits name every float32.
_FLOAT32_DIGITS = 9
_RANK_WITH_CHANNELS, _RANK_WITHOUT = 4, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorMemory:
    """Where the elements of a tensor lie, for an accelerator that pads rows: planes of rows, one behind the other.

    `row_bytes` of each row hold elements; `pitch_bytes` is the way from the beginning of a row to that of the next.
    `is_inferred` is true where no document says so and it was concluded from examples.
    """

    layout: Literal["NCHW"]
    planes: int
    rows: int
    row_bytes: int
    pitch_bytes: int
    is_inferred: bool

    @property
    def padding_bytes(self) -> int:
        """What is unused at the end of each row."""
        return self.pitch_bytes - self.row_bytes

    @property
    def plane_bytes(self) -> int:
        """The way from the beginning of a plane to that of the next."""
        return self.rows * self.pitch_bytes

    @property
    def size_bytes(self) -> int:
        """The size of the whole buffer."""
        return self.planes * self.plane_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class IoTensor:
    """An input or output: `real = scale * (stored - zero_point)`; both are None where it is not quantized.

    `memory` is None where elements lie one behind the other, in the order of `shape`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None
    memory: TensorMemory | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """Tensors and figures of a model.

    `operators` are (name, count), sorted by name. `macs` counts the multiply-accumulates of one inference.
    `quantization` and `granularity` are what is in the file, in the words of `dlpubuild.tflite.facts`.
    `min_runtime` is the oldest TensorFlow Lite that runs the file, as its converter noted it or else as its operators
    say, None where neither does. `macs` and `parameter_bytes` are None where the format of the file is not public.
    """

    inputs: tuple[IoTensor, ...]
    outputs: tuple[IoTensor, ...]
    operators: tuple[tuple[str, int], ...]
    macs: int | None
    parameter_bytes: int | None
    quantization: str
    granularity: str
    min_runtime: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGeometry:
    """The size of the image an input takes, in pixels, and the order of its dimensions."""

    height: int
    width: int
    channels: int
    layout: Literal["NHWC", "NCHW"]


def image_geometry(tensor: IoTensor, preprocessing: InputPreprocessing | None) -> ImageGeometry | None:
    """Return the image size of an input, or None where its shape is not that of an image.

    Four dimensions are taken as NHWC, as TensorFlow Lite has them, unless `preprocessing` says otherwise; three
    are a gray image (N, H, W) where there is preprocessing at all.
    """
    if len(tensor.shape) == _RANK_WITH_CHANNELS:
        layout = preprocessing.layout if preprocessing else "NHWC"
        _, *rest = tensor.shape
        height, width, channels = rest if layout == "NHWC" else (rest[1], rest[2], rest[0])
        return ImageGeometry(height=height, width=width, channels=channels, layout=layout)
    if len(tensor.shape) == _RANK_WITHOUT and preprocessing:
        _, height, width = tensor.shape
        return ImageGeometry(height=height, width=width, channels=1, layout=preprocessing.layout)
    return None


def preprocessing_by_input(
    inputs: tuple[IoTensor, ...], preprocessing: tuple[InputPreprocessing, ...]
) -> tuple[InputPreprocessing | None, ...]:
    """Return the preprocessing of each input, in the model's order.

    They are matched by name; a single one for a single input is matched whatever it is called, because a
    converter may rename tensors.

    Raises:
        GateError: one names no input of the model.
    """
    if len(inputs) == len(preprocessing) == 1:
        return preprocessing
    # TensorFlow 1 calls the first result of a node `node:0`, as the manifest may, and TensorFlow Lite `node`.
    by_name = {item.name.removesuffix(":0"): item for item in preprocessing}
    unknown = sorted(by_name.keys() - {tensor.name.removesuffix(":0") for tensor in inputs})
    if unknown:
        raise GateError(
            ErrorCode.MODEL_SHAPE,
            f"the built model has no input called {', '.join(map(repr, unknown))}",
            hint=f"its inputs are {', '.join(repr(tensor.name) for tensor in inputs)}; name those in [[model.input]]",
        )
    return tuple(by_name.get(tensor.name.removesuffix(":0")) for tensor in inputs)


def describe_tflite(model: TfliteModel, facts: ModelFacts) -> ModelDescription:
    """Return what a package says of a `.tflite`.

    Raises:
        GateError: an input or output has a scale per channel, or one that is not a positive number. No
            runtime can feed such a tensor.
    """
    shapes = detection_shapes(model)
    outputs = (_io_tensor(model, tensor) for tensor in model.outputs)
    return ModelDescription(
        inputs=tuple(_io_tensor(model, tensor) for tensor in model.inputs),
        outputs=tuple(
            replace(each, shape=shapes.get(index, each.shape))
            for index, each in zip(model.main.outputs, outputs, strict=True)
        ),
        operators=tuple(sorted(facts.operators.items())),
        macs=facts.macs,
        parameter_bytes=facts.parameter_bytes,
        quantization=facts.quantization,
        granularity=facts.granularity,
        min_runtime=facts.min_runtime or min_runtime(model).version,
    )


def _io_tensor(model: TfliteModel, tensor: Tensor) -> IoTensor:
    name = model.public_name(tensor)
    scale, zero_point = None, None
    # Old converters leave a scale of 0 on float tensors; it means nothing there.
    if tensor.quantization is not None and tensor.quantization.scales and not tensor.dtype.startswith("float"):
        scales, zero_points = tensor.quantization.scales, tensor.quantization.zero_points
        if len(scales) != 1 or not math.isfinite(scales[0]) or scales[0] <= 0:
            raise GateError(
                ErrorCode.GATE,
                f"tensor {name!r}: an input or output needs one positive scale, found {len(scales)}: "
                f"{', '.join(str(scale) for scale in scales[:4])}",
                hint="convert the model again; this file is damaged or was edited",
            )
        scale, zero_point = scales[0], zero_points[0] if zero_points else 0
    return IoTensor(name=name, shape=tensor.shape, dtype=tensor.dtype, scale=scale, zero_point=zero_point)


def float32_text(value: float) -> str:
    """Return the shortest decimal that reads back as the float32 nearest to `value`.

    It always has a `.` or an exponent, so that it is a floating-point literal in JSON, Python and C.
    """
    stored = _to_float32(value)
    for digits in range(1, _FLOAT32_DIGITS):
        text = f"{stored:.{digits}g}"
        if _to_float32(float(text)) == stored:
            return repr(float(text))
    return repr(float(f"{stored:.{_FLOAT32_DIGITS}g}"))


def shortest_float32(value: float) -> float:
    """Return the number that `float32_text` writes, for writers that format floats themselves."""
    return float(float32_text(value))


def _to_float32(value: float) -> float:
    try:
        nearest: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.inf
    return nearest
