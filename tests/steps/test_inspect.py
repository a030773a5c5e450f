"""What `inspect` tells of tensors and operators is what TensorFlow's own interpreter and schema have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dlpubuild.report.inspect_json import inspect_json
from dlpubuild.report.json_text import json_chunks
from dlpubuild.tflite import schema
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.read import read_file
from tests.factories.tflite_factory import encode, float_model, integer_model, with_dynamic_batch
from tests.steps.conftest import run_inside

pytestmark = pytest.mark.toolchain

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "models"
# The interpreter needs a delegate for these.
COMPILED = "_edgetpu"
NAMES = {
    "padding": schema.PADDINGS,
    "fused_activation_function": schema.ACTIVATIONS,
    "weights_format": schema.WEIGHT_FORMATS,
    "in_data_type": tuple(each.lower() for each in schema.TENSOR_TYPES),
    "out_data_type": tuple(each.lower() for each in schema.TENSOR_TYPES),
    "output_type": tuple(each.lower() for each in schema.TENSOR_TYPES),
    "kernel_type": schema.LSTM_KERNELS,
    "mode": schema.MIRROR_MODES,
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("inspected")
    specs = {
        "integer": integer_model(per_channel=True, io="uint8"),
        "dynamic-range": float_model(weights="int8"),
        "float16": float_model(weights="float16"),
        "dynamic": with_dynamic_batch(float_model()),
    }
    for name, spec in specs.items():
        (folder / f"{name}.tflite").write_bytes(encode(spec))
    published = [each for each in sorted(SHARED.glob("*.tflite")) if COMPILED not in each.name]
    small = [each for each in published if each.stat().st_size < 2 << 20 and "error" not in each.name]
    return [folder / "made.tflite", *sorted(folder.glob("*.tflite")), *small]


@pytest.fixture(scope="module")
def told_by_tensorflow(tf2_python: Path, paths: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    job = {"make": str(paths[0]), "models": [str(each) for each in paths[1:]]}
    told: list[Any] = run_inside(tf2_python, "interpreter_facts.py", job, tmp_path_factory.mktemp("facts"))
    return told


def shown(path: Path) -> Any:
    model = read_file(path)
    return json.loads("".join(json_chunks(inspect_json(model, summarise(model)))))["subgraphs"][0]


def test_tensors_are_those_of_the_interpreter(paths: list[Path], told_by_tensorflow: list[Any]) -> None:
    for path, told in zip(paths, told_by_tensorflow, strict=True):
        ours = {each["index"]: each for each in shown(path)["tensors"]}
        for theirs in told["tensors"]:
            mine = ours[theirs["index"]]
            assert mine["tensor"] == theirs["name"], path.name
            assert mine["shape"] == theirs["shape"]
            assert mine["dtype"] == theirs["dtype"]
            assert mine["scales"] == theirs["scales"]
            assert mine["zero_points"] == theirs["zero_points"]
            assert mine["axis"] in (None, theirs["axis"])
            assert (mine["granularity"] == "per-channel") == (len(theirs["scales"]) > 1)


def test_operators_are_those_of_the_interpreter(paths: list[Path], told_by_tensorflow: list[Any]) -> None:
    for path, told in zip(paths, told_by_tensorflow, strict=True):
        keys = ("index", "name", "inputs", "outputs")
        ours = [{key: each[key] for key in keys} for each in shown(path)["operators"]]
        assert ours == told["operators"], path.name


def test_versions_and_parameters_are_those_of_the_schema(paths: list[Path], told_by_tensorflow: list[Any]) -> None:
    compared = 0
    for path, told in zip(paths, told_by_tensorflow, strict=True):
        for mine, theirs in zip(shown(path)["operators"], told["schema"], strict=True):
            assert (mine["version"], mine["custom_bytes"]) == (theirs["version"], theirs["custom_bytes"]), path.name
            for name, value in mine["options"].items():
                expected = theirs["options"][name]
                if name in NAMES:
                    expected = NAMES[name][expected]
                assert value == (expected if expected is not None else []), (path.name, mine["index"], name)
                compared += 1
    assert compared > 30
