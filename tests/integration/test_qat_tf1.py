"""TensorFlow 1.15: its environment, the example that was trained with it, and what other models become with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.read import read_model
from tests.engine_fixtures import ENVIRON
from tests.factories.edgetpu import put_compiler
from tests.integration.conftest import ROOT, Tool, _environment
from tests.integration.test_example import archives

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EXAMPLE = ROOT / "examples" / "qat-tf1"
PREPARED_IN_S = 300
TRAINED_IN_S = 120
FLOAT_MODEL = """
import numpy as np
import tensorflow as tf
v1 = tf.compat.v1
v1.set_random_seed(1)
image = v1.keras.Input((8, 8, 3), name="image")
x = v1.keras.layers.Conv2D(6, 3, use_bias=False)(image)
x = v1.keras.layers.ReLU()(v1.keras.layers.BatchNormalization()(x))
x = v1.keras.layers.Flatten()(x)
v1.keras.Model(image, v1.keras.layers.Dense(4, name="scores")(x)).save("model.h5", include_optimizer=False)
np.save("samples.npy", np.random.RandomState(0).uniform(size=(20, 8, 8, 3)).astype(np.float32))
"""


@pytest.fixture
def tf1_tool(tmp_path: Path, tf1_python: Path) -> Tool:
    """The tool with an empty cache of results and TensorFlow 1.15 prepared."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "toolchains").symlink_to(tf1_python.parents[2])
    return Tool(cache=cache, environ=_environment(cache), python=tf1_python)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copied(tmp_path / "digits")


def copied(folder: Path) -> Path:
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("dist", "__pycache__"))
    return folder


def in_toolchain(tool: Tool, cwd: Path, *arguments: str | Path) -> str:
    """Run Python of the toolchain; its warnings are of no interest."""
    done = subprocess.run(
        [tool.python, "-W", "ignore", *arguments],
        cwd=cwd,
        env={"PATH": f"{tool.python.parent}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done.stdout


def test_the_environment_is_prepared_listed_and_removed(tmp_path: Path, tf1_python: Path) -> None:
    assert tf1_python.is_file()
    cache = tmp_path / "cache"
    # By what this machine's Python 3.7 is found.
    named = {name: ENVIRON[name] for name in ("PYENV_ROOT", "DLPU_PYTHON37") if name in ENVIRON}
    tool = Tool(cache=cache, environ={**_environment(cache), **named}, python=tf1_python)
    started_s = time.monotonic()
    prepared = tool.run("toolchain", "prepare", "tf1", "--print-python", cwd=tmp_path)
    assert prepared.code == 0, prepared.err
    assert time.monotonic() - started_s < PREPARED_IN_S
    own = replace(tool, python=tmp_path / prepared.out.strip())
    assert own.python.is_relative_to(cache)
    text = "import sys, tensorflow as tf; print(sys.version_info[:2], tf.__version__)"
    assert in_toolchain(own, tmp_path, "-c", text) == "(3, 7) 1.15.5\n"
    assert os.access(own.python.parent / "toco_from_protos", os.X_OK)

    listed = {row["name"]: row for row in json.loads(tool.run("toolchain", "list", "--json", cwd=tmp_path).out)}
    assert (listed["tf1"]["prepared"], listed["tf1"]["python"]) == (True, "3.7")
    found = {row["topic"]: row for row in json.loads(tool.run("doctor", "--json", cwd=tmp_path).out)}
    assert found["toolchain tf1"]["state"] == "ok"
    assert tool.run("toolchain", "remove", "tf1", cwd=tmp_path).code == 0
    assert not own.python.exists()


def test_the_example_is_what_artpec8_needs_and_classifies_digits(tf1_tool: Tool, project: Path) -> None:
    built = tf1_tool.build(project)
    assert {target["soc"]: target["quantization"] for target in built["targets"]} == {
        "artpec8": "per-tensor",
        "cpu": "per-tensor",
    }
    (step,) = built["steps"]
    assert (step["name"], step["targets"]) == ("quantize", ["artpec8", "cpu"])
    path = project / "dist/digits-qat-1.0.0-artpec8/model/model.tflite"
    in_toolchain(tf1_tool, project, "evaluate.py", "--min", "0.95", path)
    model = read_model(path.read_bytes())
    assert {each.dtype for each in (*model.inputs, *model.outputs)} == {"uint8"}
    assert not any(each.quantization and each.quantization.per_channel for each in model.main.tensors)
    assert summarise(model).operators == {"CONV_2D": 3, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    told = json.loads((project / "dist/digits-qat-1.0.0-artpec8/model.json").read_text())
    assert told["toolchain"]["tensorflow"] == "1.15.5"
    assert told["inputs"][0]["preprocessing"]["pixel-identity"] is True
    assert "nothing had to run" in tf1_tool.run("build", cwd=project).out


def test_the_example_is_the_same_bytes_elsewhere(tf1_tool: Tool, project: Path, tmp_path: Path) -> None:
    tf1_tool.build(project)
    assert tf1_tool.run("cache", "clear", cwd=project).code == 0
    second = copied(tmp_path / "ein anderer Ordner")
    assert {step["state"] for step in tf1_tool.build(second)["steps"]} == {"ran"}
    assert len(archives(project)) == 2
    assert archives(project) == archives(second)


@pytest.mark.slow
def test_the_example_can_be_trained_again(tf1_tool: Tool, project: Path) -> None:
    model = project / "model" / "digits_frozen.pb"
    committed = model.read_bytes()
    assert len(committed) < 200_000
    started_s = time.monotonic()
    said = in_toolchain(tf1_tool, project, "train.py", "--steps", "100")
    assert time.monotonic() - started_s < TRAINED_IN_S
    assert "held-out digits" in said
    assert model.read_bytes() != committed
    tf1_tool.build(project)
    share = in_toolchain(tf1_tool, project, "evaluate.py", "dist/digits-qat-1.0.0-artpec8/model/model.tflite")
    assert float(share.split()[0]) > 0.8, "0.98 was measured, and training is not the same on every run"


def test_a_container_gives_the_same_bytes(
    tf1_tool: Tool, project: Path, tmp_path: Path, engine_environment: Mapping[str, str], tf1_image: str
) -> None:
    assert tf1_image.startswith("sha256:")
    tf1_tool.build(project)
    there = copied(tmp_path / "there")
    docker = replace(tf1_tool, environ={**tf1_tool.environ, **engine_environment, "DLPU_EXECUTOR": "docker"})
    assert {step["state"] for step in docker.build(there)["steps"]} == {"ran"}
    assert archives(project) == archives(there)


def test_artpec7_and_artpec9_take_a_quantization_aware_graph(tf1_tool: Tool, project: Path, tmp_path: Path) -> None:
    put_compiler(project / "compiler")
    manifest = project / "dlpu.toml"
    with manifest.open("a") as text:
        text.write('[target.artpec7]\ntoolchain = "tf1"\n[target.artpec9]\ntoolchain = "tf1"\n')
        text.write('[toolchain.edgetpu]\npath = "compiler"\n')
    (tf1_tool.cache / "toolchains").unlink()
    environ = {**tf1_tool.environ, "DLPU_TOOLCHAINS": str(tf1_tool.python.parents[2])}
    built = replace(tf1_tool, environ=environ).build(project)
    steps = {step["name"]: step["targets"] for step in built["steps"]}
    assert steps == {"quantize": ["artpec8", "cpu", "artpec7", "artpec9"], "compile": ["artpec7"]}
    dist = project / "dist"
    plain = (dist / "digits-qat-1.0.0-artpec9/model/model.tflite").read_bytes()
    assert (dist / "digits-qat-1.0.0-artpec7/model/model_uncompiled.tflite").read_bytes() == plain


def write_float_project(tool: Tool, folder: Path, targets: str) -> Path:
    folder.mkdir()
    in_toolchain(tool, folder, "-c", FLOAT_MODEL)
    (folder / "dlpu.toml").write_text(
        'schema = 1\n[project]\nname = "net"\nversion = "1.0.0"\n[model]\nsource = "model.h5"\n'
        f'[calibration]\ndata = "samples.npy"\n{targets}'
    )
    return folder


def test_a_float_model_is_imported_by_tensorflow_1_and_quantized_by_2(
    tf1_tool: Tool, tf2_python: Path, tmp_path: Path
) -> None:
    if tf2_python.parents[2] != tf1_tool.python.parents[2]:
        pytest.fail("both toolchains are prepared in the same folder")
    targets = '[target.artpec9]\ntoolchain = "tf1"\n[target.cpu]\ntoolchain = "tf1"\n'
    folder = write_float_project(tf1_tool, tmp_path / "net", targets)
    built = tf1_tool.build(folder)
    assert [(step["name"], step["targets"]) for step in built["steps"]] == [
        ("import", ["artpec9", "cpu"]),
        ("calibrate", ["artpec9"]),
        ("quantize", ["artpec9"]),
    ]
    assert {target["soc"]: target["quantization"] for target in built["targets"]} == {
        "artpec9": "per-channel",
        "cpu": "none",
    }


def test_a_float_model_for_artpec8_is_refused_before_anything_runs(tf1_tool: Tool, tmp_path: Path) -> None:
    folder = write_float_project(tf1_tool, tmp_path / "net", '[target.artpec8]\ntoolchain = "tf1"\n')
    done = tf1_tool.run("build", cwd=folder)
    assert done.code == 2
    assert "target.artpec8.toolchain" in done.err
    assert "scale per channel" in done.err
