"""What the engine tells while it works; console, JSON and CI views subscribe, the engine itself never prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlpubuild.errors import DlpuError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step runs now; it was not in the cache."""

    step: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress:
    """A step has done `done` of `total`, counted in `unit` (`images`, `samples`)."""

    step: str
    done: int
    total: int
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMessage:
    """A step says something worth showing."""

    step: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A step is done; `seconds` is how long the run took, also where it was some time ago."""

    step: str
    cached: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """A step failed."""

    step: str
    error: DlpuError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped:
    """A step was not run, because one that it needs failed or the build stopped."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that belongs to no step: an environment is being prepared, a damaged blob is being made again."""

    text: str


Event = StepStarted | StepProgress | StepMessage | StepFinished | StepFailed | StepSkipped | Notice

if TYPE_CHECKING:
    Observer = Callable[[Event], None]
