"""Where a toolchain divides bytes and can do nothing else, a mean, or a std for each channel is told first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode
from tests.factories.small_projects import CALIBRATION, problems, resolve, write_project

if TYPE_CHECKING:
    from pathlib import Path

PLAIN, HALF, EACH = "[0.0, 0.0, 0.0]", "[127.5, 127.5, 127.5]", "[58.4, 57.1, 57.4]"


def manifest(folder: Path, targets: str, *, mean: str = PLAIN, std: str = "[255.0, 255.0, 255.0]") -> Path:
    keys = f'[[model.input]]\nname = "image"\nshape = [1, 8, 8, 3]\nmean = {mean}\nstd = {std}\n'
    return write_project(folder, f"{CALIBRATION}{targets}", model=keys)


@pytest.mark.parametrize(("values", "key"), [({"mean": HALF}, "mean"), ({"std": EACH}, "std")])
def test_what_the_parser_cannot_do_is_told_at_its_key(tmp_path: Path, values: dict[str, str], key: str) -> None:
    (problem,) = problems(manifest(tmp_path, "[target.cv25]\n[target.cv75]\n[target.cpu]\n", **values))
    assert (problem.code, problem.path) == (ErrorCode.CONFLICT, f"model.input[0].{key}")
    assert "CV25 and CV75" in problem.message


def test_other_socs_take_any(tmp_path: Path) -> None:
    assert resolve(manifest(tmp_path, "[target.artpec8]\n[target.cpu]\n", mean=HALF, std=EACH)).targets


def test_a_division_by_one_number_is_fine(tmp_path: Path) -> None:
    assert resolve(manifest(tmp_path, "[target.cv25]\n", std="[128.0, 128.0, 128.0]")).targets
