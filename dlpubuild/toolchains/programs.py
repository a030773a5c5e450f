"""A program of the user's own, in place of a pinned archive.

In: a folder where it is installed. Out: its files by the name that each has in an environment. Only the program and
what is called after it are looked at, because the folder may well be `/usr`.
"""

from __future__ import annotations

import os
import shutil
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, ToolchainError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PLACES = ("", "bin", "usr/bin")


def find_programs(folder: Path, program: str) -> Mapping[str, Path]:
    """Return the files of `program`: itself and all in folders whose names begin with its own, sorted.

    Raises:
        ToolchainError: it is not there, or cannot be run.
    """
    for place in _PLACES:
        found = folder / place / program
        if found.is_file() and os.access(found, os.X_OK):
            beside = sorted(found.parent.glob(f"{program}*/**/*"))
            files = [found, *(path for path in beside if path.is_file())]
            return MappingProxyType({f"bin/{path.relative_to(found.parent).as_posix()}": path for path in files})
    raise ToolchainError(
        ErrorCode.TOOLCHAIN,
        f"{folder} has no program {program}, nor have bin and usr/bin below it",
        hint=f"name the folder where {program} is installed, or remove path to use the pinned archive",
    )


def copy_programs(programs: Mapping[str, Path], folder: Path) -> None:
    """Copy the files into `folder`, under their names, with their permissions.

    Raises:
        OSError: one cannot be read or written.
    """
    for name, source in programs.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
