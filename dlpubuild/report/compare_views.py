"""A comparison of two reports as text for a terminal, as Markdown, and as words for the page.

In: a comparison, as `schemas/report-compare.schema.json` describes it. Out: text. What is equal is left out; whether
accuracy is better or worse stands as the comparison says it. Nothing is printed here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report import figures
from dlpubuild.report.markdown import code, fitted, folded, table
from dlpubuild.report.markdown import text as escaped
from dlpubuild.report.summary import shown
from dlpubuild.report.text import Paint, columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Json: TypeAlias = Mapping[str, Any]

_FINDINGS = 12
FIGURES: Mapping[str, str] = {
    "model_bytes": "model",
    "parameter_bytes": "parameters",
    "macs": "work per inference",
    "package_bytes": "packages",
    "operators": "operators",
    "on_dlpu": "operators on the DLPU",
    "on_cpu": "operators on the CPU",
    "parts": "parts",
    "switches": "switches between DLPU and CPU",
}
SETTINGS: Mapping[str, str] = {
    "quantization": "quantization",
    "io": "I/O",
    "larod_device": "larod device",
    "min_runtime": "needs TensorFlow",
}
VERDICTS: Mapping[str, str] = {
    "better": "better",
    "worse": "worse",
    "same": "the same",
    "unclear": "within the intervals",
    "unknown": "not in both",
}
_TIMES_SHOWN_S = 1.0


def title_text(comparison: Json) -> str:
    """Return which two releases are compared."""
    old, new = comparison["old"], comparison["new"]
    if old["name"] == new["name"]:
        return f"{new['name']} {old['version']} → {new['version']}"
    return f"{old['name']} {old['version']} → {new['name']} {new['version']}"


def verdict_text(comparison: Json) -> str:
    """Return one line on what changed."""
    changes = [target["change"] for target in comparison["targets"]]
    words = [f"{changes.count(each)} {each}" for each in ("added", "removed", "changed") if each in changes]
    same = changes.count("same")
    words += [f"{same} the same"] if same else []
    judged = [row["verdict"] for target in comparison["targets"] for row in target["accuracy"]]
    accuracy = [f"{judged.count(each)} {each}" for each in ("worse", "better") if each in judged]
    found = f"SoCs: {', '.join(words) or 'none'}. "
    return found + f"Figures of accuracy: {', '.join(accuracy) or 'none better or worse beyond the intervals'}."


def amount_text(name: str, value: Any) -> str:
    """Return a figure of a target in its unit."""
    if name.endswith("bytes"):
        return figures.bytes_text(value)
    return figures.macs_text(value) if name == "macs" else figures.count_text(value)


def change_text(name: str, row: Json) -> str:
    """Return how far a figure went, with its sign, and as a share where it is a size: `+12.3 KiB (+3.1 %)`."""
    change, old = row["change"], row["old"]
    if not figures.is_number(change):
        return figures.NOTHING
    sign = "-" if change < 0 else "+"
    amount = f"{sign}{amount_text(name, abs(change))}" if change else "0"
    if name in ("model_bytes", "parameter_bytes", "macs", "package_bytes") and old and change:
        return f"{amount} ({100 * change / old:+.1f} %)"
    return amount


def accuracy_change_text(row: Json) -> str:
    """Return how far a figure of accuracy went, in its unit: `-0.6 points`, `+5.7 dB`."""
    change, metric = row["change"], row["metric"]
    if not figures.is_number(change):
        return figures.NOTHING
    if change == 0:
        return "0"
    if metric == "sqnr":
        return f"{change:+.1f} dB"
    return f"{change:+.3g}" if metric == "mae" else f"{100 * change:+.1f} points"


def seconds_change_text(row: Json) -> str:
    """Return how much longer something took."""
    change = row["change"]
    if not figures.is_number(change):
        return figures.NOTHING
    return f"{'-' if change < 0 else '+'}{figures.duration_text(abs(change))}"


def slower_steps(comparison: Json) -> list[Json]:
    """Return the steps whose time differs by a second or more, the largest difference first."""
    found = [step for step in comparison["steps"] if abs(step["change"] or 0.0) >= _TIMES_SHOWN_S]
    return sorted(found, key=lambda step: -abs(float(step["change"])))


def changed_figures(target: Json) -> list[Json]:
    """Return the figures of a target that are not equal."""
    return [row for row in target["figures"] if row["old"] != row["new"]]


def changed_accuracy(target: Json) -> list[Json]:
    """Return the figures of accuracy that are not equal."""
    return [row for row in target["accuracy"] if row["old"] != row["new"]]


def gate_words(gate: Json) -> tuple[str, str, str]:
    """Return the name of a gate, and what it said before and now."""
    name = figures.METRICS.get(gate["metric"], gate["metric"]) + (f" of {gate['output']}" if gate["output"] else "")
    words = {True: "passed", False: "failed", None: "not asked for"}
    return name, words[gate["old"]], words[gate["new"]]


def origin_words(row: Json) -> tuple[str, str, str]:
    """Return what an input or toolchain is called, what it was and what it is, digests cut to 12 signs."""
    name = " ".join(str(row[key]) for key in ("kind", "name") if row.get(key))
    return name, _origin(row["old"]), _origin(row["new"])


def _origin(value: Json | None) -> str:
    if value is None:
        return figures.NOTHING
    words = [str(each) if key == "tensorflow" else _short(str(each)) for key, each in value.items() if each]
    return ", ".join(words) or figures.NOTHING


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


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
