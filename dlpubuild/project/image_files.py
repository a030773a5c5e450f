"""The images that a path or glob of the manifest stands for.

In: the manifest's text. Out: image files by name, found in a folder, by a glob, or one. What they hold is not looked
at here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.project.images import is_image_name
from dlpubuild.project.paths import PathRefusedError, path_kind, walk_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dlpubuild.project.paths import ProjectPaths

_GLOB_SIGNS = frozenset("*?[")
_ANY_DEPTH = "**"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImages:
    """Images by their path below `folder`, which is the part of the manifest's text that names no image.

    `others` counts the files among them that are not images.
    """

    folder: str
    images: Mapping[str, Path]
    others: int

    def shown(self, name: str) -> str:
        """Return the image's path as the user knows it."""
        return os.path.join(self.folder, name)  # noqa: PTH118 - text for messages, called once per file


def find_images(text: str, paths: ProjectPaths) -> FoundImages:
    """Return the images of the folder, glob or image file that `text` is.

    A name is taken as it is where there is such a file or folder, and for a glob only where there is none. In a glob
    `**` stands for any number of folders; other wildcards end at a `/`.

    Raises:
        PathRefusedError: there is no such thing, it is another kind of file, or it leaves the project.
        OSError: a folder cannot be listed.
    """
    path = paths.find(text)
    kind = path_kind(path)
    if kind == "folder":
        return _below(text, path, paths)
    if kind == "file" and is_image_name(path.name):
        folder, name = os.path.split(text)
        return FoundImages(folder=folder, images={name: path}, others=0)
    if kind is not None:
        raise PathRefusedError(
            ErrorCode.PATH_KIND, f'"{text}" is neither an image folder, a glob, an image, .npy nor .npz'
        )
    if not _GLOB_SIGNS.intersection(text):
        raise PathRefusedError(ErrorCode.PATH_MISSING, f'"{text}" does not exist')
    folder, pattern = _split_glob(text)
    top = paths.find(folder or ".")
    if path_kind(top) != "folder":
        raise PathRefusedError(ErrorCode.PATH_MISSING, f'"{folder}" is not a folder')
    return _below(folder, top, paths, pattern)


def _below(text: str, folder: Path, paths: ProjectPaths, pattern: Sequence[str] | None = None) -> FoundImages:
    if pattern is None:
        files = walk_files(folder, paths)
    else:
        walked = walk_files(folder, paths, lambda name: _matches(name.split("/"), pattern, partly=True))
        files = [(name, path) for name, path in walked if _matches(name.split("/"), pattern, partly=False)]
    images = {name: path for name, path in files if is_image_name(name)}
    return FoundImages(folder=text.rstrip("/"), images=images, others=len(files) - len(images))


def _split_glob(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the folder before the first wildcard and the parts from there on."""
    parts = text.split("/")
    first = next(position for position, part in enumerate(parts) if _GLOB_SIGNS.intersection(part))
    pattern = tuple(part for part in parts[first:] if part not in ("", "."))
    if ".." in pattern:
        raise PathRefusedError(ErrorCode.PATH_KIND, f'"{text}": ".." cannot stand behind a wildcard')
    folder = "/".join(parts[:first])
    return folder or ("/" if text.startswith("/") else ""), pattern


def _matches(parts: Sequence[str], pattern: Sequence[str], *, partly: bool) -> bool:
    """Return whether the parts of a path match a glob, or with `partly`, whether those of a path below could."""
    if not parts:
        return partly or all(each == _ANY_DEPTH for each in pattern)
    if not pattern:
        return False
    if pattern[0] == _ANY_DEPTH:
        return _matches(parts, pattern[1:], partly=partly) or _matches(parts[1:], pattern, partly=partly)
    return fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:], partly=partly)
