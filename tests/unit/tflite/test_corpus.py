"""Every kept file, sound, absurd or broken, read, shown, compared and linted."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.factories.inspections import look
from tests.unit.tflite.shared_models import shared_model

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


@pytest.mark.parametrize(
    "name",
    [
        *("split_concat", "split_concat_edgetpu", "keras_lstm_mnist_ptq", "keras_lstm_mnist_ptq_edgetpu"),
        *("mobilenet_v1_0.25_128_quant", "deeplabv3_mnv2_dm05_pascal_quant_edgetpu", "model_invoking_error"),
    ],
)
def test_published_models_are_shown_compared_and_linted(name: str) -> None:
    look(bytes(shared_model(name).data))
