"""What a lock pins, and what it does not."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.errors import ErrorCode, OutOfDateError, UsageError
from dlpubuild.project.lock import Difference, LockedImage, Pins, differences, pins_of, read_pins, require_equal
from dlpubuild.resources import schema_path
from dlpubuild.toolchains.pins import ImagePin
from tests.factories.image_factory import image_bytes
from tests.factories.small_projects import CALIBRATION, PIN, pinned, resolve, write_project

TOML = CALIBRATION + "[target.artpec8]\n[target.cpu]\n"


def pins(manifest: Path, version: str = "1.0.0") -> Pins:
    return pins_of(pinned(resolve(manifest)), version)


def changed(before: Pins, after: Pins) -> list[str]:
    return [each.name for each in differences(before, after)]


def test_a_project_has_a_pin_for_each_thing_it_is_made_of(tmp_path: Path) -> None:
    assert list(pins(write_project(tmp_path, TOML)).values) == ["calibration", "model", "tool", "toolchain.tf2"]


def test_a_moved_project_has_the_same_pins(tmp_path: Path) -> None:
    before = pins(write_project(tmp_path / "here", TOML))
    shutil.move(tmp_path / "here", tmp_path / "ett annat ställe")
    assert pins(tmp_path / "ett annat ställe" / "dlpu.toml") == before


def test_a_renamed_model_file_is_the_same_model(tmp_path: Path) -> None:
    before = pins(write_project(tmp_path, TOML))
    (tmp_path / "model.keras").rename(tmp_path / "other.keras")
    data = (tmp_path / "other.keras").read_bytes()
    assert pins(write_project(tmp_path, TOML, source="other.keras", files={"other.keras": data})) == before


def test_each_thing_that_changes_is_told(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, TOML)
    before = pins(manifest)
    assert changed(before, pins(manifest, "1.0.1")) == ["tool"]
    (tmp_path / "data" / "one.png").write_bytes(image_bytes(size=(20, 20)))
    assert changed(before, pins(manifest)) == ["calibration"]
    (tmp_path / "model.keras").write_bytes((tmp_path / "model.keras").read_bytes() + b"\0")
    assert changed(before, pins(manifest)) == ["calibration", "model"]


def test_other_rows_of_the_same_array_are_another_calibration(tmp_path: Path) -> None:
    found = []
    for seed in (0, 2):
        toml = f'[calibration]\ndata = "x.npy"\nsamples = 2\nseed = {seed}\n[target.artpec8]\n'
        manifest = write_project(tmp_path, toml)
        np.save(tmp_path / "x.npy", np.zeros((9, 8, 8, 3), "u1"))
        found.append(pins(manifest))
    assert changed(*found) == ["calibration"]


def test_a_lock_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    found = pins(write_project(tmp_path, TOML))
    (tmp_path / "dlpu.lock").write_bytes(found.encode())
    assert read_pins(tmp_path / "dlpu.lock") == found
    assert str(tmp_path) not in found.encode().decode()


def test_a_difference_tells_both_sides() -> None:
    before, after = Pins(values={"a": "1", "b": "2"}), Pins(values={"b": "3", "c": "4"})
    assert differences(before, after) == (
        Difference(name="a", locked="1", found=None),
        Difference(name="b", locked="2", found="3"),
        Difference(name="c", locked=None, found="4"),
    )
    assert str(differences(before, after)[0]) == "a: locked 1, found nothing"


def test_a_build_from_something_else_is_refused_with_every_difference() -> None:
    with pytest.raises(OutOfDateError) as caught:
        require_equal(Path("dlpu.lock"), Pins(values={"a": "1", "b": "2"}), Pins(values={"a": "9", "b": "8", "c": "7"}))
    assert caught.value.code is ErrorCode.LOCK_MISMATCH
    assert all(f"{name}: locked" in caught.value.message for name in "abc")


def test_a_build_of_some_targets_needs_only_what_it_uses_to_be_as_locked(tmp_path: Path) -> None:
    """A cpu target in float is not calibrated; the lock was written for all targets."""
    locked = pins(write_project(tmp_path, TOML))
    some = pins(write_project(tmp_path, CALIBRATION + "[target.cpu]\n"))
    assert changed(locked, some) == ["calibration"]
    require_equal(tmp_path / "dlpu.lock", locked, some)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, ErrorCode.PATH_MISSING),
        (b"", ErrorCode.PATH_KIND),
        (b"\xff", ErrorCode.PATH_KIND),
        (b"[]", ErrorCode.PATH_KIND),
        (b'{"schema": 2, "pins": {}}', ErrorCode.PATH_KIND),
        (b'{"schema": 1}', ErrorCode.PATH_KIND),
        (b'{"schema": 1, "pins": {"a": 1}}', ErrorCode.PATH_KIND),
        (b"[" * 100_000, ErrorCode.PATH_KIND),
    ],
)
def test_a_file_that_is_no_lock_is_a_usage_error(tmp_path: Path, data: bytes | None, code: ErrorCode) -> None:
    if data is not None:
        (tmp_path / "dlpu.lock").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_pins(tmp_path / "dlpu.lock")
    assert caught.value.code is code
    assert caught.value.hint


def test_images_are_read_back_and_replaced() -> None:
    digest = "sha256:" + "a" * 64
    tf2, tf1 = LockedImage(id=digest), LockedImage(id=digest, reference=f"r.example/tf1@{digest}")
    locked = Pins(values={"tool": "1"}).with_images({"tf2": tf2, "tf1": tf1})
    assert locked.images == {"tf1": tf1, "tf2": tf2}
    assert list(locked.values) == ["image.tf1.id", "image.tf1.reference", "image.tf2.id", "tool"]
    assert locked.with_images({"tf2": tf2}).images == {"tf2": tf2}


def test_a_project_in_containers_has_a_pin_for_each_image(tmp_path: Path) -> None:
    digest = "sha256:" + "b" * 64
    project = pinned(resolve(write_project(tmp_path, "[target.cpu]\n")))
    image = replace(PIN, image=ImagePin(id=digest))
    found = pins_of(replace(project, toolchains=MappingProxyType({"tf2": image})), "1")
    assert found.images == {"tf2": LockedImage(id=digest)}
    own = replace(PIN, image=ImagePin(reference=f"r.example/own@{digest}", is_own=True))
    found = pins_of(replace(project, toolchains=MappingProxyType({"tf2": own})), "1")
    assert found.images == {"tf2": LockedImage(reference=f"r.example/own@{digest}")}
    assert "toolchain.tf2" not in found.values, "nothing is known of what is in it"


@settings(derandomize=True, database=None, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["tool", "model", "calibration", "toolchain.tf2", "image.tf2.id", "image.tf2.reference", "x"]),
        st.sampled_from(
            [
                "0.1.0",
                "",
                "sha256:" + "c" * 64,
                "sha256:" + "C" * 64,
                "python 3.11, sha256:" + "c" * 64,
                "r.example:5000/a/b@sha256:" + "c" * 64,
                "r.example/a:latest",
                7,
            ]
        ),
    )
)
def test_what_is_read_is_what_the_schema_describes(values: dict[str, object]) -> None:
    schema = json.loads(schema_path("lock").read_text(encoding="utf-8"))
    document = {"schema": 1, "pins": values}
    is_valid = jsonschema.Draft202012Validator(schema).is_valid(document)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "dlpu.lock")
        path.write_text(json.dumps(document), encoding="utf-8")
        try:
            read_pins(path)
        except UsageError:
            assert not is_valid
        else:
            assert is_valid
