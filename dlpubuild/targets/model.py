"""An SoC and a target as values.

In: nothing. Out: `Soc`, the facts of one `templates/<soc>/target.toml`; `Target`, an SoC with every option of
the manifest settled. Nothing here reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.manifest.model import ActivationPrecision, InputFormat, IoType, Parser, Quantization
    from dlpubuild.targets.lint.table import LintTable
    from dlpubuild.tflite.facts import QuantizationLabel

CompilerOption: TypeAlias = "int | bool | tuple[str, ...]"
# What the Edge TPU compiler is asked for where the manifest says nothing; 0 is its own runtime version.
COMPILER_DEFAULTS: Mapping[str, CompilerOption] = MappingProxyType(
    {
        "min_runtime_version": 0,
        "search_delegate": False,
        "delegate_search_step": 1,
        "timeout_sec": 180,
        "intermediate_tensors": (),
    }
)

# What an integer .tflite can be asked for; everything else keeps float activations.
INTEGER_QUANTIZATIONS = frozenset({"per-tensor", "per-channel", "int8"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """What a built model must be, whatever the manifest asks; `batch` is the first dimension of every input."""

    integer_only: bool
    static_shapes: bool
    batch: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Soc:
    """The facts of one SoC.

    `default_io` maps a quantization to the type of inputs and outputs; the key `""` is the value for all others.
    `not_yet` says what is missing before the SoC can be built, and is empty where it can. `search_path` lists the
    template folders from which its step template may include files, nearest first. `needs_calibration` is true where
    the SoC's own toolchain quantizes the float model; `allowed_options` has what a manifest may ask of that toolchain,
    by key, anything where a key is not in it. `input_layout` is how an application feeds images; `input_is_inferred`
    is true where no document says so. `lint` has what it wants of a model's operators, where that is known.
    """

    name: str
    title: str
    larod_device: str
    architecture: str
    deep_learning_processor: bool
    model_file: str
    not_yet: str
    default_quantization: Quantization
    default_io: Mapping[str, IoType]
    default_toolchain: str
    allowed_quantization: tuple[Quantization, ...]
    allowed_io: tuple[IoType, ...]
    allowed_toolchain: tuple[str, ...]
    gate: GateRules
    folder: Path
    search_path: tuple[Path, ...]
    needs_calibration: bool = False
    allowed_options: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    input_layout: Literal["NHWC", "NCHW"] = "NHWC"
    input_is_inferred: bool = False
    lint: LintTable | None = None

    @property
    def can_be_built(self) -> bool:
        """True where nothing is missing; the step template is there then."""
        return not self.not_yet

    def io_for(self, quantization: Quantization) -> IoType:
        """Return the type of inputs and outputs that goes with `quantization` where the manifest says nothing."""
        return self.default_io.get(quantization, self.default_io.get("", "float32"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One package that is asked for: an SoC and its settled options.

    `compiler` has those of the SoC's own compiler, as a step template takes them; `min_mapped` is the smallest share of
    operators on the accelerator, 0 to 1, None where any but 0 will do. `io` is the type of inputs, and of outputs but
    where `output_io` says another: a model that is packaged as it is may have two. `coefficients`, `input_format` and
    `parser` are for toolchains that quantize themselves; `timeout_s` is 0 where the template decides.
    """

    soc: Soc
    quantization: Quantization
    io: IoType
    toolchain: str
    activations: ActivationPrecision
    compiler: Mapping[str, CompilerOption] = field(default_factory=lambda: COMPILER_DEFAULTS)
    min_mapped: float | None = None
    output_io: IoType | None = None
    coefficients: ActivationPrecision = "auto"
    input_format: InputFormat = "auto"
    parser: Parser = "auto"
    timeout_s: int = 0

    @property
    def name(self) -> str:
        """The SoC's name, which is also the target's."""
        return self.soc.name

    @property
    def is_integer(self) -> bool:
        """True where activations are integers, so that calibration data is needed."""
        return self.quantization in INTEGER_QUANTIZATIONS

    @property
    def weight_scheme(self) -> QuantizationLabel:
        """What the weights must be: `int8` on a CPU means per-channel, as TensorFlow Lite's default does."""
        return "per-channel" if self.quantization == "int8" else self.quantization
