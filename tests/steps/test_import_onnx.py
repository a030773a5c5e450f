"""Importing ONNX: names and order survive, images become NHWC, values stay, and what cannot be converted is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.tflite.read import read_model
from tests.steps.conftest import run_inside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


def shapes(run: StepRun) -> dict[str, list[int]]:
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


def test_declared_shapes_fix_what_is_dynamic(imported: Import) -> None:
    run = imported("dynamic.onnx", inputs=[IMAGE])
    assert run.output("model.tflite")
    assert shapes(run)["image"] == [1, 16, 12, 3]


def test_weights_in_another_file_are_read(imported: Import) -> None:
    assert imported("external.onnx", inputs=[IMAGE]).output("model.tflite")


def test_an_image_that_is_nhwc_already_keeps_its_shape(
    imported: Import, onnx_models: Path, onnx_python: Path, tmp_path: Path
) -> None:
    run = imported("nhwc.onnx", inputs=[{"name": "image", "shape": [1, 16, 12, 3], "layout": "nhwc"}])
    assert run.output("model.tflite")
    assert shapes(run)["image"] == [1, 16, 12, 3]
    job = {"onnx": str(onnx_models / "nhwc.onnx"), "tflite": str(run.folder / "out/model.tflite"), "moved": []}
    (found,) = run_inside(onnx_python, "compare_onnx.py", [job], tmp_path)
    assert max(found["distances"].values()) < 1e-5


def test_inputs_keep_the_models_order_or_take_the_declared_one(imported: Import) -> None:
    assert list(shapes(imported("two.onnx")).items()) == [("b", [1, 4]), ("a", [1, 3, 8]), ("sum", [1, 4])]
    declared = [{"name": "a", "layout": "keep"}, {"name": "b", "layout": "keep"}]
    run = imported("two.onnx", folder="other", inputs=declared)
    assert [each.shape for each in read_model(run.output("model.tflite")).inputs] == [(1, 3, 8), (1, 4)]


def test_only_the_declared_outputs_are_built(imported: Import) -> None:
    assert list(shapes(imported("image.onnx", inputs=[IMAGE], outputs=["map/0:0"]))) == ["image", "map/0:0"]


@pytest.mark.parametrize("optimization", ["float16", "dynamic"])
def test_weights_become_smaller_where_that_is_asked_for(imported: Import, optimization: str) -> None:
    run = imported("image.onnx", inputs=[IMAGE], optimization=optimization)
    assert run.output("model.tflite")
    # What is checked is the conversion, before weights are rounded.
    assert all(each["relative"] < 1e-5 for each in run.description["metrics"]["check"])


def test_a_model_in_half_precision_becomes_float32(imported: Import) -> None:
    run = imported("half.onnx", inputs=[IMAGE])
    assert {each["dtype"] for side in run.description["tensors"].values() for each in side} == {"float32"}


def test_three_hundred_layers_are_no_problem(imported: Import) -> None:
    assert imported("deep.onnx").output("model.tflite")


@pytest.mark.parametrize(
    ("name", "declared", "code", "said"),
    [
        ("dynamic.onnx", {}, "model-shape", "dimension 2 is not fixed"),
        ("twice.onnx", {}, "model-shape", "its batch is 2, and every DLPU takes 1"),
        ("image.onnx", {"inputs": [{"name": "imag"}]}, "model-input", 'did you mean "image"?'),
        ("image.onnx", {"inputs": [{"name": "image", "shape": [1, 16, 12, 3]}]}, "model-shape", "is declared"),
        ("image.onnx", {"outputs": ["map"]}, "model-output", 'has no output "map"'),
        ("passing.onnx", {}, "model-output", 'one of its inputs: "image"'),
        ("own.onnx", {}, "conversion", 'the ONNX operator "com.example.Fancy"'),
        ("fft.onnx", {}, "conversion", "TensorFlow Lite has no operator for: Complex, FFT"),
        ("int8.onnx", {}, "model-format", 'quantized (it has "DequantizeLinear", "QuantizeLinear")'),
        ("broken.onnx", {}, "model-unreadable", "ONNX Runtime cannot run the model"),
    ],
)
def test_what_cannot_be_imported_is_said(
    imported: Import, name: str, declared: dict[str, Any], code: str, said: str
) -> None:
    run = imported(name, **declared)
    assert run.exit_code == 1
    assert run.error["code"] == code, run.log
    assert said in run.error["message"]
    assert not (run.folder / "out/model.tflite").exists()


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
