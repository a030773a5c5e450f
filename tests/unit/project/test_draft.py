"""What `init` writes is a manifest: whatever the model says of itself, it loads, and says what the model says."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.errors import ErrorCode, UsageError
from dlpubuild.manifest.load import manifest_from_bytes
from dlpubuild.manifest.model import Manifest
from dlpubuild.project.draft import draft_manifest, project_name
from dlpubuild.project.model import KnownSignature, KnownTensor, ModelReading
from tests.factories.model_factory import classifier, keras_archive
from tests.factories.small_projects import resolve, write_project

SOCS = ("artpec8", "artpec9", "cpu")
FOLDER = Path("/project")


def drafted(signature: KnownSignature, model: Path = FOLDER / "m.keras") -> Manifest:
    text = draft_manifest(model, FOLDER, ModelReading(signature=signature), SOCS)
    return manifest_from_bytes(text.encode(), path=FOLDER / "dlpu.toml")


def with_input(shape: tuple[int, ...] | None, name: str = "image") -> KnownSignature:
    return KnownSignature(
        inputs=(KnownTensor(name=name, shape=shape),), outputs=(KnownTensor(name="y", shape=(-1, 10)),)
    )


@pytest.mark.parametrize(
    ("shape", "written"),
    [
        ((-1, 32, 32, 3), (1, 32, 32, 3)),
        ((1, 28, 28, 1), (1, 28, 28, 1)),
        ((-1, -1, -1, 3), (1, 224, 224, 3)),
        ((-1, -1, -1, -1), (1, 224, 224, 3)),
        ((-1, 8, 8, 64), (1, 8, 8, 64)),
        ((-1, 8, 8, 4), (1, 8, 8, 4)),
        ((-1, -1, 40), (1, 224, 40)),
        ((-1, 7), (1, 7)),
        ((-1,), None),
        ((), None),
        (None, None),
        ((1,) * 9, None),
        ((8, 32, 32, 3), (1, 32, 32, 3)),
    ],
)
def test_the_draft_for_any_shape_is_a_manifest(shape: tuple[int, ...] | None, written: tuple[int, ...] | None) -> None:
    manifest = drafted(with_input(shape))
    assert [(each.name, each.shape) for each in manifest.model.inputs] == [("image", written)]
    assert [each.name for each in manifest.model.outputs] == ["y"]
    assert tuple(each.soc for each in manifest.targets) == SOCS


@pytest.mark.parametrize(
    ("shape", "written", "color"),
    [
        ((1, 3, 32, 24), (1, 3, 32, 24), "rgb"),
        ((-1, 1, 28, 28), (1, 1, 28, 28), "gray"),
        ((-1, 3, -1, -1), (1, 3, 224, 224), "rgb"),
        ((1, 32, 24, 1), (1, 32, 24, 1), "gray"),
    ],
)
def test_an_onnx_model_is_drafted_as_the_file_has_it(
    shape: tuple[int, ...], written: tuple[int, ...], color: str
) -> None:
    (given,) = drafted(with_input(shape), FOLDER / "m.onnx").model.inputs
    assert (given.shape, given.color) == (written, color)


def test_one_channel_is_drafted_gray() -> None:
    assert drafted(with_input((-1, 28, 28, 1))).model.inputs[0].color == "gray"
    assert drafted(with_input((-1, 28, 28, 3))).model.inputs[0].color == "rgb"


def test_the_usual_normalisations_are_there_as_comments_that_fit() -> None:
    for channels in (1, 3):
        text = draft_manifest(
            FOLDER / "m.keras", FOLDER, ModelReading(signature=with_input((-1, 8, 8, channels))), SOCS
        )
        pairs = [line.removeprefix("# ") for line in text.split("\n") if line.startswith(("# mean =", "# std ="))]
        assert len(pairs) >= 4
        for pair in pairs:
            ((_, values),) = tomllib.loads(pair).items()
            assert len(values) == channels


@pytest.mark.parametrize(
    ("shapes", "data"),
    [
        ([(-1, 8, 8, 3)], "data/calibration"),
        ([None], "data/calibration"),
        ([], "data/calibration"),
        ([(-1, 7)], "data/calibration.npz"),
        ([(-1, 8, 8, 3), (-1, 8, 8, 3)], "data/calibration.npz"),
    ],
)
def test_images_are_drafted_as_data_where_they_can_feed_the_model(
    shapes: list[tuple[int, ...] | None], data: str
) -> None:
    inputs = tuple(KnownTensor(name=f"i{number}", shape=shape) for number, shape in enumerate(shapes))
    calibration = drafted(KnownSignature(inputs=inputs)).calibration
    assert calibration is not None
    assert calibration.data == data


def test_a_model_that_says_nothing_is_drafted_too() -> None:
    manifest = drafted(KnownSignature())
    assert manifest.model.inputs == ()
    assert manifest.model.outputs == ()


def test_the_model_is_named_relative_to_the_manifest() -> None:
    assert drafted(KnownSignature(), FOLDER / "sub" / "m.keras").model.source == "sub/m.keras"
    assert drafted(KnownSignature(), FOLDER).model.source == "."
    assert drafted(KnownSignature(), FOLDER / "..odd.keras").project.allow_outside == ()


def test_a_model_outside_is_allowed_outside() -> None:
    manifest = drafted(KnownSignature(), Path("/models/m.keras"))
    assert manifest.model.source == "../models/m.keras"
    assert manifest.project.allow_outside == ("../models/m.keras",)


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(name=st.text(min_size=1), file=st.text(min_size=1).filter(lambda text: "/" not in text and "\0" not in text))
def test_whatever_the_names_the_draft_is_toml_that_says_them(name: str, file: str) -> None:
    model = FOLDER / f"m{file}.keras"
    document = tomllib.loads(
        draft_manifest(model, FOLDER, ModelReading(signature=with_input((-1, 8, 8, 3), name)), SOCS)
    )
    assert document["model"]["input"][0]["name"] == name
    assert document["model"]["source"] == model.name


def test_a_name_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        draft_manifest(
            Path(os.fsdecode(b"/project/r\xe4v.keras")), FOLDER, ModelReading(signature=KnownSignature()), SOCS
        )
    assert caught.value.code is ErrorCode.PATH_KIND


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("digits.keras", "digits"),
        ("My Model_v2.H5", "my-model-v2"),
        ("/a/b/saved_model", "saved-model"),
        ("resnet.v2", "resnet-v2"),
        ("räv.keras", "r-v"),
        ("模型.keras", "model"),
        ("--.keras", "model"),
        ("x" * 80, "x" * 63),
        ("x" * 62 + "-y", "x" * 62),
    ],
)
def test_a_project_is_named_after_its_model(path: str, expected: str) -> None:
    assert project_name(Path(path)) == expected


def test_a_model_in_the_current_folder_names_the_project_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Owl Net").mkdir()
    monkeypatch.chdir(tmp_path / "Owl Net")
    assert project_name(Path()) == "owl-net"


def test_a_drafted_project_resolves_once_its_data_is_there(tmp_path: Path) -> None:
    write_project(tmp_path, files={"data/calibration/a.png": (b"")})
    (tmp_path / "data" / "calibration" / "a.png").write_bytes((tmp_path / "data" / "one.png").read_bytes())
    (tmp_path / "model.keras").write_bytes(keras_archive(classifier()))
    signature = resolve(tmp_path / "dlpu.toml").signature
    (tmp_path / "dlpu.toml").write_text(
        draft_manifest(tmp_path / "model.keras", tmp_path, ModelReading(signature=signature), SOCS)
    )
    assert [target.name for target in resolve(tmp_path / "dlpu.toml").targets] == list(SOCS)
