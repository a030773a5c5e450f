"""The local executor: a locked Python environment, a scratch folder, a process group of its own.

In: a bound action. Out: its result. The environment stands where an image would have `/opt/tc`, and `/tmp` is a
folder of the action's own: a command sees no variable, home or temporary folder of the user's. It does see the
host's file system and network, which only the other executors can hide. The action's whole process group has been
killed when `run` returns or raises; where this process is killed, the kernel ends the command.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from dlpubuild.cas.action import ActionResult
from dlpubuild.cas.faults import store_faults
from dlpubuild.errors import ErrorCode, StepFailedError
from dlpubuild.executors.staging import collect_outputs, scratch_folder, stage
from dlpubuild.executors.watching import POLL_S, Output, check_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dlpubuild.cas.store import Store
    from dlpubuild.executors.base import BoundAction, Run

# Where an image has its environment; the first entry of every action's PATH.
IMAGE_ENVIRONMENT = "/opt/tc"
_READ_BYTES = 1 << 16
_PIPE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalExecutor:
    """Runs actions on this machine.

    `environment_of` returns the folder of the environment that an action's platform names, preparing it if need
    be. `scratch` is on the same file system as the store, so that outputs are moved, not copied. `now_ns` is the
    wall clock, for the record in results.
    """

    store: Store
    scratch: Path
    environment_of: Callable[[Mapping[str, str]], Path]
    now_ns: Callable[[], int]

    @property
    def name(self) -> str:
        """The name `--executor` takes."""
        return "local"

    def run(self, bound: BoundAction, run: Run) -> ActionResult:
        """Run the action; see `Executor.run`."""
        environment = self.environment_of(bound.command.platform)
        with store_faults(self.scratch), scratch_folder(self.scratch) as folder:
            root = folder / "root"
            temporary = folder / "tmp"
            root.mkdir()
            temporary.mkdir()
            stage(bound, self.store, root)
            started_ns = self.now_ns()
            exit_code = _run_command(bound, root, temporary, environment, run)
            outputs = collect_outputs(bound, self.store, root, run.log) if exit_code == 0 else ()
            log = self.store.put_file(run.log)
        return ActionResult(
            output_files=outputs,
            exit_code=exit_code,
            stdout=log,
            worker="local",
            started_ns=started_ns,
            completed_ns=self.now_ns(),
        )


def _run_command(bound: BoundAction, root: Path, temporary: Path, environment: Path, run: Run) -> int:
    """Return the exit code, a signal as 128 + its number, as shells and REAPI servers say it."""
    deadline = time.monotonic() + bound.action.timeout_s
    # What a process of an earlier run may still write to the old log must not end up in this one.
    run.log.unlink(missing_ok=True)
    with run.log.open("ab", buffering=0) as log:
        try:
            process = subprocess.Popen(
                _arguments(bound, environment),
                cwd=root,
                env=_variables(bound.command.environment, environment, temporary),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise StepFailedError(
                ErrorCode.STEP_FAILED, f"{bound.mnemonic} could not be started: {error}", log=str(run.log)
            ) from error
        try:
            _follow(process, Output(log=log, observe=run.observe), lambda: check_limits(deadline, bound, run))
        finally:
            _kill_group(process)
            code = process.wait()
    return code if code >= 0 else 128 - code


# Becomes the program it is given, after asking the kernel to kill it when this process dies in a way it cannot clean
# up after. A program of its own, because code between fork and exec (preexec_fn) can hang where there are threads.
_LAUNCH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def _arguments(bound: BoundAction, environment: Path) -> list[str]:
    """The command behind the launcher; a program is looked up in the environment, the first entry of its PATH."""
    launcher = [str(environment / "bin" / "python"), "-I", "-S", "-c", _LAUNCH, str(os.getpid())]
    program, *rest = bound.command.arguments
    return [*launcher, program if "/" in program else str(environment / "bin" / program), *rest]


def _variables(wanted: Mapping[str, str], environment: Path, temporary: Path) -> dict[str, str]:
    """The action's environment with the places that only an image has put where they are on this machine."""
    result = {name: value.replace(IMAGE_ENVIRONMENT, str(environment)) for name, value in wanted.items()}
    if result.get("HOME") == "/tmp":  # noqa: S108 - the value actions carry for a tmpfs of their own
        result["HOME"] = str(temporary)
    result["TMPDIR"] = str(temporary)
    return result


def _follow(process: subprocess.Popen[bytes], output: Output, check: Callable[[], None]) -> None:
    """Pass on what the process writes until it ends; its children's output as long as it runs."""
    stream = process.stdout
    if stream is None:
        raise AssertionError("standard output was opened as a pipe")
    with selectors.DefaultSelector() as selector, stream:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            check()
            is_ready = selector.select(timeout=POLL_S)
            if _has_ended(process):
                # A grandchild may hold the pipe open, even write to it for ever; the step itself is over.
                _kill_group(process)
                _drain(stream, selector, output)
                return
            if is_ready and not _read(stream, output):
                break
    # The step closed its output: mostly it ends within a millisecond.
    pause_s = 0.001
    while not _has_ended(process):
        check()
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, POLL_S)


def _read(stream: IO[bytes], output: Output) -> bool:
    """Pass on what can be read; False at the end."""
    chunk = os.read(stream.fileno(), _READ_BYTES)
    output.take(chunk)
    return bool(chunk)


def _drain(stream: IO[bytes], selector: selectors.BaseSelector, output: Output) -> None:
    """Pass on what is left in the pipe, and no more than a pipe can hold."""
    for _ in range(_PIPE_BYTES // _READ_BYTES):
        if not selector.select(timeout=0) or not _read(stream, output):
            return


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended; leaves it unreaped, so that its number still names its group."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the step and what it started; to be called before it is reaped, while its number is still its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
