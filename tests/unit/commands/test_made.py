"""What the steps of a target left is handed on whole, whichever steps there were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.action import ActionResult, OutputFile
from dlpubuild.cas.digest import digest_bytes
from dlpubuild.cas.store import Store
from dlpubuild.commands.made import built_model, keep_own_model
from dlpubuild.engine.scheduler import State, StepOutcome
from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.plan.model import Binary, Compiled, OutputOf, Plan, PlannedTarget, ProjectModel
from dlpubuild.project.model import SourceFile
from tests.factories.plans import make_pin
from tests.factories.small_projects import resolve, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.targets.model import Target

MODEL, RECORD, SOURCE, EAP = (digest_bytes(name) for name in (b"model", b"record", b"source", b"eap"))


def outcome(**outputs: object) -> StepOutcome:
    files = tuple(OutputFile(path=f"out/{name}", digest=digest) for name, digest in outputs.items())  # type: ignore[arg-type]
    return StepOutcome(state=State.RAN, result=ActionResult(output_files=files))


OUTCOMES = {
    "quantize": outcome(**{"model.tflite": SOURCE, "step.json": RECORD}),
    "compile": outcome(**{"model.bin": MODEL, "step.json": RECORD}),
    "acap-build": outcome(**{"package.eap": EAP, "step.json": RECORD}),
}


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return resolve(write_project(tmp_path / "project")).targets[0]


def test_a_binary_that_a_step_packs_keeps_its_record_and_its_application(target: Target, tmp_path: Path) -> None:
    planned = PlannedTarget(
        target=target,
        result=OutputOf(step="compile", path="out/model.bin"),
        steps=tuple(OUTCOMES),
        binary=Binary(
            step="compile",
            toolchain=make_pin(tmp_path),
            source=OutputOf(step="quantize", path="out/model.tflite"),
        ),
        application=OutputOf(step="acap-build", path="out/package.eap"),
    )
    built = built_model(planned, OUTCOMES)
    assert (built.model, built.binary_record, built.application) == (MODEL, RECORD, EAP)
    assert (built.source, built.record, built.checked) == (None, None, None)
    # Only linting reads it.
    assert built.binary_source == SOURCE


@pytest.mark.parametrize("path", ["out/model.onnx", None])
def test_what_a_bin_was_made_from_is_kept_only_where_it_can_be_read(
    target: Target, tmp_path: Path, path: str | None
) -> None:
    source = None if path is None else OutputOf(step="quantize", path=path)
    planned = PlannedTarget(
        target=target,
        result=OutputOf(step="compile", path="out/model.bin"),
        steps=tuple(OUTCOMES),
        binary=Binary(step="compile", toolchain=make_pin(tmp_path), source=source),
    )
    assert built_model(planned, OUTCOMES).binary_source is None


def test_a_compiled_model_keeps_what_it_was_compiled_from_and_measured_by(target: Target, tmp_path: Path) -> None:
    planned = PlannedTarget(
        target=target,
        result=OutputOf(step="compile", path="out/model.bin"),
        steps=tuple(OUTCOMES),
        compiled=Compiled(
            source=OutputOf(step="quantize", path="out/model.tflite"), step="compile", toolchain=make_pin(tmp_path)
        ),
        checked="quantize",
    )
    built = built_model(planned, OUTCOMES)
    assert (built.readable, built.record, built.checked) == (SOURCE, RECORD, RECORD)
    assert built.application is None


def own_model(target: Target, path: Path, content: bytes) -> Plan:
    path.write_bytes(content)
    file = SourceFile(staged="", path=path, name="model.tflite", digest=digest_bytes(content))
    return Plan(steps=(), targets=(PlannedTarget(target=target, result=ProjectModel(file=file), steps=()),))


def test_a_model_of_the_projects_own_is_put_where_packages_are_made_from(target: Target, tmp_path: Path) -> None:
    plan, store = own_model(target, tmp_path / "model.tflite", b"ready"), Store(tmp_path / "cache", now_ns=lambda: 0)
    keep_own_model(plan, store)
    assert store.read(digest_bytes(b"ready")) == b"ready"
    assert built_model(plan.targets[0], {}).model == digest_bytes(b"ready")


def test_a_model_that_changed_since_it_was_looked_at_is_not_packaged(target: Target, tmp_path: Path) -> None:
    plan = own_model(target, tmp_path / "model.tflite", b"ready")
    (tmp_path / "model.tflite").write_bytes(b"another")
    with pytest.raises(DlpuError) as caught:
        keep_own_model(plan, Store(tmp_path / "cache", now_ns=lambda: 0))
    assert caught.value.code is ErrorCode.INPUT_CHANGED
