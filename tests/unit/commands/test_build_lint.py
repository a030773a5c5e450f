"""A build holds each target's model against the SoC's rules, and goes by what the manifest says of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ExitCode
from tests.factories.fake_project import write_project

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Tool

RULES = """
[lint]
processor = "Fake DLPU"
[lint.sources]
ours = "our own measurements"
[lint.unlisted]
severity = "warning"
change = "use another"
source = "ours"
evidence = "measured"
[[lint.rule]]
rule = "no-model-is-good-enough"
on = "model"
require = "model.macs < 0"
found = "{{ model.macs }} multiply-accumulates"
wanted = "less than none"
change = "leave it"
severity = "error"
source = "ours"
evidence = "inferred"
"""
SILENT = '\n[lint.rules."fake/no-model-is-good-enough"]\nseverity = "off"\nreason = "a joke"\n'


def write(empty: Tool, manifest: str = "") -> None:
    write_project(empty.folder, manifest=manifest)
    target = empty.folder / "templates" / "fake" / "target.toml"
    target.write_text(target.read_text() + RULES)


def test_an_error_of_lint_fails_the_target_each_time_with_the_figures(empty: Tool) -> None:
    write(empty)
    for _ in range(2):
        done = empty.run("build")
        assert done.code == ExitCode.GATE_FAILED
        assert "fake/no-model-is-good-enough (1): leave it" in done.err
        assert "multiply-accumulates, wanted less than none" in done.err
        assert empty.packages() == []


@pytest.mark.parametrize("manifest", [SILENT, '\n[lint]\nfail-on = "never"\n'], ids=["silenced", "never"])
def test_what_does_not_fail_is_counted_and_noted(empty: Tool, manifest: str) -> None:
    write(empty, manifest)
    done = empty.run("build", "--json")
    assert done.code == 0, done.err
    (target,) = json.loads(done.out)["targets"]
    is_silent = manifest is SILENT
    assert target["lint"]["error"] == (0 if is_silent else 1)
    assert target["lint"]["silenced"] == (1 if is_silent else 0)
    assert target["lint"]["warning"] > 0
    assert target["lint"]["placement"]["dlpu"] == 0
    (note,) = [each for each in target["notes"] if each.startswith("lint has")]
    assert "operator-not-listed" in note
    assert ("no-model-is-good-enough" in note) is not is_silent


def test_rules_that_change_are_seen_without_a_step_that_runs(empty: Tool) -> None:
    write(empty, SILENT)
    assert empty.run("build").code == 0
    target = empty.folder / "templates" / "fake" / "target.toml"
    target.write_text(target.read_text().replace('severity = "warning"', 'severity = "error"'))
    done = empty.run("build", "--json")
    assert done.code == ExitCode.GATE_FAILED
    assert "operator-not-listed" in done.err
    assert {each["state"] for each in json.loads(done.out)["steps"]} == {"cached"}


def test_with_warnings_that_fail_a_target_says_so(empty: Tool) -> None:
    write(empty, '\n[lint]\nfail-on = "warning"\n' + SILENT)
    done = empty.run("build")
    assert done.code == ExitCode.GATE_FAILED
    assert "fake/operator-not-listed" in done.err


def test_a_faulty_rule_is_a_fault_of_the_template_and_no_traceback(empty: Tool) -> None:
    write(empty, SILENT)
    target = empty.folder / "templates" / "fake" / "target.toml"
    target.write_text(target.read_text().replace("model.macs < 0", "model.mac < 0"))
    done = empty.run("build")
    assert done.code == ExitCode.USAGE
    assert "no-model-is-good-enough" in done.err
    assert "model has no 'mac'" in done.err
    assert "Traceback" not in done.err
