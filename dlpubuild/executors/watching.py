"""What the executors of this machine do while a step runs: pass on its output, and keep to its time.

In: chunks of what a step writes, and the clock. Out: a log file, lines for the observer, and an error once the time is
up or the build is cancelled. Never starts or stops anything.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from dlpubuild.errors import ErrorCode, InterruptedBuildError, StepFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlpubuild.executors.base import BoundAction, Run

POLL_S = 0.1
_LINE_BYTES = 1 << 20


@dataclass(slots=True)
class Output:
    """Takes standard output as it comes: into the log, and line by line to the observer."""

    log: IO[bytes]
    observe: Callable[[str], None]
    rest: bytes = b""

    def take(self, chunk: bytes) -> None:
        """Take a part of standard output; it may end within a line, or within a character."""
        self.log.write(chunk)
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for line in lines:
            self.observe(line.decode("utf-8", "replace"))
        if len(self.rest) > _LINE_BYTES:
            # No event is as long: it is log text, and the log has it.
            self.rest = b""

    def take_error(self, chunk: bytes) -> None:
        """Take a part of standard error, which the log shows among the rest."""
        self.log.write(chunk)


def check_limits(deadline: float, bound: BoundAction, run: Run) -> None:
    """Return if the step may go on; `deadline` is in seconds of the monotonic clock.

    Raises:
        InterruptedBuildError: the build was cancelled.
        StepFailedError: the step's time is up.
    """
    if run.cancelled.is_set():
        raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")
    if time.monotonic() > deadline:
        raise StepFailedError(
            ErrorCode.STEP_TIMEOUT,
            f"{bound.mnemonic} was stopped after {bound.action.timeout_s:g} s, its timeout",
            hint="use fewer calibration samples or a faster machine, or raise the step's timeout in a template",
            log=str(run.log),
        )
