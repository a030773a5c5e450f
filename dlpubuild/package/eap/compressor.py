"""GNU gzip as a process: what a camera's package is compressed by.

In: where programs are looked for. Out: a `Gzip`, and streams through it. The program is used because its deflate is not
zlib's: only it gives the bytes that Axis' own tool gives. It is found by name on the search path and believed to be GNU
gzip by what it says of itself; pigz, busybox and those of the BSDs write other bytes and are refused.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dlpubuild.errors import ErrorCode, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

# `gzip 1.12`, and below it a copyright of the Free Software Foundation; others start with their own name.
_GNU = re.compile(r"gzip (?P<version>[0-9]+(?:\.[0-9]+)+)")
_OWNER = "Free Software Foundation"
# GZIP would hold further options; nothing of the environment is wanted.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_VERSION_LIMIT_S = 30
# Fewer turns between the two processes than with the usual 64 KiB.
_PIPE_BYTES = 1 << 20
_HINT = "install GNU gzip (Debian and Ubuntu: apt-get install gzip) so that it is the first `gzip` on PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gzip:
    """GNU gzip, found and looked at."""

    program: Path
    version: str

    @contextmanager
    def compressing(self, target: IO[bytes]) -> Iterator[IO[bytes]]:
        """Give a stream; what is written to it ends compressed in the file `target`, as `gzip -n -9` does.

        Raises:
            OutputError: the process ended early or with an error: a full disk, mostly. What is in `target` then must
                be thrown away.
        """
        process = subprocess.Popen(
            [self.program, "--no-name", "-9"],
            stdin=subprocess.PIPE,
            stdout=target,
            stderr=subprocess.PIPE,
            env=_ENVIRONMENT,
            # Ctrl-C is ours: the process is ended here, not by the terminal.
            start_new_session=True,
        )
        stream, errors = process.stdin, process.stderr
        if stream is None or errors is None:
            raise AssertionError("both are pipes")
        is_whole = False
        try:
            _widen(stream)
            # Why a pipe broke is what the process says at its end.
            with suppress(BrokenPipeError):
                yield stream
                stream.close()
                is_whole = True
            told = errors.read().decode(errors="replace").strip()
            code = process.wait()
        finally:
            process.kill()
            with suppress(BrokenPipeError):
                stream.close()
            errors.close()
            process.wait()
        if code or not is_whole:
            raise _failed(self.program, code, told)


def find_gzip(search_path: str | None) -> Gzip:
    """Return the first `gzip` on `search_path`, which is written as in PATH.

    Raises:
        OutputError: there is none, it does not run, or it is not GNU gzip.
    """
    found = shutil.which("gzip", path=search_path or "")
    if found is None:
        raise OutputError(ErrorCode.OUTPUT, "an .eap needs GNU gzip, and there is no `gzip` on PATH", hint=_HINT)
    try:
        told = subprocess.run(
            [found, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_ENVIRONMENT,
            timeout=_VERSION_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise OutputError(ErrorCode.OUTPUT, f"{found} cannot be run: {error}", hint=_HINT) from error
    text = (told.stdout + told.stderr).decode(errors="replace")
    match = _GNU.match(text)
    if match is None or _OWNER not in text:
        first = text.strip().partition("\n")[0] or f"nothing (exit code {told.returncode})"
        raise OutputError(
            ErrorCode.OUTPUT, f'{found} is not GNU gzip: asked for its version it says "{first}"', hint=_HINT
        )
    return Gzip(program=Path(found), version=match["version"])


def _widen(pipe: IO[bytes]) -> None:
    # A limit of the user's may be lower: then it only takes longer.
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _failed(program: Path, code: int, told: str) -> OutputError:
    reason = told.removeprefix("gzip: ") or (f"signal {-code}" if code < 0 else f"exit code {code}")
    hint = "free some space there, or write elsewhere with `--output DIR`" if "No space" in told else ""
    return OutputError(ErrorCode.OUTPUT, f"{program} failed: {reason}", hint=hint)
