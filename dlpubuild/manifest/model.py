"""The manifest as a value: what the user wrote, typed, with the schema's defaults filled in.

In: nothing. Out: frozen dataclasses that mirror `schemas/dlpu.schema.json` key by key; a parity test walks
both. Keys are spelled with underscores here and with hyphens in TOML. `None` means "not said": the SoC's
`target.toml` or the model itself decides later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.errors import Location

ModelFormat = Literal["auto", "saved-model", "keras", "frozen-graph", "onnx", "tflite"]
ChannelLayout = Literal["nchw", "nhwc"]
ColorOrder = Literal["rgb", "bgr", "gray"]
ResizeMode = Literal["stretch", "crop", "letterbox"]
Quantization = Literal["per-tensor", "per-channel", "none", "float16", "dynamic", "int8"]
IoType = Literal["uint8", "int8", "float32"]
ActivationPrecision = Literal["fx8", "fx16", "auto"]
InputFormat = Literal["idf:0,0,8,0", "idf:0,0,0,0", "auto"]
Parser = Literal["auto", "tf", "onnx"]
Metric = Literal["top1", "agreement", "sqnr", "mae", "none"]
BoxLayout = Literal["ssd", "yolov5", "yolov8"]
PackageFormat = Literal["bundle", "eap"]
ManifestSchema = Literal["1.7", "2"]
SdkBuildTool = Literal["make", "no-build"]
RuleSeverity = Literal["off", "advice", "warning", "error"]
FailOn = Literal["error", "warning", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSection:
    """`[project]`: who makes the package, and from where."""

    name: str
    version: str
    vendor: str | None = None
    license: str | None = None
    license_file: str | None = None
    templates: str | None = None
    allow_outside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """`[[model.input]]`: one input and how a pixel becomes its value: `x = (pixel - mean) / std`.

    `shape` is as the model has it, batch included and always 1. `layout` says where an ONNX model has the channels,
    None where their number tells. `mean` and `std` have one value per channel.
    """

    name: str
    shape: tuple[int, ...] | None = None
    layout: ChannelLayout | None = None
    color: ColorOrder = "rgb"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutput:
    """`[[model.output]]`: one output, by the name the model gives it; `shape` is for a model that does not say it."""

    name: str
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSection:
    """`[model]`: the trained network."""

    source: str
    format: ModelFormat = "auto"
    labels: str | None = None
    inputs: tuple[ModelInput, ...] = ()
    outputs: tuple[ModelOutput, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSection:
    """`[calibration]`: the data whose value ranges set the integer scales."""

    data: str
    samples: int = 100
    seed: int = 0
    resize: ResizeMode = "stretch"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxesSection:
    """`[verify.boxes]`: how a detector's outputs are read; `layout` is None where the model itself says it."""

    layout: BoxLayout | None = None
    score: float = 0.3
    iou: float = 0.5
    nms_iou: float = 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifySection:
    """`[verify]`: validation data, and how much accuracy a built model may lose against the float model on it.

    `max_drop` and `min_agreement` are shares, or for the metric mae a difference; `min_sqnr` is in dB. `samples` is
    None for all there are.
    """

    data: str
    metric: Metric = "top1"
    max_drop: float = 0.02
    min_agreement: float = 0.97
    min_sqnr: float = 20.0
    samples: int | None = None
    seed: int = 0
    layers: bool = True
    boxes: BoxesSection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSection:
    """`[target.<soc>]`: one package that is asked for; `None` leaves the choice to the SoC."""

    soc: str
    quantization: Quantization | None = None
    io: IoType | None = None
    toolchain: str | None = None
    activations: ActivationPrecision | None = None
    coefficients: ActivationPrecision | None = None
    input_format: InputFormat | None = None
    parser: Parser | None = None
    min_mapped: float | None = None
    min_runtime_version: int | None = None
    search_delegate: bool | None = None
    delegate_search_step: int | None = None
    timeout: int | None = None
    intermediate_tensors: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolchainSection:
    """`[toolchain.<name>]`: a pinned toolchain replaced by the user's own."""

    name: str
    image: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsSection:
    """`[limits]`: what one step may use in a container; `None` leaves it to the engine's machine.

    `memory` is a size with a unit (`4GiB`), `cpus` a number of cores, `pids` of processes and threads.
    """

    memory: str | None = None
    cpus: float | None = None
    pids: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class LintRuleSection:
    """`[lint.rules."<soc>/<rule>"]`: what becomes of the findings of one rule; `id` is what stands in the quotes."""

    id: str
    severity: RuleSeverity
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LintSection:
    """`[lint]`: what becomes of what is found in the built model."""

    fail_on: FailOn = "error"
    rules: tuple[LintRuleSection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkImages:
    """`[package.acap.sdk-image]`: an image of Axis' SDK for each ACAP architecture, pinned by digest or image id."""

    aarch64: str | None = None
    armv7hf: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcapSection:
    """`[package.acap]`: the application that measures the model on a camera; None where it is not said.

    The last three say how Axis' own acap-build packs it, or an application of the project's own.
    """

    app_name: str | None = None
    friendly_name: str | None = None
    vendor_id: str | None = None
    vendor_url: str | None = None
    schema: ManifestSchema | None = None
    groups: tuple[str, ...] | None = None
    min_os: str | None = None
    max_os: str | None = None
    rounds: int | None = None
    sdk_image: SdkImages | None = None
    sdk_build: SdkBuildTool | None = None
    sdk_add: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSection:
    """`[package]`: what a build leaves in `dist/`."""

    formats: tuple[PackageFormat, ...] = ("bundle",)
    app: str | None = None
    acap: AcapSection = field(default_factory=AcapSection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A checked `dlpu.toml`.

    `targets` are in file order. `sha256` is that of the file's bytes. `locations` maps each TOML path that is
    written in the file (`model.input[0].shape`) to its place; use `locate` to ask for any path.
    """

    path: Path
    sha256: str
    schema: int
    project: ProjectSection
    model: ModelSection
    targets: tuple[TargetSection, ...]
    calibration: CalibrationSection | None = None
    verify: VerifySection | None = None
    toolchains: tuple[ToolchainSection, ...] = ()
    limits: LimitsSection = field(default_factory=LimitsSection)
    lint: LintSection = field(default_factory=LintSection)
    package: PackageSection = field(default_factory=PackageSection)
    locations: Mapping[str, Location]

    @property
    def folder(self) -> Path:
        """The project folder: every path in the manifest is relative to it."""
        return self.path.parent

    def locate(self, path: str) -> Location:
        """Return the place of `path`, or that of its nearest parent written in the file."""
        probe = path
        while probe:
            if probe in self.locations:
                return self.locations[probe]
            cut = max(probe.rfind("."), probe.rfind("["))
            probe = probe[: max(cut, 0)]
        return self.locations[""]
