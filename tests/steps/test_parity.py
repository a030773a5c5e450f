"""The steps build what TensorFlow's public converter builds, bit for bit, and build it again the same."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.steps.conftest import run_inside, run_step

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.toolchain

GRANULARITIES = {"per-tensor": False, "per-channel": True}
IO_TYPES = ("uint8", "int8", "float32")
VARIANTS = [f"{granularity} {io}" for granularity, io in itertools.product(GRANULARITIES, IO_TYPES)]
OPTIMIZATIONS = ("none", "float16", "dynamic")
# What the step is told besides its parameters, by the name of the folder: the other way to convert a Keras model.
SETTINGS: dict[str, dict[str, int]] = {"pair.keras by SavedModel": {"freeze_below_bytes": 0}}
# Model, its format, its inputs.
SUBJECTS = {
    "cnn.keras": ("keras", ["image"]),
    "pair.keras": ("keras", ["right", "left"]),
    "pair.keras by SavedModel": ("keras", ["right", "left"]),
    "pair_saved": ("saved-model", ["left", "right"]),
}


def import_all(python: Path, models: Path, folder: Path) -> None:
    """Import every subject with every optimization, in one process."""
    cases = []
    for name, (kind, _) in SUBJECTS.items():
        for optimization in optimizations(name):
            place = folder / name / optimization
            place.mkdir(parents=True)
            params = {"format": kind, "model": str(models / name.partition(" ")[0]), "inputs": [], "outputs": []}
            params["optimization"] = optimization
            cases.append({"folder": str(place), "params": params, "settings": SETTINGS.get(name, {})})
    assert run_inside(python, "run_cases.py", {"script": "import_model", "cases": cases}, folder) == [None] * len(cases)


def optimizations(name: str) -> tuple[str, ...]:
    return OPTIMIZATIONS if name in {"cnn.keras", "pair_saved"} else OPTIMIZATIONS[:1]


def build_integer(python: Path, models: Path, folder: Path, name: str) -> dict[str, Any]:
    """Calibrate and quantize one model; return the job for inside/public_conversion.py."""
    kind, inputs = SUBJECTS[name]
    samples = models / ("cnn.npz" if name.startswith("cnn") else "pair.npz")
    floats = {each: folder / each / "out" / "model.tflite" for each in optimizations(name)}
    calibrated = calibrate(python, folder / "calibrate", floats["none"], samples, inputs)
    integer = {}
    for variant, (granularity, io) in zip(VARIANTS, itertools.product(GRANULARITIES, IO_TYPES), strict=True):
        made = {"per_channel": GRANULARITIES[granularity], "input_type": io, "output_type": io}
        params = {"model": "in/calibrated.tflite", **made}
        run = run_step(python, folder / variant, "quantize.py", params, {"in/calibrated.tflite": calibrated})
        run.output("model.tflite")
        integer[variant] = {**made, "built": str(run.folder / "out" / "model.tflite")}
    return {
        "model": str(models / name.partition(" ")[0]),
        "format": kind,
        "samples": str(samples),
        "inputs": inputs,
        "float": {each: str(path) for each, path in floats.items()},
        "integer": integer,
    }


def calibrate(python: Path, folder: Path, model: Path, samples: Path, names: list[str]) -> Path:
    count = 40 if samples.name == "cnn.npz" else 24
    data = {"kind": "npz", "file": "in/data.npz", "indices": list(range(count))}
    params = {"model": "in/model.tflite", "inputs": [{"name": name} for name in names], "data": data}
    run = run_step(python, folder, "calibrate.py", params, {"in/model.tflite": model, "in/data.npz": samples})
    run.output("calibrated.tflite")
    return run.folder / "out" / "calibrated.tflite"


@pytest.fixture(scope="module")
def built(tf2_python: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("built")
    import_all(tf2_python, models, folder)
    return {name: build_integer(tf2_python, models, folder / name, name) for name in SUBJECTS}


@pytest.fixture(scope="module")
def comparisons(
    tf2_python: Path, models: Path, built: dict[str, dict[str, Any]]
) -> dict[str, dict[str, dict[str, bool]]]:
    results = run_inside(tf2_python, "public_conversion.py", list(built.values()), models)
    return dict(zip(built, results, strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_quantizing_our_calibrated_model_gives_what_the_public_converter_gives(
    comparisons: dict[str, dict[str, dict[str, bool]]], name: str, variant: str
) -> None:
    same = comparisons[name][variant]
    assert same["tensors"]
    assert same["operators"]
    assert same["outputs"]
    assert same["metadata"]


@pytest.mark.parametrize("variant", ["none", *VARIANTS])
def test_a_saved_model_gives_the_very_bytes_of_the_public_converter(
    comparisons: dict[str, dict[str, dict[str, bool]]], variant: str
) -> None:
    assert comparisons["pair_saved"][variant]["bytes"]


@pytest.mark.parametrize(
    ("name", "optimization"), [(name, optimization) for name in SUBJECTS for optimization in optimizations(name)]
)
def test_a_float_model_is_what_the_public_converter_gives(
    comparisons: dict[str, dict[str, dict[str, bool]]], name: str, optimization: str
) -> None:
    same = comparisons[name][optimization]
    assert same["tensors"]
    assert same["operators"]
    assert same["outputs"]
