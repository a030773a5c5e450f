"""What the templates show of a verification: rows of figures with their bars, histograms, layers, alternatives.

In: parts of `verify` of a report document, and the axes that all SoCs share. Out: values for `target.html.j2`. Nothing
is escaped here, and no figure is made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report import figures
from dlpubuild.report.html import chart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Json: TypeAlias = Mapping[str, Any]

_WORST_MARKED = 3
_LAYERS_SHOWN = 12
_ALTERNATIVE_FIGURES: Mapping[str, tuple[str, str]] = {
    "sqnr_db": ("SQNR", "sqnr"),
    "agreement": ("Agreement", "agreement"),
    "top1": ("Top-1", "top1"),
}
_EMPTY: Json = {}


def interval_bars(
    metric: str, floats: Json | None, built: Json | None, scales: Mapping[str, chart.Scale]
) -> tuple[chart.Interval | None, chart.Interval | None]:
    """Return where the bars of both models go, on the axis of their metric."""
    scale = scales["sqnr" if metric in ("sqnr", "sqnr_db") else "share"]
    return chart.interval(floats, scale), chart.interval(built, scale)


def measures(output: Json, scales: Mapping[str, chart.Scale]) -> dict[str, Any]:
    """Return the rows of the accuracy table of one output."""
    rows = []
    for metric in ("top1", "top5"):
        floats, built, drop = ((output.get(key) or _EMPTY).get(metric) for key in ("float", "built", "drop"))
        if floats or built:
            name = "right" if output.get("kind") == "binary" else figures.METRICS[metric]
            rows.append(_measure(name, metric, floats, built, drop, scales))
    for key, metric in (("agreement", "agreement"), ("sqnr_db", "sqnr"), ("mae", "mae")):
        if output.get(key):
            rows.append(_measure(figures.METRICS[metric], metric, None, output[key], None, scales))
    return {"output": output, "rows": rows}


def _measure(
    name: str,
    metric: str,
    floats: Json | None,
    built: Json | None,
    drop: Json | None,
    scales: Mapping[str, chart.Scale],
) -> dict[str, Any]:
    bars = (None, None) if metric == "mae" else interval_bars(metric, floats, built, scales)
    return {"name": name, "metric": metric, "float": floats, "built": built, "drop": drop, "bars": bars}


def histograms(output: Json) -> dict[str, Any] | None:
    """Return the histograms of one output, or None where there are none."""
    values, errors = output.get("histogram") or _EMPTY, output.get("errors") or _EMPTY
    found = {
        "output": output,
        "values": chart.histogram(values.get("edges"), values.get("built"), values.get("float")),
        "errors": chart.histogram(errors.get("edges"), errors.get("counts")),
    }
    return found if found["values"] or found["errors"] else None


def layers(layers: Sequence[Json]) -> dict[str, Any] | None:
    """Return layers, the worst first, the bar of each as a share of the worst error; None where there are none."""
    if not layers:
        return None
    errors = [(layer, chart.relative_error(layer)) for layer in layers]
    ordered = sorted(errors, key=lambda pair: pair[1] if pair[1] is not None else -1.0, reverse=True)
    worst = ordered[0][1] or 1.0
    rows = [{"layer": layer, "error": error, "bar": round(100 * (error or 0.0) / worst, 2)} for layer, error in ordered]
    shown = len(rows) if len(rows) <= _LAYERS_SHOWN + 4 else _LAYERS_SHOWN
    return {"shown": rows[:shown], "rest": rows[shown:], "strip": chart.error_strip(layers, _WORST_MARKED)}


def alternatives(verify: Json | None) -> dict[str, Any] | None:
    """Return the table of other settings, with the figures that any of them has, or None where there are none."""
    rows = (verify or _EMPTY).get("alternatives", ())
    if not rows:
        return None
    found = [{str(output.get("name")): output for output in row.get("outputs", ())} for row in rows]
    names = list(dict.fromkeys(name for outputs in found for name in outputs))
    measured = {
        name: [
            key
            for key in _ALTERNATIVE_FIGURES
            if any(name in each and each[name].get(key) is not None for each in found)
        ]
        for name in names
    }
    built = next((outputs for row, outputs in zip(rows, found, strict=True) if row.get("is_built")), _EMPTY)
    return {
        "names": [name for name in names if measured[name]],
        "figures": measured,
        "words": _ALTERNATIVE_FIGURES,
        "before": built,
        "rows": list(zip(rows, found, strict=True)),
        "boxes": any(row.get("matched") is not None for row in rows),
        "columns": sum(map(len, measured.values())),
    }
