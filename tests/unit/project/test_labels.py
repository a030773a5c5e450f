"""Labels from files of any system, and what is wrong with a labels file."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlpubuild.errors import ErrorCode, ManifestError
from dlpubuild.manifest.load import load_manifest
from dlpubuild.project.faults import Faults
from dlpubuild.project.labels import check_label_count, label_count_message, parse_labels
from dlpubuild.project.model import KnownTensor
from tests.factories.small_projects import fault, line_of, problems, resolve, write_project


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    return Faults(load_manifest(write_project(tmp_path, model='labels = "labels.txt"')))


def scores(name: str, *shape: int) -> KnownTensor:
    return KnownTensor(name=name, shape=shape)


@pytest.mark.parametrize(
    "data",
    [
        b"cat\ndog\nowl\n",
        b"cat\ndog\nowl",
        b"cat\r\ndog\r\nowl\r\n",
        b"cat\rdog\rowl\r",
        b"\xef\xbb\xbfcat\ndog\nowl\n",
        b"\xef\xbb\xbfcat\r\ndog\r\nowl",
        b"cat\ndog\nowl\n\n\n",
        b"cat\r\ndog\r\nowl\r\n\r\n \r\n",
        b"  cat\t\n\tdog \nowl",
    ],
)
def test_the_same_labels_are_read_however_the_file_was_saved(faults: Faults, data: bytes) -> None:
    assert parse_labels(faults, "labels.txt", data) == ("cat", "dog", "owl")
    assert faults.found == []


def test_labels_may_have_spaces_and_letters_of_any_alphabet(faults: Faults) -> None:
    assert parse_labels(faults, "labels.txt", "räv\ngrå varg\n狐\n".encode()) == ("räv", "grå varg", "狐")


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"", ErrorCode.LABEL_COUNT, 1),
        (b"\n\r\n\n", ErrorCode.LABEL_COUNT, 1),
        (b"\xef\xbb\xbf", ErrorCode.LABEL_COUNT, 1),
        (b"cat\n\ndog\n", ErrorCode.LABEL_COUNT, 2),
        (b"cat\r\n\r\n\r\ndog\r\n", ErrorCode.LABEL_COUNT, 2),
        (b"\ncat", ErrorCode.LABEL_COUNT, 1),
        ("cat\nräv\n".encode("latin-1"), ErrorCode.LABEL_ENCODING, 2),
        ("cat\r\ndog\r\nräv\r\n".encode("latin-1"), ErrorCode.LABEL_ENCODING, 3),
        ("cat\rdog\rräv\r".encode("latin-1"), ErrorCode.LABEL_ENCODING, 3),
        ("cat\ndog\n".encode("utf-16"), ErrorCode.LABEL_ENCODING, 1),
        ("cat\ndog\n".encode("utf-16-le"), ErrorCode.LABEL_ENCODING, 1),
        ("cat\ndog\n".encode("utf-16-be"), ErrorCode.LABEL_ENCODING, 1),
        (b"cat\nd\x00g\n", ErrorCode.LABEL_ENCODING, 2),
        (bytes(range(256)), ErrorCode.LABEL_ENCODING, 3),
    ],
)
def test_a_fault_is_told_with_its_line(faults: Faults, data: bytes, code: ErrorCode, line: int) -> None:
    assert parse_labels(faults, "labels.txt", data) is None
    (problem,) = faults.found
    assert (problem.code, problem.path, problem.location.line) == (code, "model.labels", line)
    assert problem.location.file == str(faults.manifest.folder / "labels.txt")


@pytest.mark.parametrize(
    "outputs",
    [
        [scores("p", 1, 3)],
        [scores("p", -1, 3)],
        [scores("a", 1, 7), scores("b", 1, 3)],
        [scores("p", 1, 1)],  # one probability for two or more classes
        [scores("p", 1, -1)],
        [scores("p", 3)],
        [scores("p")],
        [KnownTensor(name="p", shape=None)],
        [scores("a", 1, 7), KnownTensor(name="b", shape=None)],
        [scores("boxes", 1, 25, 4), scores("classes", 1, 25), scores("count", 1)],
        [scores("mask", 1, 64, 64, 21)],
        [scores("mask", 1, 64, 64)],
        [scores("car", 1, 1), scores("person", 1, 1), scores("dog", 1, 1)],
        [scores("car", 1, 1)],
        [],
    ],
)
def test_a_number_of_labels_that_fits_or_cannot_be_told_is_left_alone(outputs: list[KnownTensor]) -> None:
    assert label_count_message(["a", "b", "c"], outputs) == ""


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([scores("p", 1, 4)], '3 labels, but output "p" has 4 values'),
        ([scores("p", -1, 1000)], '3 labels, but output "p" has 1000 values'),
        ([scores("a", 1, 4), scores("b", 1, 2)], '3 labels, but output "a", "b" has 4 or 2 values'),
        ([scores("car", -1, 1), scores("dog", 1, 1)], '3 labels, but 2 outputs of one value each: "car", "dog"'),
    ],
)
def test_a_wrong_number_of_labels_is_told_with_both_numbers(outputs: list[KnownTensor], said: str) -> None:
    assert label_count_message(["a", "b", "c"], outputs) == said


def test_labels_are_held_against_the_model_before_anything_is_built(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, model='labels = "labels.txt"', files={"labels.txt": "a\nb\n"})
    assert fault(manifest) == (ErrorCode.LABEL_COUNT, "model.labels", line_of(manifest, "labels ="))


def test_labels_are_held_against_the_outputs_that_are_built(tmp_path: Path) -> None:
    model = 'labels = "labels.txt"\n[[model.output]]\nname = "probabilities"'
    project = resolve(write_project(tmp_path, model=model, files={"labels.txt": "a\r\nb\r\nc\r\n"}))
    assert project.labels == ("a", "b", "c")


def test_labels_are_held_against_the_built_model_too(tmp_path: Path) -> None:
    manifest = load_manifest(write_project(tmp_path, model='labels = "labels.txt"'))
    check_label_count(manifest, None, [scores("p", 1, 4)])
    check_label_count(manifest, ["a"] * 4, [scores("p", 1, 4)])
    with pytest.raises(ManifestError) as caught:
        check_label_count(manifest, ["a"] * 3, [scores("p", 1, 4)])
    assert caught.value.code is ErrorCode.LABEL_COUNT
    assert caught.value.problems[0].location.line == line_of(manifest.path, "labels =")


@pytest.mark.parametrize(
    ("files", "code"),
    [({}, ErrorCode.PATH_MISSING), ({"labels.txt/x": ""}, ErrorCode.PATH_KIND)],
)
def test_a_labels_file_that_cannot_be_read_is_a_fault(tmp_path: Path, files: dict[str, str], code: ErrorCode) -> None:
    manifest = write_project(tmp_path, model='labels = "labels.txt"', files=dict(files))
    assert fault(manifest) == (code, "model.labels", line_of(manifest, "labels ="))


def test_a_labels_file_outside_the_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    (tmp_path / "project").mkdir()
    manifest = write_project(tmp_path / "project", model='labels = "../labels.txt"')
    assert [problem.code for problem in problems(manifest)] == [ErrorCode.PATH_OUTSIDE]
    manifest = write_project(
        tmp_path / "project", project='allow-outside = ["../labels.txt"]', model='labels = "../labels.txt"'
    )
    assert resolve(manifest).labels == ("a", "b", "c")
