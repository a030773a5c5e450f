"""Files that commands write for the user, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable


def write_file(path: Path, data: bytes) -> None:
    """Write `data` to `path`, aside first and then renamed.

    Raises:
        OutputError: it cannot be written; what was there before is unchanged.
    """
    _write(path, (data,))


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Write text to `path` as it is made; else as `write_file`."""
    _write(path, (piece.encode("utf-8", "replace") for piece in pieces))


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # A device or a pipe, such as /dev/null: it is written to, never replaced.
            with path.open("wb") as stream:
                stream.writelines(pieces)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                for piece in pieces:
                    stream.write(piece)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(ErrorCode.OUTPUT, f"{path} cannot be written: {error.strerror}") from error
