"""The example whose model is ready: packaged without any toolchain, and without a network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
SOCS = ("artpec8", "artpec9", "cpu")
DEVICES = {"artpec8": "axis-a8-dlpu-tflite", "artpec9": "a9-dlpu-tflite", "cpu": "cpu-tflite"}
MODEL = "model/digits_int8.tflite"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "examples/prebuilt-tflite", tmp_path / "project"))


def run(project: Path, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("DLPU_", "PYTHON"))}
    environ |= {"PYTHONPATH": str(ROOT), "DLPU_CACHE_DIR": str(project.parent / "cache"), "DLPU_EXECUTOR": "local"}
    return subprocess.run(
        [*prefix, sys.executable, "-m", "dlpubuild", *arguments],
        cwd=project,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def digests(project: Path) -> dict[str, str]:
    packages = (*project.glob("dist/*.tar.gz"), *project.glob("dist/*.eap"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(packages)}


def test_it_is_packaged_as_it_is_for_each_soc(project: Path) -> None:
    started_s = time.monotonic()
    done = run(project, "build", "--offline", "--json")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started_s < 20
    assert not (project.parent / "cache" / "toolchains").exists()
    document = json.loads(done.stdout)
    assert document["steps"] == []
    assert {each["soc"]: each["quantization"] for each in document["targets"]} == dict.fromkeys(SOCS, "per-tensor")
    given = (project / MODEL).read_bytes()
    for soc in SOCS:
        base = f"prebuilt-digits-1.0.0-{soc}"
        with tarfile.open(project / f"dist/{base}.tar.gz") as archive:
            files = {each.name.removeprefix(f"{base}/"): each for each in archive if each.isfile()}
            assert {"model/model.tflite", "model/model_params.h", "label/labels.txt", "LICENSE", "README.md"} <= set(
                files
            )
            packed = archive.extractfile(files["model/model.tflite"])
            assert packed is not None
            assert packed.read() == given
        described = json.loads((project / f"dist/{base}/model.json").read_text())
        assert described["toolchain"] is None
        assert described["compiler"] is None
        assert described["model"]["sha256"] == hashlib.sha256(given).hexdigest()
        assert DEVICES[soc] in (project / f"dist/{base}/manifest.json.fragment").read_text()
        readme = (project / f"dist/{base}/README.md").read_text()
        assert "packaged as given" in readme
        assert "converted for" not in readme


def test_the_application_holds_the_same_model(project: Path) -> None:
    assert run(project, "build", "--offline").returncode == 0
    packages = sorted(project.glob("dist/*.eap"))
    assert len(packages) == len(SOCS)
    for path in packages:
        with tarfile.open(path) as archive:
            names = archive.getnames()
            (model,) = [name for name in names if name.endswith(".tflite")]
            packed = archive.extractfile(model)
            assert packed is not None
            assert packed.read() == (project / MODEL).read_bytes()
        assert {"package.conf", "param.conf", "LICENSE", "manifest.json"} <= set(names)


def test_building_again_writes_nothing_and_elsewhere_gives_the_same_bytes(project: Path, tmp_path: Path) -> None:
    assert run(project, "build").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    again = run(project, "build")
    assert again.returncode == 0
    assert "nothing had to run" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before
    elsewhere = Path(shutil.copytree(project, tmp_path / "ein anderer Ordner", ignore=shutil.ignore_patterns("dist")))
    shutil.rmtree(tmp_path / "cache")
    assert run(elsewhere, "build").returncode == 0
    assert digests(elsewhere) == digests(project)


@pytest.mark.parametrize("command", ["check", "plan", "config"])
def test_looking_at_it_needs_no_toolchain_either(project: Path, command: str) -> None:
    done = run(project, command)
    assert done.returncode == 0, done.stderr


def test_a_changed_model_is_packaged_anew(project: Path) -> None:
    assert run(project, "build").returncode == 0
    first = digests(project)
    data = bytearray((project / MODEL).read_bytes())
    # The description of the file: nothing that anybody computes with.
    at = data.index(b"MLIR Converted.")
    data[at : at + 4] = b"mlir"
    (project / MODEL).write_bytes(bytes(data))
    assert run(project, "build").returncode == 0
    assert set(digests(project)) == set(first)
    assert not set(digests(project).values()) & set(first.values())
