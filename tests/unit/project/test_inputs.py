"""The manifest's inputs and outputs against the model's: what is taken from where, and what contradicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.model import ModelInput
from tests.factories.model_factory import classifier, functional, input_layer, keras_archive, saved_model
from tests.factories.small_projects import fault, line_of, problems, resolve, write_project

TWO = functional([input_layer("a", (None, 4)), input_layer("b", (None, 5))], [["a", 0, 0], ["b", 0, 0]], [["a", 0, 0]])


def project(folder: Path, model: str = "", *, config: Any = None, shape: tuple[int | None, ...] | None = None) -> Path:
    """Write a project whose model has this configuration, or one image input of this shape."""
    chosen = config or classifier(shape=shape or (None, 8, 8, 3))
    return write_project(folder, model=model, files={"model.keras": keras_archive(chosen)})


def test_inputs_that_the_manifest_leaves_out_are_the_models(tmp_path: Path) -> None:
    assert resolve(project(tmp_path)).inputs == (ModelInput(name="image", shape=(1, 8, 8, 3)),)
    assert [each.name for each in resolve(project(tmp_path, config=TWO)).inputs] == ["a", "b"]


def test_a_shape_that_the_manifest_leaves_out_is_the_models_with_batch_1(tmp_path: Path) -> None:
    manifest = project(tmp_path, '[[model.input]]\nname = "image"\ncolor = "bgr"\nmean = [1, 2, 3]\nstd = [4, 5, 6]\n')
    (found,) = resolve(manifest).inputs
    assert found == ModelInput(name="image", shape=(1, 8, 8, 3), color="bgr", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))


def test_a_declared_shape_fixes_dynamic_dimensions(tmp_path: Path) -> None:
    manifest = project(
        tmp_path, '[[model.input]]\nname = "image"\nshape = [1, 64, 48, 3]\n', shape=(None, None, None, 3)
    )
    assert resolve(manifest).inputs[0].shape == (1, 64, 48, 3)


def test_the_order_is_the_manifests(tmp_path: Path) -> None:
    manifest = project(tmp_path, '[[model.input]]\nname = "b"\n[[model.input]]\nname = "a"\n', config=TWO)
    assert [(each.name, each.shape) for each in resolve(manifest).inputs] == [("b", (1, 5)), ("a", (1, 4))]


def test_one_channel_is_gray_unless_the_manifest_says_otherwise(tmp_path: Path) -> None:
    for model in ("", '[[model.input]]\nname = "image"\n', '[[model.input]]\nname = "image"\nshape = [1, 8, 8, 1]\n'):
        assert resolve(project(tmp_path, model, shape=(None, 8, 8, 1))).inputs[0].color == "gray"


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_a_color_that_the_models_channels_contradict_is_a_fault(tmp_path: Path, color: str) -> None:
    manifest = project(tmp_path, f'[[model.input]]\nname = "image"\ncolor = "{color}"\n', shape=(None, 8, 8, 1))
    assert fault(manifest) == (ErrorCode.CONFLICT, "model.input[0].color", line_of(manifest, "color ="))


def test_as_many_means_as_the_model_has_channels(tmp_path: Path) -> None:
    text = '[[model.input]]\nname = "image"\nmean = [1, 2, 3]\nstd = [1, 2, 3]\n'
    manifest = project(tmp_path, text, shape=(None, 8, 8, 1))
    assert [(each.code, each.path, each.location.line) for each in problems(manifest)] == [
        (ErrorCode.CONFLICT, "model.input[0].mean", line_of(manifest, "mean =")),
        (ErrorCode.CONFLICT, "model.input[0].std", line_of(manifest, "std =")),
    ]


@pytest.mark.parametrize("shape", ["[1, 9, 8, 3]", "[1, 8, 8]", "[1, 8, 8, 3, 1]"])
def test_a_shape_that_the_model_cannot_take_is_a_fault(tmp_path: Path, shape: str) -> None:
    manifest = project(tmp_path, f'[[model.input]]\nname = "image"\nshape = {shape}\n')
    (problem,) = problems(manifest)
    assert (problem.code, problem.path) == (ErrorCode.MODEL_SHAPE, "model.input[0].shape")
    assert problem.location.line == line_of(manifest, "shape =")
    assert "[?, 8, 8, 3]" in problem.message


@pytest.mark.parametrize("model", ["", '[[model.input]]\nname = "image"\n'])
def test_dynamic_dimensions_are_told_with_a_way_to_fix_them(tmp_path: Path, model: str) -> None:
    manifest = project(tmp_path, model, shape=(None, None, 96, None))
    (problem,) = problems(manifest)
    assert problem.code is ErrorCode.MODEL_SHAPE
    assert problem.location.line == line_of(manifest, "[[model.input]]" if model else "[model]")
    assert "[?, ?, 96, ?]" in problem.message
    assert "[1, 224, 96, 3]" in problem.hint


@pytest.mark.parametrize("model", ["", '[[model.input]]\nname = "image"\n'])
def test_a_batch_other_than_1_is_a_fault(tmp_path: Path, model: str) -> None:
    code, path, _ = fault(project(tmp_path, model, shape=(4, 8, 8, 3)))
    assert (code, path) == (ErrorCode.MODEL_SHAPE, "model.input[0]" if model else "model.input")


def test_a_dynamic_batch_is_none(tmp_path: Path) -> None:
    files = {"sm/saved_model.pb": saved_model({"image": (-1, 8, 8, 3)}, {"y": (-1, 3)})}
    assert resolve(write_project(tmp_path, source="sm", files=files)).inputs[0].shape == (1, 8, 8, 3)


def test_an_unknown_name_is_told_with_the_names_there_are(tmp_path: Path) -> None:
    manifest = project(tmp_path, '[[model.input]]\nname = "imgae"\n[[model.output]]\nname = "probabilites"\n')
    found = {each.path: each for each in problems(manifest)}
    assert set(found) == {"model.input[0].name", "model.output[0].name"}
    assert found["model.input[0].name"].code is found["model.output[0].name"].code is ErrorCode.UNKNOWN_VALUE
    assert 'did you mean "image"?' in found["model.input[0].name"].message
    assert 'did you mean "probabilities"?' in found["model.output[0].name"].message
    assert found["model.output[0].name"].location.line == line_of(manifest, "probabilites")


def test_an_input_that_the_manifest_forgets_is_told(tmp_path: Path) -> None:
    manifest = project(tmp_path, '[[model.input]]\nname = "a"\n', config=TWO)
    assert fault(manifest) == (ErrorCode.MISSING_KEY, "model.input", line_of(manifest, "[[model.input]]"))


def test_a_model_that_says_nothing_contradicts_nothing(tmp_path: Path) -> None:
    text = '[[model.input]]\nname = "x"\n[[model.output]]\nname = "y"\n'
    assert resolve(project(tmp_path, text, config={"class_name": "Mine"})).inputs == (ModelInput(name="x"),)
    assert resolve(project(tmp_path, config={"class_name": "Mine"})).inputs == ()


def test_a_name_given_twice_is_a_fault_of_the_manifest(tmp_path: Path) -> None:
    text = '[[model.input]]\nname = "image"\n[[model.input]]\nname = "image"\n'
    assert [each.code for each in problems(project(tmp_path, text))] == [ErrorCode.DUPLICATE_NAME]
