"""Every kept file, sound, absurd or broken, read, shown, compared and linted."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.factories.inspections import look

FOLDER = Path(__file__).resolve().parents[2] / "corpus" / "tflite"
INDEX: dict[str, str] = tomllib.loads((FOLDER / "index.toml").read_text(encoding="utf-8"))
REFUSED = {
    *("all-ones", "custom-outside", "empty", "header-only", "no-graph", "random", "rank-17", "root-in-header"),
    *("root-outside", "schema-version", "seven-bytes", "tensor-outside", "truncated", "truncated-by-one"),
}


def test_the_index_has_every_file_and_no_other() -> None:
    assert set(INDEX) == {path.stem for path in FOLDER.glob("*.tflite")}
    assert all(INDEX.values())


def test_the_files_are_small() -> None:
    assert max(path.stat().st_size for path in FOLDER.glob("*.tflite")) < 16 << 10


@pytest.mark.parametrize("name", sorted(INDEX))
def test_a_kept_file_is_a_model_or_refused(name: str) -> None:
    model = look((FOLDER / f"{name}.tflite").read_bytes())
    assert (model is None) == (name in REFUSED)
