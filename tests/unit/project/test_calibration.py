"""Calibration data: what is picked, what it is staged as, and every way in which it cannot be used."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.project.model import SampleSource
from tests.doubles.memo import MemoryMemo
from tests.factories.image_factory import image_bytes
from tests.factories.model_factory import classifier, functional, input_layer, keras_archive
from tests.factories.small_projects import fault, line_of, problems, resolve, write_project

TARGET = "[target.artpec8]\n"
TWO_INPUTS = keras_archive(
    functional(
        [input_layer("left", (None, 4)), input_layer("right", (None, 2, 2))],
        [["left", 0, 0], ["right", 0, 0]],
        ["left", 0, 0],
    )
)


def table(data: str, more: str = "") -> str:
    return f'[calibration]\ndata = "{data}"\n{more}\n{TARGET}'


def calibration(manifest: Path, memo: MemoryMemo | None = None) -> SampleSource:
    found = resolve(manifest, memo=memo).calibration
    assert found is not None
    return found


def data_fault(manifest: Path) -> ErrorCode:
    code, path, line = fault(manifest)
    assert (path, line) == ("calibration.data", line_of(manifest, "data ="))
    return code


def test_images_are_staged_by_position_in_the_order_they_are_fed(tmp_path: Path) -> None:
    found = calibration(write_project(tmp_path, table("data"), files={"data/B.JPG": image_bytes("JPEG")}))
    assert found.kind == "images"
    assert (found.samples, found.available) == (4, 4)
    assert [Path(file.staged).stem for file in found.files] == ["00000", "00001", "00002", "00003"]
    assert {Path(file.staged).suffix for file in found.files} == {".png", ".jpg"}
    assert {file.name for file in found.files} == {"data/one.png", "data/two.png", "data/three.png", "data/B.JPG"}


def test_no_more_samples_are_taken_than_asked_for(tmp_path: Path) -> None:
    all_of_them = calibration(write_project(tmp_path, table("data")))
    two = calibration(write_project(tmp_path, table("data", "samples = 2")))
    assert two.files == all_of_them.files[:2]
    assert (two.samples, two.available) == (2, 3)


def test_another_seed_is_another_order(tmp_path: Path) -> None:
    orders = {
        tuple(file.name for file in calibration(write_project(tmp_path, table("data", f"seed = {seed}"))).files)
        for seed in range(12)
    }
    assert len(orders) > 2


@pytest.mark.parametrize("data", ["data/", "data/*", "data/**/*.png", "./data"])
def test_the_same_images_are_picked_however_they_are_written(tmp_path: Path, data: str) -> None:
    plain = calibration(write_project(tmp_path, table("data", "samples = 2")))
    other = calibration(write_project(tmp_path, table(data, "samples = 2")))
    assert [file.digest for file in other.files] == [file.digest for file in plain.files]


def test_a_moved_data_folder_gives_the_same_samples(tmp_path: Path) -> None:
    inside = calibration(write_project(tmp_path / "project", table("data", "samples = 2")))
    shutil.move(tmp_path / "project" / "data", tmp_path / "elsewhere")
    manifest = write_project(
        tmp_path / "other",
        table(str(tmp_path / "elsewhere"), "samples = 2"),
        project='allow-outside = ["../elsewhere"]',
    )
    outside = calibration(manifest)
    assert [(file.staged, file.digest) for file in outside.files] == [(f.staged, f.digest) for f in inside.files]


def test_spaces_and_letters_of_any_alphabet_are_names_like_others(tmp_path: Path) -> None:
    files = {"mina bilder/räv 1.png": image_bytes(), "mina bilder/狐.png": image_bytes(size=(9, 9))}
    found = calibration(write_project(tmp_path, table("mina bilder"), files=files))
    assert {file.name for file in found.files} == set(files)


@pytest.mark.parametrize(
    ("data", "files", "code"),
    [
        ("nothing", {}, ErrorCode.PATH_MISSING),
        ("nothing/*.png", {}, ErrorCode.PATH_MISSING),
        ("../data", {}, ErrorCode.PATH_OUTSIDE),
        ("../*/x.png", {}, ErrorCode.PATH_OUTSIDE),
        ("empty", {"empty/.keep": b""}, ErrorCode.CALIBRATION_EMPTY),
        ("texts", {"texts/a.txt": b"", "texts/b.csv": b""}, ErrorCode.CALIBRATION_EMPTY),
        ("data/*.tiff", {}, ErrorCode.CALIBRATION_EMPTY),
        ("model.keras", {}, ErrorCode.PATH_KIND),
        ("bad.npy", {"bad.npy": b"no array"}, ErrorCode.CALIBRATION_UNREADABLE),
        ("bad.npz", {"bad.npz": b"no archive"}, ErrorCode.CALIBRATION_UNREADABLE),
        ("none.npz", {}, ErrorCode.PATH_MISSING),
        ("x" * 300, {}, ErrorCode.CALIBRATION_UNREADABLE),
    ],
)
def test_data_that_cannot_be_used_is_a_fault_with_its_line(
    tmp_path: Path, data: str, files: dict[str, bytes], code: ErrorCode
) -> None:
    assert data_fault(write_project(tmp_path, table(data), files=dict(files))) is code


def test_other_files_in_a_folder_without_images_are_counted(tmp_path: Path) -> None:
    (problem,) = problems(write_project(tmp_path, table("texts"), files={"texts/a.txt": b"", "texts/b.csv": b""}))
    assert "2 other files" in problem.message


def test_a_link_out_of_the_calibration_folder_is_refused(tmp_path: Path) -> None:
    manifest = write_project(tmp_path / "project", table("data"))
    (tmp_path / "outside.png").write_bytes(image_bytes())
    (tmp_path / "project" / "data" / "link.png").symlink_to(tmp_path / "outside.png")
    assert data_fault(manifest) is ErrorCode.PATH_OUTSIDE


def test_a_folder_called_like_an_array_is_a_folder(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, table("set.npz"), files={"set.npz/a.png": image_bytes()})
    assert calibration(manifest).kind == "images"


def test_images_that_do_not_decode_are_named_and_counted(tmp_path: Path) -> None:
    bad = {f"data/bad{number:02}.png": b"no image" for number in range(12)}
    manifest = write_project(tmp_path, table("data"), files=bad)
    (problem,) = problems(manifest)
    assert problem.code is ErrorCode.CALIBRATION_UNREADABLE
    assert problem.message.startswith('12 of 15 images in "data" cannot be decoded:\n')
    assert "data/bad00.png: it is not an image" in problem.message
    assert "data/bad09.png" in problem.message
    assert "data/bad10.png" not in problem.message
    assert problem.message.endswith("and 2 more")


def test_only_picked_images_are_decoded_unless_every_one_is_asked_for(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, table("data", "samples = 1"))
    (picked,) = calibration(manifest).files
    for path in (tmp_path / "data").iterdir():
        if path != picked.path:
            path.write_bytes(b"no image")
    assert calibration(manifest).files == (picked,)
    (problem,) = problems(manifest, every_image=True)
    assert problem.message.startswith("2 of 3 images")


def test_every_image_is_decoded_for_a_target_that_needs_none_where_that_is_asked_for(tmp_path: Path) -> None:
    toml = '[calibration]\ndata = "data"\n[target.cpu]\n'
    manifest = write_project(tmp_path, toml, files={"data/bad.png": b"no image"})
    assert resolve(manifest).calibration is None
    assert fault(manifest, every_image=True)[:2] == (ErrorCode.CALIBRATION_UNREADABLE, "calibration.data")


def test_what_decoded_is_not_decoded_again_until_an_image_changes(tmp_path: Path) -> None:
    memo = MemoryMemo()
    manifest = write_project(tmp_path, table("data"))
    calibration(manifest, memo)
    decoded = [key for kind, key in memo.facts if kind.startswith("images")]
    assert len(decoded) == 1
    calibration(manifest, memo)
    assert [key for kind, key in memo.facts if kind.startswith("images")] == decoded
    (tmp_path / "data" / "one.png").write_bytes(b"no image")
    with pytest.raises(DlpuError):
        resolve(manifest, memo=memo)


def test_one_array_is_fed_row_by_row(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, table("x.npy", "samples = 4"))
    np.save(tmp_path / "x.npy", np.zeros((10, 8, 8, 3), "u1"))
    found = calibration(manifest)
    assert (found.kind, found.available, found.samples) == ("npy", 10, 4)
    assert [file.staged for file in found.files] == ["samples.npy"]
    assert len(set(found.indices)) == 4
    assert set(found.indices) <= set(range(10))


def test_an_archive_feeds_each_input_by_name(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, table("x.npz"), files={"model.keras": TWO_INPUTS})
    np.savez(tmp_path / "x.npz", left=np.zeros((6, 4)), right=np.zeros((6, 1, 2, 2)), labels=np.zeros(3))
    found = calibration(manifest)
    assert (found.kind, found.available) == ("npz", 6)


def test_one_array_in_an_archive_may_have_any_name_for_one_input(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, table("x.npz"))
    np.savez(tmp_path / "x.npz", arr_0=np.zeros((5, 8, 8, 3)))
    assert calibration(manifest).available == 5


@pytest.mark.parametrize(
    ("arrays", "code", "said"),
    [
        ({"left": (6, 4)}, ErrorCode.CALIBRATION_UNREADABLE, '"right"'),
        ({"left": (6, 4), "Right": (6, 2, 2)}, ErrorCode.CALIBRATION_UNREADABLE, '"Right"'),
        ({"left": (6, 4), "right": (5, 2, 2)}, ErrorCode.CALIBRATION_UNREADABLE, "right: 5"),
        ({"left": (6, 5), "right": (6, 2, 2)}, ErrorCode.CALIBRATION_UNREADABLE, "[5]"),
        ({"left": (0, 4), "right": (0, 2, 2)}, ErrorCode.CALIBRATION_EMPTY, "no sample"),
        ({}, ErrorCode.CALIBRATION_UNREADABLE, "no array"),
    ],
)
def test_arrays_that_do_not_fit_the_inputs_are_refused(
    tmp_path: Path, arrays: dict[str, tuple[int, ...]], code: ErrorCode, said: str
) -> None:
    manifest = write_project(tmp_path, table("x.npz"), files={"model.keras": TWO_INPUTS})
    contents: dict[str, Any] = {name: np.zeros(shape) for name, shape in arrays.items()}
    np.savez(tmp_path / "x.npz", **contents)
    (problem,) = problems(manifest)
    assert problem.code is code
    assert said in problem.message


def test_one_array_cannot_feed_two_inputs_nor_can_images(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, table("x.npy"), files={"model.keras": TWO_INPUTS})
    np.save(tmp_path / "x.npy", np.zeros((5, 4)))
    assert data_fault(manifest) is ErrorCode.CALIBRATION_UNREADABLE
    assert data_fault(write_project(tmp_path, table("data"), files={"model.keras": TWO_INPUTS})) is ErrorCode.CONFLICT


@pytest.mark.parametrize("shape", [(None, 8), (None, 8, 8), (None, 8, 8, 5), (None, 3, 8, 8)])
def test_images_cannot_feed_an_input_that_is_no_image(tmp_path: Path, shape: tuple[int | None, ...]) -> None:
    files = {"model.keras": keras_archive(classifier(shape=shape))}
    assert data_fault(write_project(tmp_path, table("data"), files=files)) is ErrorCode.CONFLICT


def test_images_feed_a_gray_input(tmp_path: Path) -> None:
    files = {"model.keras": keras_archive(classifier(shape=(None, 8, 8, 1)))}
    assert calibration(write_project(tmp_path, table("data"), files=files)).samples == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_an_image_that_may_not_be_read_is_a_fault(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, table("data"))
    (tmp_path / "data" / "one.png").chmod(0)
    assert data_fault(manifest) is ErrorCode.INPUT_UNREADABLE
