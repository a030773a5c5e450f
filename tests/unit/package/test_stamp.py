from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.package.bundle import write_bundle
from dlpubuild.package.stamp import current_package, stamp_path
from tests.unit.package.specs import make_spec

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.cas.digest import Digest


def digest_of(path: Path) -> Digest:
    return digest_bytes(path.read_bytes())


def test_a_package_that_was_written_is_current(tmp_path: Path) -> None:
    spec = make_spec(tmp_path / "blob")
    package = write_bundle(spec, tmp_path / "dist")
    (tmp_path / "blob").unlink()
    assert current_package(spec.request, tmp_path / "dist", digest_of) == package


def test_nothing_is_current_where_nothing_was_written(tmp_path: Path) -> None:
    assert current_package(make_spec(tmp_path / "blob").request, tmp_path / "dist", digest_of) is None


def test_a_package_of_another_request_is_not_current(tmp_path: Path) -> None:
    spec = make_spec(tmp_path / "blob")
    write_bundle(spec, tmp_path / "dist")
    assert current_package(replace(spec.request, vendor="Other AB"), tmp_path / "dist", digest_of) is None


@pytest.mark.parametrize(
    "name", ["README.md", "SHA256SUMS", "label/labels.txt", "model/model.tflite", "../digits-1.0.0-artpec8.tar.gz"]
)
@pytest.mark.parametrize("act", ["change", "remove"])
def test_a_package_whose_files_were_touched_is_not_current(tmp_path: Path, name: str, act: str) -> None:
    spec = make_spec(tmp_path / "blob")
    package = write_bundle(spec, tmp_path / "dist")
    path = package.folder / name
    if act == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"!")
    assert current_package(spec.request, tmp_path / "dist", digest_of) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema": 2}', '{"schema": 1, "key": 3}', "\udcff", '{"schema": 1, "key": KEY}']
)
def test_a_damaged_stamp_makes_nothing_current(tmp_path: Path, text: str) -> None:
    spec = make_spec(tmp_path / "blob")
    package = write_bundle(spec, tmp_path / "dist")
    damaged = text.replace("KEY", f'"{package.key}", "archive": "x", "files": []')
    stamp_path(tmp_path / "dist", "digits-1.0.0-artpec8").write_bytes(damaged.encode(errors="surrogateescape"))
    assert current_package(spec.request, tmp_path / "dist", digest_of) is None


def test_asking_loads_no_heavy_module() -> None:
    heavy = "{'jsonschema', 'jinja2', 'google', 'PIL', 'rich', 'typer', 'tarfile', 'dlpubuild.tflite.read'}"
    code = f"import sys, dlpubuild.package.stamp; print(sorted({heavy} & sys.modules.keys()))"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout == "[]\n"
