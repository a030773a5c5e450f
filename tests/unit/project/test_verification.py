"""Validation data: what is picked, which class is right, and every way in which either cannot be used."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlpubuild.errors import ErrorCode
from dlpubuild.project.lock import pins_of
from dlpubuild.project.resolve import notes_on
from tests.factories.image_factory import image_bytes
from tests.factories.model_factory import classifier, dense_layer, functional, input_layer, keras_archive
from tests.factories.small_projects import problems, resolve, write_project

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.project.model import VerificationSource

LABELS = "\n".join(("cat", "dog", "fox", *"3456789")) + "\n"
MODEL = 'labels = "labels.txt"\n'
IMAGE = image_bytes(size=(8, 8))
TWO_HEADS = keras_archive(
    functional(
        [
            input_layer("image", (None, 8, 8, 3)),
            dense_layer("person", 1),
            dense_layer("car", 1),
        ],
        [["image", 0, 0]],
        [["person", 0, 0], ["car", 0, 0]],
    )
)


def project(folder: Path, files: Mapping[str, Any], keys: str = "", *, model: str = MODEL) -> Path:
    toml = f'[verify]\ndata = "v"\n{keys}\n[target.cpu]\n'
    content = {"labels.txt": LABELS, "model.keras": keras_archive(classifier(classes=10)), **files}
    return write_project(folder, toml, model=model, files=content)


def array_project(folder: Path, data: bytes) -> Path:
    manifest = project(folder, {"v.npz": data})
    manifest.write_text(manifest.read_text().replace('"v"', '"v.npz"'))
    return manifest


def verification(manifest: Path) -> VerificationSource:
    found = resolve(manifest).verification
    assert found is not None
    return found


def answers(manifest: Path) -> dict[str, object]:
    """The class of each image by its name, of the only output that has any."""
    found = verification(manifest)
    ((_, classes),) = found.labels.items()
    return {file.name: each for file, each in zip(found.samples.files, classes, strict=True)}


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def pixels(count: int) -> object:
    return np.zeros((count, 8, 8, 3), np.uint8)


def test_the_folder_of_an_image_is_its_class_by_label_or_by_index(tmp_path: Path) -> None:
    files = {"v/cat/a.png": IMAGE, "v/fox/deep/b.png": IMAGE, "v/1/c.png": IMAGE, "v/7/d.jpg": image_bytes("JPEG")}
    wanted = {"v/cat/a.png": 0, "v/fox/deep/b.png": 2, "v/1/c.png": 1, "v/7/d.jpg": 7}
    assert answers(project(tmp_path, files)) == wanted


def test_a_table_names_the_class_of_each_image(tmp_path: Path) -> None:
    table = b"\xef\xbb\xbffile,class\r\na.png,dog\r\n\r\nsub/./b.png, 0 \r\n"
    files = {"v/a.png": IMAGE, "v/sub/b.png": IMAGE, "v/labels.csv": table}
    assert answers(project(tmp_path, files)) == {"v/a.png": 1, "v/sub/b.png": 0}


def test_images_that_the_table_does_not_name_are_left_out_and_told(tmp_path: Path) -> None:
    files = {"v/a.png": IMAGE, "v/b.png": IMAGE, "v/labels.csv": "file,class\na.png,dog\n"}
    found = resolve(project(tmp_path, files))
    assert found.verification is not None
    assert (found.verification.samples.samples, found.verification.left_out) == (1, 1)
    assert any("1 of 2 images" in note for note in notes_on(found))


def test_a_table_can_have_a_column_for_each_output_and_leave_cells_empty(tmp_path: Path) -> None:
    table = 'file,car,person\n"a.png",1,0\nb.png,,1\n'
    files = {"model.keras": TWO_HEADS, "v/a.png": IMAGE, "v/b.png": IMAGE, "v/labels.csv": table}
    found = verification(project(tmp_path, files, model=""))
    names = [file.name for file in found.samples.files]
    assert dict(zip(names, found.labels["car"], strict=True)) == {"v/a.png": 1, "v/b.png": None}
    assert dict(zip(names, found.labels["person"], strict=True)) == {"v/a.png": 0, "v/b.png": 1}


def test_arrays_bring_samples_and_classes(tmp_path: Path) -> None:
    found = verification(array_project(tmp_path, npz(x=pixels(4), y=np.array([3, 1, 4, 1], np.uint8))))
    assert (found.samples.kind, found.array) == ("npz", "x")
    assert [found.labels["probabilities"][found.samples.indices.index(row)] for row in range(4)] == [3, 1, 4, 1]


@pytest.mark.parametrize("dtype", ["<i8", ">i4", "|b1", "<f4", "<u2"])
def test_classes_are_read_from_arrays_of_any_number_type(tmp_path: Path, dtype: str) -> None:
    found = verification(array_project(tmp_path, npz(image=pixels(3), y=np.array([[1], [0], [1]]).astype(dtype))))
    assert found.array == "image"
    assert [found.labels["probabilities"][found.samples.indices.index(row)] for row in range(3)] == [1, 0, 1]


def test_data_without_classes_does_for_a_metric_that_needs_none(tmp_path: Path) -> None:
    found = verification(project(tmp_path, {"v/a.png": IMAGE, "v/morning/b.png": IMAGE}, 'metric = "agreement"'))
    assert (found.samples.samples, dict(found.labels)) == (2, {})


def test_top1_without_classes_is_a_fault_that_says_what_to_do(tmp_path: Path) -> None:
    (problem,) = problems(project(tmp_path, {"v/a.png": IMAGE}))
    assert (problem.code, problem.path) == (ErrorCode.VALIDATION_LABEL, "verify.metric")
    assert "labels.csv" in problem.hint


def test_boxes_are_gated_by_agreement_unless_the_manifest_says_otherwise(tmp_path: Path) -> None:
    found = verification(project(tmp_path / "a", {"v/a.png": IMAGE}, '[verify.boxes]\nlayout = "ssd"'))
    assert found.metric == "agreement"
    keys = 'metric = "top1"\n[verify.boxes]\nlayout = "ssd"'
    (problem,) = problems(project(tmp_path / "b", {"v/a.png": IMAGE}, keys))
    assert (problem.code, problem.path) == (ErrorCode.CONFLICT, "verify.metric")


def test_fewer_samples_are_picked_with_their_classes(tmp_path: Path) -> None:
    files = {f"v/{index}/{number}.png": IMAGE for index in range(3) for number in range(4)}
    some = answers(project(tmp_path / "a", files, "samples = 5"))
    assert len(some) == 5
    assert all(name.split("/")[1] == str(each) for name, each in some.items())
    assert some != answers(project(tmp_path / "b", files, "samples = 5\nseed = 9"))


@pytest.mark.parametrize(
    ("table", "line", "told"),
    [
        ("", 1, "is empty"),
        ("file;class\na.png;cat\n", 1, "found"),
        ("name,class\na.png,cat\n", 1, "found"),
        ("file\na.png\n", 1, "found"),
        ("file,class\n", 1, "names no image"),
        ("file,probabilties\na.png,cat\n", 1, 'did you mean "probabilities"'),
        ("file,class,class\na.png,cat,cat\n", 1, "twice"),
        ("file,class\na.png,cat,dog\n", 2, "3 cells"),
        ("file,class\na.png,cow\n", 2, '"cow"'),
        ("file,class\na.png,10\n", 2, "0 to 9"),
        ("file,class\na.png,-1\n", 2, '"-1"'),
        ("file,class\na.png,\n", 2, "has no class"),
        ("file,class\n,cat\n", 2, "names no file"),
        ("file,class\nnone.png,cat\n", 2, "there is no image"),
        ("file,class\nsub\\\\a.png,cat\n", 2, "there is no image"),
        ("file,class\n../data/one.png,cat\n", 2, "leaves the folder"),
        ("file,class\n/etc/passwd,cat\n", 2, "leaves the folder"),
        ("file,class\na.png,cat\n./a.png,cat\n", 3, "stands in line 2"),
        ('file,class\n"a.png,cat\n', 0, "comma-separated"),
        ("file,class\na.png,cat\x00\n", 2, "control characters"),
    ],
)
def test_each_fault_of_a_table_is_told_at_its_line(tmp_path: Path, table: str, line: int, told: str) -> None:
    (problem,) = problems(project(tmp_path, {"v/a.png": IMAGE, "v/labels.csv": table}))
    assert (problem.code, problem.path) == (ErrorCode.VALIDATION_LABEL, "verify.data")
    assert problem.location.file.endswith("v/labels.csv")
    assert problem.location.line == line
    assert told in problem.message


def test_a_table_in_another_encoding_is_a_fault(tmp_path: Path) -> None:
    (problem,) = problems(project(tmp_path, {"v/a.png": IMAGE, "v/labels.csv": "file,class\n".encode("utf-16")}))
    assert "UTF-16" in problem.message


def test_all_faults_of_a_table_are_told_at_once_but_not_thousands(tmp_path: Path) -> None:
    rows = "".join(f"no{number}.png,cat\n" for number in range(500))
    found = problems(project(tmp_path, {"v/a.png": IMAGE, "v/labels.csv": f"file,class\n{rows}"}))
    assert len(found) == 21
    assert any("480 more faults" in each.message for each in found)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"v/cow/a.png": IMAGE, "v/cat/b.png": IMAGE}, '"cow"'),
        ({"v/cat/a.png": IMAGE, "v/b.png": IMAGE}, "1 image"),
        ({"v/99/a.png": IMAGE}, "0 to 9"),
    ],
)
def test_a_folder_that_names_no_class_is_a_fault(tmp_path: Path, files: dict[str, bytes], told: str) -> None:
    (problem,) = problems(project(tmp_path, files))
    assert (problem.code, problem.path) == (ErrorCode.VALIDATION_LABEL, "verify.data")
    assert told in problem.message


@pytest.mark.parametrize(
    ("arrays", "code", "told"),
    [
        ({"y": np.zeros(3, np.uint8)}, ErrorCode.VALIDATION_UNREADABLE, 'no array "x"'),
        ({"a": pixels(2), "b": pixels(2), "y": np.zeros(2)}, ErrorCode.VALIDATION_UNREADABLE, 'no array "x"'),
        ({"x": pixels(0), "y": np.zeros(0)}, ErrorCode.VALIDATION_EMPTY, "no sample"),
        ({"x": np.zeros((2, 5)), "y": np.zeros(2)}, ErrorCode.VALIDATION_UNREADABLE, "takes"),
        ({"x": pixels(2), "y": np.zeros(3)}, ErrorCode.VALIDATION_LABEL, "3 values"),
        ({"x": pixels(2), "y": np.zeros((2, 10))}, ErrorCode.VALIDATION_LABEL, "not one number per sample"),
        ({"x": pixels(2), "y": np.array([0, 10])}, ErrorCode.VALIDATION_LABEL, "row 1: 10"),
        ({"x": pixels(2), "y": np.array([0, -1])}, ErrorCode.VALIDATION_LABEL, "row 1: -1"),
        ({"x": pixels(2), "y": np.array([0, np.nan])}, ErrorCode.VALIDATION_LABEL, "row 1: nan"),
        ({"x": pixels(2), "y": np.array([0, 0.5])}, ErrorCode.VALIDATION_LABEL, "row 1: 0.5"),
        ({"x": pixels(2), "y": np.array(["a", "b"])}, ErrorCode.VALIDATION_UNREADABLE, "plain numbers"),
        ({"x": pixels(2), "y_score": np.zeros(2)}, ErrorCode.VALIDATION_LABEL, 'no output "score"'),
        ({"x": pixels(2)}, ErrorCode.VALIDATION_LABEL, "top1"),
    ],
)
def test_arrays_that_cannot_be_used_are_a_fault(
    tmp_path: Path, arrays: dict[str, object], code: ErrorCode, told: str
) -> None:
    (problem,) = problems(array_project(tmp_path, npz(**arrays)))
    assert problem.code is code
    assert told in problem.message


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({}, ErrorCode.PATH_MISSING),
        ({"v/readme.txt": b""}, ErrorCode.VALIDATION_EMPTY),
        ({"v/cat/a.png": b"no image"}, ErrorCode.VALIDATION_UNREADABLE),
        ({"v": b"a file"}, ErrorCode.PATH_KIND),
    ],
)
def test_data_that_is_not_there_or_does_not_decode_is_a_fault(
    tmp_path: Path, files: dict[str, bytes], code: ErrorCode
) -> None:
    (problem,) = problems(project(tmp_path, files))
    assert (problem.code, problem.path) == (code, "verify.data")


def test_a_label_that_two_classes_have_names_neither(tmp_path: Path) -> None:
    files = {"labels.txt": LABELS.replace("dog", "cat"), "v/cat/a.png": IMAGE}
    (problem,) = problems(project(tmp_path, files))
    assert "several classes" in problem.message


def test_a_class_that_could_be_for_either_of_two_outputs_is_a_fault(tmp_path: Path) -> None:
    files = {"model.keras": TWO_HEADS, "v/a.png": IMAGE, "v/labels.csv": "file,class\na.png,1\n"}
    (problem,) = problems(project(tmp_path, files, model=""))
    assert "say which one" in problem.message


def test_the_lock_pins_samples_and_what_is_right(tmp_path: Path) -> None:
    def pin(name: str, table: str) -> str:
        files = {"v/a.png": IMAGE, "v/labels.csv": f"file,class\n{table}\n"}
        return pins_of(resolve(project(tmp_path / name, files)), "1").values["validation"]

    assert pin("one", "a.png,cat") == pin("two", "a.png,0")
    assert pin("one-more", "a.png,cat") != pin("three", "a.png,dog")
    assert "validation" not in pins_of(resolve(write_project(tmp_path / "none")), "1").values
