"""Which SoC starts from which model, and what is said where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlpubuild.errors import ErrorCode
from dlpubuild.plan.model import OutputOf, ProjectModel
from dlpubuild.plan.planner import plan_build
from tests.factories.model_factory import classifier, graph_def, keras_archive, saved_model
from tests.factories.small_projects import CALIBRATION, pinned, problems, resolve, write_project
from tests.factories.tflite_factory import (
    ModelSpec,
    custom_model,
    encode,
    float_model,
    integer_model,
    with_dynamic_batch,
)

INTEGER = integer_model(io="uint8")
PER_CHANNEL = integer_model(per_channel=True, io="uint8")
NODES = [("image", "Placeholder", []), ("q", "FakeQuantWithMinMaxVars", ["image"])]
AWARE = graph_def(NODES, shapes={"image": (1, 8, 8, 3)})
SHAPED = '[[model.input]]\nname = "x"\nshape = [1, 3, 8, 8]\n[[model.output]]\nname = "y"\nshape = [1, 10]\n'


def project(folder: Path, model: ModelSpec | bytes, targets: str, *, name: str = "m.tflite", keys: str = "") -> Path:
    data = model if isinstance(model, bytes) else encode(model)
    return write_project(folder, targets, source=name, model=keys, files={name: data})


def told(manifest: Path) -> list[tuple[ErrorCode, str]]:
    return [(problem.code, problem.path) for problem in problems(manifest)]


# a ready .tflite


def test_an_integer_tflite_needs_no_step_and_no_calibration(tmp_path: Path) -> None:
    plan = plan_build(pinned(resolve(project(tmp_path, INTEGER, "[target.artpec8]\n[target.artpec9]\n[target.cpu]\n"))))
    assert plan.steps == ()
    assert all(isinstance(planned.result, ProjectModel) and planned.toolchain is None for planned in plan.targets)
    assert [planned.target.quantization for planned in plan.targets] == ["per-tensor"] * 3
    assert {planned.target.io for planned in plan.targets} == {"uint8"}


def test_for_artpec7_an_integer_tflite_is_only_compiled(tmp_path: Path) -> None:
    plan = plan_build(pinned(resolve(project(tmp_path, INTEGER, "[target.artpec7]\n"))))
    assert [step.id for step in plan.steps] == ["compile"]
    (planned,) = plan.targets
    assert isinstance(planned.result, OutputOf)
    assert planned.compiled is not None
    assert isinstance(planned.compiled.source, ProjectModel)


@pytest.mark.parametrize(("io", "output_io"), [("int8", "int8"), ("float32", "float32"), ("uint8", "float32")])
def test_inputs_and_outputs_have_the_types_of_the_file(tmp_path: Path, io: str, output_io: str) -> None:
    spec = integer_model(io=io, output_io=output_io)  # type: ignore[arg-type]
    (target,) = resolve(project(tmp_path, spec, "[target.artpec9]\n")).targets
    assert (target.io, target.output_io) == (io, output_io)


def test_another_type_than_the_file_has_is_told_with_both(tmp_path: Path) -> None:
    manifest = project(tmp_path, integer_model(io="int8"), '[target.artpec9]\nio = "uint8"\n')
    (problem,) = problems(manifest)
    assert (problem.code, problem.path) == (ErrorCode.CONFLICT, "target.artpec9.io")
    assert "uint8" in problem.message
    assert "int8 inputs" in problem.message


def test_the_type_that_the_file_has_may_be_said(tmp_path: Path) -> None:
    assert resolve(project(tmp_path, INTEGER, '[target.artpec9]\nio = "uint8"\n')).targets[0].io == "uint8"


def test_on_a_cpu_a_ready_model_is_what_it_is(tmp_path: Path) -> None:
    for number, (spec, quantization) in enumerate(
        [
            (PER_CHANNEL, "per-channel"),
            (float_model(), "none"),
            (float_model(weights="float16"), "float16"),
            (float_model(weights="int8"), "dynamic"),
        ]
    ):
        plan = plan_build(pinned(resolve(project(tmp_path / str(number), spec, "[target.cpu]\n"))))
        assert plan.steps == ()
        assert plan.targets[0].target.quantization == quantization


@pytest.mark.parametrize("asked", ["none", "float16", "dynamic"])
def test_another_quantization_than_the_file_has_is_told(tmp_path: Path, asked: str) -> None:
    manifest = project(tmp_path, INTEGER, f'[target.cpu]\nquantization = "{asked}"\n')
    assert (ErrorCode.CONFLICT, "target.cpu.quantization") in told(manifest)


def test_some_outputs_of_a_ready_model_cannot_be_left_out(tmp_path: Path) -> None:
    spec = encode(INTEGER)
    known = resolve(project(tmp_path / "a", spec, "[target.cpu]\n")).signature.outputs[0].name
    keys = f'[[model.output]]\nname = "{known}"\n'
    assert resolve(project(tmp_path / "b", spec, "[target.cpu]\n", keys=keys)).targets


# smaller weights


@pytest.mark.parametrize("weights", ["float16", "int8"])
@pytest.mark.parametrize("soc", ["artpec7", "artpec8", "artpec9"])
def test_smaller_weights_are_no_start_for_an_integer_model(tmp_path: Path, weights: str, soc: str) -> None:
    spec = float_model(weights=weights)  # type: ignore[arg-type]
    assert told(project(tmp_path, spec, f"{CALIBRATION}[target.{soc}]\n")) == [
        (ErrorCode.MODEL_FORMAT, f"target.{soc}")
    ]


# a float .tflite


def test_a_float_tflite_is_taken_over_calibrated_and_quantized(tmp_path: Path) -> None:
    manifest = project(tmp_path, float_model(), f"{CALIBRATION}[target.artpec8]\n[target.artpec9]\n[target.cpu]\n")
    plan = plan_build(pinned(resolve(manifest)))
    assert [(step.id, step.scripts[0].name) for step in plan.steps] == [
        ("import", "import_tflite.py"),
        ("calibrate", "calibrate.py"),
        ("quantize", "quantize.py"),
        ("quantize", "quantize.py"),
    ]
    assert isinstance(plan.targets[2].result, ProjectModel)


def test_what_a_float_tflite_leaves_open_is_fixed_on_the_cpu_too(tmp_path: Path) -> None:
    plan = plan_build(pinned(resolve(project(tmp_path, with_dynamic_batch(float_model()), "[target.cpu]\n"))))
    assert [step.scripts[0].name for step in plan.steps] == ["import_tflite.py"]


@pytest.mark.parametrize("quantization", ["float16", "dynamic"])
def test_a_float_tflite_cannot_be_made_smaller(tmp_path: Path, quantization: str) -> None:
    manifest = project(tmp_path, float_model(), f'[target.cpu]\nquantization = "{quantization}"\n')
    (problem,) = problems(manifest)
    assert (problem.code, problem.path) == (ErrorCode.MODEL_FORMAT, "target.cpu")
    assert "none or int8" in problem.hint


def test_without_calibration_data_a_float_tflite_is_told(tmp_path: Path) -> None:
    assert told(project(tmp_path, float_model(), "[target.artpec8]\n")) == [(ErrorCode.MISSING_KEY, "target.artpec8")]


# compiled models


def test_what_the_edge_tpu_compiler_made_is_for_artpec7_only(tmp_path: Path) -> None:
    compiled = custom_model("edgetpu-custom-op")
    plan = plan_build(pinned(resolve(project(tmp_path / "a", compiled, "[target.artpec7]\n"))))
    assert plan.steps == ()
    assert plan.targets[0].compiled is None
    others = "[target.artpec8]\n[target.artpec9]\n[target.cpu]\n"
    assert told(project(tmp_path / "b", compiled, others)) == [
        (ErrorCode.MODEL_FORMAT, f"target.{soc}") for soc in ("artpec8", "artpec9", "cpu")
    ]


def test_the_share_of_a_compiled_model_cannot_be_asked_for(tmp_path: Path) -> None:
    manifest = project(tmp_path, custom_model("edgetpu-custom-op"), "[target.artpec7]\nmin-mapped = 1.0\n")
    assert told(manifest) == [(ErrorCode.CONFLICT, "target.artpec7.min-mapped")]


def test_a_bin_is_not_for_what_loads_a_tflite(tmp_path: Path) -> None:
    manifest = project(tmp_path, b"\x08\x00\x02\x02", "[target.artpec8]\n[target.cpu]\n", name="m.bin", keys=SHAPED)
    assert told(manifest) == [(ErrorCode.MODEL_FORMAT, f"target.{soc}") for soc in ("artpec8", "cpu")]


def test_the_tensors_of_a_bin_have_to_be_declared_with_their_shapes(tmp_path: Path) -> None:
    manifest = project(tmp_path / "a", b"\x08\x00", "[target.cpu]\n", name="m.bin")
    assert [code for code, _ in told(manifest)].count(ErrorCode.MISSING_KEY) == 2
    keys = '[[model.input]]\nname = "x"\n[[model.output]]\nname = "y"\n'
    found = told(project(tmp_path / "b", b"\x08\x00", "[target.cpu]\n", name="m.bin", keys=keys))
    assert (ErrorCode.MISSING_KEY, "model.input[0]") in found
    assert (ErrorCode.MISSING_KEY, "model.output[0]") in found


# quantization-aware training


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("m.pb", {"m.pb": AWARE}),
        ("sm", {"sm/saved_model.pb": saved_model({"x": (1, 8, 8, 3)}, {"y": (1, 3)}, graph=AWARE)}),
        (
            "m.keras",
            {"m.keras": keras_archive(classifier() | {"build_config": {"class_name": "QuantizeWrapperV2"}})},
        ),
    ],
)
def test_what_was_trained_for_integers_is_not_calibrated_anew(
    tmp_path: Path, name: str, files: dict[str, bytes]
) -> None:
    manifest = write_project(tmp_path, f"{CALIBRATION}[target.artpec9]\n", source=name, files=files)
    (problem,) = problems(manifest)
    assert (problem.code, problem.path) == (ErrorCode.MODEL_FORMAT, "target.artpec9")
    assert "quantization-aware" in problem.message
    assert "the float model" in problem.hint


def test_a_frozen_one_goes_through_tensorflow_1(tmp_path: Path) -> None:
    manifest = project(tmp_path / "a", AWARE, '[target.artpec8]\ntoolchain = "tf1"\n', name="m.pb")
    assert resolve(manifest).model.state == "quantization-aware"
    (problem,) = problems(project(tmp_path / "b", AWARE, "[target.artpec8]\n", name="m.pb"))
    assert 'toolchain = "tf1"' in problem.hint


def test_a_saved_model_too_needs_no_calibration_data_then_and_a_float_one_does(tmp_path: Path) -> None:
    def manifest(name: str, graph: bytes | None, keys: str) -> Path:
        files = {"sm/saved_model.pb": saved_model({"x": (1, 8, 8, 3)}, {"y": (1, 3)}, graph=graph)}
        return write_project(tmp_path / name, f"[target.artpec8]\n{keys}", source="sm", files=files)

    assert resolve(manifest("aware", AWARE, 'toolchain = "tf1"\n')).calibration is None
    assert told(manifest("float", None, "")) == [(ErrorCode.MISSING_KEY, "target.artpec8")]


# frozen graphs


def test_a_frozen_graph_is_imported_by_its_own_step(tmp_path: Path) -> None:
    graph = graph_def([("image", "Placeholder", []), ("y", "Relu", ["image"])], shapes={"image": (-1, 8, 8, 3)})
    manifest = project(tmp_path, graph, f"{CALIBRATION}[target.artpec8]\n[target.cpu]\n", name="m.pb")
    resolved = resolve(manifest)
    assert (resolved.model.format, resolved.model.staged) == ("frozen-graph", "in/model.pb")
    assert [(each.name, each.shape) for each in resolved.inputs] == [("image", (1, 8, 8, 3))]
    first = plan_build(pinned(resolved)).steps[0]
    assert [script.name for script in first.scripts] == ["import_frozen_graph.py", "import_model.py", "stepio.py"]
    assert first.targets == ("artpec8", "cpu")


@pytest.mark.parametrize(
    ("nodes", "shapes", "path"),
    [
        ([("image", "Placeholder", []), ("y", "Relu", ["image"])], {"image": None}, "model.input"),
        ([("c", "Const", []), ("y", "Relu", ["c"])], {}, "model.source"),
        ([("image", "Placeholder", [])], {}, "model.source"),
    ],
)
def test_what_a_frozen_graph_leaves_open_has_to_be_said(
    tmp_path: Path, nodes: list[tuple[str, str, list[str]]], shapes: dict[str, None], path: str
) -> None:
    manifest = project(tmp_path, graph_def(nodes, shapes=shapes), "[target.cpu]\n", name="m.pb")
    assert (ErrorCode.MISSING_KEY, path) in told(manifest)


def test_names_that_a_frozen_graph_does_not_have_are_told(tmp_path: Path) -> None:
    graph = graph_def([("image", "Placeholder", []), ("y", "Relu", ["image"])], shapes={"image": (1, 8, 8, 3)})
    keys = '[[model.input]]\nname = "imag"\nshape = [1, 8, 8, 3]\n[[model.output]]\nname = "z"\n'
    paths = [path for _, path in told(project(tmp_path, graph, "[target.cpu]\n", name="m.pb", keys=keys))]
    assert "model.input[0].name" in paths


# the cpu as a stand-in for others


def test_a_cpu_that_asks_for_the_model_of_another_soc_shares_all_its_steps(tmp_path: Path) -> None:
    for soc, scheme in (("artpec8", "per-tensor"), ("artpec9", "per-channel")):
        toml = f'{CALIBRATION}[target.{soc}]\n[target.cpu]\nquantization = "{scheme}"\n'
        plan = plan_build(pinned(resolve(write_project(tmp_path / soc, toml))))
        assert [step.id for step in plan.steps] == ["import", "calibrate", "quantize"]
        assert all(step.targets == (soc, "cpu") for step in plan.steps)
        assert plan.targets[0].result == plan.targets[1].result
