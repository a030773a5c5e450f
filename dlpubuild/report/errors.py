"""Errors as a user reads them: what is wrong, where, the last lines of the log, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError, ManifestError, StepFailedError
from dlpubuild.report.text import Paint, printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def error_text(error: DlpuError, *, colored: bool, rerun: str = "") -> str:
    """Return the text of one error, ending in a line end.

    Args:
        rerun: the command that runs the failed step alone, if a step failed.
    """
    paint = Paint(colored)
    if isinstance(error, ManifestError):
        count = len(error.problems)
        lines = [_plain(str(problem)) for problem in error.problems]
        lines.append(paint.bad(f"{count} {'fault' if count == 1 else 'faults'} found"))
        return "\n".join(lines) + "\n"
    place = f"{printable(str(error.location))}: " if error.location else ""
    lines = [f"{paint.bad('error:')} {place}{_plain(error.message)}"]
    if isinstance(error, StepFailedError):
        lines += _log_lines(error, paint)
        if rerun:
            lines.append(f"  rerun it alone: {rerun}")
    if error.hint:
        lines.append(f"  {paint.warn('hint:')} {_plain(error.hint)}")
    return "\n".join(lines) + "\n"


def _log_lines(error: StepFailedError, paint: Paint) -> Sequence[str]:
    lines = []
    if error.tail:
        lines.append("  its last lines:")
        lines += [paint.dim(f"    | {_plain(line)}") for line in error.tail]
    if error.log:
        lines.append(f"  log: {error.log}")
    return lines


def _plain(text: str) -> str:
    """Return `text`, in which names from anywhere may stand, so that it can steer no terminal."""
    return "".join(sign if sign in "\n\t" else printable(sign) for sign in text)
