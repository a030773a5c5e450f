"""Detectors through a manifest: boxes are found, compared, gated and shown, and detection outputs are described.

All tests share one build of each of four projects; the models find squares that they were made for.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dlpubuild.tflite.read import read_file
from tests.factories.edgetpu import put_compiler
from tests.integration.conftest import Tool, tool_in

HERE = Path(__file__).resolve().parent
DETECTION = "TFLite_Detection_PostProcess"
MANIFEST = """schema = 1
[project]
name = "{name}"
version = "1.0.0"
vendor = "Example AB"
license = "Apache-2.0"
[model]
source = "{source}"
labels = "labels.txt"
[[model.input]]
name = "image"
std = [255.0, 255.0, 255.0]
[calibration]
data = "images"
samples = 8
[verify]
data = "images"
min-agreement = 0.9
[verify.boxes]
{boxes}
{targets}
"""
TARGETS = {
    "yolov5": ("artpec8", "cpu"),
    "yolov8": ("artpec9",),
    "ssd": ("artpec7", "artpec8"),
    "ready": ("artpec8", "cpu"),
}
SOURCES = {"yolov5": "yolov5.keras", "yolov8": "yolov8.tflite", "ssd": "ssd.tflite", "ready": "ready.tflite"}
COMPARED = [(name, soc) for name in ("yolov5", "yolov8", "ssd") for soc in TARGETS[name]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The projects, each built once, and what `build --json` said of them."""

    tool: Tool
    folder: Path
    results: dict[str, dict[str, Any]]

    def target(self, name: str, soc: str) -> dict[str, Any]:
        (found,) = [each for each in self.results[name]["targets"] if each["soc"] == soc]
        target: dict[str, Any] = found
        return target

    def package(self, name: str, soc: str) -> Path:
        return self.folder / name / f"dist/{name}-1.0.0-{soc}"

    def described(self, name: str, soc: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.package(name, soc) / "model.json").read_text())
        return told


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, shared_toolchains: Path, tf2_python: Path) -> Shop:
    """ARTPEC-7's compiler is a stand-in, which leaves the detection to the CPU as the real one does."""
    folder = tmp_path_factory.mktemp("detectors")
    subprocess.run([str(tf2_python), str(HERE / "inside_detectors.py")], cwd=folder, capture_output=True, check=True)
    put_compiler(folder / "compiler")
    tool = tool_in(folder / "cache", shared_toolchains, tf2_python)
    tool = replace(tool, environ={**tool.environ, "DLPU_TOOLCHAINS": str(shared_toolchains)})
    return Shop(tool=tool, folder=folder, results={name: tool.build(put(folder, name)) for name in SOURCES})


def put(folder: Path, name: str) -> Path:
    project = folder / name
    project.mkdir()
    shutil.copy(folder / SOURCES[name], project)
    shutil.copytree(folder / "images", project / "images")
    (project / "labels.txt").write_text("red\ngreen\n")
    boxes = f'layout = "{name}"' if name.startswith("yolo") else ""
    targets = "".join(f"[target.{soc}]\n" for soc in TARGETS[name])
    if "artpec7" in TARGETS[name]:
        targets += '[toolchain.edgetpu]\npath = "../compiler"\n'
    manifest = MANIFEST.format(name=name, source=SOURCES[name], boxes=boxes, targets=targets)
    (project / "dlpu.toml").write_text(manifest)
    return project


@pytest.fixture(scope="module")
def independent(shop: Shop) -> dict[tuple[str, str], dict[str, Any]]:
    """What the independent script says of each of `COMPARED`."""
    arguments = [str(shop.folder / "images")]
    for name, soc in COMPARED:
        reference = shop.folder / SOURCES[name]
        if reference.suffix != ".tflite":
            reference = shop.package(name, "cpu") / "model/model.tflite"
        built = shop.package(name, soc) / f"model/model{'_uncompiled' if soc == 'artpec7' else ''}.tflite"
        arguments += [name, str(reference), str(built)]
    script = [str(shop.tool.python), str(HERE / "independent_boxes.py")]
    done = subprocess.run([*script, *arguments], capture_output=True, check=True, text=True)
    return dict(zip(COMPARED, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize(("name", "soc"), COMPARED)
def test_figures_are_those_of_an_independent_script(
    shop: Shop, independent: dict[tuple[str, str], dict[str, Any]], name: str, soc: str
) -> None:
    wanted = independent[name, soc]
    found = shop.target(name, soc)["accuracy"]["boxes"]
    assert found["layout"] == name
    assert (found["float_boxes"], found["built_boxes"]) == (wanted["float_boxes"], wanted["built_boxes"])
    assert (found["matched"]["count"], found["matched"]["of"]) == (wanted["matched"], wanted["float_boxes"])
    assert found["mean_iou"] == pytest.approx(wanted["mean_iou"], abs=1e-4)
    assert found["score_mae"] == pytest.approx(wanted["score_mae"], abs=1e-5)
    # The models are made to find squares: two to four an image.
    assert wanted["float_boxes"] > 24 * 2


@pytest.mark.parametrize(("name", "soc"), COMPARED)
def test_the_gate_is_about_boxes(shop: Shop, name: str, soc: str) -> None:
    (gate,) = shop.target(name, soc)["accuracy"]["gates"]
    assert (gate["metric"], gate["output"], gate["limit"], gate["passed"]) == ("agreement", "boxes", 0.9, True)


@pytest.mark.parametrize("soc", ["artpec7", "artpec8"])
def test_a_float_detection_model_is_quantized_and_ends_with_its_four_float_outputs(shop: Shop, soc: str) -> None:
    model = read_file(shop.package("ssd", soc) / "model/model.tflite")
    assert [each.custom_code for each in model.main.operators].count(DETECTION) == 1
    assert [each.dtype for each in (*model.inputs, *model.outputs)] == ["uint8", *["float32"] * 4]
    assert shop.target("ssd", soc)["io"] == "uint8/float32"
    assert not any("as if it stood still" in note for note in shop.target("ssd", soc)["notes"])


@pytest.mark.parametrize(("name", "soc"), [("ssd", "artpec7"), ("ssd", "artpec8"), ("ready", "artpec8")])
def test_outputs_of_the_detection_have_the_sizes_that_the_operator_gives_them(shop: Shop, name: str, soc: str) -> None:
    outputs = {each["name"]: (each["dtype"], each["shape"]) for each in shop.described(name, soc)["outputs"]}
    sizes = {"boxes": [1, 10, 4], "classes": [1, 10], "scores": [1, 10], "count": [1]}
    assert outputs == {each: ("float32", size) for each, size in sizes.items()}
    header = (shop.package(name, soc) / "model/model_params.h").read_text()
    assert "SHAPE {1, 10, 4}\n" in header
    assert "SIZE_BYTES 160\n" in header


def test_the_detection_runs_on_the_cpu(shop: Shop) -> None:
    report = json.loads((shop.folder / "ssd/dist/ssd-1.0.0-report.json").read_text())
    (found,) = [each["placement"] for each in report["targets"] if each["soc"] == "artpec8"]
    notes = [note for each in report["targets"] for note in each["verify"]["notes"]]
    # Rows behind the count hold anything.
    assert not any("not within 0 and 1" in note for note in notes)
    assert (found["cpu"], found["switches"]) == ({"DEQUANTIZE": 2, DETECTION: 1}, 1)
    mapping = shop.described("ssd", "artpec7")["mapping"]["operators"]
    assert ("CUSTOM", False) in {(each["name"], each["mapped"]) for each in mapping}


def test_a_ready_detector_is_packaged_as_it_is(shop: Shop) -> None:
    for soc in TARGETS["ready"]:
        packaged = shop.package("ready", soc) / "model/model.tflite"
        assert packaged.read_bytes() == (shop.folder / "ready.tflite").read_bytes()
        assert shop.target("ready", soc)["accuracy"]["boxes"] is None
    shown = shop.tool.run("inspect", "ready.tflite", cwd=shop.folder)
    assert (shown.code, DETECTION in shown.out) == (0, True)


def test_number_of_boxes_and_classes_in_the_header(shop: Shop) -> None:
    for name, soc in (("yolov5", "artpec8"), ("yolov8", "artpec9")):
        header = (shop.package(name, soc) / "model/model_params.h").read_text()
        assert "#define NUM_CLASSES 2\n" in header
        assert "#define NUM_DETECTIONS 49\n" in header


def test_reports_show_boxes(shop: Shop) -> None:
    dist = shop.folder / "yolov5/dist"
    assert "boxes matched" in (dist / "yolov5-1.0.0-report.md").read_text()
    page = (dist / "yolov5-1.0.0-report.html").read_text()
    matched = shop.target("yolov5", "artpec8")["accuracy"]["boxes"]["matched"]
    assert f"{100 * matched['value']:.1f}" in page
    assert "Boxes (yolov5)" in page
    assert f"{100 * shop.described('yolov5', 'artpec8')['accuracy']['boxes-matched']:.1f}" in page


def test_boxes_that_got_lost_or_a_wrong_layout_fail_the_build(shop: Shop) -> None:
    project = shop.folder / "yolov5"
    kept = (project / "dlpu.toml").read_text()
    try:
        (project / "dlpu.toml").write_text(kept.replace("min-agreement = 0.9", "min-agreement = 1.0"))
        done = shop.tool.run("build", "--target", "artpec8", cwd=project)
        assert done.code == 5, done.err
        assert "boxes in both models" in done.err
        assert "at least 100.0 %  fails" in done.err
        (project / "dlpu.toml").write_text(kept.replace('layout = "yolov5"', 'layout = "ssd"'))
        done = shop.tool.run("build", "--target", "artpec8", cwd=project)
        assert done.code != 0
        assert f'the layout "ssd" wants the four outputs of {DETECTION}; the model has' in done.err
    finally:
        (project / "dlpu.toml").write_text(kept)
