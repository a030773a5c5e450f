"""Where the compiler did something else than lint expected, a build says so."""

from __future__ import annotations

import pytest

from dlpubuild.targets.lint.model import Placement
from dlpubuild.targets.lint.surprise import SHOWN, surprise_notes
from dlpubuild.targets.mapping import MappedOperators, MappingReport


def placement(**cpu: int) -> Placement:
    return Placement(
        processor="Edge TPU",
        on_dlpu=(),
        on_cpu=tuple(range(sum(cpu.values()))),
        dlpu={},
        cpu=cpu,
        parts=1,
        switches=0,
        max_parts=None,
        basis="",
    )


def report(*left: tuple[str, int]) -> MappingReport:
    operators = tuple(
        MappedOperators(operator=name, status="Operation not supported", count=count, is_mapped=False)
        for name, count in left
    )
    return MappingReport(
        total=9,
        mapped=9 - sum(count for _, count in left),
        operators=(*operators, MappedOperators(operator="ADD", status="Mapped", count=1, is_mapped=True)),
        subgraphs=1,
        on_chip_used_bytes=None,
        on_chip_remaining_bytes=None,
        off_chip_streamed_bytes=None,
        compiler="16.0",
        compile_ms=None,
        first_failure="",
    )


@pytest.mark.parametrize(
    ("cpu", "left"),
    [
        ({}, ()),
        ({"RESHAPE": 3}, (("RESHAPE", 1), ("RESHAPE", 2))),
        ({"TFLite_Detection_PostProcess": 1, "DEQUANTIZE": 2}, (("CUSTOM", 1), ("DEQUANTIZE", 2))),
    ],
)
def test_nothing_is_said_where_the_compiler_did_what_was_expected(
    cpu: dict[str, int], left: tuple[tuple[str, int], ...]
) -> None:
    assert surprise_notes(placement(**cpu), report(*left)) == ()


def test_both_sides_of_a_difference_are_told() -> None:
    assert surprise_notes(placement(ARG_MAX=1), report(("RESHAPE", 2), ("ARG_MAX", 1))) == (
        "lint expected 1 ARG_MAX on the CPU, and the compiler left 2 RESHAPE, 1 ARG_MAX there",
    )


def test_nothing_on_one_side_is_told_as_that() -> None:
    (note,) = surprise_notes(placement(), report(("TRANSPOSE", 1)))
    assert note == "lint expected nothing on the CPU, and the compiler left 1 TRANSPOSE there"


def test_a_long_list_is_cut() -> None:
    (note,) = surprise_notes(placement(), report(*((f"OP_{i}", 1) for i in range(SHOWN + 3))))
    assert note.count("OP_") == SHOWN
    assert note.endswith("and 3 other operators there")
