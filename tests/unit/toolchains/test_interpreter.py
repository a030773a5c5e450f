"""Which Python an environment is made of: the one named, our own, or one that really runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode, ExitCode, ToolchainError
from dlpubuild.toolchains.installer import find_uv
from dlpubuild.toolchains.interpreter import find_python, python_variable

if TYPE_CHECKING:
    from pathlib import Path

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
# A version that no machine has.
RARE = "3.2"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def answering(path: Path, version: str = RARE, implementation: str = "CPython") -> Path:
    """A program that says of itself what an interpreter of that version says."""
    return program(path, f"echo {implementation} {version}; echo {path}")


def shim(folder: Path) -> Path:
    """As pyenv leaves them for versions that are installed and not chosen."""
    return program(folder / f"python{RARE}", f"echo 'pyenv: python{RARE}: command not found' >&2; exit 127")


def find(version: str = RARE, **variables: str) -> str | None:
    return find_python(version, uv=find_uv(), variables={"PATH": "/usr/bin:/bin", "UV_NO_CACHE": "1", **variables})


def test_our_own_interpreter_is_taken_where_it_fits(tmp_path: Path) -> None:
    answering(tmp_path / f"python{OWN}", OWN)
    assert find(OWN, PATH=str(tmp_path)) == sys.executable


def test_an_interpreter_behind_a_shim_is_found_in_the_path(tmp_path: Path) -> None:
    shim(tmp_path / "shims")
    real = answering(tmp_path / "real" / f"python{RARE}")
    assert find(PATH=f"relative:{tmp_path / 'shims'}:{real.parent}") == str(real)


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("PYENV_ROOT", "versions"),
        ("ASDF_DATA_DIR", "installs/python"),
        ("HOME", ".pyenv/versions"),
        ("HOME", ".local/share/mise/installs/python"),
    ],
)
def test_of_a_version_manager_the_newest_patch_release_is_taken(tmp_path: Path, variable: str, folder: str) -> None:
    for patch in (9, 16, 2):
        answering(tmp_path / folder / f"{RARE}.{patch}" / "bin" / f"python{RARE}")
    shim(tmp_path / folder / f"{RARE}.17" / "bin")
    found = find(**{"PATH": str(shim(tmp_path / "shims").parent), variable: str(tmp_path)})
    assert found == str(tmp_path / folder / f"{RARE}.16" / "bin" / f"python{RARE}")


@pytest.mark.parametrize(
    "text",
    ["exit 0", "echo CPython 3.3; echo /x", "echo PyPy 3.2; echo /x", "echo CPython 3.2; echo x", "printf '\\377'"],
)
def test_what_is_no_such_python_is_passed_over(tmp_path: Path, text: str) -> None:
    program(tmp_path / f"python{RARE}", text)
    assert find(PATH=str(tmp_path), HOME=str(tmp_path)) is None


def test_the_one_that_is_named_comes_first(tmp_path: Path) -> None:
    named = answering(tmp_path / "named" / "python", OWN)
    assert find(OWN, **{python_variable(OWN): str(named)}) == str(named)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "does not exist"),
        ("exit 1", "cannot be run as a Python interpreter"),
        ("echo CPython 3.11; echo /x", "is CPython 3.11"),
        ("echo PyPy 3.7; echo /x", "is PyPy 3.7"),
    ],
)
def test_a_named_program_that_is_not_that_python_is_refused(tmp_path: Path, content: str | None, found: str) -> None:
    path = tmp_path / "python"
    if content is not None:
        program(path, content)
    with pytest.raises(ToolchainError) as caught:
        find("3.7", DLPU_PYTHON37=str(path))
    assert caught.value.code is ErrorCode.TOOLCHAIN
    assert caught.value.exit_code is ExitCode.TOOLCHAIN_MISSING
    assert f"DLPU_PYTHON37 names {path}, which {found}" in caught.value.message


def test_a_name_that_no_path_can_have_is_refused() -> None:
    with pytest.raises(ToolchainError, match="DLPU_PYTHON37"):
        find("3.7", DLPU_PYTHON37="relative/python" + os.sep)
