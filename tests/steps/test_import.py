"""Importing a model: names, shapes and order survive, and what cannot be imported is said clearly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.steps.conftest import run_inside, run_step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.steps.conftest import StepRun

pytestmark = pytest.mark.toolchain


def params(kind: str, model: str, **declared: Any) -> dict[str, Any]:
    return {"format": kind, "model": model, "inputs": [], "outputs": [], "optimization": "none"} | declared


def run_cases(python: Path, folder: Path, cases: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Run every case in one process, each in a folder of its own name; return the faults by name."""
    jobs = []
    for name, case in cases.items():
        (folder / name).mkdir(parents=True)
        jobs.append({"folder": str(folder / name), "params": case})
    faults = run_inside(python, "run_cases.py", {"script": "import_model", "cases": jobs}, folder)
    return dict(zip(cases, faults, strict=True))


@pytest.fixture(scope="module")
def imported(tf2_python: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What an interpreter says of models imported in many ways, with what `step.json` says."""
    folder = tmp_path_factory.mktemp("imported")
    cases = {
        "exported": params("saved-model", str(models / "cnn_exported")),
        "h5": params("keras", str(models / "cnn.h5")),
        "lstm": params("keras", str(models / "lstm.keras")),
        "keras order": params("keras", str(models / "pair.keras")),
        "declared order": params(
            "keras", str(models / "pair.keras"), inputs=[{"name": "left"}], outputs=["apple", "zebra"]
        ),
        "saved order": params("saved-model", str(models / "pair_saved")),
        "saved declared order": params(
            "saved-model",
            str(models / "pair_saved"),
            inputs=[{"name": "right", "shape": [1, 16, 16, 3]}, {"name": "left"}],
            outputs=["zebra", "apple"],
        ),
        "one output": params("saved-model", str(models / "pair_saved"), outputs=["zebra"]),
        "fixed size": params(
            "keras", str(models / "anysize.keras"), inputs=[{"name": "image", "shape": [1, 20, 24, 3]}]
        ),
        "fixed computed": params(
            "saved-model",
            str(models / "reshaping"),
            inputs=[{"name": "zebra", "shape": [1, 16, 3]}, {"name": "apple", "shape": [1, 16, 3]}],
        ),
    }
    assert set(run_cases(tf2_python, folder, cases).values()) == {None}
    paths = [str(folder / name / "out" / "model.tflite") for name in cases]
    described = dict(zip(cases, run_inside(tf2_python, "describe_models.py", paths, folder), strict=True))
    for name, entry in described.items():
        entry["step"] = json.loads((folder / name / "out" / "step.json").read_text())["tensors"]
    return described


def test_a_free_batch_becomes_one(imported: dict[str, dict[str, Any]]) -> None:
    assert [shape for _, shape, _ in imported["exported"]["inputs"]] == [[1, 32, 32, 3]]
    assert [shape for _, shape, _ in imported["exported"]["outputs"]] == [[1, 10]]


def test_a_declared_shape_fixes_free_height_and_width(imported: dict[str, dict[str, Any]]) -> None:
    assert [shape for _, shape, _ in imported["fixed size"]["inputs"]] == [[1, 20, 24, 3]]


def test_shapes_that_the_graph_computes_are_fixed_too(imported: dict[str, dict[str, Any]]) -> None:
    assert [shape for _, shape, _ in imported["fixed computed"]["outputs"]] == [[1, 5], [1, 16, 3]][::-1]


def test_a_legacy_h5_file_and_a_recurrent_layer_are_imported(imported: dict[str, dict[str, Any]]) -> None:
    assert imported["h5"]["signature"] == [["image"], ["probabilities"]]
    assert imported["lstm"]["signature"] == [["series"], ["next"]]


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("keras order", ["right", "left"], ["zebra", "apple"]),
        ("declared order", ["left", "right"], ["apple", "zebra"]),
        ("saved order", ["left", "right"], ["apple", "zebra"]),
        ("saved declared order", ["right", "left"], ["zebra", "apple"]),
        ("one output", ["left", "right"], ["zebra"]),
    ],
)
def test_names_are_the_models_and_their_order_is_the_declared_one(
    imported: dict[str, dict[str, Any]], name: str, inputs: list[str], outputs: list[str]
) -> None:
    assert imported[name]["signature"] == [inputs, outputs]


def test_names_belong_to_the_same_values_in_every_order(imported: dict[str, dict[str, Any]]) -> None:
    expected = imported["saved order"]["values"]
    assert set(expected) == {"apple", "zebra"}
    assert expected["apple"] != expected["zebra"]
    for name in ("keras order", "declared order", "saved declared order"):
        assert imported[name]["values"] == expected
    assert imported["one output"]["values"] == {"zebra": expected["zebra"]}


def test_step_json_says_what_the_interpreter_says(imported: dict[str, dict[str, Any]]) -> None:
    for entry in imported.values():
        for position, side in enumerate(("inputs", "outputs")):
            told = [[each["tensor"], each["shape"], each["dtype"]] for each in entry["step"][side]]
            assert told == entry[side]
            assert [each["name"] for each in entry["step"][side]] == entry["signature"][position]


@pytest.fixture(scope="module")
def faults(tf2_python: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("faults")
    broken = folder / "junk"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"junk, and not a protocol buffer")
    cut = folder / "cut.h5"
    cut.write_bytes((models / "cnn.h5").read_bytes()[:5000])
    cnn = str(models / "cnn.keras")
    cases = {
        "lambda": params("keras", str(models / "lambda.keras")),
        "custom": params("keras", str(models / "custom.keras")),
        "weights": params("keras", str(models / "weights.weights.h5")),
        "unbuilt": params("keras", str(models / "unbuilt.keras")),
        "cut": params("keras", str(cut)),
        "broken": params("saved-model", str(broken)),
        "no serving": params("saved-model", str(models / "no_serving")),
        "unsupported": params("saved-model", str(models / "unsupported")),
        "quantization aware": params("saved-model", str(models / "quantization_aware")),
        "free size": params("keras", str(models / "anysize.keras")),
        "free size saved": params("saved-model", str(models / "reshaping")),
        "other shape": params("keras", cnn, inputs=[{"name": "image", "shape": [1, 64, 64, 3]}]),
        "other rank": params("keras", cnn, inputs=[{"name": "image", "shape": [1, 32, 32]}]),
        "other input": params("keras", cnn, inputs=[{"name": "imag"}]),
        "other output": params("keras", cnn, outputs=["probability"]),
    }
    return run_cases(tf2_python, folder, cases)


@pytest.mark.parametrize(
    ("case", "code", "named"),
    [
        ("lambda", "model-format", ["Lambda"]),
        ("custom", "model-format", ["Twice"]),
        ("weights", "model-format", ["weights only"]),
        ("unbuilt", "model-shape", ["never built"]),
        ("cut", "model-unreadable", ["Keras 3"]),
        ("broken", "model-unreadable", ["saved_model.pb"]),
        ("no serving", "model-format", ["serving_default", '"score"', '"train"']),
        ("unsupported", "conversion", ["MatrixInverse"]),
        ("quantization aware", "model-format", ["FakeQuantWithMinMaxArgs"]),
        ("free size", "model-shape", ['"image"', "dimension 1", "[?, ?, ?, 3]"]),
        ("free size saved", "model-shape", ['"apple"', "dimension 1", "[?, ?, 3]"]),
        ("other shape", "model-shape", ["[1, 64, 64, 3]", "[?, 32, 32, 3]"]),
        ("other rank", "model-shape", ["[1, 32, 32]", "[?, 32, 32, 3]"]),
        ("other input", "model-input", ['"imag"', 'did you mean "image"?']),
        ("other output", "model-output", ['"probability"', 'did you mean "probabilities"?']),
    ],
)
def test_a_model_that_cannot_be_imported_says_why(
    faults: dict[str, dict[str, str]], case: str, code: str, named: list[str]
) -> None:
    fault = faults[case]
    assert fault is not None
    assert fault["code"] == code
    assert fault["hint"]
    for part in named:
        assert part in fault["message"]


def test_a_free_dimension_is_answered_with_the_key_to_write(faults: dict[str, dict[str, str]]) -> None:
    assert '[[model.input]] name = "image", shape = [1, <size>, <size>, 3]' in faults["free size"]["hint"]


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_file_that_is_no_model_is_refused_before_tensorflow_is_loaded(
    step: Callable[..., StepRun], tmp_path: Path, name: str
) -> None:
    text = tmp_path / name
    text.write_text("a shopping list")
    run = step("text", "import_model.py", params("keras", f"in/{name}"), {f"in/{name}": text})
    assert run.exit_code == 1
    assert run.error["code"] == "model-unreadable"
    assert "Traceback" not in run.log


def test_a_folder_without_a_saved_model_is_refused(step: Callable[..., StepRun], tmp_path: Path) -> None:
    empty = tmp_path / "no model"
    empty.mkdir()
    run = step("empty", "import_model.py", params("saved-model", "in/model"), {"in/model": empty})
    assert run.exit_code == 1
    assert run.error["code"] == "model-unreadable"


@pytest.mark.parametrize(("kind", "name"), [("keras", "cnn.keras"), ("saved-model", "cnn_exported")])
def test_two_imports_in_two_places_give_the_same_bytes(
    tf2_python: Path, models: Path, tmp_path: Path, kind: str, name: str
) -> None:
    staged = "in/model.keras" if kind == "keras" else "in/model"
    runs = [
        run_step(tf2_python, tmp_path / place, "import_model.py", params(kind, staged), {staged: models / name})
        for place in ("here", "there and elsewhere")
    ]
    first, second = (run.output("model.tflite") for run in runs)
    assert first == second
    assert runs[0].output("step.json") == runs[1].output("step.json")
    assert b"tmp" not in first
    assert runs[0].description["tools"]["tensorflow-cpu"] == "2.19.1"
