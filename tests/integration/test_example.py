"""The example project as a user meets it: built, classified, built again, built elsewhere."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Tool

SOCS = ("artpec8", "artpec9", "cpu")
SCHEMES = {"artpec8": "per-tensor", "artpec9": "per-channel", "cpu": "none"}


def archives(project: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(project.glob("dist/*.tar.gz"))}


def test_the_example_becomes_three_packages_that_classify_digits(
    tool: Tool, copy_example: Callable[[str], Path]
) -> None:
    project = copy_example("digits")
    built = tool.build(project)
    assert {target["soc"]: target["quantization"] for target in built["targets"]} == SCHEMES
    models = [str(project / f"dist/digits-1.0.0-{soc}/model/model.tflite") for soc in SOCS]
    measured = subprocess.run(
        [str(tool.python), str(project / "evaluate.py"), "--min", "0.95", *models],
        capture_output=True,
        text=True,
        check=False,
    )
    assert measured.returncode == 0, measured.stdout + measured.stderr


def test_building_again_runs_nothing_and_writes_nothing(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    tool.build(project)
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    again = tool.run("build", cwd=project)
    assert again.code == 0, again.err
    assert "nothing had to run" in again.out
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before


def test_packages_are_the_same_bytes_in_another_folder_with_an_empty_cache(
    tool: Tool, copy_example: Callable[[str], Path]
) -> None:
    first, second = copy_example("digits"), copy_example("ein anderer Ordner, größer")
    tool.build(first)
    cleared = tool.run("cache", "clear", cwd=first)
    assert cleared.code == 0, cleared.err
    rebuilt = tool.build(second, "--jobs", "1")
    assert {step["state"] for step in rebuilt["steps"]} == {"ran"}
    assert len(archives(first)) == len(SOCS)
    assert archives(first) == archives(second)


def test_a_second_checkout_finds_every_step_in_the_cache(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    first, second = copy_example("digits"), copy_example("elsewhere")
    tool.build(first)
    rebuilt = tool.build(second)
    assert {step["state"] for step in rebuilt["steps"]} == {"cached"}
    assert archives(first) == archives(second)


def test_the_model_is_imported_and_calibrated_once_for_all_targets(
    tool: Tool, copy_example: Callable[[str], Path]
) -> None:
    steps = tool.build(copy_example("digits"))["steps"]
    assert [step["name"] for step in steps] == ["import", "calibrate", "quantize:artpec8", "quantize:artpec9"]
    assert steps[0]["targets"] == list(SOCS)
    assert steps[1]["targets"] == ["artpec8", "artpec9"]


def test_a_bundle_holds_what_it_promises(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    tool.build(project, "--target", "artpec8")
    with tarfile.open(project / "dist/digits-1.0.0-artpec8.tar.gz") as archive:
        archive.extractall(project / "unpacked", filter="data")
    folder = project / "unpacked/digits-1.0.0-artpec8"
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    described = json.loads((folder / "model.json").read_text())
    assert described["soc"]["larod-device"] == "axis-a8-dlpu-tflite"
    assert described["labels"]
    assert (folder / "label/labels.txt").read_text().splitlines() == [str(digit) for digit in range(10)]


def test_variants_of_the_cpu_model_are_what_they_are_called(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    manifest = project / "dlpu.toml"
    text = manifest.read_text()
    for quantization, found in (("float16", "float16"), ("dynamic", "dynamic"), ("int8", "per-channel")):
        head = text[: text.index("[target.cpu]")]
        manifest.write_text(f'{head}[target.cpu]\nquantization = "{quantization}"\n')
        built = tool.build(project, "--target", "cpu")
        assert [target["quantization"] for target in built["targets"]] == [found]


def test_integer_inputs_and_outputs_can_be_chosen(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    manifest = project / "dlpu.toml"
    text = manifest.read_text()
    head = text[: text.index("[target.artpec8]")]
    for io in ("int8", "float32"):
        manifest.write_text(f'{head}[target.artpec9]\nquantization = "per-tensor"\nio = "{io}"\n')
        tool.build(project)
        shown = tool.run("inspect", "--json", "dist/digits-1.0.0-artpec9.tar.gz", cwd=project)
        inputs = json.loads(shown.out)["inputs"]
        assert [tensor["dtype"] for tensor in inputs] == [io]
