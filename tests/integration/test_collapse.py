"""A real build of a model that one scale per tensor breaks: the gate, what it leaves, and models that it lets pass."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Tool

INSIDE = Path(__file__).resolve().parents[1] / "steps" / "inside"
MANIFEST = """schema = 1
[project]
name = "model"
version = "1.0.0"
[model]
source = "{model}"
[[model.input]]
name = "image"
shape = [1, 16, 16, 3]
std = [255, 255, 255]
[calibration]
data = "images"
samples = {samples}
"""


@pytest.fixture(scope="session")
def made(tf2_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models and images; what is in it is said in tests/steps/inside/make_collapsing.py."""
    folder = tmp_path_factory.mktemp("made")
    subprocess.run([tf2_python, INSIDE / "make_collapsing.py"], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a project for one of the models."""

    def write(model: str, targets: str, samples: int = 24) -> Path:
        folder = tmp_path / "project"
        folder.mkdir()
        shutil.copy(made / model, folder)
        shutil.copytree(made / "images", folder / "images")
        (folder / "dlpu.toml").write_text(MANIFEST.format(model=model, samples=samples) + targets)
        return folder

    return write


def built(tool: Tool, folder: Path, code: int, *arguments: str) -> dict[str, Any]:
    done = tool.run("build", "--json", *arguments, cwd=folder)
    assert done.code == code, done.err
    result: dict[str, Any] = json.loads(done.out)
    return result


def test_per_tensor_collapse_fails_artpec8_with_both_schemes_and_artpec9_is_built(
    tool: Tool, project: Callable[..., Path]
) -> None:
    folder = project("collapsing.keras", "[target.artpec8]\n[target.artpec9]\n")

    first = built(tool, folder, 5, "--keep-going")
    (error,) = first["errors"]
    assert error["code"] == "gate"
    said, header, row = error["message"].splitlines()
    assert said.startswith('artpec8/model.tflite: output "scores" is the same for 16 calibration samples')
    assert header.split() == ["output", "float", "model", "per-tensor", "per-channel"]
    assert row.startswith("  scores  16 values, ")
    assert "  1 value, " in row
    assert row.count("SQNR") == 2
    assert error["hint"].startswith("ARTPEC-8 needs per-tensor")
    artpec8, artpec9 = first["targets"]
    assert (artpec8["state"], artpec9["state"]) == ("failed", "ran")
    (output,) = artpec9["outputs"]
    assert (output["name"], output["samples"]) == ("scores", 16)
    assert output["distinct"] > 4
    assert output["sqnr_db"] > 30
    packages = [path.name for path in (folder / "dist").iterdir() if path.name.startswith("model-1.0.0-artpec")]
    assert sorted(packages) == ["model-1.0.0-artpec9", "model-1.0.0-artpec9.tar.gz"]

    again = built(tool, folder, 5, "--keep-going")
    assert {step["state"] for step in again["steps"]} == {"cached"}
    assert again["errors"] == first["errors"]
    assert again["targets"][1]["outputs"] == artpec9["outputs"]


def test_a_person_reads_the_table_and_what_to_do(tool: Tool, project: Callable[..., Path]) -> None:
    folder = project("two_outputs.keras", '[target.artpec9]\nquantization = "per-tensor"\n')
    done = tool.run("build", cwd=folder)
    assert done.code == 5
    assert "\n  output  float model" in done.err
    assert "\n  scores  16 values" in done.err
    assert "\n  bright  16 values" in done.err
    assert 'hint: set quantization = "per-channel" under [target.artpec9]' in done.err


@pytest.mark.parametrize(
    ("model", "samples", "note"),
    [
        ("constant.keras", 24, 'output "same" of the float model is the same for all 16 samples that were tried'),
        ("unsure.keras", 24, "too little to judge"),
        ("collapsing.keras", 1, "there is one calibration sample only"),
    ],
)
def test_what_cannot_be_judged_passes_with_a_note(
    tool: Tool, project: Callable[..., Path], model: str, samples: int, note: str
) -> None:
    result = built(tool, project(model, "[target.artpec8]\n", samples), 0)
    (said,) = _not_of_lint(result["targets"][0]["notes"])
    assert note in said


def _not_of_lint(notes: list[str]) -> list[str]:
    return [each for each in notes if not each.startswith("lint has ")]


def test_nothing_is_said_of_the_example(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    result = tool.build(copy_example("digits"))
    integers = [each for each in result["targets"] if each["soc"] != "cpu"]
    assert [_not_of_lint(each["notes"]) for each in integers] == [[]] * len(integers)
    for each in integers:
        (output,) = each["outputs"]
        assert output["sqnr_db"] > 20
        assert output["distinct"] == 16
