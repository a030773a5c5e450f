"""Manifests as TOML text for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode, ManifestError
from dlpubuild.manifest.load import manifest_from_bytes

if TYPE_CHECKING:
    from dlpubuild.manifest.model import Manifest

SMALLEST = """\
schema = 1
[project]
name = "digits"
version = "1.0.0"
[model]
source = "digits.keras"
"""


def load(text: str) -> Manifest:
    """Return the manifest that consists of `SMALLEST` and `text`."""
    return manifest_from_bytes((SMALLEST + text).encode(), path=Path("dlpu.toml"))


def faults(text: str) -> set[tuple[ErrorCode, str]]:
    """Return code and path of each fault in the manifest that consists of `SMALLEST` and `text`."""
    with pytest.raises(ManifestError) as caught:
        load(text)
    return {(problem.code, problem.path) for problem in caught.value.problems}
