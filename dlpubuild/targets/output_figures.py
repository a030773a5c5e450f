"""What an integer model makes of a few calibration samples, beside what the float model makes of them.

In: the record that a quantizing step left (`out/step.json`). Out: an `OutputCheck`. Nothing is judged here, and nothing
is read from disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dlpubuild.errors import ErrorCode, StepFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES: Final = ("per-tensor", "per-channel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What an output gave over the samples: least and greatest value of all, how many differed as a whole.

    `spread` is the greatest difference between two samples of any one element.
    """

    low: float
    high: float
    spread: float
    distinct: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """An output of an integer model beside the float model's.

    `step` is what one of its steps is worth, None for what has no scale. `expected` counts the values of the float
    model that differ once they are rounded to these steps. `sqnr_db` is in decibels. `explained` is the share of the
    float model's variation that it follows, 0 for what a constant would do; `agreement` the share of equal elements.
    Those that do not apply are None.
    """

    given: Spread
    step: float | None
    expected: int
    sqnr_db: float | None
    explained: float | None
    agreement: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedOutput:
    """An output of the float model, and that of each integer model, by scheme, that was measured."""

    name: str
    wanted: Spread
    integer: Mapping[str, Compared]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCheck:
    """What a quantizing step measured.

    `scheme` is how the model that is built is quantized. `samples` were looked at, of which `distinct` differ.
    `unmeasured` has name and reason of outputs without figures, `failures` the reason by scheme where the integer model
    could not be run.
    """

    scheme: str
    samples: int
    distinct: int
    outputs: tuple[CheckedOutput, ...]
    unmeasured: tuple[tuple[str, str], ...]
    failures: Mapping[str, str]


def read_check(record: Mapping[str, Any]) -> OutputCheck:
    """Return the figures in a step's record.

    Raises:
        StepFailedError: `STEP_OUTPUT`: there are none in it, or they are not what the step is to write.
    """
    try:
        found = record["metrics"]["check"]
        return OutputCheck(
            scheme=SCHEMES[SCHEMES.index(found["scheme"])],
            samples=_count(found["samples"]),
            distinct=_count(found["distinct"]),
            outputs=tuple(_output(each) for each in found["outputs"]),
            unmeasured=tuple((str(each["name"]), str(each["reason"])) for each in found["unmeasured"]),
            failures={str(scheme): str(reason) for scheme, reason in found["failures"].items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StepFailedError(
            ErrorCode.STEP_OUTPUT,
            f"the record of the quantizing step is not what it is to be: it lacks or garbles {error}",
            hint="a step that [checked] names has to write metrics.check as docs/templates.md describes it",
        ) from error


def _output(found: Mapping[str, Any]) -> CheckedOutput:
    return CheckedOutput(
        name=str(found["name"]),
        wanted=_spread(found["float"]),
        integer={str(scheme): _compared(each) for scheme, each in found["integer"].items()},
    )


def _spread(found: Mapping[str, Any]) -> Spread:
    return Spread(
        low=float(found["low"]),
        high=float(found["high"]),
        spread=float(found["spread"]),
        distinct=_count(found["distinct"]),
    )


def _compared(found: Mapping[str, Any]) -> Compared:
    return Compared(
        given=_spread(found),
        step=_maybe(found["step"]),
        expected=_count(found["expected"]),
        sqnr_db=_maybe(found["sqnr_db"]),
        explained=_maybe(found["explained"]),
        agreement=_maybe(found["agreement"]),
    )


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"the count {value!r}")
    return value


def _maybe(value: Any) -> float | None:
    return None if value is None else float(value)
