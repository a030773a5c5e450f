"""The outcome of a build as text and as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.engine.scheduler import State, StepOutcome
from dlpubuild.errors import BuildFailedError, ErrorCode, GateError, StepFailedError
from dlpubuild.package.stamp import WrittenPackage
from dlpubuild.package.target import PackagedTarget
from dlpubuild.report.build import BuildResult, TargetResult, build_json, build_text, not_begun_json
from dlpubuild.targets.output_figures import CheckedOutput, Compared, OutputCheck, Spread
from tests.factories.plans import make_plan, make_step


def packaged(soc: str, *, written: bool = True, operators: int = 2) -> TargetResult:
    package = WrittenPackage(
        key="k",
        folder=Path(f"dist/toy-1.0.0-{soc}").absolute(),
        archive=Path(f"dist/toy-1.0.0-{soc}.tar.gz").absolute(),
        archive_digest=digest_bytes(b"x" * 2048),
        files=(),
    )
    target = PackagedTarget(
        soc=soc,
        package=package,
        written=written,
        model_bytes=3 << 20,
        io="uint8",
        quantization="per-tensor",
        operators={f"OP_{number}": number for number in range(1, operators + 1)},
    )
    return TargetResult(soc=soc, package=target, io="uint8", seconds=75.0, ran=written)


def result(tmp_path: Path, *targets: TargetResult, state: State = State.RAN, **changes: Any) -> BuildResult:
    settings: dict[str, Any] = {
        "plan": make_plan(make_step("import", tmp_path)),
        "outcomes": {"import": StepOutcome(state=state, seconds=1.23456)},
        "targets": targets,
        "command": ("dlpubuild", "build"),
        "seconds": 2.5,
    }
    return BuildResult(**{**settings, **changes})


def test_a_target_without_steps_says_so(tmp_path: Path) -> None:
    ready = replace(packaged("artpec8", written=False), steps=0)
    (row,) = [line for line in build_text(result(tmp_path, ready), colored=False).splitlines() if "artpec8 " in line]
    assert re.split(r"  +", row)[6] == "none"


def test_the_table_says_what_was_built(tmp_path: Path) -> None:
    text = build_text(result(tmp_path, packaged("artpec8", operators=5)), colored=False)
    header, row, closing = text.splitlines()
    assert header.split() == ["target", "quantization", "I/O", "model", "operators", "time", "steps", "package"]
    assert re.split(r"  +", row) == [
        "artpec8",
        "per-tensor",
        "uint8",
        "3.0 MiB",
        "15: OP_5 5, OP_4 4, OP_3 3, OP_2 2, ...",
        "1 min 15 s",
        "ran",
        "dist/toy-1.0.0-artpec8.tar.gz (2.0 KiB)",
    ]
    assert closing == "1 package built: 1 step ran, 0 cached, 2.5 s"


def test_a_build_that_did_nothing_says_so(tmp_path: Path) -> None:
    done = result(tmp_path, packaged("cpu", written=False), state=State.CACHED)
    text = build_text(done, colored=False)
    assert done.did_nothing
    assert "unchanged" in text
    assert text.endswith("nothing had to run: 1 step cached, 1 package unchanged, 2.5 s\n")


def test_a_failed_build_counts_what_was_built_and_raises_every_error_once(tmp_path: Path) -> None:
    failure = StepFailedError(ErrorCode.STEP_FAILED, "step import failed", log="/l")
    failure.step = "import"
    gate = GateError(ErrorCode.GATE, "per-channel")
    done = result(
        tmp_path,
        packaged("cpu"),
        TargetResult(soc="a", error=failure, failed_step="import"),
        TargetResult(soc="b", error=failure, failed_step="import"),
        TargetResult(soc="c", error=gate),
        TargetResult(soc="d"),
        outcomes={"import": StepOutcome(state=State.FAILED, error=failure)},
    )
    lines = build_text(done, colored=False).splitlines()
    assert [line.split()[:1] + line.split()[-2:-1] for line in lines[2:-1]] == [
        ["a", "failed"],
        ["b", "failed"],
        ["c", "failed"],
        ["d", "skipped"],
    ]
    assert lines[-1] == "failed: 1 of 5 targets built in 2.5 s"
    with pytest.raises(BuildFailedError) as caught:
        done.raise_errors()
    assert caught.value.errors == (failure, gate)
    assert caught.value.command == ("dlpubuild", "build")


def test_the_json_holds_the_same(tmp_path: Path) -> None:
    failure = StepFailedError(ErrorCode.STEP_FAILED, "step import failed", log="/l")
    failure.step = "import"
    told = build_json(
        result(
            tmp_path,
            packaged("cpu"),
            TargetResult(soc="a", error=failure, failed_step="import"),
            outcomes={"import": StepOutcome(state=State.FAILED, error=failure)},
        )
    )
    assert json.loads(json.dumps(told)) == told
    assert told["ok"] is False
    assert told["steps"] == [{"name": "import", "targets": ["fake"], "state": "failed", "seconds": 0.0}]
    assert [target["state"] for target in told["targets"]] == ["ran", "failed"]
    assert told["targets"][1]["failed_step"] == "import"
    (error,) = told["errors"]
    assert (error["code"], error["step"], error["log"]) == ("step-failed", "import", "/l")


def test_a_build_that_never_began_has_the_same_shape(tmp_path: Path) -> None:
    error = GateError(ErrorCode.USAGE, "no")
    assert not_begun_json(error).keys() == build_json(result(tmp_path)).keys()
    assert not_begun_json(error)["errors"][0]["code"] == "usage"


def test_a_build_up_to_a_step_has_no_table(tmp_path: Path) -> None:
    text = build_text(result(tmp_path, until_step="import"), colored=False)
    assert text == "step import is done: 1 ran, 0 cached, 2.5 s\n"


def test_what_was_measured_of_the_outputs_is_in_the_json(tmp_path: Path) -> None:
    spread = Spread(low=0.0, high=1.0, spread=0.9, distinct=15)
    found = Compared(given=spread, step=0.004, expected=16, sqnr_db=30.5, explained=0.99, agreement=None)
    outputs = (
        CheckedOutput(name="scores", wanted=spread, integer={"per-channel": found}),
        CheckedOutput(name="unmeasured", wanted=spread, integer={}),
    )
    check = OutputCheck(
        scheme="per-channel", samples=16, distinct=16, outputs=outputs, unmeasured=(), failures={"per-tensor": "no"}
    )
    plain = packaged("artpec8")
    assert plain.package is not None
    measured = replace(plain, package=replace(plain.package, check=check))
    told = build_json(result(tmp_path, plain, measured))["targets"]
    figures = {"distinct": 15, "sqnr_db": 30.5, "explained": 0.99, "agreement": None}
    assert [target["outputs"] for target in told] == [[], [{"name": "scores", "samples": 16, **figures}]]


def test_notes_on_a_model_are_in_the_json(tmp_path: Path) -> None:
    plain = packaged("artpec8")
    assert plain.package is not None
    noted = replace(plain, package=replace(plain.package, notes=("1 of 4 operators run on the CPU",)))
    told = build_json(result(tmp_path, plain, noted))["targets"]
    assert [target["notes"] for target in told] == [[], ["1 of 4 operators run on the CPU"]]
