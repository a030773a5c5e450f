"""A toolchain that is not public: the folder in which the user has it, and what identifies its content.

In: a folder, and what hashes files. Out: a digest of the whole tree, which is cheap where nothing changed, because the
memo knows the files. Only names, content and permissions count. What Python writes beside scripts, and what a version
control system keeps, does not. Nothing of it is copied, changed or run.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from dlpubuild.errors import ErrorCode, ToolchainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_SKIPPED: Final = frozenset({"__pycache__", ".git"})
_MANY_FILES: Final = 500_000


def tree_sha256(name: str, folder: Path, program: str, hashes_of: Callable[[Sequence[Path]], Sequence[str]]) -> str:
    """Return the digest, in hexadecimal, of the tree in which toolchain `name` is installed.

    Args:
        program: the name of a file that has to be somewhere below it.
        hashes_of: returns the sha256 of each file, in hexadecimal.

    Raises:
        ToolchainError: there is no such folder, it cannot be read, or that program is not in it.
        DlpuError: a file cannot be hashed.
    """
    if not folder.is_dir():
        raise _refused(name, f"the folder {folder}, where toolchain {name} is to be, is not there")
    try:
        entries = sorted(_entries(folder))
    except OSError as error:
        raise _refused(name, f"{error.filename or folder} cannot be read: {error.strerror or error}") from error
    if not any(path.rpartition("/")[2] == program for path, _, _ in entries):
        raise _refused(name, f"{folder} has no program {program}, nor has any folder below it")
    files = [folder / path for path, _, link in entries if link is None]
    digests = iter(hashes_of(files))
    sha = hashlib.sha256(b"tree 1\n")
    for path, may_run, link in entries:
        content = next(digests) if link is None else f"link {link}"
        sha.update(os.fsencode(f"{'x' if may_run else '-'} {content} {path}\0"))
    return sha.hexdigest()


def _entries(folder: Path) -> Iterator[tuple[str, bool, str | None]]:
    """Path, whether its owner may run it, and what it links to where it is a link to a folder or to nothing."""
    waiting = [""]
    count = 0
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as found:
            for entry in found:
                path = f"{prefix}{entry.name}"
                if entry.name in _SKIPPED or entry.name.endswith(".pyc"):
                    continue
                count += 1
                if count > _MANY_FILES:
                    raise OSError(0, f"it holds more than {_MANY_FILES} files, so it is no toolchain", str(folder))
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")
                elif entry.is_file():
                    yield path, bool(entry.stat().st_mode & 0o100), None
                elif entry.is_symlink():
                    yield path, False, str((folder / path).readlink())


def _refused(name: str, message: str) -> ToolchainError:
    return ToolchainError(
        ErrorCode.TOOLCHAIN,
        message,
        hint=f"name the folder in which the whole toolchain is installed with path under [toolchain.{name}]",
    )
