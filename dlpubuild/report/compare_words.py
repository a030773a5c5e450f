"""Figures of a comparison of two reports as words, which its views share.

In: parts of a comparison, as `schemas/report-compare.schema.json` describes it. Out: plain text. Nothing is escaped
here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report import figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json: TypeAlias = Mapping[str, Any]

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
