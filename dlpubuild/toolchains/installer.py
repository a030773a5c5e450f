"""uv, run on behalf of a toolchain: with the user's settings for it, and without what belongs to the user's project.

In: arguments for uv. Out: nothing, or an error that says what uv said. Never runs a build step.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from dlpubuild.errors import ErrorCode, InterruptedBuildError, ToolchainError
from dlpubuild.toolchains.interpreter import python_variable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dlpubuild.toolchains.pins import ToolchainPin

_POLL_S = 0.1
_TAIL_LINES = 12


def find_uv() -> str:
    """Return the path of the `uv` that is installed beside the tool.

    Raises:
        ToolchainError: there is none.
    """
    try:
        import uv  # noqa: PLC0415 - only where an environment is built

        return uv.find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise ToolchainError(
            ErrorCode.TOOLCHAIN,
            "uv, which builds the toolchain environments, is not installed beside dlpubuild",
            hint="install dlpubuild again with pip, or: pip install uv",
        ) from error


def uv_variables(variables: Mapping[str, str], *, offline: bool) -> dict[str, str]:
    """Return the environment for uv, made of the user's: what is set there for uv holds."""
    # An activated virtual environment or a Python path of the user's must not leak into the toolchain.
    dropped = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT"}
    result = {name: value for name, value in variables.items() if name not in dropped}
    # The system's certificates: companies that intercept TLS install theirs there. Old and new name of the switch.
    result.setdefault("UV_NATIVE_TLS", "1")
    result.setdefault("UV_SYSTEM_CERTS", "1")
    result["UV_NO_PROGRESS"] = "1"
    # Byte-compiling TensorFlow on a loaded machine takes longer than uv's default of 60 s.
    result.setdefault("UV_COMPILE_BYTECODE_TIMEOUT", "900")
    if offline:
        result["UV_OFFLINE"] = "1"
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """Runs uv, passes its lines on, stops it when the build is interrupted.

    `lock` is the descriptor of the held lock. uv inherits it: where this process is killed, nobody touches the
    folder before uv, too, has ended.
    """

    program: str
    variables: Mapping[str, str]
    offline: bool
    say: Callable[[str], None]
    cancelled: threading.Event
    pin: ToolchainPin
    folder: Path
    lock: int

    @property
    def log(self) -> Path:
        """Everything uv said in its last run."""
        return self.folder.with_name(self.folder.name + ".log")

    def __call__(self, arguments: list[str]) -> None:
        """Run uv.

        Raises:
            ToolchainError: it failed; with its last lines.
            InterruptedBuildError: `cancelled` was set; uv has been stopped.
        """
        with self.log.open("wb") as sink, self.log.open("r", encoding="utf-8", errors="replace") as source:
            process = subprocess.Popen(
                [self.program, *arguments],
                env=dict(self.variables),
                # uv obeys the configuration of a project around its working directory, which is not ours to obey.
                cwd=self.folder.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=sink,
                start_new_session=True,
                pass_fds=(self.lock,),
            )
            try:
                self._follow(process, source)
            finally:
                if process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if process.returncode:
            raise self._failure(self.log.read_text(encoding="utf-8", errors="replace"))

    def _follow(self, process: subprocess.Popen[bytes], source: TextIO) -> None:
        while True:
            ended = process.poll() is not None
            for line in source.read().splitlines():
                if re.match(r"\s*(Downloading|Resolved|Prepared|Installed|Bytecode)", line):
                    self.say(f"toolchain {self.pin.name}: {line.strip()}")
            if ended:
                return
            if self.cancelled.wait(_POLL_S):
                raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")

    def _failure(self, text: str) -> ToolchainError:
        tail = "\n".join(f"    {line}" for line in text.splitlines()[-_TAIL_LINES:])
        code, hint = ErrorCode.TOOLCHAIN, _hint(text, self.pin)
        if self.offline and (not hint or re.search(r"offline mode|network (was|is) disabled", text)):
            code = ErrorCode.TOOLCHAIN_OFFLINE
            hint = f"run once with a network: dlpubuild toolchain prepare {self.pin.name}"
        return ToolchainError(
            code,
            f"toolchain {self.pin.name} could not be prepared; uv said (whole log: {self.log}):\n{tail}",
            hint=hint or "check the network, HTTPS_PROXY, and UV_DEFAULT_INDEX if you use a mirror",
        )


def _hint(text: str, pin: ToolchainPin) -> str:
    """What to do about a fault that has nothing to do with the network; empty for all others."""
    if re.search(r"No (interpreter|download) found|inspect Python interpreter|python-build-standalone", text):
        install = f"install Python {pin.python}, or name its interpreter in {python_variable(pin.python)}"
        if "embeds available Python downloads" in text:
            # uv's own list is part of uv: newer versions have no Python older than 3.8.
            return f"{install}; this version of uv has none to fetch. Or run steps in containers: --executor docker"
        return f"{install}, or let uv fetch it (UV_PYTHON_DOWNLOADS=automatic, and a network)"
    if "No space left" in text:
        return "free some disk space (the environment takes about 1.5 GB), or set DLPU_CACHE_DIR to a larger disk"
    if "ash mismatch" in text:
        return "the package index served other bytes than those locked; check the index or proxy you use"
    if re.search(r"certificate|\bTLS\b", text, flags=re.IGNORECASE):
        return "set SSL_CERT_FILE to your company's CA bundle"
    return ""
