"""Frozen graphs and ready float .tflite files: what comes out computes the same, under the names that are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.read import read_file
from tests.steps.conftest import run_inside

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.toolchain
ANYSIZE = [{"name": "image", "shape": [1, 20, 24, 3]}]


def run_cases(python: Path, script: str, folder: Path, cases: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Run every case in one process, each in a folder of its own name; return the faults by name."""
    jobs = []
    for name, case in cases.items():
        (folder / name).mkdir(parents=True)
        params = {"inputs": [], "outputs": [], "optimization": "none", **case}
        jobs.append({"folder": str(folder / name), "params": params})
    faults = run_inside(python, "run_cases.py", {"script": script, "cases": jobs}, folder)
    return dict(zip(cases, faults, strict=True))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ways-in")


@pytest.fixture(scope="module")
def expected(tf2_python: Path, place: Path) -> dict[str, list[float]]:
    """What TensorFlow and Keras compute with the models, which lie in `place` from then on."""
    values: dict[str, list[float]] = run_inside(tf2_python, "make_ways_in.py", {}, place)
    return values


@pytest.fixture(scope="module")
def built(tf2_python: Path, place: Path, expected: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """What an interpreter says of models that were imported in many ways."""
    assert expected
    graphs: dict[str, dict[str, Any]] = {
        "graph": {"model": str(place / "float.pb")},
        "part": {"model": str(place / "float.pb"), "inputs": [{"name": "hidden"}], "outputs": ["logits"]},
        "two": {"model": str(place / "float.pb"), "outputs": ["scores:0", "logits"]},
        "rank": {"model": str(place / "norank.pb"), "inputs": [{"name": "image", "shape": [1, 4]}]},
        "branch": {"model": str(place / "branches.pb"), "outputs": ["scores"]},
    }
    tflites: dict[str, dict[str, Any]] = {
        "anysize": {"model": str(place / "anysize.tflite"), "inputs": ANYSIZE, "outputs": ["probs", "box"]},
        "one": {"model": str(place / "anysize.tflite"), "inputs": ANYSIZE, "outputs": ["probs"]},
        "static": {"model": str(place / "static.tflite")},
    }
    faults = run_cases(tf2_python, "import_frozen_graph", place, graphs)
    faults |= run_cases(tf2_python, "import_tflite", place, tflites)
    assert not any(faults.values()), faults
    paths = [str(place / name / "out" / "model.tflite") for name in faults]
    return dict(zip(faults, run_inside(tf2_python, "describe_models.py", paths, place), strict=True))


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("graph", [["image", [1, 16, 16, 3], "float32"]], [["scores", [1, 5], "float32"]]),
        ("part", [["hidden", [1, 8, 8, 8], "float32"]], [["logits", [1, 5], "float32"]]),
        (
            "two",
            [["image", [1, 16, 16, 3], "float32"]],
            [["scores:0", [1, 5], "float32"], ["logits", [1, 5], "float32"]],
        ),
        ("rank", [["image", [1, 4], "float32"]], [["out", [1, 4], "float32"]]),
        ("branch", [["image", [1, 4], "float32"]], [["scores", [1, 4], "float32"]]),
        (
            "anysize",
            [["image", [1, 20, 24, 3], "float32"]],
            [["probs", [1, 200], "float32"], ["box", [1, 792, 2], "float32"]],
        ),
        ("one", [["image", [1, 20, 24, 3], "float32"]], [["probs", [1, 200], "float32"]]),
        ("static", [["image", [1, 8, 8, 3], "float32"]], [["Identity", [1, 200], "float32"]]),
    ],
)
def test_names_sizes_and_order_are_as_asked_for(
    built: Mapping[str, Any], name: str, inputs: list[Any], outputs: list[Any]
) -> None:
    assert (built[name]["inputs"], built[name]["outputs"]) == (inputs, outputs)
    assert built[name]["signature"] == [[each[0] for each in inputs], [each[0] for each in outputs]]


@pytest.mark.parametrize(
    ("name", "output", "reference"),
    [
        ("graph", "scores", "scores"),
        ("two", "logits", "logits"),
        ("part", "logits", "of_hidden"),
        ("anysize", "probs", "probs"),
        ("anysize", "box", "box"),
        ("one", "probs", "probs"),
        ("static", "Identity", "static"),
    ],
)
def test_what_is_imported_computes_what_tensorflow_does(
    built: Mapping[str, Any], expected: Mapping[str, list[float]], name: str, output: str, reference: str
) -> None:
    assert built[name]["values"][output] == pytest.approx(expected[reference], rel=1e-5, abs=1e-6)


def test_no_size_is_left_open_or_computed_at_run_time(built: Mapping[str, Any], place: Path) -> None:
    assert built
    before = summarise(read_file(place / "anysize.tflite"))
    after = summarise(read_file(place / "anysize" / "out" / "model.tflite"))
    assert before.dynamic_tensors
    assert "SHAPE" in before.operators
    assert after.dynamic_tensors == ()
    assert "SHAPE" not in after.operators
    assert "RESHAPE" not in summarise(read_file(place / "one" / "out" / "model.tflite")).operators


def test_importing_twice_gives_the_same_bytes(tf2_python: Path, built: Mapping[str, Any], place: Path) -> None:
    assert built
    again = place / "again"
    again.mkdir()
    run_cases(tf2_python, "import_tflite", again, {"a": {"model": str(place / "anysize.tflite"), "inputs": ANYSIZE}})
    run_cases(tf2_python, "import_tflite", again, {"b": {"model": str(place / "anysize.tflite"), "inputs": ANYSIZE}})
    run_cases(tf2_python, "import_frozen_graph", again, {"c": {"model": str(place / "float.pb")}})
    first, second, graph = ((again / name / "out" / "model.tflite").read_bytes() for name in "abc")
    assert first == second
    assert graph == (place / "graph" / "out" / "model.tflite").read_bytes()


@pytest.mark.parametrize("script", ["import_frozen_graph", "import_tflite"])
def test_what_cannot_be_imported_is_told(
    tf2_python: Path, expected: dict[str, list[float]], place: Path, script: str
) -> None:
    assert expected
    (place / "text.bin").write_text("no model")
    (place / "short.tflite").write_bytes((place / "static.tflite").read_bytes()[:500])
    every: dict[str, dict[str, tuple[str, dict[str, Any], str]]] = {
        "import_frozen_graph": {
            "aware": ("aware.pb", {}, "model-format"),
            "rank": ("norank.pb", {}, "model-shape"),
            "text": ("text.bin", {}, "model-unreadable"),
            "no node": ("float.pb", {"outputs": ["score"]}, "model-output"),
            "no input": ("float.pb", {"inputs": [{"name": "imag"}]}, "model-input"),
            "does not fit": ("float.pb", {"inputs": [{"name": "image", "shape": [1, 9, 16, 3]}]}, "model-shape"),
        },
        "import_tflite": {
            "integer": ("integer.tflite", {}, "model-format"),
            "half": ("half.tflite", {}, "model-format"),
            "dynamic": ("dynamic.tflite", {}, "model-format"),
            "custom": ("custom.tflite", {}, "model-format"),
            "text": ("text.bin", {}, "model-unreadable"),
            "short": ("short.tflite", {}, "model-unreadable"),
            "open": ("anysize.tflite", {}, "model-shape"),
            "does not fit": ("static.tflite", {"inputs": [{"name": "image", "shape": [1, 9, 9, 3]}]}, "model-shape"),
            "too small": ("anysize.tflite", {"inputs": [{"name": "image", "shape": [1, 1, 1, 3]}]}, "model-shape"),
            "no output": ("static.tflite", {"outputs": ["Identify"]}, "model-output"),
            "no input": ("static.tflite", {"inputs": [{"name": "imago"}]}, "model-input"),
        },
    }
    cases = every[script]
    jobs = {name: {"model": str(place / model), **params} for name, (model, params, _) in cases.items()}
    faults = run_cases(tf2_python, script, place / f"{script}-faults", jobs)
    assert {name: fault and fault["code"] for name, fault in faults.items()} == {
        name: code for name, (_, _, code) in cases.items()
    }
    for fault in faults.values():
        assert fault["hint"]
