"""Exporting to ONNX: opset 17, fixed shapes, the model's names, the same values and the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.project.onnx_signature import read_onnx
from tests.steps.conftest import run_inside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.steps.conftest import StepRun

    Step = Callable[..., StepRun]

pytestmark = [pytest.mark.toolchain, pytest.mark.slow]


@pytest.fixture(scope="module")
def float_models(onnx_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Float .tflite files with signatures; what is in the folder is said in inside/make_float_models.py."""
    folder = tmp_path_factory.mktemp("float-models")
    run_inside(onnx_python, "make_float_models.py", {}, folder)
    return folder


@pytest.fixture
def exported(float_models: Path, onnx_step: Step) -> Step:
    def run(name: str, *, folder: str = "step", inputs_as_nchw: bool = True) -> StepRun:
        params: dict[str, Any] = {"model": "in/model.tflite", "inputs_as_nchw": inputs_as_nchw}
        return onnx_step(folder, "export_onnx.py", params, {"in/model.tflite": float_models / name})

    return run


def compared(run: StepRun, python: Path, model: Path, moved: list[str]) -> Any:
    # The comparison feeds ONNX's inputs: those that it has as NCHW are NHWC in the .tflite.
    job = {"onnx": str(run.folder / "out/model.onnx"), "tflite": str(model), "moved": moved}
    return run_inside(python, "compare_onnx.py", [job], run.folder)[0]


@pytest.mark.parametrize("nchw", [True, False])
def test_names_stay_and_images_enter_as_asked(
    exported: Step, onnx_python: Path, float_models: Path, nchw: bool
) -> None:
    run = exported("image.tflite", inputs_as_nchw=nchw)
    assert run.output("model.onnx")
    found = compared(run, onnx_python, float_models / "image.tflite", ["im age/0:å"] if nchw else [])
    assert found["opset"] == {"": 17}
    assert found["inputs"] == {"im age/0:å": [1, 3, 32, 24] if nchw else [1, 32, 24, 3]}
    assert found["outputs"] == {"scores": [1, 5], "map": [1, 32, 24, 4]}
    assert max(found["distances"].values()) < 1e-4
    assert run.description["metrics"]["onnx"]["inputs_as_nchw"] == (["im age/0:å"] if nchw else [])


def test_what_is_no_image_keeps_its_shape(exported: Step, onnx_python: Path, float_models: Path) -> None:
    run = exported("two.tflite")
    found = compared(run, onnx_python, float_models / "two.tflite", [])
    assert list(found["inputs"].items()) == [("b", [1, 4]), ("a", [1, 8, 4])]
    assert max(found["distances"].values()) < 1e-4


def test_a_recurrent_layer_becomes_a_loop_that_computes_the_same(
    exported: Step, onnx_python: Path, float_models: Path
) -> None:
    run = exported("lstm.tflite")
    found = compared(run, onnx_python, float_models / "lstm.tflite", [])
    assert max(found["distances"].values()) < 1e-4
    assert "Loop" in read_onnx(run.folder / "out/model.onnx").operators


@pytest.mark.parametrize("name", ["image.tflite", "lstm.tflite"])
def test_exporting_twice_gives_the_same_bytes(exported: Step, name: str) -> None:
    first, second = exported(name), exported(name, folder="again")
    assert first.output("model.onnx") == second.output("model.onnx")
    assert first.output("step.json") == second.output("step.json")


def test_the_reader_of_the_tool_reads_what_is_written(exported: Step) -> None:
    run = exported("image.tflite")
    assert run.output("model.onnx")
    facts = read_onnx(run.folder / "out/model.onnx")
    assert (facts.opset, facts.ir_version, facts.producer) == (17, 8, "dlpubuild, by tf2onnx")
    assert [(each.name, each.shape) for each in facts.inputs] == [("im age/0:å", (1, 3, 32, 24))]


def test_a_quantized_model_is_refused(exported: Step) -> None:
    run = exported("integer.tflite")
    assert run.error["code"] == "model-format"
    assert "quantized already" in run.error["message"]
