"""What quantizing says of the outputs that it made: models that collapse, models that only look like it, odd ones."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.steps.conftest import run_inside, run_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.steps.conftest import StepRun

pytestmark = pytest.mark.toolchain

STEP = 0.003906
# Model, its format, its samples.
SUBJECTS = {
    "collapsing.keras": ("keras", "images.npz"),
    "two_outputs.keras": ("keras", "images.npz"),
    "constant.keras": ("keras", "images.npz"),
    "unsure.keras": ("keras", "images.npz"),
    "index": ("saved-model", "images.npz"),
    "lookup": ("saved-model", "ids.npz"),
    "lstm.keras": ("keras", "series.npz"),
}
COUNT = 24


@pytest.fixture(scope="module")
def made(tf2_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models and samples; what is in it is said in inside/make_collapsing.py."""
    folder = tmp_path_factory.mktemp("made")
    run_inside(tf2_python, "make_collapsing.py", {}, folder)
    return folder


@pytest.fixture(scope="module")
def floats(tf2_python: Path, made: Path, models: Path) -> dict[str, Path]:
    """The float `.tflite` of each model, and of two from the models of all step tests."""
    sources = {name: (made / name, kind) for name, (kind, _) in SUBJECTS.items()}
    sources |= {name: (models / name, "saved-model") for name in ("pair_saved", "logarithm")}
    cases = []
    for name, (source, kind) in sources.items():
        (made / f"{name} float").mkdir()
        params = {"format": kind, "model": str(source), "inputs": [], "outputs": [], "optimization": "none"}
        cases.append({"folder": str(made / f"{name} float"), "params": params})
    assert run_inside(tf2_python, "run_cases.py", {"script": "import_model", "cases": cases}, made) == [None] * len(
        cases
    )
    return {name: made / f"{name} float" / "out" / "model.tflite" for name in sources}


@pytest.fixture(scope="module")
def calibrated(tf2_python: Path, made: Path, floats: dict[str, Path]) -> Callable[..., Path]:
    """A function that calibrates a model once, and returns the folder with `calibrated.tflite` and `probe.npz`."""
    known: dict[tuple[str, Path, int], Path] = {}

    def calibrate(name: str, samples: Path, count: int = COUNT) -> Path:
        key = (name, samples, count)
        if key not in known:
            data = {"kind": "npz", "file": "in/data.npz", "indices": list(range(count))}
            params = {"model": "in/model.tflite", "inputs": [], "data": data}
            inputs = {"in/model.tflite": floats[name], "in/data.npz": samples}
            run = run_step(tf2_python, made / f"{name} {samples.stem} {count}", "calibrate.py", params, inputs)
            run.output("calibrated.tflite")
            known[key] = run.folder / "out"
        return known[key]

    return calibrate


@pytest.fixture
def quantize(step: Callable[..., StepRun], calibrated: Callable[..., Path], made: Path) -> Callable[..., StepRun]:
    """A function that quantizes a model per tensor, or as it is told."""

    def run(name: str, *, samples: Path | None = None, count: int = COUNT, **more: Any) -> StepRun:
        source = calibrated(name, samples or made / SUBJECTS[name][1], count)
        params = {"model": "in/calibrated.tflite", "probe": "in/probe.npz", "per_channel": False}
        params |= {"input_type": "uint8", "output_type": "uint8"} | more
        inputs = {f"in/{each}": source / each for each in ("calibrated.tflite", "probe.npz")}
        return step(f"{name} {sorted(more.items())}".replace("'", ""), "quantize.py", params, inputs)

    return run


def check(run: StepRun) -> dict[str, Any]:
    run.output("model.tflite")
    found: dict[str, Any] = run.description["metrics"]["check"]
    assert {path.name for path in (run.folder / "out").iterdir()} == {"model.tflite", "step.json"}
    return found


@pytest.mark.parametrize("io_type", ["uint8", "int8", "float32"])
def test_a_collapsed_model_is_measured_beside_the_other_scheme(quantize: Callable[..., StepRun], io_type: str) -> None:
    found = check(quantize("collapsing.keras", input_type=io_type, output_type=io_type))
    assert (found["scheme"], found["samples"], found["distinct"]) == ("per-tensor", 16, 16)
    (output,) = found["outputs"]
    assert (output["name"], output["float"]["distinct"]) == ("scores", 16)
    assert output["float"]["spread"] > 0.5
    still, moving = output["integer"]["per-tensor"], output["integer"]["per-channel"]
    assert (still["distinct"], still["spread"], still["step"]) == (1, 0.0, STEP)
    assert still["explained"] <= 0
    assert moving["distinct"] > 4
    assert moving["sqnr_db"] > 30
    assert moving["explained"] > 0.99


def test_a_model_that_does_not_collapse_is_quantized_once(quantize: Callable[..., StepRun]) -> None:
    found = check(quantize("collapsing.keras", per_channel=True))
    assert found["scheme"] == "per-channel"
    assert list(found["outputs"][0]["integer"]) == ["per-channel"]


def test_each_output_has_figures_of_its_own(quantize: Callable[..., StepRun]) -> None:
    scores, bright = check(quantize("two_outputs.keras"))["outputs"]
    assert (scores["name"], scores["integer"]["per-tensor"]["distinct"]) == ("scores", 1)
    assert bright["name"] == "bright"
    assert bright["integer"]["per-tensor"]["distinct"] > 8


@pytest.mark.parametrize(("name", "expected"), [("constant.keras", 1), ("unsure.keras", 1)])
def test_an_output_that_cannot_show_how_it_moves_is_not_compared(
    quantize: Callable[..., StepRun], name: str, expected: int
) -> None:
    (output,) = check(quantize(name))["outputs"]
    assert list(output["integer"]) == ["per-tensor"]
    assert (output["integer"]["per-tensor"]["distinct"], output["integer"]["per-tensor"]["expected"]) == (1, expected)
    assert output["float"]["spread"] < STEP


def test_an_index_has_an_agreement_and_no_steps(quantize: Callable[..., StepRun]) -> None:
    (output,) = check(quantize("index"))["outputs"]
    still, moving = output["integer"]["per-tensor"], output["integer"]["per-channel"]
    assert (still["distinct"], still["step"], still["sqnr_db"], still["explained"]) == (1, None, None, None)
    assert still["agreement"] < 0.5
    assert moving["agreement"] > 0.8


def test_variables_are_reset_between_samples(tf2_python: Path, floats: dict[str, Path], tmp_path: Path) -> None:
    job = {"model": str(floats["lstm.keras"]), "shape": [1, 8, 4]}
    assert run_inside(tf2_python, "run_twice.py", job, tmp_path) == [[True, False], [True, False]]


def test_where_tensorflow_lite_crashes_on_a_recurrent_layer_it_is_told(
    step: Callable[..., StepRun], floats: dict[str, Path], made: Path
) -> None:
    params = {
        "model": "in/model.tflite",
        "inputs": [],
        "data": {"kind": "npz", "file": "in/data.npz", "indices": list(range(COUNT))},
    }
    inputs = {"in/model.tflite": floats["lstm.keras"], "in/data.npz": made / "series.npz"}
    run = step("lstm", "calibrate.py", params, inputs)
    assert run.exit_code == 1
    assert run.error["code"] == "conversion"
    assert "crashed (SIGSEGV)" in run.error["message"]
    assert "unroll=True" in run.error["hint"]
    assert "Traceback" not in run.log


def test_indices_as_inputs_are_fed_as_they_are(quantize: Callable[..., StepRun]) -> None:
    found = check(quantize("lookup", per_channel=True))
    assert found["failures"] == {}
    (output,) = found["outputs"]
    assert output["integer"]["per-channel"]["distinct"] > 8
    assert output["integer"]["per-channel"]["explained"] > 0.9


def test_two_inputs_are_fed_by_their_names(quantize: Callable[..., StepRun], models: Path) -> None:
    found = check(quantize("pair_saved", samples=models / "pair.npz", input_type="int8", output_type="int8"))
    assert [each["name"] for each in found["outputs"]] == ["apple", "zebra"]
    for output in found["outputs"]:
        assert output["integer"]["per-tensor"]["sqnr_db"] > 20


def test_values_that_are_not_finite_are_not_compared(quantize: Callable[..., StepRun], tmp_path: Path) -> None:
    rows = np.arange(COUNT * 4, dtype=np.float32).reshape(COUNT, 4) - 7.5
    np.savez(tmp_path / "x.npz", x=rows)
    found = check(quantize("logarithm", samples=tmp_path / "x.npz", output_type="float32", input_type="float32"))
    assert found["outputs"] == []
    assert found["unmeasured"] == [{"name": "y", "reason": "the float model gives values that are not finite"}]


@pytest.mark.parametrize(("samples", "count", "distinct"), [("alike.npz", COUNT, 1), ("images.npz", 1, 1)])
def test_samples_that_are_all_the_same_are_no_comparison(
    quantize: Callable[..., StepRun], made: Path, samples: str, count: int, distinct: int
) -> None:
    found = check(quantize("collapsing.keras", samples=made / samples, count=count))
    assert (found["samples"], found["distinct"], found["outputs"]) == (min(count, 16), distinct, [])


def test_measuring_changes_no_byte_of_the_model_and_gives_the_same_figures_again(
    quantize: Callable[..., StepRun], step: Callable[..., StepRun], calibrated: Callable[..., Path], made: Path
) -> None:
    first, again = quantize("two_outputs.keras"), quantize("two_outputs.keras", timeout=1)
    source = calibrated("two_outputs.keras", made / "images.npz")
    params = {"model": "in/calibrated.tflite", "per_channel": False, "input_type": "uint8", "output_type": "uint8"}
    without = step("without", "quantize.py", params, {"in/calibrated.tflite": source / "calibrated.tflite"})
    assert first.output("model.tflite") == again.output("model.tflite") == without.output("model.tflite")
    assert first.output("step.json") == again.output("step.json")
    assert "check" not in without.description["metrics"]


def test_the_probe_has_samples_from_all_over_the_data_and_no_time(calibrated: Callable[..., Path], made: Path) -> None:
    content = (calibrated("collapsing.keras", made / "images.npz") / "probe.npz").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(io.BytesIO(content)) as arrays:
        assert arrays["positions"].tolist() == [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 19, 21, 22]
        rows = np.load(made / "images.npz")["image"]
        assert np.array_equal(arrays["input-0"][:, 0], rows[arrays["positions"]])
        assert arrays["output-0"].shape == (16, 1, 4)


def test_large_samples_are_fewer(tf2_python: Path, tmp_path: Path) -> None:
    big = {"name": "x", "shape": [1, 2048, 2048, 3], "dtype": "float32"}
    huge = {"name": "x", "shape": [1, 8192, 8192, 3], "dtype": "float32"}
    small = {"name": "x", "shape": [1, 640, 640, 3], "dtype": "uint8"}
    job = [[100, big], [100, huge], [1, big], [3, small], [100, small]]
    spread = [100 * number // 16 for number in range(16)]
    assert run_inside(tf2_python, "probe_positions.py", job, tmp_path) == [[0, 50], [], [0], [0, 1, 2], spread]


def test_what_is_no_probe_fails_the_step(
    step: Callable[..., StepRun], calibrated: Callable[..., Path], made: Path, tmp_path: Path
) -> None:
    (tmp_path / "junk.npz").write_bytes(b"PK junk" * 10)
    source = calibrated("collapsing.keras", made / "images.npz") / "calibrated.tflite"
    params = {"model": "in/calibrated.tflite", "probe": "in/probe.npz", "per_channel": False}
    params |= {"input_type": "uint8", "output_type": "uint8"}
    run = step("junk", "quantize.py", params, {"in/calibrated.tflite": source, "in/probe.npz": tmp_path / "junk.npz"})
    assert (run.exit_code, run.error["code"]) == (1, "step-failed")
    assert "in/probe.npz cannot be read" in run.error["message"]


def test_a_model_that_ends_the_interpreter_is_told_and_leaves_nothing(
    tf2_python: Path, floats: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "junk").write_bytes(b"junk" * 100)
    content = floats["collapsing.keras"].read_bytes()
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty").write_bytes(b"")
    models = {name: str(tmp_path / name) for name in ("junk", "cut", "empty")}
    failures, left = run_inside(tf2_python, "run_broken.py", {"models": models}, tmp_path)
    assert all(failures[name] for name in models), failures
    assert left == []
