"""A plan: what is shared, in which order, and what makes one step another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from dlpubuild.errors import TemplateError
from dlpubuild.manifest.load import load_manifest
from dlpubuild.plan.model import FilesInput, OutputOf, Plan, Step
from dlpubuild.plan.planner import plan_build, render_checked
from dlpubuild.project.model import Project
from dlpubuild.project.resolve import resolve_project
from dlpubuild.resources import templates_dir
from dlpubuild.targets.load import load_socs
from dlpubuild.targets.model import Soc
from tests.doubles.memo import MemoryMemo
from tests.factories.image_factory import image_bytes
from tests.factories.model_factory import classifier, keras_archive
from tests.factories.small_projects import CALIBRATION, PIN, pinned, resolve, with_toolchains, write_project

ALL = '[target.artpec8]\n[target.artpec9]\n[target.cpu]\nquantization = "int8"\n'


def planned(folder: Path, toml: str = ALL) -> Plan:
    return plan_build(pinned(resolve(write_project(folder, CALIBRATION + toml))))


def keys(plan: Plan) -> dict[str, str]:
    return {step.name: step.key for step in plan.steps}


def of_target(plan: Plan, name: str) -> list[Step]:
    (target,) = [each for each in plan.targets if each.target.name == name]
    return [plan.step(key) for key in target.steps]


def test_targets_that_need_the_same_work_share_its_steps(tmp_path: Path) -> None:
    plan = planned(tmp_path, "[target.artpec8]\n[target.artpec9]\n")
    assert [(step.name, step.targets) for step in plan.steps] == [
        ("import", ("artpec8", "artpec9")),
        ("calibrate", ("artpec8", "artpec9")),
        ("quantize:artpec8", ("artpec8",)),
        ("quantize:artpec9", ("artpec9",)),
    ]


def test_an_int8_cpu_model_is_the_one_of_artpec9_and_not_of_artpec8(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert [step.name for step in plan.steps] == ["import", "calibrate", "quantize:artpec8", "quantize:artpec9+cpu"]
    assert plan.targets[1].result == plan.targets[2].result


def test_the_same_quantization_for_artpec9_is_the_one_of_artpec8(tmp_path: Path) -> None:
    plan = planned(tmp_path, '[target.artpec8]\n[target.artpec9]\nquantization = "per-tensor"\n')
    assert [step.name for step in plan.steps] == ["import", "calibrate", "quantize"]


def test_a_float_cpu_model_shares_the_import(tmp_path: Path) -> None:
    plan = planned(tmp_path, "[target.artpec8]\n[target.cpu]\n")
    assert [(step.name, step.targets) for step in plan.steps] == [
        ("import", ("artpec8", "cpu")),
        ("calibrate", ("artpec8",)),
        ("quantize", ("artpec8",)),
    ]


@pytest.mark.parametrize("quantization", ["float16", "dynamic"])
def test_weights_that_the_import_makes_smaller_are_another_import(tmp_path: Path, quantization: str) -> None:
    plan = planned(tmp_path, f'[target.artpec8]\n[target.cpu]\nquantization = "{quantization}"\n')
    assert [step.name for step in plan.steps] == ["import:artpec8", "calibrate", "quantize", "import:cpu"]
    assert plan.steps[3].params["optimization"] == quantization


@pytest.mark.parametrize("order", list(permutations(["artpec8", "artpec9", "cpu"])))
def test_the_order_of_targets_changes_the_order_of_steps_and_nothing_else(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    tables = {"artpec8": "", "artpec9": "", "cpu": 'quantization = "int8"\n'}
    plan = planned(tmp_path, "".join(f"[target.{name}]\n{tables[name]}" for name in order))
    usual = planned(tmp_path)
    assert {step.key for step in plan.steps} == {step.key for step in usual.steps}
    assert [each.target.name for each in plan.targets] == list(order)
    for name in order:
        assert [step.key for step in of_target(plan, name)] == [step.key for step in of_target(usual, name)]
    done: set[str] = set()
    for step in plan.steps:
        assert set(step.needs) <= done
        done.add(step.key)


def test_the_same_project_gives_the_same_plan_wherever_it_lies(tmp_path: Path) -> None:
    here, there = planned(tmp_path / "here"), planned(tmp_path / "där borta")
    assert keys(here) == keys(there)


def test_inputs_and_outputs_are_in_order_of_their_places(tmp_path: Path) -> None:
    calibrate = planned(tmp_path).steps[1]
    assert [each.at for each in calibrate.inputs] == ["in/data", "in/model.tflite"]
    (files,) = [each for each in calibrate.inputs if isinstance(each, FilesInput)]
    assert [file.staged for file in files.files] == ["00000.png", "00001.png", "00002.png"]
    assert calibrate.params["data"]["files"] == [f"in/data/{file.staged}" for file in files.files]


def test_a_step_runs_its_script_with_the_support_script_beside_it(tmp_path: Path) -> None:
    for step in planned(tmp_path).steps:
        assert step.scripts[-1].name == "stepio.py"
        assert all(script.is_file() for script in step.scripts)


def test_modules_that_a_script_imports_lie_beside_it(project: Project) -> None:
    def render(soc: Soc, context: Mapping[str, Any]) -> dict[str, Any]:
        document = render_checked(soc, context)
        document["step"][-1]["modules"] = ["calibrate.py", "import_model.py"]
        return document

    step = plan_build(project, render=render).steps[-1]
    assert [script.name for script in step.scripts] == [
        "quantize.py",
        "calibrate.py",
        "import_model.py",
        "stepio.py",
    ]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return pinned(resolve(write_project(tmp_path, CALIBRATION + "[target.artpec8]\n")))


def changed(before: Project, after: Project) -> list[str]:
    """Return the names of the steps whose keys differ."""
    new = keys(plan_build(after))
    return [name for name, key in keys(plan_build(before)).items() if new[name] != key]


def test_a_model_that_changes_makes_every_step_another(project: Project, tmp_path: Path) -> None:
    files = {"model.keras": keras_archive(classifier(classes=4))}
    other = pinned(resolve(write_project(tmp_path, CALIBRATION + "[target.artpec8]\n", files=files)))
    assert changed(project, other) == ["import", "calibrate", "quantize"]


def test_an_image_that_changes_makes_calibration_and_what_follows_another(project: Project, tmp_path: Path) -> None:
    files = {"data/one.png": image_bytes(size=(30, 30))}
    other = pinned(resolve(write_project(tmp_path, CALIBRATION + "[target.artpec8]\n", files=files)))
    assert changed(project, other) == ["calibrate", "quantize"]


def test_a_mean_that_changes_makes_calibration_and_what_follows_another(project: Project, tmp_path: Path) -> None:
    model = '[[model.input]]\nname = "image"\nmean = [1, 1, 1]\n'
    other = pinned(resolve(write_project(tmp_path, CALIBRATION + "[target.artpec8]\n", model=model)))
    assert changed(project, other) == ["calibrate", "quantize"]


def test_an_io_that_changes_makes_the_quantization_another(project: Project, tmp_path: Path) -> None:
    other = pinned(resolve(write_project(tmp_path, CALIBRATION + '[target.artpec8]\nio = "int8"\n')))
    assert changed(project, other) == ["quantize"]


def test_a_lock_that_changes_makes_every_step_another(project: Project) -> None:
    other = replace(project, toolchains=MappingProxyType({"tf2": replace(PIN, lock_sha256="f" * 64)}))
    assert changed(project, other) == ["import", "calibrate", "quantize"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"timeout": 1}, ["quantize"]),
        ({"params": {"x": 1}}, ["quantize"]),
        ({"script": "calibrate.py"}, ["quantize"]),
        ({"modules": ["calibrate.py"]}, ["quantize"]),
        ({"modules": []}, ["quantize"]),
        ({"modules": ["integer_model.py", "output_check.py", "probe.py", "tflite_run.py"]}, []),
        ({"outputs": ["out/model.tflite", "out/more"]}, ["quantize"]),
        ({"inputs": {"in/other.tflite": "calibrate:out/calibrated.tflite"}}, ["quantize"]),
        ({"inputs": {"in/calibrated.tflite": "import:out/model.tflite"}}, ["quantize"]),
        ({"title": "other words"}, []),
    ],
)
def test_a_key_is_a_digest_over_all_that_a_step_is_made_of(
    project: Project, change: dict[str, object], expected: list[str]
) -> None:
    def render(soc: Soc, context: Mapping[str, Any]) -> dict[str, Any]:
        document = render_checked(soc, context)
        document["step"][-1].update(change)
        return document

    new = keys(plan_build(project, render=render))
    assert [name for name, key in keys(plan_build(project)).items() if new[name] != key] == expected


def test_the_step_that_measures_the_integer_model_is_planned_by_its_key(tmp_path: Path) -> None:
    plan = planned(tmp_path, "[target.cpu]\n[target.artpec8]\n[target.artpec7]\n")
    cpu, *integers = plan.targets
    assert cpu.checked is None
    for each in integers:
        assert each.checked is not None
        assert plan.step(each.checked).id == "quantize"
        assert each.checked in each.steps


def test_a_measuring_step_that_is_not_there_is_told(project: Project) -> None:
    def render(soc: Soc, context: Mapping[str, Any]) -> dict[str, Any]:
        return render_checked(soc, context) | {"checked": {"by": "measure"}}

    with pytest.raises(TemplateError, match='measured by step "measure"'):
        plan_build(project, render=render)


def test_only_selected_targets_are_planned(tmp_path: Path) -> None:
    manifest = load_manifest(write_project(tmp_path, CALIBRATION + ALL))
    socs = load_socs([templates_dir()], trusted=templates_dir())
    project = with_toolchains(resolve_project(manifest, socs, selected=["artpec9"], memo=MemoryMemo()))
    assert [step.name for step in plan_build(project).steps] == ["import", "calibrate", "quantize"]


def test_a_key_that_is_not_in_the_plan_is_a_key_error(project: Project) -> None:
    with pytest.raises(KeyError):
        plan_build(project).step("nothing")


def test_modules_travel_beside_their_script(tmp_path: Path) -> None:
    resolved = pinned(resolve(write_project(tmp_path, '[calibration]\ndata = "data"\n[target.artpec7]\n')))

    plan = plan_build(resolved)

    step = next(step for step in plan.steps if step.id == "compile")
    assert [path.name for path in step.scripts] == [
        "compile_edgetpu.py",
        "edgetpu_bisect.py",
        "edgetpu_faults.py",
        "edgetpu_log.py",
        "edgetpu_process.py",
        "tflite_file.py",
        "tflite_operators.py",
        "tool_process.py",
        "stepio.py",
    ]
    (target,) = plan.targets
    assert target.compiled is not None
    assert isinstance(target.compiled.source, OutputOf)
    assert (plan.step(target.compiled.source.step).id, target.compiled.step) == ("quantize", step.key)
