"""One image built by the docker program, with BuildKit, or by Podman's.

In: a folder with the Dockerfile and what it reads, arguments, labels. Out: the id of the image that the engine has
then, as the builder made it, without a name. What the builder says goes to a log, and what a person wants to know of it
is told as it comes. A build that is interrupted is stopped, and leaves nothing but the engine's own cache.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

from dlpubuild.containers.progress import Progress
from dlpubuild.errors import ErrorCode, InterruptedBuildError, ToolchainError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dlpubuild.containers.program import Program

_POLL_S = 0.1
_STOP_S = 5.0
_PLATFORM = "linux/amd64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be built: a stage of the Dockerfile in `context`.

    `network` is that of the commands in the build, as `docker build` takes it; the engine's default where it is empty.
    """

    context: Path
    stage: str
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    ca_bundle: Path | None = None
    network: str = ""
    use_cache: bool = True


def build_image(
    program: Program, request: Request, *, log: Path, say: Callable[[str], None], cancelled: threading.Event
) -> str:
    """Return the id of the image that was built.

    Args:
        program: from `find_program`.
        request: what to build.
        log: is given everything that the builder says; its folder exists.
        say: is told one line per stage.
        cancelled: once it is set, the build is stopped.

    Raises:
        ToolchainError: the build failed; the builder says hardly ever that it was for want of the engine.
        InterruptedBuildError: `cancelled` was set.
        OSError: the log cannot be written.
    """
    id_file = log.with_suffix(".id")
    id_file.unlink(missing_ok=True)
    progress = Progress(say=say)
    with log.open("wb") as sink, log.open("r", encoding="utf-8", errors="replace") as source:
        process = subprocess.Popen(
            _command(program, request, id_file),
            env={**program.variables, **request.arguments},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
        try:
            _follow(process, source, progress, cancelled)
        finally:
            _stop(process)
    if process.returncode:
        raise _failure(request, progress, log)
    try:
        return id_file.read_text(encoding="ascii").strip()
    finally:
        id_file.unlink(missing_ok=True)


def _command(program: Program, request: Request, id_file: Path) -> list[str]:
    command = [program.path]
    command += ["--remote", "build"] if program.is_podman else ["build", "--progress=plain"]
    command += ["--platform", _PLATFORM, "--target", request.stage, "--iidfile", str(id_file)]
    for name in request.arguments:
        # By name alone: the value, which may hold a password, comes from the environment and not from the command line.
        command += ["--build-arg", name]
    for name, value in request.labels.items():
        command += ["--label", f"{name}={value}"]
    if request.ca_bundle is not None:
        command += ["--secret", f"id=ca,src={request.ca_bundle}"]
    if request.network:
        command += ["--network", request.network]
    if not request.use_cache:
        command.append("--no-cache")
    return [*command, str(request.context)]


def _follow(process: subprocess.Popen[bytes], source: TextIO, progress: Progress, cancelled: threading.Event) -> None:
    rest = ""
    while True:
        ended = process.poll() is not None
        *lines, rest = (rest + source.read()).split("\n")
        for line in [*lines, rest] if ended else lines:
            progress.take(line.rstrip("\r"))
        progress.pause()
        if ended:
            return
        if cancelled.wait(_POLL_S):
            raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the program; asked first, because it then tells the engine."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_STOP_S)


def _failure(request: Request, progress: Progress, log: Path) -> ToolchainError:
    hint = progress.hint
    proxies = [name for name, value in request.arguments.items() if _is_loopback_proxy(name, value)]
    if proxies and "HTTPS_PROXY" in hint and request.network != "host":
        hint = f"{proxies[0]} names this machine's loopback, which is another one in a container: use --network host"
    listed = "\n".join(f"    {line}" for line in progress.tail)
    return ToolchainError(
        ErrorCode.IMAGE_BUILD,
        f"the image {request.stage} cannot be built; the builder said (whole log: {log}):\n{listed}",
        hint=hint or "the step that failed is one of the Dockerfile's; docs/images.md says what can be set",
    )


def _is_loopback_proxy(name: str, value: str) -> bool:
    if name.lower() not in ("http_proxy", "https_proxy"):
        return False
    host = urlsplit(value if "://" in value else f"http://{value}").hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
