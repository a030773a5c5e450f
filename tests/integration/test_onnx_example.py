"""The ONNX example as a user meets it, on this machine and in a container; and a model fresh from PyTorch."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.toolchains.installer import find_uv, uv_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.integration.conftest import Tool

ROOT = Path(__file__).resolve().parents[2]
SOCS = ("artpec8", "artpec9", "cpu")
PYTORCH = ROOT / "examples" / "pytorch"
# PyTorch's builds for CPUs; the same that the example's README names.
PYTORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def sample_project(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(ROOT / "examples" / name, folder, ignore=shutil.ignore_patterns("dist", ".dlpu")))


def model_json(project: Path, soc: str) -> Any:
    (path,) = project.glob(f"dist/*-{soc}/**/model.json")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_onnx_example_becomes_three_packages_that_classify_digits(
    tool: Tool, onnx_python: Path, tmp_path: Path
) -> None:
    assert onnx_python.is_file()
    project = sample_project(tmp_path / "digits auf ONNX", "onnx")
    built = tool.build(project)
    assert [step["name"] for step in built["steps"]] == ["import", "calibrate", "quantize:artpec8", "quantize:artpec9"]
    models = [str(project / f"dist/digits-onnx-1.0.0-{soc}/model/model.tflite") for soc in SOCS]
    measured = subprocess.run(
        [str(tool.python), str(project / "evaluate.py"), "--min", "0.95", *models],
        capture_output=True,
        text=True,
        check=False,
    )
    assert measured.returncode == 0, measured.stdout + measured.stderr
    for soc in SOCS:
        (given,) = model_json(project, soc)["inputs"]
        assert (given["name"], given["shape"]) == ("image", [1, 32, 32, 3])


@pytest.mark.slow
def test_the_plan_tells_that_the_input_is_turned(tool: Tool, onnx_python: Path, tmp_path: Path) -> None:
    assert onnx_python.is_file()
    done = tool.run("build", "--target", "cpu", cwd=sample_project(tmp_path / "p", "onnx"))
    assert done.code == 0, done.err
    assert "[1, 3, 32, 32] (NCHW) in the ONNX model; a .tflite made of it takes [1, 32, 32, 3]" in done.out + done.err


@pytest.mark.slow
def test_the_onnx_example_is_built_in_a_container(
    tool: Tool, engine_environment: Mapping[str, str], onnx_image: str, tmp_path: Path
) -> None:
    assert onnx_image.startswith("sha256:")
    inside = replace(tool, environ={**tool.environ, **engine_environment, "DLPU_EXECUTOR": "docker"})
    built = inside.build(sample_project(tmp_path / "p", "onnx"), "--target", "cpu")
    assert [step["state"] for step in built["steps"]] == ["ran"]


@pytest.fixture(scope="module")
def torch_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with what examples/pytorch asks for, by its lock; 190 MB where nothing is cached.

    The build for CPUs is not on the usual index: where it cannot be had, the test is skipped.
    """
    if (sys.version_info.major, sys.version_info.minor) != (3, 11):
        pytest.skip("the example's packages are locked for Python 3.11")
    folder = tmp_path_factory.mktemp("torch") / "environment"
    environ = uv_variables(os.environ, offline=False)
    uv = find_uv()
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], env=environ, check=True)
    wanted = re.search(r"^torch==(\S+)", (PYTORCH / "requirements.txt").read_text(), re.MULTILINE)
    assert wanted is not None
    # Where wheels lie on this machine already, no other index need be asked.
    known = [Path(each) for each in os.environ.get("PIP_FIND_LINKS", "").split() if Path(each).is_dir()]
    local = [each for each in known if any(each.glob(f"torch-{wanted[1]}-*.whl"))]
    source: list[str | Path] = (
        ["--find-links", local[0]] if local else ["--index", PYTORCH_INDEX, "--index-strategy", "unsafe-best-match"]
    )
    install: list[str | Path] = ["pip", "install", "--quiet", "--python", folder / "bin" / "python", "--require-hashes"]
    done = subprocess.run(
        [uv, *install, "--requirement", PYTORCH / "requirements.txt", *source],
        env=environ,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode and not local and re.search(r"dns error|Failed to fetch|error sending request", done.stderr):
        pytest.skip(f"PyTorch's index cannot be reached: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "python"


@pytest.mark.slow
def test_a_pytorch_model_is_exported_drafted_and_built(
    tool: Tool, onnx_python: Path, torch_python: Path, tmp_path: Path, copy_example: Callable[[str], Path]
) -> None:
    assert onnx_python.is_file()
    images = copy_example("digits") / "data" / "calibration"
    project = sample_project(tmp_path / "my net", "pytorch")
    exported = subprocess.run(
        [torch_python, "-W", "error::UserWarning", "export.py", "tiny.py:Tiny", "--shape", "1,3,64,64", "tiny.onnx"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout.startswith("tiny.onnx: opset 17, input [1, 3, 64, 64]")
    shown = json.loads(tool.run("inspect", "tiny.onnx", "--json", cwd=project).out)
    assert (shown["opset"], shown["external_weights"]) == (17, [])
    assert [(each["name"], each["shape"]) for each in shown["inputs"] + shown["outputs"]] == [
        ("input", [1, 3, 64, 64]),
        ("output", [1, 4]),
    ]
    drafted = tool.run("init", "tiny.onnx", "--target", "artpec9", "--target", "cpu", cwd=project)
    assert drafted.code == 0, drafted.err
    shutil.copytree(images, project / "data" / "calibration")
    built = tool.build(project)
    assert [target["soc"] for target in built["targets"]] == ["artpec9", "cpu"]
    assert len(list(project.glob("dist/*.tar.gz"))) == 2
