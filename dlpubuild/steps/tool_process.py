"""One run of somebody else's program: its time-out, all that it says, and nothing of it left behind.

In: a command line and a folder to run it in. Out: an `Ended`. The program is waited for, and killed with every process
that it started where it takes too long or says too much. Nothing here knows which program it is, or judges the outcome.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from typing import NamedTuple, Optional

import stepio

# A process that the kernel does not let go of is not waited for longer than this many times 5 ms.
_KILL_ROUNDS = 1000
_POLL_S = 0.05
_MAX_SAID_BYTES = 16 << 20
_PR_SET_CHILD_SUBREAPER = 36


class Ended(NamedTuple):
    """How a program ended.

    `exit_code` is negative for a signal and None where the program was killed, for which `killed` says why: a phrase,
    empty otherwise. `said` is what it wrote to standard output and standard error.
    """

    exit_code: Optional[int]
    killed: str
    said: str


def run_program(arguments, folder, said_path, limit_s, environment=None):
    """Run a program and return how it ended.

    Args:
        arguments: the command line; the first is the path of the program.
        folder: where it runs.
        said_path: a file for what it says; not in `folder` where the program would mind.
        limit_s: after how many seconds it is killed.
        environment: its variables; None for those of this process.

    Raises:
        stepio.StepError: it cannot be started.
    """
    # A file and not a pipe: whatever a killed program leaves running cannot hold it open.
    with open(said_path, "ab", buffering=0) as said:
        try:
            process = subprocess.Popen(
                arguments, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        except OSError as error:
            raise stepio.StepError(
                "toolchain",
                "{} cannot be started: {}".format(arguments[0], error.strerror or error),
                "it needs Linux on x86-64, and has to be executable",
            ) from error
        killed = _wait(process, said_path, time.monotonic() + limit_s, limit_s)
    return Ended(
        exit_code=None if killed else process.returncode, killed=killed, said=read_text(said_path, _MAX_SAID_BYTES)
    )


def ending(exit_code):
    """Return how a program ended, as a phrase."""
    if exit_code is None:
        return "by being killed"
    if exit_code < 0:
        return "by signal {}".format(_signal_name(-exit_code))
    return "with exit code {}".format(exit_code)


def _wait(process, said_path, deadline_s, limit_s):
    """Wait until the program ends; return why it was killed, empty where it ended by itself."""
    _adopt_orphans()
    killed = ""
    try:
        while process.poll() is None:
            if time.monotonic() >= deadline_s:
                killed = "it did not end within {:.0f} s".format(limit_s)
                break
            if os.path.getsize(said_path) > _MAX_SAID_BYTES:
                killed = "it printed more than {} MiB".format(_MAX_SAID_BYTES >> 20)
                break
            time.sleep(_POLL_S)
    finally:
        _kill_descendants(process)
    return killed


def _adopt_orphans():
    """Make this process the parent of all that the program starts and leaves alone."""
    # Its own process group would not do: whoever stops the step kills the step's group.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _kill_descendants(process):
    """Kill the program and all that it started: it may be a shell script around one that forks."""
    for _ in range(_KILL_ROUNDS):
        found = _descendants(os.getpid())
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()
        if not found:
            break
        time.sleep(_POLL_S / 10)
    process.wait()


def _descendants(root):
    """Return the processes that descend from `root` and have not ended."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/{}/stat".format(name), encoding="ascii", errors="replace") as stream:
                # The name of the program, in parentheses, may hold anything.
                state, parent = stream.read().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in "ZX":
            children.setdefault(int(parent), []).append(int(name))
    found, waiting = [], [root]
    while waiting:
        own = children.get(waiting.pop(), [])
        found += own
        waiting += own
    return found


def read_text(path, most):
    """Return the text of a file, `most` bytes of it, empty where there is none."""
    if not os.path.isfile(path):
        return ""
    with open(path, "rb") as stream:
        return stream.read(most).decode("utf-8", "replace")


def _signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
