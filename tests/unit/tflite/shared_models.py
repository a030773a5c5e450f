"""Published models of several converters, where the machine has them; tests that need one skip without it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.tflite.read import read_file

if TYPE_CHECKING:
    from dlpubuild.tflite.model import TfliteModel

_FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "models"


def shared_model(name: str) -> TfliteModel:
    path = _FOLDER / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"the published model {path.name} is not on this machine")
    return read_file(path)
