"""Importing ONNX: names and order survive, images become NHWC, values stay, and what cannot be converted is said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.tflite.read import read_model
from tests.steps.conftest import run_inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.steps.conftest import StepRun

    Import = Callable[..., StepRun]

pytestmark = [pytest.mark.toolchain, pytest.mark.slow]

IMAGE = {"name": "image", "shape": [1, 3, 16, 12], "layout": "nchw"}


def params(name: str, **declared: Any) -> dict[str, Any]:
    return {"model": f"in/{name}", "inputs": [], "outputs": [], "optimization": "none"} | declared


@pytest.fixture
def imported(onnx_models: Path, onnx_step: Import) -> Import:
    """Import a model of `onnx_models` in a folder of its own."""

    def run(name: str, *, folder: str = "step", **declared: Any) -> StepRun:
        more = {"in/all.bin": onnx_models / "all.bin"} if name == "external.onnx" else {}
        return onnx_step(folder, "import_onnx.py", params(name, **declared), {f"in/{name}": onnx_models / name, **more})

    return run


CASES: dict[str, dict[str, Any]] = {
    "dynamic": params("dynamic.onnx", inputs=[IMAGE]),
    "external": params("external.onnx", inputs=[IMAGE]),
    "nhwc": params("nhwc.onnx", inputs=[{"name": "image", "shape": [1, 16, 12, 3], "layout": "nhwc"}]),
    "two": params("two.onnx"),
    "two declared": params("two.onnx", inputs=[{"name": "a", "layout": "keep"}, {"name": "b", "layout": "keep"}]),
    "one output": params("image.onnx", inputs=[IMAGE], outputs=["map/0:0"]),
    "float16": params("image.onnx", inputs=[IMAGE], optimization="float16"),
    "dynamic range": params("image.onnx", inputs=[IMAGE], optimization="dynamic"),
    "half": params("half.onnx", inputs=[IMAGE]),
    "deep": params("deep.onnx"),
    "erf": params("erf.onnx"),
    "open size": params("dynamic.onnx"),
    "batch": params("twice.onnx"),
    "unknown input": params("image.onnx", inputs=[{"name": "imag"}]),
    "other shape": params("image.onnx", inputs=[{"name": "image", "shape": [1, 16, 12, 3]}]),
    "unknown output": params("image.onnx", outputs=["map"]),
    "passing": params("passing.onnx"),
    "own operator": params("own.onnx"),
    "no operator": params("fft.onnx"),
    "quantized": params("int8.onnx"),
    "broken": params("broken.onnx"),
}
FAULTS = {
    "open size": ("model-shape", "dimension 2 is not fixed"),
    "batch": ("model-shape", "its batch is 2, and every DLPU takes 1"),
    "unknown input": ("model-input", 'did you mean "image"?'),
    "other shape": ("model-shape", "is declared"),
    "unknown output": ("model-output", 'has no output "map"'),
    "passing": ("model-output", 'one of its inputs: "image"'),
    "own operator": ("conversion", 'the ONNX operator "com.example.Fancy"'),
    "no operator": ("conversion", "TensorFlow Lite has no operator for: Complex, FFT"),
    "quantized": ("model-format", 'quantized (it has "DequantizeLinear", "QuantizeLinear")'),
    "broken": ("model-unreadable", "ONNX Runtime cannot run the model"),
}


@dataclass(frozen=True)
class Case:
    """A case that ran: its folder, and the fault that it ended with."""

    folder: Path
    fault: dict[str, str] | None

    @property
    def description(self) -> dict[str, Any]:
        assert self.fault is None
        found: dict[str, Any] = json.loads((self.folder / "out/step.json").read_text(encoding="utf-8"))
        return found


@pytest.fixture(scope="module")
def cases(onnx_models: Path, onnx_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Every case, in one process, which loads TensorFlow once."""
    folder = tmp_path_factory.mktemp("imported")
    jobs = []
    for name, case in CASES.items():
        (folder / name).mkdir()
        (folder / name / "in").symlink_to(onnx_models)
        jobs.append({"folder": str(folder / name), "params": case})
    faults = run_inside(onnx_python, "run_cases.py", {"script": "import_onnx", "cases": jobs}, folder)
    return {name: Case(folder / name, fault) for name, fault in zip(CASES, faults, strict=True)}


def shapes(run: StepRun | Case) -> dict[str, list[int]]:
    return {each["name"]: each["shape"] for side in ("inputs", "outputs") for each in run.description["tensors"][side]}


def test_the_model_computes_the_same_under_its_own_names(
    imported: Import, onnx_models: Path, onnx_python: Path, tmp_path: Path
) -> None:
    run = imported("image.onnx", inputs=[IMAGE])
    content = run.output("model.tflite")
    assert shapes(run) == {"image": [1, 16, 12, 3], "scores å": [1, 5], "map/0:0": [1, 8, 6, 4]}
    assert [each.name for each in read_model(content).outputs] == ["scores å", "map/0:0"]
    job = {"onnx": str(onnx_models / "image.onnx"), "tflite": str(run.folder / "out/model.tflite"), "moved": ["image"]}
    (found,) = run_inside(onnx_python, "compare_onnx.py", [job], tmp_path)
    assert max(found["distances"].values()) < 1e-5


def test_the_record_says_what_was_moved_and_how_close_it_is(imported: Import) -> None:
    run = imported("image.onnx", inputs=[IMAGE])
    metrics = run.description["metrics"]
    assert metrics["onnx"]["inputs"] == [{"name": "image", "shape": [1, 3, 16, 12], "layout": "nhwc"}]
    assert metrics["onnx"]["outputs"] == [
        {"name": "scores å", "shape": [1, 5], "layout": "kept"},
        {"name": "map/0:0", "shape": [1, 4, 8, 6], "layout": "nhwc"},
    ]
    assert metrics["onnx"]["opset"] == 17
    assert [each["name"] for each in metrics["check"]] == ["scores å", "map/0:0"]
    assert all(each["relative"] < 1e-5 < each["tolerance"] for each in metrics["check"])
    assert [event["text"] for event in run.events if event["event"] == "message"] == [
        'output "map/0:0" has its channels last in the built model; in the ONNX model they come first'
    ]
    assert {"onnx", "onnx2tf", "onnxruntime", "tensorflow-cpu"} <= run.description["tools"].keys()


def test_importing_twice_gives_the_same_bytes(imported: Import) -> None:
    first, second = imported("image.onnx", inputs=[IMAGE]), imported("image.onnx", folder="again", inputs=[IMAGE])
    assert first.output("model.tflite") == second.output("model.tflite")
    assert first.output("step.json") == second.output("step.json")


def test_declared_shapes_fix_what_is_dynamic(cases: dict[str, Case]) -> None:
    assert shapes(cases["dynamic"])["image"] == [1, 16, 12, 3]


def test_weights_in_another_file_are_read(cases: dict[str, Case]) -> None:
    assert shapes(cases["external"])["scores å"] == [1, 5]


def test_an_image_that_is_nhwc_already_keeps_its_shape(
    cases: dict[str, Case], onnx_models: Path, onnx_python: Path, tmp_path: Path
) -> None:
    case = cases["nhwc"]
    assert shapes(case)["image"] == [1, 16, 12, 3]
    job = {"onnx": str(onnx_models / "nhwc.onnx"), "tflite": str(case.folder / "out/model.tflite"), "moved": []}
    (found,) = run_inside(onnx_python, "compare_onnx.py", [job], tmp_path)
    assert max(found["distances"].values()) < 1e-5


def test_inputs_keep_the_models_order_or_take_the_declared_one(cases: dict[str, Case]) -> None:
    assert list(shapes(cases["two"]).items()) == [("b", [1, 4]), ("a", [1, 3, 8]), ("sum", [1, 4])]
    model = read_model((cases["two declared"].folder / "out/model.tflite").read_bytes())
    assert [each.shape for each in model.inputs] == [(1, 3, 8), (1, 4)]


def test_only_the_declared_outputs_are_built(cases: dict[str, Case]) -> None:
    assert list(shapes(cases["one output"])) == ["image", "map/0:0"]


@pytest.mark.parametrize("name", ["float16", "dynamic range"])
def test_weights_become_smaller_where_that_is_asked_for(cases: dict[str, Case], name: str) -> None:
    # What is checked is the conversion, before weights are rounded.
    assert all(each["relative"] < 1e-5 for each in cases[name].description["metrics"]["check"])


def test_a_model_in_half_precision_becomes_float32(cases: dict[str, Case]) -> None:
    tensors = cases["half"].description["tensors"]
    assert {each["dtype"] for side in tensors.values() for each in side} == {"float32"}


def test_three_hundred_layers_are_no_problem(cases: dict[str, Case]) -> None:
    assert cases["deep"].description["metrics"]["operators"] >= 600


def test_an_operator_that_tensorflow_lite_lacks_is_computed_from_others(cases: dict[str, Case]) -> None:
    (figure,) = cases["erf"].description["metrics"]["check"]
    assert figure["relative"] < 1e-5


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_imported_is_said(cases: dict[str, Case], name: str) -> None:
    code, said = FAULTS[name]
    fault = cases[name].fault
    assert fault is not None
    assert fault["code"] == code
    assert said in fault["message"]
    assert fault["hint"]
    assert not (cases[name].folder / "out/model.tflite").exists()


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x08", b"\xff" * 100])
def test_a_damaged_file_is_said(onnx_step: Import, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(data)
    run = onnx_step("step", "import_onnx.py", params("bad.onnx"), {"in/bad.onnx": tmp_path / "bad.onnx"})
    assert run.error["code"] == "model-unreadable", run.log


def test_weights_that_are_missing_are_said(onnx_step: Import, onnx_models: Path) -> None:
    run = onnx_step(
        "step", "import_onnx.py", params("external.onnx"), {"in/external.onnx": onnx_models / "external.onnx"}
    )
    assert run.error["code"] == "model-unreadable"
    assert "all.bin" in run.error["message"]


def test_figures_beyond_the_tolerance_end_in_an_error_that_names_the_output(onnx_python: Path, tmp_path: Path) -> None:
    found = run_inside(onnx_python, "check_figures.py", {}, tmp_path)
    assert found["same"] is None
    assert found["nan"] is None
    assert found["turned"]["code"] == "conversion-differs"
    assert 'output "y" of the converted model' in found["turned"]["message"]
    assert found["indices"]["code"] == "conversion-differs"
    assert found["infinite"]["code"] == "conversion-differs"
