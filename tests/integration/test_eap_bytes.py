"""What a build leaves as `.eap` for each of the six SoCs, unpacked and packed again by GNU tar and GNU gzip."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engine_fixtures import not_available
from tests.factories.ambarella import put_toolchain
from tests.factories.edgetpu import put_compiler
from tests.integration.conftest import ROOT, Tool, _environment
from tests.integration.test_ambarella import write_onnx

if TYPE_CHECKING:
    from collections.abc import Sequence

EPOCH_S = "1700000000"
MODES = ["-rwxr-xr-x", "-rw-r--r--", "-rw-r--r--", "-rw-r--r--", "-rw-------"]
FIRST = ["package.conf", "param.conf", "LICENSE", "manifest.json"]


@pytest.fixture
def bare(tmp_path: Path) -> Tool:
    """The tool with nothing prepared: none of these projects needs TensorFlow."""
    for program in ("tar", "gzip"):
        found = shutil.which(program)
        if found is None or b"GNU" not in _said(found, "--version") + _said(found, "-V"):
            not_available(f"GNU {program} is not installed")
    cache = tmp_path / "cache"
    environ = {**_environment(cache), "SOURCE_DATE_EPOCH": EPOCH_S}
    return Tool(cache=cache, environ=environ, python=Path(sys.executable))


def _said(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=False).stdout


def repacked(eap: Path, folder: Path, names: Sequence[str]) -> bytes:
    """Return what the documented command makes of what is in an `.eap`."""
    folder.mkdir()
    subprocess.run(["tar", "--extract", "--preserve-permissions", "--file", str(eap)], cwd=folder, check=True)
    command = ["tar", "--exclude", "*~", "--file", "../made", "--format", "gnu", "--group", "0", "--mtime"]
    command += [f"@{EPOCH_S}", "--owner", "0", "--sort", "name", "--use-compress-program", "gzip --no-name -9"]
    command += ["--create", "--numeric-owner", "--exclude-vcs", *names, "--verbose"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder.parent / "made").read_bytes()


def hold_against_tar(project: Path, tmp_path: Path, socs: Sequence[str]) -> None:
    packages = sorted((project / "dist").glob("*.eap"))
    assert len(packages) == len(socs)
    for number, eap in enumerate(packages):
        listing = subprocess.run(["tar", "tvzf", str(eap)], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in listing.splitlines()]
        names = [row[-1] for row in rows]
        assert [row[0] for row in rows][:5] == MODES
        assert names[1:5] == FIRST
        assert names[5:] == sorted(names[5:])
        assert {row[1] for row in rows} == {"0/0"}
        assert {row[0] for row in rows[5:]} == {"-rw-r--r--"}
        assert eap.read_bytes() == repacked(eap, tmp_path / f"unpacked{number}", names), eap.name


def test_the_applications_of_a_ready_integer_model(bare: Tool, tmp_path: Path) -> None:
    project = tmp_path / "prebuilt"
    shutil.copytree(ROOT / "examples" / "prebuilt-tflite", project, ignore=shutil.ignore_patterns("dist"))
    put_compiler(project / "compiler")
    manifest = project / "dlpu.toml"
    more = '\n[target.artpec7]\n\n[toolchain.edgetpu]\npath = "compiler"\n'
    manifest.write_text(manifest.read_text() + more)
    bare.build(project)
    hold_against_tar(project, tmp_path, ("artpec7", "artpec8", "artpec9", "cpu"))


def test_the_applications_of_an_onnx_model(bare: Tool, tmp_path: Path) -> None:
    put_toolchain(tmp_path / "cnngen")
    project = write_onnx(tmp_path / "net", '[target.cv25]\n[target.cv75]\n[toolchain.ambarella]\npath = "../cnngen"\n')
    bare.build(project)
    hold_against_tar(project, tmp_path, ("cv25", "cv75"))
