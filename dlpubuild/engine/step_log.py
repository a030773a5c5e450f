"""What a step writes: events among the lines of its log, and in the end why it failed.

In: the lines of standard output as they come, later the log. Out: events for the observer, later a
`StepFailedError`. A line is an event if it is a JSON object with the key `event`; all others are log text. What a
step writes is never trusted: a line that only looks like an event is log text, too.
"""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dlpubuild.engine.events import StepMessage, StepProgress
from dlpubuild.errors import ErrorCode, StepFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.cas.action import ActionResult
    from dlpubuild.engine.events import Observer
    from dlpubuild.plan.model import Step

_TAIL_LINES = 15
_TAIL_BYTES = 1 << 16
_SIGNAL_BASE = 128
# What `env` and shells end with where there is no such program.
_NOT_FOUND = 127
# Colors, cursor movements and other control characters would act on the terminal that the lines are shown on.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(slots=True)
class Listener:
    """Turns the lines of a step into events, and remembers the error that the step told last."""

    step: Step
    observe: Observer
    error: Mapping[str, str] = field(default_factory=dict)

    def line(self, text: str) -> None:
        """Take one line of standard output."""
        told = event_of(text)
        if told is None:
            return
        try:
            self._take(told)
        except (ValueError, KeyError, TypeError, OverflowError):
            return

    def _take(self, told: Mapping[str, Any]) -> None:
        name = self.step.name
        kind = told["event"]
        if kind == "progress":
            done, total, unit = int(told["done"]), int(told["total"]), str(told.get("unit", ""))
            self.observe(StepProgress(step=name, done=done, total=total, unit=_shown(unit)))
        elif kind == "message":
            self.observe(StepMessage(step=name, text=_shown(str(told["text"]))))
        elif kind == "error":
            self.error = {key: _shown(str(told.get(key, ""))) for key in ("code", "message", "hint")}


def event_of(line: str) -> Mapping[str, Any] | None:
    """Return the event that `line` is, or None where it is log text."""
    if not line.startswith("{") or '"event"' not in line:
        return None
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and "event" in told else None


def step_failure(step: Step, result: ActionResult, error: Mapping[str, str], log: Path) -> StepFailedError:
    """Return the failure of a step that ended with another exit code than 0.

    Args:
        error: what the step itself told: `code`, `message` and `hint`; empty where it told nothing.
    """
    code, hint = ErrorCode.STEP_FAILED, ""
    if error:
        code = ErrorCode(error["code"]) if error["code"] in {each.value for each in ErrorCode} else code
        message, hint = f"step {step.name} failed: {error['message']}", error["hint"]
    elif killed_by := _signal_name(result.exit_code):
        message = f"step {step.name} was killed by {killed_by}"
        if killed_by == "SIGKILL":
            hint = "it may have run out of memory: free some, or build with --jobs 1"
    else:
        message = f"step {step.name} failed with exit code {result.exit_code}"
        if result.exit_code == _NOT_FOUND:
            hint = f"toolchain {step.toolchain.name} lacks a program: is it the right one?"
    return StepFailedError(code, message, hint=hint, log=str(log), tail=tail(log))


def tail(log: Path) -> tuple[str, ...]:
    """Return the last lines that a person wrote or a library printed; events and control characters are left out."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ()
    lines = [_shown(line) for line in text.splitlines() if event_of(line) is None]
    return tuple([line for line in lines if line][-_TAIL_LINES:])


def _signal_name(exit_code: int) -> str:
    try:
        return signal.Signals(exit_code - _SIGNAL_BASE).name
    except ValueError:
        return ""


def _shown(text: str) -> str:
    return _CONTROL.sub("", text).rstrip()
