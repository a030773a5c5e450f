"""The project of every SoC, `examples/two-heads`, and stand-ins for the closed tools that build its compiled models.

In: a folder. Out: a copy of the example in it, tools on its paths, what the build left there. Nothing is built here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.factories.ambarella import put_toolchain
from tests.factories.edgetpu import put_compiler
from tests.factories.unmeasured import without_verify

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAME = "two-heads"
HEADS = ("A_person_pred", "B_car_pred")
# SoC -> larod device, ACAP architecture, file of the model; from Axis' documentation, not from our own target.toml.
FACTS = {
    "artpec7": ("google-edge-tpu-tflite", "armv7hf", "model.tflite"),
    "artpec8": ("axis-a8-dlpu-tflite", "aarch64", "model.tflite"),
    "artpec9": ("a9-dlpu-tflite", "aarch64", "model.tflite"),
    "cv25": ("ambarella-cvflow", "aarch64", "model.bin"),
    "cv75": ("cv75-dlpu-native", "aarch64", "model.bin"),
    "cpu": ("cpu-tflite", "aarch64", "model.tflite"),
}
# Those that need nothing which is not public.
OPEN_SOCS = ("artpec8", "artpec9", "cpu")


def put_two_heads(folder: Path) -> Path:
    """Copy the example to `folder`, without what was built there and its `[verify]`, and return the folder."""
    shutil.copytree(EXAMPLES / NAME, folder, ignore=shutil.ignore_patterns("dist", "__pycache__"))
    return without_verify(folder)


def only_targets(project: Path, socs: Sequence[str]) -> None:
    """Take the other SoCs out of the example's manifest."""
    manifest = project / "dlpu.toml"
    text = manifest.read_text()
    for soc in set(FACTS) - set(socs):
        text = text.replace(f"[target.{soc}]\n\n", "")
    manifest.write_text(text)


def add_to_manifest(project: Path, toml: str) -> None:
    """Append tables to the project's manifest."""
    manifest = project / "dlpu.toml"
    manifest.write_text(f"{manifest.read_text()}\n{toml}")


def with_edgetpu(project: Path, *, manifest: bool = True, **config: Any) -> None:
    """Give the project an Edge TPU compiler of its own; see `put_compiler` for `config`."""
    put_compiler(project / "tools" / "edgetpu", **config)
    if manifest:
        add_to_manifest(project, '[toolchain.edgetpu]\npath = "tools/edgetpu"\n')


def with_ambarella(project: Path, **config: Any) -> None:
    """Give the project a toolchain of Ambarella's; see `put_toolchain` for `config`."""
    put_toolchain(project / "tools" / "ambarella", **config)
    add_to_manifest(project, '[toolchain.ambarella]\npath = "tools/ambarella"\n')


def bundle_of(dist: Path, soc: str, *, base: str = f"{NAME}-1.0.0") -> dict[str, bytes]:
    """Return the files of a bundle by their path below its one folder."""
    folder = f"{base}-{soc}"
    with tarfile.open(dist / f"{folder}.tar.gz") as archive:
        entries = [(entry.name, archive.extractfile(entry)) for entry in archive]
        return {name.removeprefix(f"{folder}/"): stream.read() for name, stream in entries if stream is not None}


def described(dist: Path, soc: str, **more: str) -> dict[str, Any]:
    """Return the `model.json` of a bundle."""
    told: dict[str, Any] = json.loads(bundle_of(dist, soc, **more)["model.json"])
    return told


def checksums(dist: Path) -> dict[str, str]:
    """Return the sha256 of every archive in `dist` by its name."""
    files = sorted([*dist.glob("*.tar.gz"), *dist.glob("*.eap")])
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
