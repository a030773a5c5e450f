"""The projects that are built, and the files that are hashed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FILES_PER_FOLDER = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSet:
    """Targets built in one run: tables of the manifest, and per SoC the conversion that the baseline does instead."""

    name: str
    title: str
    tables: str
    variants: Mapping[str, str]
    aim: float


_DLPUS = "[target.artpec8]\n[target.artpec9]\n"
_DLPU_VARIANTS = {"artpec8": "artpec8", "artpec9": "artpec9"}

MOBILENET_SETS = (
    TargetSet(
        name="a",
        title="cpu (float), artpec8, artpec9",
        tables=f"[target.cpu]\n{_DLPUS}",
        variants={"cpu": "float", **_DLPU_VARIANTS},
        aim=0.55,
    ),
    TargetSet(
        name="b",
        title="cpu (int8, float I/O), artpec8, artpec9",
        # No other target has these parameters, so it shares the import and the calibration and nothing else.
        tables=f'[target.cpu]\nquantization = "int8"\nio = "float32"\n{_DLPUS}',
        variants={"cpu": "int8-float-io", **_DLPU_VARIANTS},
        aim=0.40,
    ),
)
BASELINE_VARIANTS = tuple(dict.fromkeys(name for each in MOBILENET_SETS for name in each.variants.values()))


def write_mobilenet(folder: Path, source: str, targets: TargetSet) -> Path:
    """Write the manifest for MobileNetV2 and return its path."""
    manifest = folder / f"{targets.name}.toml"
    manifest.write_text(_manifest("mobilenet", source, 224, 100) + targets.tables, encoding="utf-8")
    return manifest


def write_tiny(folder: Path) -> Path:
    """Write the manifest of the project with 1,000 calibration images and return its path."""
    manifest = folder / "dlpu.toml"
    manifest.write_text(_manifest("tiny", "model.keras", 8, 1000) + f"[target.cpu]\n{_DLPUS}", encoding="utf-8")
    return manifest


def _manifest(name: str, source: str, size: int, samples: int) -> str:
    return f"""schema = 1
[project]
name = "{name}"
version = "1.0.0"
[model]
source = "{source}"
[[model.input]]
name = "image"
shape = [1, {size}, {size}, 3]
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
[calibration]
data = "images"
samples = {samples}
"""


def write_files(folder: Path, count: int, size_bytes: int) -> None:
    """Write `count` files of different content, a hundred to a folder."""
    for number in range(count):
        parent = folder / f"{number // _FILES_PER_FOLDER:03d}"
        if number % _FILES_PER_FOLDER == 0:
            parent.mkdir(parents=True)
        content = hashlib.shake_128(number.to_bytes(4)).digest(size_bytes)
        (parent / f"{number:05d}.bin").write_bytes(content)
