"""What is measured of each target, beside what, and the part of a plan that this needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.errors import TemplateError
from dlpubuild.plan.context import template_context
from dlpubuild.plan.measuring import for_another_model, measures, only_measuring
from dlpubuild.plan.model import FilesInput, MadeInput, OutputInput, OutputOf, Plan
from dlpubuild.plan.planner import plan_build, render_checked
from tests.factories.model_factory import graph_def
from tests.factories.small_projects import CALIBRATION, pinned, resolve, write_project
from tests.factories.tflite_factory import encode, float_model, integer_model

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.plan.model import Step
    from dlpubuild.project.model import Project

VERIFY = '[verify]\ndata = "data"\nmetric = "agreement"\n'
AWARE = graph_def(
    [("image", "Placeholder", []), ("q", "FakeQuantWithMinMaxVars", ["image"])], shapes={"image": (1, 8, 8, 3)}
)


def project(folder: Path, targets: str, *, source: str = "model.keras", **files: bytes) -> Project:
    named = {name.replace("_", "."): content for name, content in files.items()}
    return pinned(resolve(write_project(folder, CALIBRATION + VERIFY + targets, source=source, files=named)))


def measuring(plan: Plan, soc: str) -> Step:
    (target,) = [each for each in plan.targets if each.target.name == soc]
    assert target.verified is not None
    assert target.verified.path == "out/verify.json"
    return plan.step(target.verified.step)


def inputs(plan: Plan, soc: str) -> dict[str, str]:
    """What the measuring step takes: the ids of steps whose outputs these are, or where files lie."""
    found = {}
    for each in measuring(plan, soc).inputs:
        if isinstance(each, OutputInput):
            found[each.at] = plan.step(each.output.step).id
        elif isinstance(each, FilesInput):
            found[each.at] = "files"
    return found


def test_an_integer_model_is_measured_beside_the_float_one_with_what_others_are_made_from(tmp_path: Path) -> None:
    plan = plan_build(project(tmp_path, "[target.artpec8]\n"))
    assert inputs(plan, "artpec8") == {
        "in/calibrated.tflite": "calibrate",
        "in/data": "files",
        "in/float.tflite": "import",
        "in/model.tflite": "quantize",
        "in/validation": "files",
    }
    params = measuring(plan, "artpec8").params
    assert (params["scheme"], params["io"], params["layer_samples"]) == ("per-tensor", "uint8", 16)
    assert params["data"]["files"] == [f"in/validation/{number:05d}.png" for number in range(3)]


def test_equal_models_of_two_targets_are_measured_once(tmp_path: Path) -> None:
    plan = plan_build(project(tmp_path, "[target.artpec7]\n[target.artpec9]\n"))
    assert measuring(plan, "artpec7") == measuring(plan, "artpec9")
    assert measuring(plan, "artpec7").targets == ("artpec7", "artpec9")


def test_a_float_model_is_its_own_reference(tmp_path: Path) -> None:
    plan = plan_build(project(tmp_path, "[target.cpu]\n"))
    assert inputs(plan, "cpu") == {"in/model.tflite": "import", "in/validation": "files"}
    assert measuring(plan, "cpu").params["float"] == "in/model.tflite"


@pytest.mark.parametrize("quantization", ["float16", "dynamic"])
def test_smaller_weights_are_measured_beside_the_float_import_of_other_targets(
    tmp_path: Path, quantization: str
) -> None:
    plan = plan_build(project(tmp_path, f'[target.artpec8]\n[target.cpu]\nquantization = "{quantization}"\n'))
    found = inputs(plan, "cpu")
    assert (found["in/model.tflite"], found["in/float.tflite"]) == (f"import-{quantization}", "import")
    (imported,) = [step for step in plan.steps if step.id == "import"]
    assert imported.targets == ("artpec8", "cpu")
    (result,) = [each.result for each in plan.targets if each.target.name == "cpu"]
    assert isinstance(result, OutputOf)
    assert plan.step(result.step).id == f"import-{quantization}"


@pytest.mark.parametrize("parser", ["tf", "onnx"])
def test_of_what_only_a_camera_reads_the_float_model_is_measured(tmp_path: Path, parser: str) -> None:
    plan = plan_build(project(tmp_path, f'[target.cv25]\nparser = "{parser}"\n'))
    assert inputs(plan, "cv25") == {"in/model.tflite": "import", "in/validation": "files"}
    assert "float" not in measuring(plan, "cv25").params
    assert measuring(plan, "cv25").toolchain.name == "tf2"


@pytest.mark.parametrize("soc", ["artpec7", "artpec8", "cpu"])
def test_a_ready_integer_model_has_nothing_beside_it(tmp_path: Path, soc: str) -> None:
    files = {"m_tflite": encode(integer_model(per_channel=soc == "artpec7", io="uint8"))}
    plan = plan_build(project(tmp_path, f"[target.{soc}]\n", source="m.tflite", **files))
    assert inputs(plan, soc) == {"in/model.tflite": "files", "in/validation": "files"}
    assert not {"float", "calibrated"} & measuring(plan, soc).params.keys()


def test_a_ready_float_model_is_measured_as_it_is(tmp_path: Path) -> None:
    plan = plan_build(project(tmp_path, "[target.cpu]\n", source="m.tflite", m_tflite=encode(float_model())))
    assert measuring(plan, "cpu").params["float"] == "in/model.tflite"


def test_a_quantization_aware_graph_is_measured_beside_itself_in_float(tmp_path: Path) -> None:
    targets = '[target.artpec8]\ntoolchain = "tf1"\n'
    plan = plan_build(project(tmp_path, targets, source="m.pb", m_pb=AWARE))
    found = inputs(plan, "artpec8")
    assert (found["in/model.tflite"], found["in/float.tflite"]) == ("quantize", "import")
    step = next(step for step in plan.steps if step.id == "import")
    assert (step.params["integer"], step.scripts[0].name) == (False, "convert_tf1.py")


def test_without_verify_nothing_is_measured(tmp_path: Path) -> None:
    toml = f'{CALIBRATION}[target.artpec8]\n[target.cpu]\nquantization = "float16"\n'
    plan = plan_build(pinned(resolve(write_project(tmp_path, toml))))
    assert [each.verified for each in plan.targets] == [None, None]
    assert [step.id for step in plan.steps] == ["import", "calibrate", "quantize", "import"]


def test_a_template_that_names_no_step_or_output_is_told(tmp_path: Path) -> None:
    def render(soc: Any, context: Any) -> dict[str, Any]:
        return {**render_checked(soc, context), "verified": {"by": "quantize"}}

    with pytest.raises(TemplateError, match=r"out/verify\.json"):
        plan_build(project(tmp_path, "[target.artpec8]\n"), render=render)


def test_compilers_are_not_needed_to_measure(tmp_path: Path) -> None:
    found = project(tmp_path, "[target.artpec7]\n")
    (target,) = found.targets
    document = render_checked(target.soc, template_context(found, target))
    assert measures(document)
    part = only_measuring(target.soc, document)
    assert [table["id"] for table in part["step"]] == ["import", "calibrate", "quantize", "verify"]
    assert part["result"] == {"model.tflite": "quantize:out/model.tflite"}
    assert not measures({**document, "verified": {"by": "import"}})


def test_another_model_takes_the_place_of_the_built_one_and_no_other(tmp_path: Path) -> None:
    step = measuring(plan_build(project(tmp_path / "a", "[target.artpec8]\n")), "artpec8")
    other = for_another_model(step, b"another")
    assert other.key != step.key
    assert [each.at for each in other.inputs] == [each.at for each in step.inputs]
    assert [each for each in other.inputs if isinstance(each, MadeInput)] == [
        MadeInput(at="in/model.tflite", content=b"another")
    ]
    assert other.params == step.params


def test_where_the_float_model_was_measured_it_stays_what_another_is_compared_with(tmp_path: Path) -> None:
    plan = plan_build(project(tmp_path, "[target.cpu]\n"))
    other = for_another_model(measuring(plan, "cpu"), b"another")
    (reference,) = [each for each in other.inputs if each.at == "in/float.tflite"]
    assert isinstance(reference, OutputInput)
    assert plan.step(reference.output.step).id == "import"
    assert other.params["float"] == "in/float.tflite"
