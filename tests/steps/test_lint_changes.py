"""TensorFlow makes what a lint rule speaks of, and no longer makes it after the change that the rule asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlpubuild.tflite.read import read_file
from tests.steps.conftest import run_inside
from tests.unit.targets.lint.rules_of_socs import lint_published

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.toolchain


@pytest.fixture(scope="module")
def pairs(tf2_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lint-changes")
    run_inside(tf2_python, "make_lint_changes.py", {}, folder)
    return folder


def rules_of(folder: Path, soc: str, rule: str, when: str) -> set[str]:
    report = lint_published(read_file(folder / f"{soc}.{rule}.{when}.tflite"), soc)
    return {each.rule.removeprefix(f"{soc}/") for each in report.findings}


@pytest.mark.parametrize(
    ("soc", "rule", "others"),
    [
        ("artpec8", "mean", set()),
        ("artpec8", "tile", {"cpu-in-the-middle", "runtime-version"}),
        ("artpec9", "add-element-wise", set()),
        ("artpec9", "channel-multiplier", set()),
        ("artpec9", "dense-per-channel", set()),
        ("artpec9", "explicit-padding", set()),
        ("artpec9", "mean-keep-dimensions", set()),
        ("artpec9", "multiply-by-constant", set()),
        ("artpec9", "strided-slice", set()),
    ],
)
def test_a_change_leaves_nothing_to_say(pairs: Path, soc: str, rule: str, others: set[str]) -> None:
    assert rules_of(pairs, soc, rule, "before") == {rule, *others}
    assert rules_of(pairs, soc, rule, "after") == set()
