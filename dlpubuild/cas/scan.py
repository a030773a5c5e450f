"""Walking a folder of input files, as an input tree will see it: files only, links followed.

In: a folder. Out: its files with relative path and status, in order of path. Never opens a file.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.cas.faults import input_faults
from dlpubuild.errors import DlpuError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file below a folder: relative POSIX path, path to open, and status of what a link points to."""

    path: str
    location: str
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class _Folder:
    location: str
    prefix: str
    ancestors: frozenset[tuple[int, int]]


def scan_folder(folder: Path, select: Callable[[str], bool] | None = None) -> list[ScannedFile]:
    """Return the regular files below `folder`, in code point order of their relative POSIX path.

    Symbolic links to files and folders count as what they point to.

    Args:
        folder: the folder.
        select: which files count, by relative path; all, hidden ones too, if not given.

    Raises:
        DlpuError: a folder or file cannot be read, a name is not UTF-8, or a selected entry is neither a file
            nor a folder (INPUT_UNREADABLE); a link leads back to a folder above it (PATH_KIND).
    """
    found: list[ScannedFile] = []
    folders = [_Folder(os.fspath(folder), "", frozenset())]
    while folders:
        current = folders.pop()
        # Once for all entries, as it costs more than a file; the error itself names the entry.
        with input_faults(current.location):
            below = current.ancestors | {_identity(current)}
            with os.scandir(current.location) as entries:
                for entry in entries:
                    path = current.prefix + entry.name
                    if entry.is_dir():
                        folders.append(_Folder(entry.path, f"{path}/", below))
                    elif select is None or select(path):
                        found.append(_scanned(path, entry))
    found.sort(key=lambda file: file.path)
    return found


def _identity(folder: _Folder) -> tuple[int, int]:
    status = os.stat(folder.location)  # noqa: PTH116  # text costs less
    identity = (status.st_dev, status.st_ino)
    if identity in folder.ancestors:
        raise DlpuError(
            ErrorCode.PATH_KIND,
            f"{folder.location} is a symbolic link to a folder that contains it",
            hint="remove the link, or name a folder without it",
        )
    return identity


def _scanned(path: str, entry: os.DirEntry[str]) -> ScannedFile:
    if not path.isascii() and not _is_utf8(path):
        raise DlpuError(
            ErrorCode.INPUT_UNREADABLE,
            f"the file name {os.fsencode(entry.path)!r} is not UTF-8",
            hint="rename the file: the same name could not be written on every machine",
        )
    status = entry.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DlpuError(ErrorCode.INPUT_UNREADABLE, f"cannot read {entry.path}: it is not a regular file")
    return ScannedFile(path, entry.path, status)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
