"""The terminal's view of a report document: a row per SoC, what failed, the worst layers, the findings in short.

In: a report document. Out: text no wider than the terminal where it can be, with colors or without. Names come out of
files of unknown origin and cannot steer the terminal. Nothing is printed here.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report import figures
from dlpubuild.report.text import Paint, columns, display_width, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json: TypeAlias = Mapping[str, Any]

_WORST = 3
_NARROW = 40
_NAME = 60


def report_text(document: Json, *, colored: bool, width: int | None = None) -> str:
    """Return the page of a report for a terminal.

    Args:
        width: columns of the terminal: longer lines are wrapped, and the table does without intervals where it is
            wider. None where the text goes elsewhere.
    """
    paint = Paint(colored)
    targets = document.get("targets", ())
    project = document.get("project", {})
    title = " ".join(shown(project.get(key) or "") for key in ("name", "version"))
    word = paint.good("ok") if document.get("ok") else paint.bad("not ok")
    blocks = [f"{paint.strong(title)}  {word}\n{_wrapped(shown(figures.verdict(document), 400), width, '')}"]
    blocks.append(_table(document, paint, width))
    blocks += [block for target in targets if (block := _details(target, paint, width))]
    when = shown(document.get("created") or "")
    tool = document.get("tool", {})
    by = " ".join(shown(tool.get(key) or "") for key in ("name", "version"))
    closing = (by, when, figures.duration_text(document.get("seconds")))
    blocks.append(paint.dim(", ".join(each for each in closing if each)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def shown(text: object, length: int = _NAME) -> str:
    """Return text that cannot steer the terminal, its middle left out where it is longer than `length`."""
    found = str(text)
    return printable(found if len(found) <= length else f"{found[: length // 2 - 1]}…{found[-(length // 2) :]}")


def _table(document: Json, paint: Paint, width: int | None) -> str:
    text = ""
    for brief in (False, True):
        rows = [row for target in document.get("targets", ()) for row in _rows(document, target, paint, brief=brief)]
        names = ("target", "state", "model", "DLPU", "CPU", "accuracy", "lost", "lint")
        text = columns(rows, header=[paint.strong(name) for name in names], right=frozenset({2, 3, 4, 6}))
        if width is None or all(display_width(line) <= width for line in text.splitlines()):
            return text
    return text


def _rows(document: Json, target: Json, paint: Paint, *, brief: bool) -> list[tuple[str, ...]]:
    """One row, and one more for each further output."""
    state, placed, model = str(target.get("state")), figures.placed(target), target.get("model")
    word = shown(figures.state_text(document, target))
    painted = {"failed": paint.bad, "ran": paint.good}.get(state, paint.dim)(word)
    dlpu, cpu = (str(placed[0]), str(placed[1])) if placed else ("-", "-")
    size = figures.bytes_text(model.get("bytes")) if model else "-"
    found = figures.headlines(target)
    accuracy = [_accuracy(each, brief=brief, alone=len(found) == 1) for each in found] or [("-", "-")]
    rows: list[tuple[str, ...]] = [
        (shown(target.get("soc", "")), painted, size, dlpu, cpu, *accuracy[0], _lint(target, paint))
    ]
    rows += [("", "", "", "", "", *each, "") for each in accuracy[1:]]
    if found and target["verify"].get("of_uncompiled"):
        rows.append(("", "", "", "", "", paint.dim("before compilation"), "", ""))
    return rows


def _accuracy(each: figures.Headline, *, brief: bool, alone: bool) -> tuple[str, str]:
    interval = figures.interval_text(each.metric, each.built)
    name = "" if alone or each.metric == "boxes" else f", {shown(each.label, 24)}"
    value = f"{each.text} {figures.METRICS[each.metric]}{name}"
    lost = figures.points_text((each.drop or {}).get("value"))
    known = lost != figures.NOTHING
    return (value if brief or not interval else f"{value} ({interval})", f"{lost} points" if known else "-")


def _lint(target: Json, paint: Paint) -> str:
    counts = figures.lint_counts(target)
    if counts is None:
        return "-"
    painted = {"error": paint.bad, "warning": paint.warn, "advice": paint.dim}
    words = {
        name: f"{count} advice" if name == "advice" else figures.plural(count, name) for name, count in counts.items()
    }
    return ", ".join(painted[name](words[name]) for name, count in counts.items() if count) or "none"


def _details(target: Json, paint: Paint, width: int | None) -> str:
    lines = []
    if error := target.get("error"):
        first, *rest = str(error.get("message", "")).splitlines() or [""]
        lines.append(f"  {paint.bad('error')} {_wrapped(shown(first, 600), width, ' ' * 8)}")
        lines += [_indented(shown(line, 400), width) for line in rest]
        if error.get("hint"):
            lines.append(f"  {paint.strong('hint')}  {_wrapped(shown(error['hint'], 600), width, ' ' * 8)}")
    verify = target.get("verify") or {}
    for gate in verify.get("gates", ()):
        word = paint.good("pass") if gate.get("passed") else paint.bad("FAIL")
        lines.append(f"  {word}  {_wrapped(shown(figures.gate_text(gate), 200), width, ' ' * 8)}")
    lines += _layers(verify)
    lines += _findings(target, paint, width)
    return "\n".join([paint.strong(shown(target.get("title") or target.get("soc") or "")), *lines]) if lines else ""


def _layers(verify: Json) -> list[str]:
    layers = [each for each in verify.get("layers", ()) if figures.is_number(each.get("sqnr_db"))]
    worst = sorted(layers, key=lambda layer: float(layer["sqnr_db"]))[:_WORST]
    rows = [
        (
            "  worst layers" if number == 0 else "",
            str(each.get("index", "")),
            shown(each.get("operator", "")),
            figures.decibel_text(each.get("sqnr_db")),
            shown(each.get("tensor", ""), 40),
        )
        for number, each in enumerate(worst)
    ]
    return columns(rows, right=frozenset({1, 3})).splitlines()


def _findings(target: Json, paint: Paint, width: int | None) -> list[str]:
    """Errors and warnings by rule; advice is for the page."""
    groups: dict[tuple[str, str], list[Json]] = {}
    for each in (target.get("lint") or {}).get("findings", ()):
        if each.get("severity") in ("error", "warning"):
            groups.setdefault((str(each["severity"]), shown(each.get("rule", ""))), []).append(each)
    lines = []
    for (severity, rule), found in sorted(groups.items(), key=lambda item: item[0]):
        painted = paint.bad if severity == "error" else paint.warn
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        text = f"{rule}: {shown(found[0].get('found', ''), 120)}{more}"
        change = f"; {shown(found[0]['change'], 200)}" if found[0].get("change") else ""
        lines.append(f"  {painted(severity)} {_wrapped(text + change, width, ' ' * (len(severity) + 3))}")
    return lines


def _indented(line: str, width: int | None) -> str:
    """A line of a table as it is, further in; wrapped where it is wider than the terminal."""
    fits = width is None or display_width(line) + 6 <= width
    return " " * 6 + line if fits else " " * 8 + _wrapped(line.strip(), width, " " * 8)


def _wrapped(text: str, width: int | None, indent: str) -> str:
    """The text in lines of `width`, those after the first behind `indent`; the first one begins behind it already."""
    if width is None:
        return text
    room = max(_NARROW, width) - len(indent)
    return f"\n{indent}".join(textwrap.wrap(text, room) or [""])
