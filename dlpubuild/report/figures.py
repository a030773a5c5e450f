"""Figures of a report document as words: shares, decibels, sizes, states, and the one sentence that says how it went.

In: values as they stand in the document. Out: plain text that the terminal, Markdown and HTML views share, so that they
say the same; a value that is not there is a dash. Nothing is escaped here, and nothing printed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from dlpubuild.report.text import seconds_text, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Json: TypeAlias = Mapping[str, Any]

NOTHING = "–"  # noqa: RUF001 - an en dash is meant
SEVERITIES = ("error", "warning", "advice")
STATES: Mapping[str, str] = {
    "ran": "built",
    "cached": "from cache",
    "failed": "failed",
    "skipped": "skipped",
    "pending": "not run",
}
METRICS: Mapping[str, str] = {
    "top1": "top-1",
    "top5": "top-5",
    "agreement": "agreement",
    "sqnr": "SQNR",
    "mae": "mean absolute error",
    "boxes": "boxes matched",
    "matched": "boxes matched",
}
_DECIBELS = ("sqnr", "sqnr_db")
_RATIOS = ("top1", "top5", "agreement", "boxes", "matched", "binary")
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def state_text(document: Json, target: Json) -> str:
    """Return how a target's build went; of a package it is not known whether steps ran or came from a cache."""
    state = str(target.get("state"))
    if not document.get("created") and state in ("ran", "cached"):
        return "packaged"
    return STATES.get(state, state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The figure that says most about one output: how often it is right, or how near it is to the float model's."""

    label: str
    metric: str
    built: Json
    float_: Json | None = None
    drop: Json | None = None

    @property
    def text(self) -> str:
        """The value without its interval."""
        return metric_text(self.metric, self.built.get("value"))


def is_number(value: object) -> TypeGuard[float]:
    """Return whether there is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def percent_text(value: Any, digits: int = 1) -> str:
    """Return a share between 0 and 1: `98.5 %`."""
    return f"{100 * value:.{digits}f} %" if is_number(value) else NOTHING


def points_text(value: Any) -> str:
    """Return a difference of shares in percentage points, without a unit: `0.3`, `-1.2`."""
    return f"{100 * value + 0.0:.1f}".replace("-0.0", "0.0") if is_number(value) else NOTHING


def decibel_text(value: Any) -> str:
    """Return a ratio of signal to noise: `31.2 dB`."""
    return f"{value:.1f} dB" if is_number(value) else NOTHING


def change_text(before: Any, after: Any) -> str:
    """Return how far `after` lies from `before` with its sign, in brackets: ` (+5.7)`; empty where one is not there."""
    return f" ({after - before:+.1f})" if is_number(before) and is_number(after) else ""


def small_text(value: Any) -> str:
    """Return a number of any size with three significant digits."""
    return f"{value:.3g}" if is_number(value) else NOTHING


def count_text(value: Any) -> str:
    """Return a whole number: `1,203`."""
    return f"{value:,}" if is_number(value) else NOTHING


def short_count_text(value: Any) -> str:
    """Return a large number with a prefix: `1.20 G`, `812`."""
    if not is_number(value):
        return NOTHING
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}"
    return str(value)


def macs_text(value: Any) -> str:
    """Return a number of multiply-accumulates: `1.2 GMAC`, `812 MAC`."""
    if not is_number(value):
        return NOTHING
    text = short_count_text(value)
    return f"{text}MAC" if " " in text else f"{text} MAC"


def bytes_text(value: Any) -> str:
    """Return a size."""
    return size_text(int(value)) if is_number(value) else NOTHING


def duration_text(value: Any) -> str:
    """Return a duration."""
    return seconds_text(float(value)) if is_number(value) else NOTHING


def metric_text(metric: str, value: Any) -> str:
    """Return a figure in the unit of its metric."""
    if metric in _DECIBELS:
        return decibel_text(value)
    return percent_text(value) if metric in _RATIOS else small_text(value)


def interval_text(metric: str, figure: Json | None) -> str:
    """Return the 95 % interval of a figure: `96.7 to 99.3`; empty where there is none."""
    if not figure or not is_number(figure.get("low")) or not is_number(figure.get("high")):
        return ""
    low, high = (metric_text(metric, figure[end]) for end in ("low", "high"))
    return f"{low.removesuffix(' %').removesuffix(' dB')} to {high}"


def gate_text(gate: Json) -> str:
    """Return what a gate found: `top-1 of scene: lost 3.1 points, at most 2.0 allowed`."""
    metric, limit, value = str(gate.get("metric", "")), gate.get("limit"), gate.get("value")
    name = METRICS.get(metric, metric)
    of = f" of {gate['output']}" if gate.get("output") else ""
    if metric in ("top1", "top5"):
        return f"{name}{of}: lost {points_text(value)} points, at most {points_text(limit)} allowed"
    bound = "at most" if metric == "mae" else "at least"
    return f"{name}{of}: {metric_text(metric, value)}, {bound} {metric_text(metric, limit)} wanted"


def headlines(target: Json) -> list[Headline]:
    """Return the most telling figure of each output of a target that was verified, in the outputs' order."""
    verify = target.get("verify")
    if not verify:
        return []
    boxes = verify.get("boxes")
    found = [_headline(output) for output in verify.get("outputs", ()) if not (boxes and output.get("kind") == "boxes")]
    if boxes and boxes.get("matched"):
        found.append(Headline(label="boxes", metric="boxes", built=boxes["matched"]))
    return [each for each in found if each is not None]


def _headline(output: Json) -> Headline | None:
    name = str(output.get("name", ""))
    built, floats, drop = (output.get(key) or {} for key in ("built", "float", "drop"))
    if built.get("top1"):
        return Headline(
            label=name, metric="top1", built=built["top1"], float_=floats.get("top1"), drop=drop.get("top1")
        )
    if output.get("agreement"):
        return Headline(label=name, metric="agreement", built=output["agreement"])
    if output.get("sqnr_db"):
        return Headline(label=name, metric="sqnr", built=output["sqnr_db"])
    return None


def placed(target: Json) -> tuple[int, int] | None:
    """Return how many operators run on the DLPU and on the CPU, or None where that is not known.

    What a compiler did counts before what was expected of it.
    """
    compiler = target.get("compiler") or {}
    mapped, total = compiler.get("mapped"), compiler.get("total")
    if mapped is not None and total is not None:
        return mapped, total - mapped
    placement = target.get("placement")
    if placement:
        return sum(placement.get("dlpu", {}).values()), sum(placement.get("cpu", {}).values())
    where = [operator.get("runs_on") for operator in target.get("operators", ())]
    if not where or "unknown" in where:
        return None
    return where.count("dlpu"), where.count("cpu")


def lint_counts(target: Json) -> dict[str, int] | None:
    """Return how many findings there are of each severity, or None where nothing was linted."""
    lint = target.get("lint")
    if lint is None:
        return None
    return {"error": lint.get("errors", 0), "warning": lint.get("warnings", 0), "advice": lint.get("advice", 0)}


def plural(number: int, noun: str) -> str:
    """Return `1 step`, `2 steps`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(names: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def verdict(document: Json) -> str:
    """Return one line on how the build went."""
    targets = document.get("targets", ())
    done = [target for target in targets if target.get("state") in ("ran", "cached")]
    failed, skipped = (
        [str(target.get("title") or target.get("soc")) for target in targets if target.get("state") == state]
        for state in ("failed", "skipped")
    )
    if len(done) == len(targets):
        name = str(done[0].get("title") or done[0].get("soc")) if len(done) == 1 else f"all {len(done)} SoCs"
        gates = [gate for target in done for gate in (target.get("verify") or {}).get("gates", ())]
        kept = f", {plural(len(gates), 'gate')} passed" if gates and all(gate.get("passed") for gate in gates) else ""
        return f"Built for {name}{kept}." if done else "Nothing was built."
    parts = [f"Built for {len(done)} of {plural(len(targets), 'SoC')}"]
    parts += [f"{listed(failed)} failed"] if failed else []
    parts += [f"{listed(skipped)} {'was' if len(skipped) == 1 else 'were'} skipped"] if skipped else []
    return "; ".join(parts) + "."
