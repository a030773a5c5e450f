"""What goes wrong with the cache folder and with input files, as errors a user can act on.

In: an `OSError` and what was being done. Out: a `DlpuError` that names the folder or the file. Never retries
and never substitutes another folder.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError, ErrorCode, OutputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlpubuild.cas.digest import Digest

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MIB = 1 << 20


class BlobMissingError(DlpuError):
    """A blob is not in the cache, or was damaged and has been removed.

    Attributes:
        digest: the blob.
    """

    def __init__(self, digest: Digest, root: Path, *, damaged: bool) -> None:
        what = "was damaged and has been removed" if damaged else "is missing"
        super().__init__(
            ErrorCode.BLOB_MISSING,
            f"blob {digest} {what}; cache folder: {root}",
            hint="build again: what made the blob runs again; `dlpubuild cache verify` checks all others",
        )
        self.digest = digest


@contextmanager
def store_faults(root: Path, *, needed_bytes: int = 0) -> Iterator[None]:
    """Turn an `OSError` of the block into a `StoreError` on the cache folder `root`.

    Args:
        root: the cache folder.
        needed_bytes: how much the block writes at once, 0 if that is next to nothing.
    """
    try:
        yield
    except OSError as error:
        raise _store_error(error, root, needed_bytes) from error


@contextmanager
def output_faults(target: Path, *, needed_bytes: int) -> Iterator[None]:
    """Turn an `OSError` of the block into an `OutputError` on the file `target` outside the cache."""
    try:
        yield
    except OSError as error:
        hint = f"free at least {_size(needed_bytes)} there" if error.errno in _FULL else ""
        raise OutputError(ErrorCode.OUTPUT, f"cannot write {target}: {_why(error)}", hint=hint) from error


@contextmanager
def input_faults(path: Path | str) -> Iterator[None]:
    """Turn an `OSError` of the block into a `DlpuError` that names the input file.

    Args:
        path: the file, where the error itself does not name one.
    """
    try:
        yield
    except OSError as error:
        # The name is that of the innermost call: a descriptor's number for some, nothing for others.
        name = error.filename if isinstance(error.filename, str) else path
        raise DlpuError(
            ErrorCode.INPUT_UNREADABLE,
            f"cannot read {name}: {_why(error)}",
            hint="check that the file exists and that you may read it",
        ) from error


def _store_error(error: OSError, root: Path, needed_bytes: int) -> StoreError:
    if error.errno in _FULL:
        needed = f"; {_size(needed_bytes)} are needed" if needed_bytes else ""
        return StoreError(
            ErrorCode.STORE_FULL,
            f"the cache folder {root} is full{needed}: {_why(error)}",
            hint="free space with `dlpubuild cache gc`, or set DLPU_CACHE_DIR to a folder on a larger disk",
        )
    return StoreError(
        ErrorCode.STORE,
        f"cannot use the cache folder {root}: {_why(error)}",
        hint="make the folder writable for you, or set DLPU_CACHE_DIR to a folder that is",
    )


def _why(error: OSError) -> str:
    return error.strerror or os.strerror(error.errno or errno.EIO)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.1f} MiB" if size_bytes >= _MIB else f"{size_bytes} bytes"
