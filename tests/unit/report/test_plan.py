"""A plan printed: what each form promises beyond the golden texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dlpubuild.cas.store import Store
from dlpubuild.engine.status import CacheState, StepStatus, plan_status
from dlpubuild.plan.model import Plan
from dlpubuild.plan.planner import plan_build
from dlpubuild.report.plan import plan_dot, plan_json, plan_mermaid, plan_shell, plan_table
from tests.factories.small_projects import CALIBRATION, pinned, resolve, write_project


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_build(pinned(resolve(write_project(tmp_path, CALIBRATION + "[target.artpec8]\n[target.cpu]\n"))))


def all_to_run(plan: Plan) -> dict[str, StepStatus]:
    return {step.key: StepStatus(state=CacheState.TO_RUN, bound=None, result=None) for step in plan.steps}


def titled(plan: Plan, title: str) -> Plan:
    """Return the plan with another title for its first SoC, as a project's own target.toml may give it."""
    first = plan.targets[0]
    target = replace(first.target, soc=replace(first.target.soc, title=title))
    return replace(plan, targets=(replace(first, target=target), *plan.targets[1:]))


def test_the_table_says_per_step_whether_it_is_cached(plan: Plan, tmp_path: Path) -> None:
    table = plan_table(plan, plan_status(plan, Store(tmp_path / "cache", now_ns=lambda: 0)), colored=False)
    assert [line.split()[0] for line in table.splitlines()] == ["step", "import", "calibrate", "quantize"]
    assert ["to run" in line for line in table.splitlines()] == [False, True, False, False]
    assert ["after others" in line for line in table.splitlines()] == [False, False, True, True]


def test_colors_do_not_move_the_columns(plan: Plan) -> None:
    plain = plan_table(plan, all_to_run(plan), colored=False)
    colored = plan_table(plan, all_to_run(plan), colored=True)
    assert "\x1b[33mto run\x1b[0m" in colored
    for code in ("1", "33", "0"):
        colored = colored.replace(f"\x1b[{code}m", "")
    assert colored == plain


def test_the_json_has_the_digest_of_an_action_that_is_known(plan: Plan, tmp_path: Path) -> None:
    statuses = plan_status(plan, Store(tmp_path / "cache", now_ns=lambda: 0))
    document = json.loads(plan_json(plan, statuses))
    bound = statuses[plan.steps[0].key].bound
    assert bound is not None
    assert [step["action"] for step in document["steps"]] == [str(bound.digest), None, None]
    assert [step["status"] for step in document["steps"]] == ["to run", "after others", "after others"]


def test_a_quote_in_a_title_does_not_end_a_label(plan: Plan) -> None:
    named = titled(plan, 'my "own" \\ SoC')
    assert '(["my #quot;own#quot; \\ SoC"])' in plan_mermaid(named, all_to_run(plan))
    assert r'[label="my \"own\" \\ SoC", shape=oval]' in plan_dot(named, all_to_run(plan))


def test_a_shell_script_names_files_of_any_spelling(tmp_path: Path) -> None:
    folder = tmp_path / "it's a $HOME `pwd` åäö"
    text = plan_shell(plan_build(pinned(resolve(write_project(folder, "[target.cpu]\n")))))
    assert "it'\"'\"'s a $HOME `pwd` åäö/model.keras' in/model.keras" in text
