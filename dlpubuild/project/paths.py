"""Paths that a manifest names: found below the project folder, or refused.

In: the project folder, and text of the manifest. Out: absolute paths, or a `PathRefusedError`. A path that leaves the
project — absolute, through `..`, or through a symbolic link — makes a build depend on something a colleague does not
have, so it is refused unless `[project] allow-outside` lists it. No file is opened here.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dlpubuild.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PathKind = Literal["file", "folder", "other"]


class PathRefusedError(Exception):
    """A path cannot be used; the text says why.

    Attributes:
        code: machine-readable name of the fault.
        hint: what to do about it; may be empty.
    """

    def __init__(self, code: ErrorCode, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPaths:
    """The project folder and what may be read beside it; both resolved."""

    folder: Path
    allowed: tuple[Path, ...]

    def find(self, text: str) -> Path:
        """Return the absolute path for `text`, without `..`; it need not exist.

        Raises:
            PathRefusedError: it leaves the project and is not listed in `allow-outside`, or is no path at all.
        """
        if "\0" in text:
            raise PathRefusedError(ErrorCode.PATH_KIND, f"{text!r} is not a path: it holds a NUL")
        # Before the check, so that what is checked is what is opened: `link/..` is not where the link leads to.
        path = Path(os.path.normpath(self.folder / text))
        self.check(path, text)
        return path

    def check(self, path: Path, text: str) -> None:
        """Refuse `path`, which the user knows as `text`, where it leaves the project.

        Raises:
            PathRefusedError: as `find`.
        """
        try:
            real = Path(os.path.realpath(path))
        except (OSError, ValueError) as error:
            raise PathRefusedError(ErrorCode.PATH_KIND, f"{text!r} is not a path: {error}") from error
        if not any(real.is_relative_to(root) for root in (self.folder, *self.allowed)):
            raise PathRefusedError(
                ErrorCode.PATH_OUTSIDE,
                f'"{text}" leaves the project folder: it is {real}',
                "list it in [project] allow-outside to allow it",
            )


def project_paths(folder: Path, allow_outside: Sequence[str]) -> ProjectPaths:
    """Return the rules of a project whose manifest lies in `folder`."""
    root = Path(os.path.realpath(folder))
    allowed = []
    for text in allow_outside:
        # What is not a path allows nothing; the rules of the manifest refuse it anyway.
        with suppress(ValueError):
            allowed.append(Path(os.path.realpath(root / text)))
    return ProjectPaths(folder=root, allowed=tuple(allowed))


def path_kind(path: Path) -> PathKind | None:
    """Return what `path` is, links followed, or None where there is nothing.

    Raises:
        OSError: that cannot be told: no permission, a name too long, links in a circle.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "other"


def walk_files(
    folder: Path, paths: ProjectPaths, select: Callable[[str], bool] | None = None
) -> list[tuple[str, Path]]:
    """Return (path below `folder` with `/`, absolute path) of every file, sorted; hidden files are left out.

    Symbolic links are followed where they stay inside the project; one that leads back to a folder above it is not.

    Args:
        select: which files and folders are looked at, by their path below `folder`; all, if not given.

    Raises:
        PathRefusedError: a link leaves the project or leads nowhere, or a file name is not UTF-8.
        OSError: a folder cannot be listed.
    """
    found: list[tuple[str, Path]] = []
    folders: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(os.fspath(folder), "", frozenset())]
    while folders:
        place, prefix, above = folders.pop()
        status = os.stat(place)  # noqa: PTH116 - text costs less
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            continue
        with os.scandir(place) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            relative = f"{prefix}{entry.name}"
            if entry.name.startswith(".") or not (select is None or select(relative)):
                continue
            if entry.is_symlink():
                _check_link(entry, relative, paths)
            if entry.is_dir():
                folders.append((entry.path, f"{relative}/", above | {identity}))
            elif entry.is_file():
                _check_name(relative)
                found.append((relative, Path(entry.path)))
    return sorted(found)


def _check_link(entry: os.DirEntry[str], relative: str, paths: ProjectPaths) -> None:
    path = Path(entry.path)
    paths.check(path, relative)
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises where links go in a circle
        raise PathRefusedError(
            ErrorCode.PATH_MISSING,
            f'"{relative}" is a symbolic link to something that is not there',
            "fetch what it points to, or remove the link",
        )


def _check_name(relative: str) -> None:
    try:
        relative.encode()
    except UnicodeEncodeError as error:
        raise PathRefusedError(
            ErrorCode.PATH_KIND,
            f"the file name {os.fsencode(relative)!r} is not UTF-8",
            "rename the file: the same name could not be written on every machine",
        ) from error
