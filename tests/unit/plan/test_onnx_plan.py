"""Plans that go through ONNX: what is run where, for a model that is ONNX and for one that has to become it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from dlpubuild.plan.model import FilesInput, OutputOf, Plan
from dlpubuild.plan.planner import plan_build
from dlpubuild.plan.toolchains import toolchains_named
from tests.factories.model_factory import classifier, keras_archive
from tests.factories.onnx_factory import small_model, tensor
from tests.factories.small_projects import CALIBRATION, PIN, resolve_unpinned, write_project

if TYPE_CHECKING:
    from dlpubuild.plan.model import Step


def planned(manifest: Path) -> Plan:
    """Return the plan, with a stand-in for each toolchain that its steps name."""
    project = resolve_unpinned(manifest)
    names = {name for each in toolchains_named(project).values() for name in each}
    pins = {name: replace(PIN, name=name) for name in names}
    return plan_build(replace(project, toolchains=MappingProxyType(pins)))


def step(plan: Plan, name: str) -> Step:
    (found,) = [each for each in plan.steps if each.id == name]
    return found


def onnx_project(folder: Path, targets: str, data: bytes, **files: bytes) -> Path:
    return write_project(
        folder,
        CALIBRATION + targets,
        source="m.onnx",
        files={"m.onnx": data, **{f"{k}.data": v for k, v in files.items()}},
    )


def test_an_onnx_model_is_imported_once_in_its_own_toolchain(tmp_path: Path) -> None:
    plan = planned(onnx_project(tmp_path, "[target.artpec8]\n[target.artpec9]\n[target.cpu]\n", small_model()))
    assert [(each.name, each.toolchain.name) for each in plan.steps] == [
        ("import", "onnx"),
        ("calibrate", "tf2"),
        ("quantize:artpec8", "tf2"),
        ("quantize:artpec9", "tf2"),
    ]
    params = step(plan, "import").params
    assert params["model"] == "in/model.onnx"
    assert params["inputs"] == [{"name": "image", "layout": "nchw", "shape": [1, 3, 8, 8]}]
    assert step(plan, "calibrate").params["inputs"][0]["shape"] == [1, 8, 8, 3]


def test_weights_in_other_files_go_into_the_step(tmp_path: Path) -> None:
    data = small_model(weights=[tensor("w", location="w.data")])
    found = step(planned(onnx_project(tmp_path, "[target.cpu]\n", data, w=b"w")), "import")
    assert found.params["model"] == "in/model/model.onnx"
    (given,) = found.inputs
    assert isinstance(given, FilesInput)
    assert (given.at, [file.staged for file in given.files]) == ("in/model", ["model.onnx", "w.data"])


@pytest.mark.parametrize("targets", ["[target.cv75]\n", '[target.cv25]\nparser = "onnx"\n'])
def test_a_keras_model_is_imported_and_exported_for_what_starts_from_onnx(tmp_path: Path, targets: str) -> None:
    plan = planned(write_project(tmp_path, CALIBRATION + targets))
    assert [(each.id, each.toolchain.name) for each in plan.steps] == [
        ("import", "tf2"),
        ("export", "onnx"),
        ("compile", "ambarella"),
    ]
    assert step(plan, "export").params["inputs_as_nchw"] is True
    assert [script.name for script in step(plan, "export").scripts] == [
        *("export_onnx.py", "onnx_canonical.py", "onnx_check.py", "onnx_model.py", "stepio.py"),
    ]


def test_an_onnx_model_is_not_converted_for_what_starts_from_onnx(tmp_path: Path) -> None:
    plan = planned(onnx_project(tmp_path, "[target.cv75]\n", small_model()))
    assert [each.id for each in plan.steps] == ["compile"]


def test_a_bin_made_of_onnx_has_nothing_that_can_be_linted(tmp_path: Path) -> None:
    (target,) = planned(onnx_project(tmp_path, "[target.cv25]\n", small_model())).targets
    assert target.binary is not None
    assert target.binary.source is not None
    assert target.binary.readable_source is None


def test_a_bin_made_of_a_tflite_is_linted_on_that(tmp_path: Path) -> None:
    keras = keras_archive(classifier())
    (target,) = planned(write_project(tmp_path, CALIBRATION + "[target.cv25]\n", files={"model.keras": keras})).targets
    assert target.binary is not None
    assert isinstance(target.binary.readable_source, OutputOf)
    assert target.binary.readable_source.path == "out/model.tflite"
