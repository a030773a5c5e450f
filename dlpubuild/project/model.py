"""A project as a value.

In: nothing. Out: `Project`, from which nothing relative, no environment variable and no clock is left to look up.
`dlpubuild.project.resolve` makes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.manifest.model import Manifest, Metric, ModelInput
    from dlpubuild.project.app_folder import AppFolder
    from dlpubuild.project.layout import OnnxInput
    from dlpubuild.targets.model import Target
    from dlpubuild.tflite.facts import QuantizationLabel
    from dlpubuild.toolchains.pins import ToolchainPin

# `compiled` is a `.bin`; a compiled `.tflite` is a `.tflite`.
ResolvedFormat = Literal["saved-model", "keras", "frozen-graph", "onnx", "tflite", "compiled"]
ModelState = Literal["float", "quantization-aware", "weight-only", "integer", "compiled"]
CalibrationKind = Literal["images", "npy", "npz"]

IMAGE_RANK = 4  # [batch, height, width, channels]
_READY = frozenset({"weight-only", "integer", "compiled"})
_USUAL_PIXELS = 224
_USUAL_CHANNELS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file of the project that enters an action.

    `staged` is its path below the input it belongs to, empty where the input is this one file. `name` is how the
    user knows it: relative to the project.
    """

    staged: str
    path: Path
    name: str
    digest: Digest
    is_executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """The trained network: its format, the path it is staged at, and its files sorted by that path.

    `state` says how far it is on its way to a DLPU: `quantization-aware` was trained with ranges in its graph,
    `weight-only` has smaller weights and computes in float, `integer` is quantized, `compiled` is what an SoC's own
    compiler made and can only be packaged. `quantization` is what a ready `.tflite` has, None of other formats.
    """

    format: ResolvedFormat
    staged: str
    files: tuple[SourceFile, ...]
    state: ModelState = "float"
    quantization: QuantizationLabel | None = None

    @property
    def is_ready(self) -> bool:
        """True where nothing is left to convert: the file is packaged as it is, or only compiled."""
        return self.state in _READY


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSource:
    """Samples that were picked: calibration data, or validation data.

    `images`: one file per sample, in the order they are fed. `npy` and `npz`: one file, and `indices` names the
    rows to feed. `available` counts what there was to pick from.
    """

    kind: CalibrationKind
    files: tuple[SourceFile, ...]
    indices: tuple[int, ...]
    available: int

    @property
    def samples(self) -> int:
        """How many samples are fed."""
        return len(self.files) if self.kind == "images" else len(self.indices)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationSource:
    """The validation data that was picked, and what is right.

    `labels` has a class for each sample, by output, 0 or 1 where the output is one score; None where a sample has
    none. It is empty where the data says nothing of what is right. `array` is the array of the one input in an `.npz`
    file, empty where each array is called as its input. `metric` is the one that the gate holds the model against.
    `left_out` counts images that the table of labels does not name.
    """

    samples: SampleSource
    labels: Mapping[str, tuple[int | None, ...]]
    metric: Metric
    array: str = ""
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTensor:
    """An input or output as far as it is known before the model is converted.

    `shape` has -1 for a dynamic dimension, and is None where not even the rank is known. `dtype`, in NumPy's words, is
    None where nobody looked for it.
    """

    name: str
    shape: tuple[int, ...] | None
    dtype: str | None = None

    @property
    def is_dynamic(self) -> bool:
        """True where a dimension behind the batch is not fixed."""
        return self.shape is not None and any(size < 1 for size in self.shape[1:])

    def usual_shape(self) -> tuple[int, ...]:
        """Return the shape with batch 1 and the commonest sizes for what is dynamic: 224 pixels, 3 channels."""
        shape = self.shape or (-1,) * IMAGE_RANK
        usual = [_USUAL_PIXELS] * len(shape)
        # Of an ONNX model the channels may come first.
        if len(shape) == IMAGE_RANK and shape[1] not in (1, _USUAL_CHANNELS):
            usual[-1] = _USUAL_CHANNELS
        return (1, *(size if size > 0 else guess for size, guess in zip(shape[1:], usual[1:], strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSignature:
    """What a model file says of itself without TensorFlow; empty tuples where it says nothing."""

    inputs: tuple[KnownTensor, ...] = ()
    outputs: tuple[KnownTensor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReading:
    """What was read in a model file: its signature, and `state` and `quantization` as `ModelSource` has them.

    `external` are files that hold weights, relative to the model's folder.
    """

    signature: KnownSignature
    state: ModelState = "float"
    quantization: QuantizationLabel | None = None
    external: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Everything a plan is made from.

    `labels` are without line ends, in file order. `inputs` are the manifest's, or those the model itself names
    where the manifest has none; empty where neither says anything before the import. Images in them are NHWC,
    whatever the model file has; `onnx_inputs` are those of an ONNX file as they are there, empty for other formats.
    `app` is the ACAP application of the project's own, where an `.eap` is asked for. `toolchains` are empty until
    `dlpubuild.plan.toolchains` pins them.
    """

    manifest: Manifest
    folder: Path
    model: ModelSource
    signature: KnownSignature
    inputs: tuple[ModelInput, ...]
    onnx_inputs: tuple[OnnxInput, ...] = ()
    labels: tuple[str, ...] | None
    license_text: bytes | None
    app: AppFolder | None = None
    calibration: SampleSource | None
    verification: VerificationSource | None = None
    targets: tuple[Target, ...]
    toolchains: Mapping[str, ToolchainPin] = field(default_factory=lambda: MappingProxyType({}))
