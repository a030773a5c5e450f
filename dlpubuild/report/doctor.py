"""What `doctor` found, as a list for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlpubuild.report.text import Paint, columns

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    `ok`: a build can use it. `note`: worth knowing. `missing`: no build can run before `todo` is done.
    """

    topic: str
    state: Literal["ok", "note", "missing"]
    found: str
    todo: str = ""


def findings_text(findings: Sequence[Finding], *, colored: bool) -> str:
    """Return one line per finding, and one more for what to do about it."""
    paint = Paint(colored)
    signs = {"ok": paint.good("ok"), "note": paint.warn("note"), "missing": paint.bad("missing")}
    rows: list[tuple[str, str, str]] = []
    for finding in findings:
        rows.append((signs[finding.state], finding.topic, finding.found))
        if finding.todo:
            rows.append(("", "", f"-> {finding.todo}"))
    return columns(rows) + "\n"
