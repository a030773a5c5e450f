"""Errors as a user reads them; the wording is pinned once, here."""

from __future__ import annotations

from dlpubuild.errors import (
    DlpuError,
    ErrorCode,
    GateError,
    Location,
    ManifestError,
    Problem,
    StepFailedError,
)
from dlpubuild.report.doctor import Finding, findings_text
from dlpubuild.report.errors import error_text


def test_a_failed_step_is_told_with_last_lines_log_and_the_command_that_reruns_it() -> None:
    error = StepFailedError(
        ErrorCode.STEP_FAILED,
        "step calibrate failed with exit code 1",
        hint="look at the log",
        log="/cache/logs/calibrate-1.log",
        tail=("Traceback", "ValueError: 3"),
    )
    assert error_text(error, colored=False, rerun="dlpubuild build --step calibrate") == (
        "error: step calibrate failed with exit code 1\n"
        "  its last lines:\n"
        "    | Traceback\n"
        "    | ValueError: 3\n"
        "  log: /cache/logs/calibrate-1.log\n"
        "  rerun it alone: dlpubuild build --step calibrate\n"
        "  hint: look at the log\n"
    )


def test_a_step_that_wrote_nothing_is_told_without_last_lines() -> None:
    error = StepFailedError(ErrorCode.STEP_FAILED, "step import was killed by SIGKILL")
    assert error_text(error, colored=False) == "error: step import was killed by SIGKILL\n"


def test_an_error_names_its_place() -> None:
    error = GateError(ErrorCode.GATE, "it has 3 per-channel tensors", location=Location("model.tflite", 3, 1))
    assert error_text(error, colored=False) == "error: model.tflite:3:1: it has 3 per-channel tensors\n"


def test_all_faults_of_a_manifest_are_told_and_counted() -> None:
    problems = [
        Problem(
            code=ErrorCode.UNKNOWN_KEY,
            location=Location("dlpu.toml", line, 1),
            path=f"a.b{line}",
            message="unknown key",
            hint=hint,
        )
        for line, hint in ((2, ""), (1, "did you mean c?"))
    ]
    assert error_text(ManifestError(problems), colored=False) == (
        "dlpu.toml:1:1  a.b1  unknown key\n    did you mean c?\ndlpu.toml:2:1  a.b2  unknown key\n2 faults found\n"
    )
    assert error_text(ManifestError(problems[:1]), colored=False).endswith("1 fault found\n")


def test_colors_do_not_change_the_words() -> None:
    error = DlpuError(ErrorCode.USAGE, "no", hint="yes")
    colored = error_text(error, colored=True)
    assert "\x1b[" in colored
    for code in ("\x1b[1;31m", "\x1b[33m", "\x1b[0m"):
        colored = colored.replace(code, "")
    assert colored == error_text(error, colored=False)


def test_what_to_do_stands_below_what_was_found() -> None:
    findings = (
        Finding(topic="uv", state="ok", found="uv 1"),
        Finding(topic="cache", state="missing", found="full", todo="free some space"),
    )
    assert findings_text(findings, colored=False) == (
        "ok       uv     uv 1\nmissing  cache  full\n                -> free some space\n"
    )
