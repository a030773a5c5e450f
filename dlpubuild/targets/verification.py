"""What a verifying step measured: a built model beside the float model, on the validation data.

In: the JSON document that the step left. Out: a `Verification`, whose document is checked: whoever shows it need not
doubt its types. Nothing is judged here, and nothing is read from disk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dlpubuild.errors import ErrorCode, StepFailedError

SCHEMA: Final = 1
KINDS: Final = ("classes", "binary", "boxes", "values")
_SCHEMES: Final = ("per-tensor", "per-channel")
# A thousand outputs and ten thousand layers fit.
_MOST_BYTES: Final = 64 << 20
_Check = Callable[[Any, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOutcome:
    """One figure held against its limit."""

    metric: str
    output: str
    value: float
    limit: float
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was measured, and the gates it was held against.

    `document` is what the step left, checked; docs/verify.md describes it. `of_uncompiled` is true where the model that
    the camera loads runs on nothing else, and the one that it was compiled from was measured. `note` says why there is
    no more, where there is not.
    """

    document: Mapping[str, Any]
    gates: tuple[GateOutcome, ...] = ()
    of_uncompiled: bool = False
    note: str = ""


def read_verification(content: bytes) -> Mapping[str, Any]:
    """Return the document that a verifying step left.

    Raises:
        StepFailedError: `STEP_OUTPUT`: it is not what the step is to write.
    """
    try:
        if len(content) > _MOST_BYTES:
            raise ValueError(f"it has {len(content)} bytes")  # noqa: TRY301 - told with all others
        document = json.loads(content, parse_constant=_refuse_constant)
        _DOCUMENT(document, "")
    except (ValueError, TypeError, RecursionError) as error:
        raise StepFailedError(
            ErrorCode.STEP_OUTPUT,
            f"out/verify.json is not what a verifying step is to leave: {error}",
            hint="docs/verify.md describes it",
        ) from error
    known: Mapping[str, Any] = document
    return known


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}")


def _number(value: Any, at: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{at or 'it'} is no number: {_shown(value)}")


def _count(value: Any, at: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{at or 'it'} is no count: {_shown(value)}")


def _text(value: Any, at: str) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{at or 'it'} is no text: {_shown(value)}")  # noqa: TRY004 - one kind of error for a document


def _flag(value: Any, at: str) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{at or 'it'} is neither true nor false: {_shown(value)}")  # noqa: TRY004 - as above


def _one_of(*allowed: Any) -> _Check:
    def check(value: Any, at: str) -> None:
        if isinstance(value, bool) or value not in allowed:
            raise ValueError(f"{at or 'it'} is {_shown(value)}")

    return check


def _or_null(check: _Check) -> _Check:
    return lambda value, at: None if value is None else check(value, at)


def _list_of(check: _Check) -> _Check:
    def each(value: Any, at: str) -> None:
        if not isinstance(value, list):
            raise ValueError(f"{at or 'it'} is no list: {_shown(value)}")  # noqa: TRY004 - as above
        for position, item in enumerate(value):
            check(item, f"{at}[{position}]")

    return each


def _table(**checks: _Check) -> _Check:
    def all_of(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{at or 'it'} is no table: {_shown(value)}")  # noqa: TRY004 - as above
        for key, check in checks.items():
            place = f"{at}.{key}" if at else key
            if key not in value:
                raise ValueError(f"{place} is missing")
            check(value[key], place)

    return all_of


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - a line


_INTERVAL = {"low": _or_null(_number), "high": _or_null(_number)}
_FIGURE = _or_null(_table(value=_number, **_INTERVAL))
_SHARE = _or_null(_table(count=_count, of=_count, value=_number, **_INTERVAL))
_MODEL = _or_null(_table(top1=_SHARE, top5=_SHARE))
_COUNTS = _list_of(_count)
_EDGES = _list_of(_number)
_OUTPUT = _table(
    name=_text,
    kind=_one_of(*KINDS),
    elements=_count,
    float=_MODEL,
    built=_MODEL,
    drop=_or_null(_table(top1=_FIGURE)),
    agreement=_SHARE,
    sqnr_db=_FIGURE,
    mae=_FIGURE,
    histogram=_table(edges=_EDGES, float=_COUNTS, built=_COUNTS),
    errors=_table(edges=_EDGES, counts=_COUNTS),
)
_BOXES = _table(
    matched=_SHARE,
    float_boxes=_count,
    built_boxes=_count,
    mean_iou=_or_null(_number),
    score_mae=_or_null(_number),
    iou_threshold=_number,
    score_threshold=_number,
    layout=_text,
)
_LAYER = _table(
    index=_count,
    operator=_text,
    tensor=_text,
    sqnr_db=_or_null(_number),
    mae=_or_null(_number),
    low=_or_null(_number),
    high=_or_null(_number),
    step=_or_null(_number),
    used=_or_null(_number),
    elements=_count,
)
_ALTERNATIVE = _table(
    scheme=_one_of(*_SCHEMES),
    calibration_samples=_count,
    is_built=_flag,
    outputs=_list_of(
        _table(
            name=_text,
            sqnr_db=_or_null(_number),
            mae=_or_null(_number),
            agreement=_or_null(_number),
            top1=_or_null(_number),
        )
    ),
    matched=_or_null(_number),
    failure=_text,
)
_DOCUMENT = _table(
    schema=_one_of(SCHEMA),
    samples=_count,
    labelled=_flag,
    compared_with_float=_flag,
    outputs=_list_of(_OUTPUT),
    boxes=_or_null(_BOXES),
    layers=_list_of(_LAYER),
    layers_note=_text,
    alternatives=_list_of(_ALTERNATIVE),
    notes=_list_of(_text),
)
