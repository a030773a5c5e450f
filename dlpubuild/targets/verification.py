"""What a verifying step measured: a built model beside the float model, on the validation data.

In: the JSON document that the step left. Out: a `Verification`. Nothing is read from disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


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
