"""What TensorFlow 1.15 cannot do is refused before anything runs, with the ways out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode
from tests.factories.model_factory import classifier, graph_def, hdf5, keras_archive, saved_model
from tests.factories.small_projects import CALIBRATION, fault, line_of, problems, resolve, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.errors import Problem

ROOT_EXAMPLE = "examples/qat-tf1/model/digits_frozen.pb"
INPUT = '[[model.input]]\nname = "image"\nshape = [1, 32, 32, 3]\n'
OUTPUT = '[[model.output]]\nname = "probabilities"\n'


@pytest.fixture
def aware(request: pytest.FixtureRequest) -> bytes:
    """A graph that was trained quantization-aware: the example's."""
    return (request.config.rootpath / ROOT_EXAMPLE).read_bytes()


def write(folder: Path, toml: str, content: bytes, model: str = INPUT + OUTPUT) -> Path:
    return write_project(folder, toml, source="model.pb", model=model, files={"model.pb": content})


def only(manifest: Path) -> Problem:
    (problem,) = problems(manifest)
    return problem


def test_a_float_model_is_not_quantized_per_tensor_by_tensorflow_1(tmp_path: Path) -> None:
    manifest = write_project(
        tmp_path,
        CALIBRATION + '[target.artpec8]\ntoolchain = "tf1"\n',
        source="model.h5",
        files={"model.h5": hdf5(classifier())},
    )
    problem = only(manifest)
    assert (problem.code, problem.path) == (ErrorCode.CONFLICT, "target.artpec8.toolchain")
    assert problem.location.line == line_of(manifest, "toolchain =")
    assert "a scale per channel" in problem.message
    assert 'toolchain = "tf2"' in problem.hint
    assert "quantization-aware graph" in problem.hint


def test_the_keras_format_is_not_read_by_tensorflow_1(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, '[target.cpu]\ntoolchain = "tf1"\n')
    assert fault(manifest) == (ErrorCode.CONFLICT, "target.cpu.toolchain", line_of(manifest, "toolchain ="))


def test_keras_layers_for_quantization_aware_training_are_not_read_by_tensorflow_1(tmp_path: Path) -> None:
    config = classifier() | {"build_config": {"class_name": "QuantizeWrapperV2"}}
    toml = CALIBRATION + '[target.artpec8]\ntoolchain = "tf1"\n'
    problem = only(write_project(tmp_path, toml, files={"model.keras": keras_archive(config)}))
    assert (problem.code, problem.path) == (ErrorCode.CONFLICT, "target.artpec8.toolchain")
    assert "freeze the graph" in problem.hint


def test_tensorflow_2_names_the_way_out_for_a_quantization_aware_saved_model(tmp_path: Path) -> None:
    graph = graph_def([("image", "Placeholder", []), ("scores", "FakeQuantWithMinMaxVars", ["image"])])
    signature = saved_model({"image": (-1, 8, 8, 3)}, {"scores": (-1, 3)}, graph=graph)
    toml = CALIBRATION + "[target.artpec8]\n"
    problem = only(write_project(tmp_path, toml, source="saved", files={"saved/saved_model.pb": signature}))
    assert 'set toolchain = "tf1"' in problem.hint


@pytest.mark.parametrize("soc", ["artpec7", "artpec9"])
def test_a_float_model_is_imported_by_tensorflow_1_and_quantized_by_2(tmp_path: Path, soc: str) -> None:
    toml = CALIBRATION + f'[target.{soc}]\ntoolchain = "tf1"\n'
    project = resolve(write_project(tmp_path, toml, source="model.h5", files={"model.h5": hdf5(classifier())}))
    assert list(project.toolchains)[:2] == ["tf1", "tf2"]


def test_a_quantization_aware_saved_model_needs_none(tmp_path: Path) -> None:
    graph = graph_def([("image", "Placeholder", []), ("scores", "FakeQuantWithMinMaxVars", ["image"])])
    signature = saved_model({"image": (-1, 8, 8, 3)}, {"scores": (-1, 3)}, graph=graph)
    toml = '[target.artpec8]\ntoolchain = "tf1"\n'
    project = resolve(write_project(tmp_path, toml, source="saved", files={"saved/saved_model.pb": signature}))
    assert (project.model.state, project.calibration) == ("quantization-aware", None)


@pytest.mark.parametrize("soc", ["artpec7", "artpec8", "artpec9"])
def test_a_quantization_aware_model_needs_no_calibration(tmp_path: Path, aware: bytes, soc: str) -> None:
    project = resolve(write(tmp_path, f'[target.{soc}]\ntoolchain = "tf1"\n', aware))
    assert project.model.state == "quantization-aware"
    assert project.calibration is None
    assert set(project.toolchains) == ({"tf1", "edgetpu"} if soc == "artpec7" else {"tf1"})


@pytest.mark.parametrize("io", ["int8", "float32"])
def test_other_inputs_and_outputs_than_uint8_are_refused(tmp_path: Path, aware: bytes, io: str) -> None:
    problem = only(write(tmp_path, f'[target.artpec8]\ntoolchain = "tf1"\nio = "{io}"\n', aware))
    assert (problem.code, problem.path) == (ErrorCode.CONFLICT, "target.artpec8.io")
    assert "uint8" in problem.hint


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ("mean = [1.0, 2.0, 3.0]\nstd = [1.0, 1.0, 1.0]\n", "mean"),
        ("mean = [1.0, 1.0, 1.0]\nstd = [1.0, 1.0, 2.0]\n", "std"),
        ("mean = [-1.0, -1.0, -1.0]\nstd = [1.0, 1.0, 1.0]\n", "mean"),
        ("mean = [256.0, 256.0, 256.0]\nstd = [1.0, 1.0, 1.0]\n", "mean"),
    ],
)
def test_a_normalisation_that_no_single_scale_expresses_is_refused(
    tmp_path: Path, aware: bytes, keys: str, key: str
) -> None:
    manifest = write(tmp_path, '[target.artpec8]\ntoolchain = "tf1"\n', aware, INPUT + keys + OUTPUT)
    assert fault(manifest) == (ErrorCode.CONFLICT, f"model.input[0].{key}", line_of(manifest, f"{key} ="))


def test_a_float_target_takes_any_normalisation(tmp_path: Path, aware: bytes) -> None:
    keys = "mean = [1.0, 2.0, 3.0]\nstd = [1.0, 1.0, 1.0]\n"
    project = resolve(write(tmp_path, '[target.cpu]\ntoolchain = "tf1"\n', aware, INPUT + keys + OUTPUT))
    assert list(project.toolchains) == ["tf1"]
