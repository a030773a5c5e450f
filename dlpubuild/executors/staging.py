"""Scratch folders: an action's input tree on disk, and its outputs taken into the store.

In: a bound action and the store. Out: a folder with `src/` and `in/` (read-only files) and `out/` (empty), later a
tuple of output files. Content is hashed while it is copied, so what runs is what the digest says. A scratch folder
whose owner was killed is recognised by its lock, which is gone, and removed by the next build.
"""

from __future__ import annotations

import hashlib
import os
import shutil
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
        folder.mkdir()
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
    """Remove a scratch folder, whatever modes a step gave to folders in it; what stays the next build sweeps."""
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(parent, name)
            if not path.is_symlink():
                with suppress(OSError):
                    path.chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


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


def _collect(bound: BoundAction, store: Store, folder: Path, path: str, log: Path) -> OutputFile:
    parts: Sequence[str] = path.split("/")
    for depth in range(1, len(parts) + 1):
        current = folder.joinpath(*parts[:depth])
        try:
            mode = os.lstat(current).st_mode
        except FileNotFoundError:
            raise _bad_output(bound, path, "was not written", log) from None
        if not (stat.S_ISREG(mode) if depth == len(parts) else stat.S_ISDIR(mode)):
            raise _bad_output(bound, path, "is not a plain file", log)
    current = folder / path
    executable = bool(current.stat().st_mode & stat.S_IXUSR)
    return OutputFile(path=path, digest=store.put_file(current, move=True), is_executable=executable)


def _bad_output(bound: BoundAction, path: str, what: str, log: Path) -> StepFailedError:
    return StepFailedError(
        ErrorCode.STEP_OUTPUT, f"{bound.mnemonic} ended without an error, but its output {path} {what}", log=str(log)
    )
