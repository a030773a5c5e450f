"""How much of a model has to run on the accelerator, and what is said where less does."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dlpubuild.errors import ErrorCode, ExitCode, GateError, StepFailedError
from dlpubuild.targets.mapping import hold_against_share, mapping_notes, read_mapping

MAPPED = "Mapped to Edge TPU"
MORE_SUBGRAPHS = "More than one subgraph is not supported"
NOT_SUPPORTED = "Operation not supported"


def record(*rows: tuple[str, int, str], **metrics: Any) -> dict[str, Any]:
    """Return what the compiling step leaves, with these rows of (operator, count, status)."""
    return {
        "schema": 1,
        "tools": {"edgetpu-compiler": "16.0.384591198"},
        "tensors": {"inputs": [], "outputs": []},
        "metrics": {
            "mapping": {
                "total": sum(count for _, count, _ in rows),
                "mapped": sum(count for _, count, status in rows if status == MAPPED),
                "operators": [
                    {"operator": operator, "count": count, "status": status, "mapped": status == MAPPED}
                    for operator, count, status in rows
                ],
                "subgraphs": 1,
                "on_chip_used_bytes": 1000,
                "on_chip_remaining_bytes": None,
                "off_chip_streamed_bytes": 0,
            }
            | metrics,
            "run": {"milliseconds": 542, "attempts": 1, "first_failure": None},
        },
    }


PARTIAL = record(
    ("ADD", 6, MAPPED), ("CONV_2D", 90, MAPPED), ("RESHAPE", 3, MORE_SUBGRAPHS), ("ARG_MAX", 1, NOT_SUPPORTED)
)


def test_a_record_becomes_a_report() -> None:
    report = read_mapping(PARTIAL)

    assert (report.mapped, report.total, report.share, report.subgraphs) == (96, 100, 0.96, 1)
    assert (report.compiler, report.compile_ms, report.first_failure) == ("16.0.384591198", 542, "")
    assert (report.on_chip_used_bytes, report.on_chip_remaining_bytes) == (1000, None)
    assert [(each.operator, each.count) for each in report.on_cpu] == [("ARG_MAX", 1), ("RESHAPE", 3)]


@pytest.mark.parametrize(
    ("record", "min_mapped", "passes"),
    [
        (record(("ADD", 4, MAPPED)), None, True),
        (PARTIAL, None, True),
        (record(("ADD", 4, NOT_SUPPORTED)), None, False),
        (record(("ADD", 4, NOT_SUPPORTED)), 0.0, True),
        (PARTIAL, 0.96, True),
        (PARTIAL, 0.97, False),
        (PARTIAL, 1.0, False),
        (record(("ADD", 4, MAPPED)), 1.0, True),
        (record(("ADD", 9, MAPPED), ("EXP", 1, NOT_SUPPORTED)), 0.9, True),
        (record(), None, True),
        (record(), 1.0, True),
    ],
)
def test_a_share_passes_that_is_as_large_as_asked_for(
    record: dict[str, Any], min_mapped: float | None, passes: bool
) -> None:
    report = read_mapping(record)
    if passes:
        hold_against_share(report, min_mapped, soc="artpec7", file="model.tflite")
        return
    with pytest.raises(GateError) as caught:
        hold_against_share(report, min_mapped, soc="artpec7", file="model.tflite")
    assert (caught.value.code, caught.value.exit_code) == (ErrorCode.GATE, ExitCode.GATE_FAILED)


def test_the_gate_names_what_was_not_mapped_causes_first() -> None:
    with pytest.raises(GateError) as caught:
        hold_against_share(read_mapping(PARTIAL), 1.0, soc="artpec7", file="artpec7/model.tflite")

    assert caught.value.message == (
        "artpec7/model.tflite: found 96 of 100 operators (96 %) on the accelerator of artpec7, wanted at least 100 %; "
        "the others:\n"
        "  Operation not supported - replace them by operators of Coral's table, or move them to the end of the model\n"
        "    1 ARG_MAX\n"
        "  More than one subgraph is not supported - one part of the model runs on the Edge TPU, and these come behind "
        "an operator that does not: change that one\n"
        "    3 RESHAPE"
    )
    assert "min-mapped under [target.artpec7]" in caught.value.hint


def test_the_gate_shows_a_dozen_and_counts_the_rest() -> None:
    rows = [(f"OPERATOR_{number:02}", 1, NOT_SUPPORTED) for number in range(20)]

    with pytest.raises(GateError) as caught:
        hold_against_share(read_mapping(record(*rows)), None, soc="artpec7", file="model.tflite")

    assert "OPERATOR_11" in caught.value.message
    assert "OPERATOR_12" not in caught.value.message
    assert caught.value.message.endswith("and 8 more")
    assert "wanted some" in caught.value.message


def test_less_than_all_never_reads_as_all() -> None:
    report = read_mapping(record(("ADD", 9999, MAPPED), ("EXP", 1, NOT_SUPPORTED)))

    with pytest.raises(GateError, match=r"\(99\.9 %\)"):
        hold_against_share(report, 1.0, soc="artpec7", file="model.tflite")


def test_a_model_that_is_mapped_wholly_has_no_notes() -> None:
    assert mapping_notes(read_mapping(record(("ADD", 4, MAPPED)))) == ()


def test_what_passes_and_is_not_perfect_is_noted() -> None:
    document = copy.deepcopy(PARTIAL)
    document["metrics"]["mapping"]["off_chip_streamed_bytes"] = 1782579
    document["metrics"]["run"]["first_failure"] = {"code": "compiler-internal", "message": "it ended badly"}

    on_cpu, memory, unsteady = mapping_notes(read_mapping(document))
    assert on_cpu == "4 of 100 operators run on the CPU, which is slower: 1 ARG_MAX, 3 RESHAPE"
    assert memory.startswith("1.7 MiB of parameters do not fit into the accelerator and are sent to it")
    assert unsteady == "the first try to compile failed, and the same command then succeeded: it ended badly"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"metrics": {}, "tools": {}},
        {"metrics": {"bytes": 3}, "tools": {"edgetpu-compiler": "16.0"}},
        record(("ADD", 4, MAPPED), total=5),
        record(("ADD", 4, MAPPED), mapped=3),
        record(("ADD", 4, MAPPED), mapped=-1),
        record(("ADD", 4, MAPPED), total=True),
        record(("ADD", 4, MAPPED), operators="none"),
        record(("ADD", 4, MAPPED), subgraphs="one"),
    ],
)
def test_a_record_without_a_sound_report_is_a_fault_of_the_step(wrong: dict[str, Any]) -> None:
    with pytest.raises(StepFailedError) as caught:
        read_mapping(wrong)
    assert caught.value.code is ErrorCode.STEP_OUTPUT
