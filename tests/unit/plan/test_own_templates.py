"""A project's own template folder: SoCs added and replaced, and every way in which its steps can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlpubuild.errors import DlpuError, ErrorCode, ExitCode, ManifestError, TemplateError
from dlpubuild.plan.model import Plan
from dlpubuild.plan.planner import plan_build
from dlpubuild.resources import templates_dir
from tests.factories.fake_project import STEPS, write_project
from tests.factories.model_factory import keras_archive
from tests.factories.small_projects import pinned, resolve
from tests.factories.small_projects import write_project as write_small


def planned(manifest: Path) -> Plan:
    return plan_build(pinned(resolve(manifest)))


def with_steps(folder: Path, *replacements: tuple[str, str], **changes: Any) -> Path:
    """Write the fake project with pieces of its step template replaced, and return its manifest."""
    steps = STEPS
    for old, new in replacements:
        assert old in steps
        steps = steps.replace(old, new)
    return write_project(folder, steps=steps, **changes)


def fault(manifest: Path) -> DlpuError:
    with pytest.raises(DlpuError) as caught:
        planned(manifest)
    assert caught.value.code is ErrorCode.TEMPLATE
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def test_a_soc_of_the_projects_own_is_planned_like_any_other(tmp_path: Path) -> None:
    plan = planned(write_project(tmp_path))
    assert [(step.name, step.scripts[0].parent) for step in plan.steps] == [
        ("import", tmp_path / "templates" / "fake"),
        ("finish", tmp_path / "templates" / "fake"),
    ]
    assert plan.steps[1].params == {"soc": "fake"}


def test_it_may_stand_beside_the_tools_own(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, manifest="[target.cpu]\n")
    assert [step.name for step in planned(manifest).steps] == ["import:cpu", "import:fake", "finish"]


def test_it_may_replace_one_of_the_tools_own(tmp_path: Path) -> None:
    plan = planned(write_project(tmp_path, socs=("cpu",)))
    assert [step.name for step in plan.steps] == ["import", "finish"]
    assert plan.targets[0].target.soc.title == "Fake cpu"


def test_it_may_use_the_tools_own_parts_and_scripts(tmp_path: Path) -> None:
    for name in ("target.toml", "steps.toml.j2"):
        text = (templates_dir() / "artpec9" / name).read_text().replace("artpec9", "artpec10")
        (tmp_path / "templates" / "artpec10").mkdir(parents=True, exist_ok=True)
        (tmp_path / "templates" / "artpec10" / name).write_text(text)
    toml = '[calibration]\ndata = "data"\n[target.artpec9]\n[target.artpec10]\n'
    plan = planned(write_small(tmp_path, toml, project='templates = "templates"'))
    assert [step.name for step in plan.steps] == ["import", "calibrate", "quantize"]
    assert {step.targets for step in plan.steps} == {("artpec9", "artpec10")}


def test_scripts_of_two_socs_are_not_the_same_step(tmp_path: Path) -> None:
    """They may have one name and different content."""
    plan = planned(write_project(tmp_path, socs=("one", "two")))
    assert [step.name for step in plan.steps] == ["import:one", "finish:one", "import:two", "finish:two"]


def test_a_plan_with_own_scripts_has_the_same_keys_wherever_it_lies(tmp_path: Path) -> None:
    here, there = planned(write_project(tmp_path / "a")), planned(write_project(tmp_path / "b"))
    assert [step.key for step in here.steps] == [step.key for step in there.steps]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('inputs = { {{ model.staged }} = "@model" }', 'inputs = { "in/x" = "finish:out/model.tflite" }', "circle"),
        ('"import:out/model.tflite"', '"finish:out/model.tflite"', "circle"),
        ('"import:out/model.tflite"', '"nothing:out/model.tflite"', '"nothing"'),
        ('"import:out/model.tflite"', '"import:out/other.tflite"', '"import:out/other.tflite"'),
        ('"finish:out/model.tflite"', '"import:out/nothing"', '"import:out/nothing"'),
        ('"finish:out/model.tflite"', '"nothing:out/model.tflite"', '"nothing:out/model.tflite"'),
        ('id = "finish"', 'id = "import"', "same id"),
        ('"finish.py"', '"nothing.py"', '"nothing.py"'),
        ('"finish.py"', '"stepio.py"', '"stepio.py"'),
        ("toolchain = {{ target.toolchain }}", 'toolchain = "tf9"', '"tf9"'),
        ('"@model"', '"@calibration"', "@calibration"),
        ('["out/model.tflite"]', '["out/model.tflite", "out/model.tflite/below"]', "below"),
        ('["out/model.tflite"]', '["out/model.tflite", "out/step.json"]', "out/step.json"),
        ("soc = {{ target.soc }}", "soc = 2020-01-01", "JSON"),
        ("soc = {{ target.soc }}", "soc = nan", "JSON"),
        ('"model.tflite" =', '"model.bin" =', "model.bin"),
    ],
)
def test_steps_that_contradict_one_another_are_told_with_their_file(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    error = fault(with_steps(tmp_path, (old, new)))
    assert isinstance(error, TemplateError)
    assert error.location is not None
    assert error.location.file == str(tmp_path / "templates" / "fake" / "steps.toml.j2")
    assert said in error.message


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("schema = 1", "schema = 2", "schema"),
        ('id = "finish"', 'id = "Finish It"', "step.1.id"),
        ('title = "finish the model"', 'title = "two\\nlines"', "step.1.title"),
        ('"finish.py"', '"../finish.py"', "step.1.script"),
        ('"finish.py"', '"/bin/sh"', "step.1.script"),
        ("timeout = 60", "timeout = 0", "step.0.timeout"),
        ("timeout = 60", "timeout = true", "step.0.timeout"),
        ('["out/model.tflite"]', "[]", "step.0.outputs"),
        ('["out/model.tflite"]', '["out/../model.tflite"]', "step.0.outputs.0"),
        ('["out/model.tflite"]', '["model.tflite"]', "step.0.outputs.0"),
        ('["out/model.tflite"]', '["out/model.tflite", "out/model.tflite"]', "step.0.outputs"),
        ('"in/model.tflite" = "import', '"in/../src/x" = "import', "step.1.inputs"),
        ('"in/model.tflite" = "import', '"in//x" = "import', "step.1.inputs"),
        ('"in/model.tflite" = "import', '"/etc/x" = "import', "step.1.inputs"),
        ('"@model"', '"@secrets"', "step.0.inputs.in/model.keras"),
        ('"import:out/model.tflite"', '"import:../x"', "step.1.inputs.in/model.tflite"),
        ('"model.tflite" =', '"model.sh" =', "result"),
        ("timeout = 60", "timeout = 60\nshell = true", "step.0"),
    ],
)
def test_steps_that_the_schema_does_not_know_are_told_with_file_and_path(
    tmp_path: Path, old: str, new: str, path: str
) -> None:
    error = fault(with_steps(tmp_path, (old, new)))
    assert isinstance(error, ManifestError)
    assert path in {problem.path for problem in error.problems}
    assert {problem.location.file for problem in error.problems} == {
        str(tmp_path / "templates" / "fake" / "steps.toml.j2")
    }


def test_names_of_the_users_do_not_become_structure(tmp_path: Path) -> None:
    """The name of an output is text, whatever it looks like."""
    evil = 'y"}}]\n[[step]]\nid = "{{ 7 * 7 }}" 😀'
    escaped = evil.replace('"', '\\"').replace("\n", " ")
    manifest = write_small(
        tmp_path,
        model=f'[[model.output]]\nname = "{escaped}"\n',
        files={"model.keras": keras_archive({"class_name": "Mine"})},
    )
    (step,) = planned(manifest).steps
    assert step.params["outputs"] == [evil.replace("\n", " ")]
