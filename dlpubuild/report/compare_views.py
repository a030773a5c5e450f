"""A comparison of two reports as text for a terminal and as Markdown.

In: a comparison, as `schemas/report-compare.schema.json` describes it. Out: text. What is equal is left out; whether
accuracy is better or worse stands as the comparison says it. Nothing is printed here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report import figures
from dlpubuild.report.compare_words import (
    FIGURES,
    SETTINGS,
    VERDICTS,
    accuracy_change_text,
    amount_text,
    change_text,
    changed_accuracy,
    changed_figures,
    gate_words,
    origin_words,
    seconds_change_text,
    slower_steps,
    title_text,
    verdict_text,
)
from dlpubuild.report.markdown import code, fitted, folded, table
from dlpubuild.report.markdown import text as escaped
from dlpubuild.report.summary import shown
from dlpubuild.report.text import Paint, columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Json: TypeAlias = Mapping[str, Any]

_FINDINGS = 12


def _lines(target: Json, metric: Callable[[str, Any], str] = figures.metric_text) -> list[tuple[str, str, str, str]]:
    """What changed of a target: name, before, now, how far."""
    lines = [
        (FIGURES[row["name"]], *_ends(row, row["name"]), change_text(row["name"], row))
        for row in changed_figures(target)
    ]
    lines += [
        (SETTINGS[row["name"]], str(row["old"] or figures.NOTHING), str(row["new"] or figures.NOTHING), "")
        for row in target["settings"]
    ]
    for row in changed_accuracy(target):
        ends = [metric(row["metric"], (row[side] or {}).get("value")) for side in ("old", "new")]
        name = " of ".join(each for each in (figures.METRICS[row["metric"]], row["output"]) if each)
        words = (accuracy_change_text(row), VERDICTS[row["verdict"]])
        lines.append((name, ends[0], ends[1], ", ".join(each for each in words if each != figures.NOTHING)))
    lines += [
        (f"gate {gate_words(gate)[0]}", *gate_words(gate)[1:], "")
        for gate in target["gates"]
        if gate["old"] != gate["new"]
    ]
    lines += [
        (f"{row['name']} operators", str(row["old"]), str(row["new"]), f"{row['change']:+}")
        for row in target["operators"]
    ]
    return lines


def _ends(row: Json, name: str) -> tuple[str, str]:
    return amount_text(name, row["old"]), amount_text(name, row["new"])


def _finding_lines(target: Json, line: Callable[[str, str, str, str], str]) -> list[str]:
    """A line for each finding that is new or gone, made of which of both, severity, rule and what was found."""
    counts = Counter(
        (word, str(each["severity"]), str(each["rule"]), str(each.get("found", "")))
        for word in ("new", "gone")
        for each in target["lint"][word]
    )
    lines = [line(*row) + (f" ({count} times)" if count > 1 else "") for row, count in counts.items()]
    return [*lines[:_FINDINGS], *([f"- and {len(lines) - _FINDINGS} more"] if len(lines) > _FINDINGS else [])]


def compare_text(comparison: Json, *, colored: bool, width: int | None = None) -> str:
    """Return a comparison for a terminal.

    Args:
        width: columns of the terminal: names are cut so that lines fit. None where the text goes elsewhere.
    """
    paint = Paint(colored)
    room = 60 if width is None else max(16, width - 62)
    blocks = [f"{paint.strong(shown(title_text(comparison), 120))}\n{verdict_text(comparison)}"]
    for target in comparison["targets"]:
        head = f"{paint.strong(shown(target['title']))}  {_painted(target['change'], paint)}"
        if target["change"] != "changed":
            blocks.append(head)
            continue
        rows = [
            ("  " + shown(name, room), shown(old, 24), shown(new, 24), _judged(change, paint))
            for name, old, new, change in _lines(target)
        ]
        findings = _finding_lines(
            target, lambda word, severity, rule, found: f"- {word:4} {severity} {shown(rule)}: {shown(found, room)}"
        )
        blocks.append(
            "\n".join([head, *columns(rows, right=frozenset({1, 2})).splitlines(), *("  " + each for each in findings)])
        )
    blocks += [_origins("inputs", comparison["inputs"], paint), _origins("toolchains", comparison["toolchains"], paint)]
    steps = [("  " + shown(step["name"]), *_times(step)) for step in slower_steps(comparison)]
    steps.append(("  whole build", *_times(comparison["seconds"])))
    blocks.append(f"{paint.strong('time')}\n{columns(steps, right=frozenset({1, 2, 3}))}")
    return "\n\n".join(block for block in blocks if block) + "\n"


def _times(row: Json) -> tuple[str, str, str]:
    return figures.duration_text(row["old"]), figures.duration_text(row["new"]), seconds_change_text(row)


def _painted(change: str, paint: Paint) -> str:
    painted = {"added": paint.good, "removed": paint.warn, "same": paint.dim}.get(change)
    return painted(change) if painted else change


def _judged(change: str, paint: Paint) -> str:
    if change.endswith("worse"):
        return paint.bad(change)
    return paint.good(change) if change.endswith("better") else change


def _origins(title: str, rows: Sequence[Json], paint: Paint) -> str:
    lines = [("  " + shown(name), shown(old), shown(new)) for name, old, new in map(origin_words, rows)]
    return f"{paint.strong(title)} that differ\n{columns(lines)}" if lines else ""


def compare_markdown(comparison: Json) -> str:
    """Return a comparison for a comment on a pull request, of at most 65,000 characters."""
    blocks = [f"### {escaped(title_text(comparison), 120)}\n\n{escaped(verdict_text(comparison), 300)}"]
    rows = [_markdown_row(target) for target in comparison["targets"]]
    blocks.append(table(("SoC", "What", "Model", "Accuracy", "Lint"), rows))
    for target in comparison["targets"]:
        lines = _lines(target) if target["change"] == "changed" else []
        findings = _finding_lines(
            target,
            lambda word, severity, rule, found: f"- {word} {escaped(severity)} {code(rule)}: {escaped(found, 200)}",
        )
        inner = [table(("", "Before", "Now", "Change"), [tuple(map(escaped, line)) for line in lines])] if lines else []
        inner += ["Findings:\n\n" + "\n".join(findings)] if findings else []
        blocks += [folded(f"{escaped(target['title'])}: {target['change']}", inner)] if inner else []
    origins = [tuple(map(escaped, origin_words(row))) for row in (*comparison["inputs"], *comparison["toolchains"])]
    if origins:
        blocks.append(folded("Inputs and toolchains that differ", [table(("", "Before", "Now"), origins)]))
    return fitted(blocks, f"<sub>{escaped(comparison['new']['tool'])}</sub>")


def _markdown_row(target: Json) -> tuple[str, ...]:
    sizes = next((row for row in target["figures"] if row["name"] == "model_bytes"), None)
    size = figures.NOTHING
    if sizes is not None:
        size = figures.bytes_text(sizes["new"]) + (f", {change_text('model_bytes', sizes)}" if sizes["change"] else "")
    judged = [row for row in target["accuracy"] if row["verdict"] in ("better", "worse")]
    accuracy = "<br>".join(
        f"**{row['verdict']}**: {figures.METRICS[row['metric']]} {code(row['output'], 40)} {accuracy_change_text(row)}"
        for row in judged[:4]
    )
    lint = [f"{len(target['lint'][key])} {key}" for key in ("new", "gone") if target["lint"][key]]
    both = [row for row in target["accuracy"] if row["verdict"] != "unknown"]
    measured = "within the intervals" if changed_accuracy(target) else "the same"
    measured = measured if both else figures.NOTHING
    return (
        escaped(target["title"]),
        target["change"],
        escaped(size),
        accuracy or measured,
        ", ".join(lint) or figures.NOTHING,
    )
