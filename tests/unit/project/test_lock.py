"""What a lock pins, and what it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dlpubuild.errors import ErrorCode, OutOfDateError, UsageError
from dlpubuild.project.lock import Difference, Pins, differences, pins_of, read_pins, require_equal
from tests.factories.image_factory import image_bytes
from tests.factories.small_projects import CALIBRATION, pinned, resolve, write_project

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
