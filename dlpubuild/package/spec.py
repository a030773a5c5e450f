"""What a package is made of, as values.

In: settled facts of the project, the SoC and the toolchain. Out: `PackageRequest`, all that decides the bytes
of a package and is known without opening the model; `BundleSpec`, the request and what the model's file says;
`bundle_key`, the name of those bytes. Nothing here reads a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from dlpubuild import __version__
from dlpubuild.cas.digest import digest_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.manifest.model import ColorOrder, ResizeMode
    from dlpubuild.package.description import ModelDescription

# Part of every key. Raise it with any change of the bytes that a request leads to (a golden test notices).
WRITER_VERSION = 4

# The folder of all models in a package.
MODEL_FOLDER = "model"
# What a compiled model was made from; larod runs it on the CPU, which it calls `cpu-tflite` on every product.
UNCOMPILED_FILE = "model_uncompiled.tflite"
CPU_DEVICE = "cpu-tflite"

_INSTALLED = PurePosixPath("/usr/local/packages")


@dataclass(frozen=True, slots=True, kw_only=True)
class SocFacts:
    """What a package says of the SoC; `architecture` is that of an ACAP application (`aarch64`, `armv7hf`)."""

    name: str
    title: str
    larod_device: str
    architecture: str
    deep_learning_processor: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPreprocessing:
    """How the pixels of an image become the values of one input: `x = (pixel - mean) / std`.

    `name` is the input's public name in the model. `mean` and `std` have one value per channel, or one for all.
    `resize` is how calibration fitted images to the input, None where nothing was calibrated.
    """

    name: str
    color: ColorOrder
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: ResizeMode | None = None
    layout: Literal["NHWC", "NCHW"] = "NHWC"

    def __post_init__(self) -> None:
        if not self.mean or not self.std:
            raise ValueError(f"input {self.name!r}: mean and std need at least one value")
        if 0 in self.std:
            raise ValueError(f"input {self.name!r}: std must not be 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolchainFacts:
    """What converted the model: `lock_sha256` is that of the locked environment; `tensorflow` its version.

    Of an image that the project brings only its reference is known, `image`; of the tool's own toolchains the same
    is said whether they run in a container or not.
    """

    name: str
    tensorflow: str | None = None
    lock_sha256: str | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilerFacts:
    """What compiled the model; `archive_sha256` pins it, None where the project brought a compiler or an image."""

    name: str
    version: str
    archive_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorFacts:
    """How many operators of a name run on the accelerator, or on the CPU, and what the compiler says of them."""

    name: str
    count: int
    mapped: bool
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingFacts:
    """How much of a model runs on the accelerator; memory is for parameters, in bytes, None where it was not told."""

    total: int
    mapped: int
    subgraphs: int | None
    on_chip_used: int | None
    on_chip_remaining: int | None
    off_chip_streamed: int | None
    operators: tuple[OperatorFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledFacts:
    """What the model of a package was compiled from, by what, and what of it runs where."""

    source_path: Path = field(metadata={"in_key": False})
    source_digest: Digest
    compiler: CompilerFacts
    mapping: MappingFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRequest:
    """All that decides the bytes of one SoC's package; where the model lies does not.

    `license_text` is the license file's content; `license` an SPDX expression. `labels` have no line ends.
    `accuracy` maps the name of a figure to its value, None where no accuracy gate ran. `app_name` is what the
    ACAP application that carries the model is called, hence where it is installed. `epoch_s` is
    `SOURCE_DATE_EPOCH`, the one time in the archives. `compiled` is set where the SoC's own compiler made the model of
    a `.tflite` that the package holds, too; `binary_compiler` where it made a file that nobody else can read.
    `toolchain` is None where the project brought the model ready.
    """

    name: str
    version: str
    vendor: str | None
    license: str | None
    license_text: bytes | None
    app_name: str
    soc: SocFacts
    model_file: str
    model_path: Path = field(metadata={"in_key": False})
    model_digest: Digest
    preprocessing: tuple[InputPreprocessing, ...]
    labels: tuple[str, ...] | None
    requested_quantization: str
    toolchain: ToolchainFacts | None
    epoch_s: int
    accuracy: Mapping[str, float] | None = None
    compiled: CompiledFacts | None = None
    binary_compiler: CompilerFacts | None = None

    def __post_init__(self) -> None:
        for label in self.labels or ():
            if "\n" in label or "\r" in label:
                raise ValueError(f"a label is one line: {label!r}")
        if self.epoch_s < 0:
            raise ValueError(f"SOURCE_DATE_EPOCH is before 1970: {self.epoch_s}")

    @property
    def compiler(self) -> CompilerFacts | None:
        """What compiled the model, None where nothing did."""
        return self.binary_compiler if self.compiled is None else self.compiled.compiler

    @property
    def base_name(self) -> str:
        """The name of the package's folder, and of its archive without `.tar.gz`."""
        return f"{self.name}-{self.version}-{self.soc.name}"

    @property
    def model_member(self) -> str:
        """Where the model lies in the package."""
        return f"{MODEL_FOLDER}/{self.model_file}"

    @property
    def uncompiled_member(self) -> str:
        """Where what the model was compiled from lies, if it was."""
        return f"{MODEL_FOLDER}/{UNCOMPILED_FILE}"

    @property
    def installed_folder(self) -> PurePosixPath:
        """Where an ACAP application that carries the package is installed on a camera."""
        return _INSTALLED / self.app_name


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSpec:
    """A request, and what was read from the model it names, or from what that was compiled from."""

    request: PackageRequest
    model: ModelDescription


def default_app_name(project_name: str) -> str:
    """Return the application name of a project that gives none.

    An ACAP name starts with a letter and has 2 to 26 characters; Axis' examples use letters, digits and `_`.
    """
    name = project_name.replace("-", "_")
    if not name[:1].isalpha():
        name = f"app_{name}"
    return name[:26].rstrip("_").ljust(2, "_")


def bundle_key(request: PackageRequest, *, tool_version: str = __version__) -> str:
    """Return the sha256 (lower-case hex) that names the bytes of the bundle of `request`.

    Two requests of one key lead to the same bytes: every field is in the key but the model's path, the model
    as its digest, together with the versions of the writer and of the tool, which reads the model. Nothing is
    read, so a build that has nothing to do can ask.
    """
    document = {"tool": tool_version, "writer": WRITER_VERSION, "request": _canonical(request)}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return {"bytes": digest_bytes(value).hash}
    if isinstance(value, tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _canonical(item) for name, item in value.items()}
    if is_dataclass(value):
        return {f.name: _canonical(getattr(value, f.name)) for f in fields(value) if f.metadata.get("in_key", True)}
    raise TypeError(f"no place in a key for {type(value).__name__}")
