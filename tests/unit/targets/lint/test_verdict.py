"""What fails a target, and what is a note."""

from __future__ import annotations

import pytest

from dlpubuild.errors import ErrorCode, ExitCode, GateError
from dlpubuild.targets.lint.model import LintFinding, LintReport, LintSettings, Severity
from dlpubuild.targets.lint.run import lint_model
from dlpubuild.targets.lint.verdict import FailOn, failing, hold_against_lint, lint_notes
from dlpubuild.tflite.read import read_model
from tests.factories.lint_tables import head, limit, toy_soc
from tests.factories.tflite_factory import encode, integer_model
from tests.unit.targets.lint.rules_of_socs import lint


def finding(rule: str, severity: Severity, number: int = 0) -> LintFinding:
    return LintFinding(
        rule=f"toy/{rule}",
        severity=severity,
        subject=f"operator {number} ADD",
        found="this",
        wanted="that",
        change="change it",
        source="",
        evidence="documented",
        operator_index=number,
    )


REPORT = LintReport(
    soc="toy",
    findings=(
        finding("bad", "error"),
        *(finding("many", "warning", number) for number in range(6)),
        finding("few", "warning"),
        finding("other", "warning"),
        finding("last", "warning"),
        finding("nice", "advice"),
    ),
)


@pytest.mark.parametrize(("fail_on", "count"), [("error", 1), ("warning", 10), ("never", 0)])
def test_what_fails(fail_on: FailOn, count: int) -> None:
    assert len(failing(REPORT, fail_on)) == count


def test_the_error_has_the_figures_of_each_rule() -> None:
    with pytest.raises(GateError) as caught:
        hold_against_lint(REPORT, "warning", file="toy/model.tflite")
    error = caught.value
    assert (error.code, error.exit_code) == (ErrorCode.GATE, ExitCode.GATE_FAILED)
    lines = error.message.splitlines()
    assert lines[:3] == [
        "toy/model.tflite is not what toy wants:",
        "  toy/bad (1): change it",
        "    operator 0 ADD: found this, wanted that",
    ]
    assert "    and 2 more" in lines
    assert "nice" not in error.message
    assert "[lint.rules]" in error.hint


def test_nothing_is_raised_where_nothing_fails() -> None:
    hold_against_lint(REPORT, "never", file="x")


@pytest.mark.parametrize(
    ("fail_on", "note"),
    [
        ("error", "lint has 9 warnings: many (6), few (1), last (1), ..."),
        ("never", "lint has 1 error and 9 warnings: many (6), bad (1), few (1), ..."),
    ],
)
def test_the_note_counts_and_names_the_commonest(fail_on: FailOn, note: str) -> None:
    assert lint_notes(REPORT, fail_on) == (note,)


def test_advice_alone_is_no_note() -> None:
    assert lint_notes(lint(integer_model(), "artpec8"), "error") == ()


def test_a_note_says_what_runs_on_the_cpu() -> None:
    text = head() + limit("name != 'CONV_2D'", rule="no-conv")
    report = lint_model(read_model(encode(integer_model())), toy_soc(text), LintSettings())
    assert lint_notes(report, "error") == ("lint has 1 warning: no-conv (1); 1 of 2 operators are expected on the CPU",)
