"""The folder that packages are written to: one writer at a time, whole files only, nothing lost.

In: an output folder and the name of a package. Out: the package's folder and archive, exchanged for new ones.
What is being written has a name that starts with `.<package>.tmp-`; whatever of that a killed build left is
swept by the next one, which first puts back an old package that was moved aside and not yet replaced. A folder
with files that no build made is never removed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, OutputError
from dlpubuild.package.members import SUMS_NAME, listed_paths
from dlpubuild.package.model_json import MODEL_JSON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_NAME = ".dlpubuild.lock"
NEW, OLD, ARCHIVE, STAMP = "new", "old", "archive", "stamp"
_TEMPORARY = re.compile(rf"\.(?P<base>.+)\.tmp-(?P<part>{NEW}|{OLD}|{ARCHIVE}|{STAMP})")
_NAMED_AT_MOST = 3


def temporary(out_dir: Path, base: str, part: str) -> Path:
    """Return the name under which `part` of package `base` is written; only the lock's holder may use it."""
    return out_dir / f".{base}.tmp-{part}"


@contextmanager
def writable(out_dir: Path) -> Iterator[None]:
    """Create `out_dir` where needed and hold it alone for the block; leftovers of killed builds are swept.

    A second build waits here. The kernel drops the lock of a killed process.

    Raises:
        OutputError: something could not be written, here or in the block.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(out_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            sweep(out_dir)
            yield
        finally:
            os.close(lock)
    except OSError as error:
        raise cannot_write(out_dir, error) from error


def sweep(out_dir: Path) -> tuple[str, ...]:
    """Remove what killed builds left in `out_dir` and return the names; the caller holds the lock.

    An old package that was moved aside is put back where no new one has taken its place.
    """
    swept = []
    for path in sorted(out_dir.iterdir()):
        match = _TEMPORARY.fullmatch(path.name)
        if match is None:
            continue
        place = out_dir / match["base"]
        if match["part"] == OLD and not os.path.lexists(place):
            path.rename(place)
        else:
            _remove(path)
        swept.append(path.name)
    return tuple(swept)


def require_replaceable(folder: Path) -> None:
    """Make sure that `folder` is absent, empty, or holds only what a build made.

    A build's folder has a `SHA256SUMS` that names every file in it, and a `model.json`.

    Raises:
        OutputError: it is something else, or holds files that no build made.
    """
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise _not_ours(folder, "is not a folder")
    present = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not _is_folder(path))
    if not present:
        return
    if SUMS_NAME not in present or MODEL_JSON not in present:
        raise _not_ours(folder, f"was not made by dlpubuild: it has no {SUMS_NAME} or no {MODEL_JSON}")
    made = listed_paths((folder / SUMS_NAME).read_text("utf-8", errors="replace")) | {SUMS_NAME}
    foreign = [path for path in present if path not in made]
    if foreign:
        named = ", ".join(foreign[:_NAMED_AT_MOST])
        more = f" and {len(foreign) - _NAMED_AT_MOST} more" if len(foreign) > _NAMED_AT_MOST else ""
        raise _not_ours(folder, f"holds files that no build made: {named}{more}")


def replace_folder(out_dir: Path, base: str) -> None:
    """Put the finished new folder of `base` in its place; the old one goes only after that.

    At any moment a whole folder is there under its own name or under one that `sweep` puts back.
    """
    place, new, old = out_dir / base, temporary(out_dir, base, NEW), temporary(out_dir, base, OLD)
    if os.path.lexists(place):
        place.rename(old)
    try:
        new.rename(place)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(place):
            old.rename(place)
        raise
    _remove(old)


def replace_file(new: Path, place: Path) -> None:
    """Put the finished file `new` in its place, in one step."""
    if place.is_dir() and not place.is_symlink():
        raise _not_ours(place, "is a folder where a file is to be written")
    new.replace(place)


def discard(out_dir: Path, base: str) -> None:
    """Remove what an interrupted write of `base` left; errors are ignored, since the next build sweeps."""
    for part in (NEW, ARCHIVE, STAMP):
        try:
            _remove(temporary(out_dir, base, part))
        except OSError:
            continue


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _not_ours(path: Path, why: str) -> OutputError:
    return OutputError(
        ErrorCode.OUTPUT,
        f"{path}: {why}, so it is not replaced",
        hint="move it away, or write elsewhere with `--output DIR`",
    )


def cannot_write(out_dir: Path, error: OSError) -> OutputError:
    """Return what to tell of an `error` met while `out_dir` was written to."""
    hints = {
        errno.ENOSPC: "free some space there, or write elsewhere with `--output DIR`",
        errno.EDQUOT: "your quota there is used up; free some space, or write elsewhere with `--output DIR`",
        errno.EROFS: "it is read-only; write elsewhere with `--output DIR`",
    }
    what = f" ({error.filename})" if error.filename and str(error.filename) != str(out_dir) else ""
    return OutputError(
        ErrorCode.OUTPUT,
        f"{out_dir}: the packages cannot be written there: {error.strerror or error}{what}",
        hint=hints.get(error.errno or 0, "write elsewhere with `--output DIR`"),
    )
