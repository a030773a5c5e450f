"""Errors a user can meet, and the exit code each of them owns.

In: what a stage found wrong. Out: an exception that says what is wrong, where, and what to do.
Nothing here prints or exits; `dlpubuild.cli` is the one place that does.

    DlpuError
    ├── ManifestError          every fault of the manifest and of the files it names, together (2)
    ├── UsageError             a command line that cannot be followed (2)
    ├── TemplateError          a template folder of the project's that cannot be used (2)
    ├── NothingSelectedError   no target is left to build (3)
    ├── StepFailedError        a step of the build failed (1)
    ├── GateError              what was built is not what the SoC needs (5)
    ├── EngineMissingError     the executor that was asked for cannot be used (6)
    ├── ToolchainError         a toolchain is missing or not what was pinned (7)
    ├── StoreError             the cache folder cannot be used: full disk, no permission (1)
    ├── OutputError            the packages cannot be written (1)
    ├── OutOfDateError         what was found is not what was locked (4)
    └── InterruptedBuildError  Ctrl-C or SIGTERM (130)

    BuildFailedError           all of these that one build met
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExitCode(IntEnum):
    """What the process returns; the numbers are a promise to scripts."""

    DONE = 0
    STEP_FAILED = 1
    USAGE = 2
    NOTHING_SELECTED = 3
    OUT_OF_DATE = 4
    GATE_FAILED = 5
    ENGINE_MISSING = 6
    TOOLCHAIN_MISSING = 7
    DEVICE = 8
    INTERNAL = 70
    INTERRUPTED = 130


class ErrorCode(StrEnum):
    """The machine-readable name of a fault; tests assert these, so that wording can improve freely."""

    # the manifest
    MANIFEST_MISSING = "manifest-missing"
    MANIFEST_ENCODING = "manifest-encoding"
    MANIFEST_SYNTAX = "manifest-syntax"
    MANIFEST_SCHEMA = "manifest-schema"
    UNKNOWN_KEY = "unknown-key"
    UNKNOWN_VALUE = "unknown-value"
    MISSING_KEY = "missing-key"
    DUPLICATE_NAME = "duplicate-name"
    CONFLICT = "conflict"
    # what the manifest names
    PATH_OUTSIDE = "path-outside"
    PATH_MISSING = "path-missing"
    PATH_KIND = "path-kind"
    MODEL_UNREADABLE = "model-unreadable"
    MODEL_FORMAT = "model-format"
    MODEL_SHAPE = "model-shape"
    MODEL_INPUT = "model-input"
    MODEL_OUTPUT = "model-output"
    CONVERSION = "conversion"
    LABEL_COUNT = "label-count"
    LABEL_ENCODING = "label-encoding"
    CALIBRATION_EMPTY = "calibration-empty"
    CALIBRATION_UNREADABLE = "calibration-unreadable"
    VALIDATION_EMPTY = "validation-empty"
    VALIDATION_UNREADABLE = "validation-unreadable"
    VALIDATION_LABEL = "validation-label"
    TARGET_UNAVAILABLE = "target-unavailable"
    TEMPLATE = "template"
    # building
    USAGE = "usage"
    NOTHING_SELECTED = "nothing-selected"
    EXECUTOR = "executor"
    ENGINE = "engine"
    ENGINE_OLD = "engine-old"
    ENGINE_LOST = "engine-lost"
    IMAGE_MISSING = "image-missing"
    IMAGE_MISMATCH = "image-mismatch"
    IMAGE_BUILD = "image-build"
    IMAGE_TRANSFER = "image-transfer"
    STEP_FAILED = "step-failed"
    STEP_TIMEOUT = "step-timeout"
    STEP_MEMORY = "step-memory"
    STEP_OUTPUT = "step-output"
    INPUT_CHANGED = "input-changed"
    INPUT_UNREADABLE = "input-unreadable"
    GATE = "gate"
    TOOLCHAIN = "toolchain"
    TOOLCHAIN_OFFLINE = "toolchain-offline"
    # the SoC's own compiler
    COMPILER_DYNAMIC_SIZE = "compiler-dynamic-size"
    COMPILER_GROUPED_CONVOLUTION = "compiler-grouped-convolution"
    COMPILER_INTERNAL = "compiler-internal"
    COMPILER_LARGE_ACTIVATIONS = "compiler-large-activations"
    COMPILER_MODEL = "compiler-model"
    COMPILER_NOT_QUANTIZED = "compiler-not-quantized"
    COMPILER_OPERATOR = "compiler-operator"
    COMPILER_OPERATOR_VERSION = "compiler-operator-version"
    COMPILER_OPTION = "compiler-option"
    COMPILER_OUTPUT = "compiler-output"
    COMPILER_SCALE = "compiler-scale"
    COMPILER_TIMEOUT = "compiler-timeout"
    # Axis' own packer
    ACAP_BUILD = "acap-build"
    # around a build
    STORE = "store"
    STORE_FULL = "store-full"
    BLOB_MISSING = "blob-missing"
    OUTPUT = "output"
    NOT_A_MODEL = "not-a-model"
    LOCK_MISMATCH = "lock-mismatch"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a text file; line and column count from 1, 0 where unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault of a manifest or of a file that it names.

    `path` is the dotted TOML path (`target.artpec8.quantization`, `model.input[0].shape`), empty where the
    fault belongs to the whole file. `message` says what was found and what is allowed.
    """

    code: ErrorCode
    location: Location
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.location}  {self.path}" if self.path else f"{self.location}"
        text = f"{place}  {self.message}"
        return f"{text}\n    {self.hint}" if self.hint else text


class DlpuError(Exception):
    """A fault that is reported to the user without a traceback.

    Attributes:
        code: machine-readable name of the fault.
        message: what is wrong, with the value that was found.
        hint: what to do about it; may be empty.
        location: the place in a file, where there is one.
    """

    exit_code: ExitCode = ExitCode.STEP_FAILED

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        hint: str = "",
        location: Location | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.location = location

    def __str__(self) -> str:
        text = f"{self.location}: {self.message}" if self.location else self.message
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class ManifestError(DlpuError):
    """Every fault found in the manifest and in what it names, in file order."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a ManifestError needs at least one problem")
        self.problems = tuple(sorted(problems, key=lambda p: (p.location, p.path, p.message)))
        first = self.problems[0]
        super().__init__(first.code, "\n".join(str(p) for p in self.problems))


class UsageError(DlpuError):
    """The command line cannot be followed."""

    exit_code = ExitCode.USAGE


class TemplateError(DlpuError):
    """A file of a template folder is at fault: what is known of an SoC, or the steps that build for it."""

    exit_code = ExitCode.USAGE


class NothingSelectedError(DlpuError):
    """The selection leaves no target to build."""

    exit_code = ExitCode.NOTHING_SELECTED


class StepFailedError(DlpuError):
    """A step ran and did not deliver.

    Attributes:
        step: name of the step; set by the engine, which knows it.
        log: path of the whole log, as text; empty where the step never started.
        tail: the last lines of the log.
    """

    def __init__(
        self, code: ErrorCode, message: str, *, hint: str = "", log: str = "", tail: Sequence[str] = ()
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.step = ""
        self.log = log
        self.tail = tuple(tail)


class GateError(DlpuError):
    """What was built is not what the SoC needs."""

    exit_code = ExitCode.GATE_FAILED


class EngineMissingError(DlpuError):
    """The executor that was asked for, or the container engine it needs, is not there."""

    exit_code = ExitCode.ENGINE_MISSING


class ToolchainError(DlpuError):
    """A toolchain is missing, cannot be prepared, or is not what was pinned."""

    exit_code = ExitCode.TOOLCHAIN_MISSING


class StoreError(DlpuError):
    """The cache folder cannot be used."""


class OutputError(DlpuError):
    """The packages cannot be written."""


class OutOfDateError(DlpuError):
    """What was found is not what was locked."""

    exit_code = ExitCode.OUT_OF_DATE


class InterruptedBuildError(DlpuError):
    """Ctrl-C or SIGTERM; what was running has been stopped."""

    exit_code = ExitCode.INTERRUPTED


class BuildFailedError(Exception):
    """What went wrong in a build, every fault; the first decides the exit code.

    Attributes:
        errors: at least one.
        command: the command line that asks for the same build, to which `--step` can be added.
    """

    def __init__(self, errors: Sequence[DlpuError], command: Sequence[str]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = tuple(errors)
        self.command = tuple(command)
