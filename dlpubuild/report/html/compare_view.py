"""What the template of a comparison shows, prepared: ids, scales, interval bars.

In: a comparison of two reports. Out: the context of `compare.html.j2`. Nothing is escaped here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report import compare_words, figures
from dlpubuild.report.html import chart
from dlpubuild.report.html.view import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json: TypeAlias = Mapping[str, Any]


def compare_context(comparison: Json) -> dict[str, Any]:
    """Return what the template needs."""
    rows = [row for target in comparison["targets"] for row in target["accuracy"]]
    known = [(row["metric"], row[side]) for row in rows for side in ("old", "new") if _known(row[side])]
    highest = max([1.0, *(figure.get("high") or figure["value"] for metric, figure in known if metric == "sqnr")])
    scales = {
        "share": chart.share_scale([figure for metric, figure in known if metric not in ("sqnr", "mae")]),
        "sqnr": chart.Scale(low=0.0, high=min(60.0, 10.0 * -(-highest // 10))),
    }
    return {
        "comparison": comparison,
        "figures": figures,
        "words": compare_words,
        "title": compare_words.title_text(comparison),
        "verdict": compare_words.verdict_text(comparison),
        "scales": scales,
        "width": chart.INTERVAL_WIDTH,
        "targets": [
            {
                "id": identifier(target["soc"], number),
                "data": target,
                "accuracy": [(row, *_bars(row, scales)) for row in target["accuracy"]],
            }
            for number, target in enumerate(comparison["targets"])
        ],
    }


def _known(figure: Json | None) -> bool:
    return bool(figure) and figures.is_number((figure or {}).get("value"))


def _bars(row: Json, scales: Mapping[str, chart.Scale]) -> tuple[chart.Interval | None, chart.Interval | None]:
    if row["metric"] == "mae":
        return None, None
    scale = scales["sqnr" if row["metric"] == "sqnr" else "share"]
    return chart.interval(row["old"], scale), chart.interval(row["new"], scale)
