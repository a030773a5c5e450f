"""Scratch folders: an action's input tree on disk, and its outputs taken into the store.

In: a bound action and the store. Out: a folder with `src/` and `in/` (read-only files) and `out/` (empty), later a
tuple of output files. Content is hashed while it is copied, so what runs is what the digest says. A scratch folder
whose owner was killed is recognised by its lock, which is gone, and removed by the next build.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dlpubuild.cas.action import OutputFile
from dlpubuild.cas.digest import CHUNK_BYTES
from dlpubuild.cas.faults import input_faults
from dlpubuild.cas.lease import leased, sweep
from dlpubuild.errors import DlpuError, ErrorCode, StepFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.store import Store
    from dlpubuild.executors.base import BoundAction

_SUFFIX = ".scratch"


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """A new folder below `root` for the time of a `with` block."""
    with leased(root) as lease:
        folder = Path(lease.path + _SUFFIX)
        # A step may leave programs that run with our rights; nobody else is to find them.
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            remove_tree(folder)


def sweep_scratch(root: Path) -> int:
    """Remove the scratch folders of processes that are gone; return how many there were."""
    if not root.is_dir():
        return 0
    folders = [path for path in sorted(root.iterdir()) if path.name.endswith(_SUFFIX)]
    alive = set(sweep(root))
    abandoned = [path for path in folders if str(path).removesuffix(_SUFFIX) not in alive]
    for path in abandoned:
        remove_tree(path)
    return len(abandoned)


def remove_tree(folder: Path) -> None:
    """Remove a scratch folder, whatever modes a step gave to folders in it, and however deep it nested them.

    What cannot be removed stays for the next build to sweep. Links are not followed.
    """
    number = 0
    with suppress(OSError):
        waiting = [str(folder)] if stat.S_ISDIR(os.lstat(folder).st_mode) else []
        emptied: list[str] = []
        while waiting:
            current = waiting.pop()
            emptied.append(current)
            for path in _emptied(current):
                # Brought up to the top: a path as deep as the step made it can be longer than the kernel takes.
                number += 1
                waiting.append(_moved(path, f"{folder}/{number}.removed") if current != str(folder) else path)
        for path in reversed(emptied):
            with suppress(OSError):
                os.rmdir(path)  # noqa: PTH106  # text paths throughout: there can be a hundred thousand


def _emptied(folder: str) -> list[str]:
    """Remove all from `folder` but the folders in it, and return their paths."""
    kept = []
    with suppress(OSError):
        os.chmod(folder, stat.S_IRWXU)  # noqa: PTH101  # as above
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    kept.append(entry.path)
                else:
                    with suppress(OSError):
                        os.unlink(entry.path)  # noqa: PTH108  # as above
    return kept


def _moved(path: str, target: str) -> str:
    """Rename a folder to `target` where that can be done, and return where it is now."""
    try:
        # A folder that may not be written cannot change its parent either.
        os.chmod(path, stat.S_IRWXU)  # noqa: PTH101  # as above
        os.rename(path, target)  # noqa: PTH104  # as above
    except OSError:
        return path
    return target


def stage(bound: BoundAction, store: Store, folder: Path) -> None:
    """Write the input tree of `bound` into `folder`, and make its empty `out/`.

    Raises:
        BlobMissingError: an input is not in the store, or was damaged there.
        DlpuError: a file of the project changed since its digest was taken, or cannot be read any more.
        OSError: `folder` cannot be written.
    """
    for path, file in bound.tree.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        source = bound.content.get(file.digest)
        if source is None:
            store.copy_to(file.digest, target, executable=file.is_executable)
        else:
            _write(source, file.digest, target)
            target.chmod(0o555 if file.is_executable else 0o444)
    for path in bound.command.output_paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)


def _write(source: Path | bytes, digest: Digest, target: Path) -> None:
    if isinstance(source, bytes):
        target.write_bytes(source)
        return
    sha = hashlib.sha256()
    with _opened(source) as reader, target.open("xb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            sha.update(chunk)
            writer.write(chunk)
    if sha.hexdigest() != digest.hash:
        raise _changed(source)


def _opened(source: Path) -> BinaryIO:
    with input_faults(source):
        try:
            return source.open("rb")
        except FileNotFoundError as error:
            raise _changed(source) from error


def _changed(source: Path) -> DlpuError:
    return DlpuError(
        ErrorCode.INPUT_CHANGED,
        f"{source} changed while the build ran",
        hint="build again once nothing writes to the project's inputs",
    )


def collect_outputs(bound: BoundAction, store: Store, folder: Path, log: Path) -> tuple[OutputFile, ...]:
    """Take the declared outputs from `folder` into the store.

    Raises:
        StepFailedError: an output is missing, or is anything but a plain file below `folder`.
    """
    return tuple(_collect(bound, store, folder, path, log) for path in bound.command.output_paths)


def check_output(bound: BoundAction, folder: Path, path: str, log: Path) -> os.stat_result:
    """Return what the file system says of an output: a plain file, in folders below `folder` that are no links.

    Raises:
        StepFailedError: it is missing, or is anything else.
    """
    parts: Sequence[str] = path.split("/")
    for depth in range(1, len(parts)):
        if not stat.S_ISDIR(_look_at(bound, folder.joinpath(*parts[:depth]), path, log).st_mode):
            raise bad_output(bound, path, "is not a plain file", log)
    state = _look_at(bound, folder / path, path, log)
    if not stat.S_ISREG(state.st_mode):
        raise bad_output(bound, path, "is not a plain file", log)
    return state


def _look_at(bound: BoundAction, place: Path, path: str, log: Path) -> os.stat_result:
    try:
        return os.lstat(place)
    except FileNotFoundError:
        raise bad_output(bound, path, "was not written", log) from None
    except PermissionError:
        raise bad_output(bound, path, "lies in a folder that the step closed", log) from None


def _collect(bound: BoundAction, store: Store, folder: Path, path: str, log: Path) -> OutputFile:
    executable = bool(check_output(bound, folder, path, log).st_mode & stat.S_IXUSR)
    return OutputFile(path=path, digest=store.put_file(folder / path, move=True), is_executable=executable)


def bad_output(bound: BoundAction, path: str, what: str, log: Path) -> StepFailedError:
    """Return the error for an output of which `what` is to be said."""
    return StepFailedError(
        ErrorCode.STEP_OUTPUT, f"{bound.mnemonic} ended without an error, but its output {path} {what}", log=str(log)
    )
