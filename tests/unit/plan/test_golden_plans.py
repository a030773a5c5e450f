"""Each folder of tests/golden/plan is a manifest and the plan made of it, in every form it can be printed in.

Digests are those of names, and the toolchain is a stand-in: a new Pillow, lock file or step script changes no plan.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import Digest
from dlpubuild.engine.status import CacheState, StepStatus
from dlpubuild.plan.planner import plan_build
from dlpubuild.report.plan import FORMATS, plan_table
from dlpubuild.resources import steps_dir
from tests.factories.small_projects import pinned, resolve, write_project

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlpubuild.plan.model import Plan
    from dlpubuild.project.model import Project, SourceFile

CASES = sorted(path.parent for path in (Path(__file__).parents[2] / "golden" / "plan").glob("*/dlpu.toml"))
SUFFIXES = {"json": "json", "mermaid": "mmd", "dot": "dot", "shell": "sh"}


def _fixed(files: tuple[SourceFile, ...]) -> tuple[SourceFile, ...]:
    return tuple(
        replace(file, digest=Digest(hashlib.sha256(file.name.encode()).hexdigest(), len(file.name))) for file in files
    )


def _with_fixed_digests(project: Project) -> Project:
    calibration = project.calibration
    return replace(
        project,
        model=replace(project.model, files=_fixed(project.model.files)),
        calibration=calibration and replace(calibration, files=_fixed(calibration.files)),
    )


def _statuses(plan: Plan) -> dict[str, StepStatus]:
    states = [CacheState.CACHED, CacheState.TO_RUN, *([CacheState.AFTER_OTHERS] * len(plan.steps))]
    return {
        step.key: StepStatus(state=state, bound=None, result=None)
        for step, state in zip(plan.steps, states, strict=False)
    }


def test_there_is_a_case_for_every_soc_and_quantization() -> None:
    assert [case.name for case in CASES] == [
        "all",
        "artpec8",
        "artpec9",
        "cpu-dynamic",
        "cpu-float16",
        "cpu-int8",
        "cpu-none",
        "cv25",
        "cv75",
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan_is_as_expected(case: Path, golden: Callable[[Path, str], None], tmp_path: Path) -> None:
    write_project(tmp_path)
    shutil.copyfile(case / "dlpu.toml", tmp_path / "dlpu.toml")
    plan = plan_build(_with_fixed_digests(pinned(resolve(tmp_path / "dlpu.toml"))))
    statuses = _statuses(plan)
    texts = {f"plan.{SUFFIXES[name]}": write(plan, statuses) for name, write in FORMATS.items()}
    texts["plan.txt"] = plan_table(plan, statuses, colored=False)
    for name, text in texts.items():
        golden(case / name, text.replace(str(tmp_path), "/project").replace(str(steps_dir()), "/steps"))
