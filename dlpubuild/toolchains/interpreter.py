"""The Python that a toolchain's environment is made of.

In: the version that a toolchain is pinned to, and the user's environment variables. Out: the path of an interpreter of
that version, or None where this machine has none and uv has to fetch one. Candidates are run to see what they are:
version managers put a program called `python3.7` into the search path that runs no Python where another version is
chosen. Nothing is installed here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ANSWER_S = 20
_QUESTION = (
    "import platform, sys; print('%s %d.%d' % (platform.python_implementation(), *sys.version_info[:2])); "
    "print(sys.executable)"
)
# Where version managers keep the versions that are installed: variable, folder of the user's home, folder in that.
_MANAGERS = (
    ("PYENV_ROOT", ".pyenv", "versions"),
    ("ASDF_DATA_DIR", ".asdf", "installs/python"),
    ("MISE_DATA_DIR", ".local/share/mise", "installs/python"),
)


def python_variable(version: str) -> str:
    """Return the variable by which a user names the interpreter of `version`: DLPU_PYTHON37 for 3.7."""
    return f"DLPU_PYTHON{version.replace('.', '')}"


def find_python(version: str, *, uv: str, variables: Mapping[str, str]) -> str | None:
    """Return the path of a CPython of `version`, such as 3.7, or None.

    The one that the user names comes first, then our own, one that uv finds, and one that lies in the search path or
    that a version manager has installed.

    Args:
        version: major and minor.
        uv: the path of uv.
        variables: the user's environment variables.

    Raises:
        ToolchainError: the user names an interpreter that is none, or another version.
    """
    named = variables.get(python_variable(version))
    if named:
        return _named(named, version)
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version and sys.implementation.name == "cpython":
        return sys.executable or None
    candidates = (*_found_by_uv(version, uv, variables), *_installed(version, variables))
    return next((real for each in candidates if (real := _real(each, version, variables))), None)


def _named(path: str, version: str) -> str:
    said = _ask(path, {})
    if said is None:
        found = "cannot be run as a Python interpreter" if os.path.lexists(path) else "does not exist"
    elif said[0] != f"CPython {version}":
        found = f"is {said[0]}"
    else:
        return said[1]
    raise ToolchainError(
        ErrorCode.TOOLCHAIN,
        f"{python_variable(version)} names {path}, which {found}; this toolchain needs CPython {version}",
        hint=f"name an interpreter of Python {version} there, or unset it",
    )


def _found_by_uv(version: str, uv: str, variables: Mapping[str, str]) -> Iterator[str]:
    """What uv finds, its own interpreters among it; it gives up at the first program in the path that is a shim."""
    for preference in ((), ("--managed-python",)):
        command = [uv, "python", "find", "--no-project", "--no-config", *preference, version]
        out = _output(command, {**variables, "UV_OFFLINE": "1", "UV_PYTHON_DOWNLOADS": "never"})
        if out:
            yield out.splitlines()[0]


def _installed(version: str, variables: Mapping[str, str]) -> Iterator[str]:
    for folder in variables.get("PATH", "").split(os.pathsep):
        if folder.startswith("/"):
            yield str(Path(folder, f"python{version}"))
    for variable, below_home, versions in _MANAGERS:
        root = variables.get(variable) or (str(Path(variables["HOME"], below_home)) if variables.get("HOME") else "")
        # The newest patch release first.
        found = sorted(Path(root, versions).glob(f"{version}.*/bin/python{version}"), key=_numbers) if root else []
        yield from map(str, reversed(found))


def _numbers(path: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", path.parent.parent.name)]


def _real(path: str, version: str, variables: Mapping[str, str]) -> str | None:
    said = _ask(path, variables)
    return said[1] if said and said[0] == f"CPython {version}" else None


def _ask(path: str, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """Return (implementation and version, path of the program itself), or None where it is no Python."""
    # -I: nothing of the user's project; what a shim starts knows its own path.
    kept = {name: variables[name] for name in ("PATH", "HOME", "PYENV_ROOT") if name in variables}
    lines = _output([path, "-I", "-c", _QUESTION], kept).splitlines()
    return (lines[0], lines[1]) if len(lines) == 2 and lines[1].startswith("/") else None  # noqa: PLR2004 - two lines


def _output(command: list[str], variables: Mapping[str, str]) -> str:
    """Return what a command prints, nothing where it fails."""
    try:
        done = subprocess.run(
            command,
            env=dict(variables),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "surrogateescape").strip() if done.returncode == 0 else ""
