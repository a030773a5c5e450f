"""What a lint expected of a compiler beside what the compiler did.

In: a placement, and the compiler's own figures. Out: a sentence where they differ, and nothing where they agree. The
compiler is right by definition; a difference says that a rule is missing, or that options changed what is mapped.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from dlpubuild.tflite.schema import OPERATOR_NAMES

if TYPE_CHECKING:
    from dlpubuild.targets.lint.model import Placement
    from dlpubuild.targets.mapping import MappingReport

SHOWN: Final = 8
# What a compiler calls every operator that has no builtin's name.
_CUSTOM: Final = "CUSTOM"


def surprise_notes(placement: Placement, report: MappingReport) -> tuple[str, ...]:
    """Return one sentence where the compiler left other operators on the CPU than `placement` has there."""
    expected: Counter[str] = Counter()
    for name, count in placement.cpu.items():
        expected[name if name in OPERATOR_NAMES else _CUSTOM] += count
    left: Counter[str] = Counter()
    for each in report.on_cpu:
        left[each.operator] += each.count
    if expected == left:
        return ()
    return (f"lint expected {_told(expected)} on the CPU, and the compiler left {_told(left)} there",)


def _told(counts: Counter[str]) -> str:
    if not counts:
        return "nothing"
    shown = [f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    more = f" and {len(shown) - SHOWN} other operators" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more
