"""A project whose model is ONNX: its files, its layout, and what a template is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlpubuild.errors import ErrorCode
from dlpubuild.plan.context import template_context
from dlpubuild.project.layout import OnnxInput, layout_of
from dlpubuild.project.resolve import notes_on
from tests.factories.onnx_factory import graph, model, node, small_model, tensor
from tests.factories.small_projects import problems, resolve, write_project

IMAGE = '[[model.input]]\nname = "image"\n'


def write(folder: Path, data: bytes, section: str = "", files: dict[str, bytes] | None = None) -> Path:
    return write_project(folder, model=section, source="m.onnx", files={"m.onnx": data, **(files or {})})


def context(folder: Path) -> dict[str, Any]:
    project = resolve(folder / "dlpu.toml")
    found: dict[str, Any] = template_context(project, project.targets[0])["model"]
    return found


def test_a_model_in_one_file_is_staged_as_one(tmp_path: Path) -> None:
    source = resolve(write(tmp_path, small_model())).model
    assert (source.format, source.state, source.staged) == ("onnx", "float", "in/model.onnx")
    assert [(file.staged, file.name) for file in source.files] == [("", "m.onnx")]
    assert context(tmp_path)["onnx_file"] == "in/model.onnx"


def test_weights_in_other_files_are_staged_beside_the_model(tmp_path: Path) -> None:
    data = small_model(weights=[tensor("w", location="w.data"), tensor("v", location="parts/v å.bin")])
    manifest = write(tmp_path, data, files={"w.data": b"w", "parts/v å.bin": b"v", "other": b"not of the model"})
    source = resolve(manifest).model
    assert source.staged == "in/model"
    assert [(file.staged, file.name) for file in source.files] == [
        ("model.onnx", "m.onnx"),
        ("parts/v å.bin", "parts/v å.bin"),
        ("w.data", "w.data"),
    ]
    assert context(tmp_path)["onnx_file"] == "in/model/model.onnx"


def test_changed_weights_in_another_file_are_another_model(tmp_path: Path) -> None:
    manifest = write(tmp_path, small_model(weights=[tensor("w", location="w.data")]), files={"w.data": b"w"})
    before = resolve(manifest).model
    (tmp_path / "w.data").write_bytes(b"x")
    assert resolve(manifest).model != before


@pytest.mark.parametrize("location", ["../w.data", "/etc/passwd", "..", ".", "", "a/../../w.data", "w\0.data"])
def test_weights_that_are_not_below_the_models_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path.parent / "w.data").write_bytes(b"outside")
    (problem,) = problems(write(tmp_path, small_model(weights=[tensor("w", location=location)])))
    assert (problem.code, problem.path) == (ErrorCode.MODEL_UNREADABLE, "model.source")
    assert "not below its own folder" in problem.message
    assert "onnx.save" in problem.message


def test_weights_that_lead_out_of_the_project_by_a_link_are_refused(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p", small_model(weights=[tensor("w", location="w.data")]))
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "p" / "w.data").symlink_to(tmp_path / "secret")
    (problem,) = problems(manifest)
    assert problem.code is ErrorCode.PATH_OUTSIDE


@pytest.mark.parametrize(
    ("location", "said"), [("w.data", "which is not there"), ("model.onnx", 'a file named "model.onnx"')]
)
def test_weights_that_cannot_be_staged_are_refused(tmp_path: Path, location: str, said: str) -> None:
    (problem,) = problems(write(tmp_path, small_model(weights=[tensor("w", location=location)])))
    assert problem.code is ErrorCode.MODEL_UNREADABLE
    assert said in problem.message


@pytest.mark.parametrize(
    ("shape", "declared", "layout"),
    [
        ((1, 3, 32, 32), None, "nchw"),
        ((1, 1, 32, 32), None, "nchw"),
        ((1, 32, 32, 3), None, "nhwc"),
        ((1, 32, 32, 1), None, "nhwc"),
        ((1, 3, 32, 3), None, "nchw"),
        ((1, 16, 8, 8), None, "nchw"),
        ((1, 3, 32, 3), "nhwc", "nhwc"),
        ((1, 32, 32, 3), "nchw", "nchw"),
        ((1, 10), None, "keep"),
        ((1, 3, 10), "nchw", "keep"),
        (None, None, "keep"),
    ],
)
def test_the_layout_is_told_by_the_channels_unless_the_manifest_tells_it(
    shape: Any, declared: Any, layout: str
) -> None:
    assert layout_of(shape, declared, is_onnx=True) == layout


def test_a_model_of_tensorflow_has_its_channels_last() -> None:
    assert layout_of((1, 3, 32, 32), None, is_onnx=False) == "nhwc"


def test_images_become_nhwc_and_the_file_keeps_its_own(tmp_path: Path) -> None:
    project = resolve(write(tmp_path, small_model((1, 3, 8, 6))))
    assert project.inputs[0].shape == (1, 8, 6, 3)
    assert project.inputs[0].color == "rgb"
    assert project.onnx_inputs == (OnnxInput(name="image", shape=(1, 3, 8, 6), layout="nchw"),)
    found = context(tmp_path)
    assert found["inputs"] == [{"name": "image", "shape": [1, 8, 6, 3]}]
    assert found["onnx_inputs"] == [{"name": "image", "shape": [1, 3, 8, 6], "layout": "nchw"}]
    assert notes_on(project) == (
        'input "image" is [1, 3, 8, 6] (NCHW) in the ONNX model; a .tflite made of it takes [1, 8, 6, 3] (NHWC)',
    )


def test_images_that_are_nhwc_already_stay_so(tmp_path: Path) -> None:
    project = resolve(write(tmp_path, small_model((1, 8, 6, 3))))
    assert project.inputs[0].shape == project.onnx_inputs[0].shape == (1, 8, 6, 3)
    assert notes_on(project) == ()


def test_one_channel_is_gray_wherever_it_is(tmp_path: Path) -> None:
    assert resolve(write(tmp_path, small_model((1, 1, 8, 8)))).inputs[0].color == "gray"


def test_other_ranks_keep_their_shape(tmp_path: Path) -> None:
    data = model(graph(inputs={"a": (1, 3, 10), "b": (1, 2)}, outputs={"y": (1,)}))
    assert [each.shape for each in resolve(write(tmp_path, data)).inputs] == [(1, 3, 10), (1, 2)]


def test_a_declared_shape_fixes_what_is_dynamic(tmp_path: Path) -> None:
    manifest = write(tmp_path, small_model(("n", 3, "h", "w")), IMAGE + "shape = [1, 3, 48, 64]\n")
    project = resolve(manifest)
    assert project.inputs[0].shape == (1, 48, 64, 3)
    assert project.onnx_inputs[0].shape == (1, 3, 48, 64)


def test_a_shape_as_tensorflow_has_it_does_not_fit(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, small_model((1, 3, 8, 8)), IMAGE + "shape = [1, 8, 8, 3]\n"))
    assert (problem.code, problem.path) == (ErrorCode.MODEL_SHAPE, "model.input[0].shape")


def test_sizes_that_nobody_fixes_are_told_with_a_shape_to_write(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, small_model(("n", 3, "h", "w"))))
    assert problem.code is ErrorCode.MODEL_SHAPE
    assert "shape = [1, 3, 224, 224]" in problem.hint


def test_mean_and_std_have_one_value_per_channel_of_the_layout(tmp_path: Path) -> None:
    declared = IMAGE + "shape = [1, 3, 8, 8]\nmean = [1, 2, 3, 4, 5, 6, 7, 8]\nstd = [1, 1, 1, 1, 1, 1, 1, 1]\n"
    found = problems(write(tmp_path, small_model(), declared))
    assert {(each.code, each.path) for each in found} == {
        (ErrorCode.CONFLICT, "model.input[0].mean"),
        (ErrorCode.CONFLICT, "model.input[0].std"),
    }


def test_only_an_onnx_model_can_have_its_channels_first(tmp_path: Path) -> None:
    (problem,) = problems(write_project(tmp_path, model=IMAGE + 'layout = "nchw"\n'))
    assert (problem.code, problem.path) == (ErrorCode.CONFLICT, "model.input[0].layout")


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, small_model(nodes=[node("QuantizeLinear")])))
    assert problem.code is ErrorCode.MODEL_UNREADABLE
    assert "give the float model" in problem.message
