"""The model of a project: which format, which files, and what becomes of a file that is no model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlpubuild.errors import ErrorCode
from tests.doubles.memo import MemoryMemo
from tests.factories.model_factory import classifier, graph_def, hdf5, keras_archive, saved_model
from tests.factories.small_projects import fault, line_of, problems, resolve, write_project
from tests.factories.tflite_factory import encode, integer_model

SAVED = {
    "sm/saved_model.pb": saved_model({"image": (-1, 8, 8, 3)}, {"y": (-1, 3)}),
    "sm/fingerprint.pb": b"f",
    "sm/variables/variables.index": b"i",
    "sm/variables/variables.data-00000-of-00001": b"d",
    "sm/assets/vocab.txt": b"v",
    "sm/keras_metadata.pb": b"not read by TensorFlow",
    "sm/README.md": b"neither is this",
    "sm/.DS_Store": b"nor this",
}


def test_a_saved_model_is_the_files_that_tensorflow_reads(tmp_path: Path) -> None:
    model = resolve(write_project(tmp_path, source="sm", files=SAVED)).model
    assert (model.format, model.staged) == ("saved-model", "in/model")
    assert [file.staged for file in model.files] == [
        "assets/vocab.txt",
        "fingerprint.pb",
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]
    assert model.files[0].name == "sm/assets/vocab.txt"


def test_a_readme_beside_a_saved_model_changes_nothing(tmp_path: Path) -> None:
    before = resolve(write_project(tmp_path, source="sm", files=SAVED)).model
    (tmp_path / "sm" / "notes").mkdir()
    (tmp_path / "sm" / "notes" / "link").symlink_to("/etc")
    (tmp_path / "sm" / "README.md").write_bytes(b"changed")
    assert resolve(tmp_path / "dlpu.toml").model == before


@pytest.mark.parametrize(
    ("name", "data", "staged"),
    [
        ("m.keras", keras_archive(classifier()), "in/model.keras"),
        ("M.KERAS", keras_archive(classifier()), "in/model.keras"),
        ("m.h5", hdf5(classifier()), "in/model.h5"),
        ("m.hdf5", hdf5(classifier()), "in/model.h5"),
        ("old.keras", hdf5(classifier()), "in/model.h5"),
        ("my model åäö.keras", keras_archive(classifier()), "in/model.keras"),
    ],
)
def test_a_keras_file_is_staged_under_the_name_that_says_what_it_is(
    tmp_path: Path, name: str, data: bytes, staged: str
) -> None:
    model = resolve(write_project(tmp_path, source=name, files={name: data})).model
    assert (model.format, model.staged) == ("keras", staged)
    assert [(file.staged, file.name) for file in model.files] == [("", name)]


@pytest.mark.parametrize("name", ["m.pt", "m.PTH", "m.xyz", "m"])
def test_a_format_that_comes_later_is_refused_and_what_can_be_read_is_said(tmp_path: Path, name: str) -> None:
    manifest = write_project(tmp_path, source=name, files={name: b"x"})
    (problem,) = problems(manifest)
    assert (problem.code, problem.path) == (ErrorCode.MODEL_FORMAT, "model.source")
    assert problem.location.line == line_of(manifest, "source =")
    assert ".keras" in problem.hint


def test_a_folder_without_saved_model_pb_is_refused(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, source="data")
    assert fault(manifest) == (ErrorCode.MODEL_FORMAT, "model.source", line_of(manifest, "source ="))


def test_a_format_that_is_not_the_files_is_refused(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, model='format = "saved-model"')
    assert fault(manifest) == (ErrorCode.MODEL_FORMAT, "model.format", line_of(manifest, "format ="))
    assert resolve(write_project(tmp_path, model='format = "keras"')).model.format == "keras"


@pytest.mark.parametrize(
    ("source", "files", "code"),
    [
        ("nothing.keras", {}, ErrorCode.PATH_MISSING),
        ("model.keras/below", {}, ErrorCode.PATH_MISSING),
        ("../model.keras", {}, ErrorCode.PATH_OUTSIDE),
        ("/etc/hostname", {}, ErrorCode.PATH_OUTSIDE),
        ("bad.keras", {"bad.keras": b"no model"}, ErrorCode.MODEL_UNREADABLE),
        ("bad.h5", {"bad.h5": b""}, ErrorCode.MODEL_UNREADABLE),
        ("sm", {"sm/saved_model.pb": b"\xff" * 9}, ErrorCode.MODEL_UNREADABLE),
        ("x" * 300, {}, ErrorCode.MODEL_UNREADABLE),
    ],
)
def test_a_model_that_cannot_be_read_is_a_fault_with_its_line(
    tmp_path: Path, source: str, files: dict[str, bytes], code: ErrorCode
) -> None:
    manifest = write_project(tmp_path, source=source, files=dict(files))
    assert fault(manifest) == (code, "model.source", line_of(manifest, "source ="))


def test_a_link_in_a_saved_model_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    manifest = write_project(tmp_path / "project", source="sm", files=SAVED)
    (tmp_path / "project" / "sm" / "assets" / "link").symlink_to(tmp_path / "secret")
    assert fault(manifest)[:2] == (ErrorCode.PATH_OUTSIDE, "model.source")
    allowing = write_project(tmp_path / "project", source="sm", files=SAVED, project='allow-outside = ["../secret"]')
    assert "assets/link" in [file.staged for file in resolve(allowing).model.files]


def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, source="pipe.keras")
    os.mkfifo(tmp_path / "pipe.keras")
    assert fault(manifest)[:2] == (ErrorCode.MODEL_FORMAT, "model.source")


def test_what_a_model_says_is_remembered_by_its_content(tmp_path: Path) -> None:
    memo = MemoryMemo()
    manifest = write_project(tmp_path, source="sm", files=SAVED)
    first = resolve(manifest, memo=memo)
    assert len(memo.facts) == 1
    (tmp_path / "sm").rename(tmp_path / "moved")
    again = resolve(write_project(tmp_path, source="moved"), memo=memo)
    assert again.signature == first.signature
    assert len(memo.facts) == 1


def test_what_is_remembered_of_a_frozen_graph_goes_by_the_names_that_are_declared(tmp_path: Path) -> None:
    memo = MemoryMemo()
    nodes = [("image", "Placeholder", []), ("hidden", "Relu", ["image"]), ("scores", "Softmax", ["hidden"])]
    files = {"m.pb": graph_def(nodes, shapes={"image": (1, 8, 8, 3)})}

    def outputs(model: str) -> list[str]:
        manifest = write_project(tmp_path, source="m.pb", model=model, files=files)
        return [each.name for each in resolve(manifest, memo=memo).signature.outputs]

    assert outputs("") == ["scores"]
    assert outputs('[[model.output]]\nname = "hidden"') == ["hidden"]
    assert outputs("") == ["scores"]
    assert len(memo.facts) == 2


def test_a_ready_model_is_read_once(tmp_path: Path) -> None:
    memo = MemoryMemo()
    files = {"m.tflite": encode(integer_model(per_channel=True))}
    manifest = write_project(tmp_path, source="m.tflite", files=files)
    first = resolve(manifest, memo=memo)
    assert (first.model.state, first.model.quantization) == ("integer", "per-channel")
    again = resolve(manifest, memo=memo)
    assert (again.model, again.signature) == (first.model, first.signature)
    assert len(memo.facts) == 1
