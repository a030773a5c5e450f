"""Where the marks of small charts go: interval bars, histograms, errors along the network, placement.

In: figures of a report document. Out: coordinates in a chart's own units, for the templates to draw. What cannot be
drawn (nothing measured, numbers that are not finite, lists that do not fit) is None or left out; nothing is made up.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report.figures import is_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Json: TypeAlias = Mapping[str, Any]

INTERVAL_WIDTH = 150.0
HISTOGRAM_WIDTH = 480.0
HISTOGRAM_HEIGHT = 140.0
STRIP_WIDTH = 960.0
STRIP_HEIGHT = 150.0
_STEP = 0.05
_LINES = 5
_WIDEST = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the two ends of an axis stand for."""

    low: float
    high: float

    def at(self, value: float, width: float) -> float:
        """Return where a value lies on an axis of `width` units; what lies outside is at the end."""
        share = (value - self.low) / (self.high - self.low)
        return round(width * min(1.0, max(0.0, share)), 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with its interval, on an axis."""

    low: float
    high: float
    value: float


def share_scale(figures: Iterable[Json]) -> Scale:
    """Return an axis for shares that ends at 1 and begins at a round number below all of them."""
    lows = [figure["low"] if is_number(figure.get("low")) else figure["value"] for figure in figures]
    lowest = min(lows, default=0.0)
    return Scale(low=max(0.0, min(0.95, math.floor(lowest / _STEP + 1e-9) * _STEP)), high=1.0)


def interval(figure: Json | None, scale: Scale) -> Interval | None:
    """Return where a figure with its interval goes."""
    if not figure or not is_number(figure.get("value")):
        return None
    value = figure["value"]
    low, high = (figure[end] if is_number(figure.get(end)) else value for end in ("low", "high"))
    places = [scale.at(each, INTERVAL_WIDTH) for each in (low, high, value)]
    return Interval(low=places[0], high=places[1], value=places[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bin of a histogram: from, to, how many, and its column."""

    low: float
    high: float
    counts: tuple[int, ...]
    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Columns, and the outline of a second series over them."""

    bins: tuple[Bin, ...]
    outline: str
    low: float
    high: float
    total: int
    zero: float | None


def histogram(edges: Any, columns: Any, outline: Any = None) -> Histogram | None:
    """Return a histogram of `columns`, and of `outline` as a stepped line.

    Heights are square roots of counts, because most outputs have one value that outnumbers all others.
    """
    if not _fits(edges, columns) or (outline is not None and not _fits(edges, outline)):
        return None
    low, high = edges[0], edges[-1]
    tallest = max([*columns, *(outline or [])])
    if high <= low or tallest <= 0:
        return None
    scale = Scale(low=low, high=high)
    bins = []
    for number, count in enumerate(columns):
        start, end = (scale.at(edges[at], HISTOGRAM_WIDTH) for at in (number, number + 1))
        height = round(HISTOGRAM_HEIGHT * math.sqrt(count / tallest), 2)
        counts = (count,) if outline is None else (outline[number], count)
        bins.append(
            Bin(
                low=edges[number],
                high=edges[number + 1],
                counts=counts,
                x=start,
                width=round(max(0.4, end - start - 0.8), 2),
                y=round(HISTOGRAM_HEIGHT - height, 2),
                height=height,
            )
        )
    return Histogram(
        bins=tuple(bins),
        outline=_outline(edges, outline, tallest, scale) if outline is not None else "",
        low=low,
        high=high,
        total=sum(columns),
        zero=scale.at(0.0, HISTOGRAM_WIDTH) if low < 0 < high else None,
    )


def _fits(edges: Any, counts: Any) -> bool:
    return (
        isinstance(edges, (list, tuple))
        and isinstance(counts, (list, tuple))
        and len(counts) > 0
        and len(edges) == len(counts) + 1
        and all(is_number(each) for each in (*edges, *counts))
        and list(edges) == sorted(edges)
        and min(counts) >= 0
    )


def _outline(edges: Sequence[float], counts: Sequence[int], tallest: float, scale: Scale) -> str:
    path = [f"M{scale.at(edges[0], HISTOGRAM_WIDTH)} {HISTOGRAM_HEIGHT}"]
    for number, count in enumerate(counts):
        path.append(f"V{round(HISTOGRAM_HEIGHT * (1 - math.sqrt(count / tallest)), 2)}")
        path.append(f"H{scale.at(edges[number + 1], HISTOGRAM_WIDTH)}")
    return " ".join([*path, f"V{HISTOGRAM_HEIGHT}"])


def relative_error(layer: Json) -> float | None:
    """Return the root of the mean squared error as a share of the signal's, from the SQNR of a layer."""
    sqnr = layer.get("sqnr_db")
    return float(min(10.0, 10 ** (-sqnr / 20))) if is_number(sqnr) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One layer in the chart of errors along the network."""

    layer: Json
    error: float
    x: float
    y: float
    width: float
    height: float
    is_worst: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Errors of layers in the network's order, and the lines of the axis as pairs of place and share."""

    columns: tuple[Column, ...]
    lines: tuple[tuple[float, float], ...]


def error_strip(layers: Sequence[Json], worst: int) -> Strip | None:
    """Return the errors of `layers` as columns in the order in which they run; the `worst` are marked."""
    known = [(layer, error) for layer in layers if (error := relative_error(layer)) is not None]
    if not known:
        return None
    ordered = sorted(known, key=lambda pair: pair[0].get("index", 0))
    marked = {id(layer) for layer, _ in sorted(known, key=lambda pair: pair[1], reverse=True)[:worst]}
    step = _round_step(max(error for _, error in known))
    top = step * math.ceil(max(error for _, error in known) / step + 1e-9)
    pitch = STRIP_WIDTH / len(ordered)
    width = round(min(_WIDEST, max(0.5, pitch * 0.76)), 2)
    columns = []
    for number, (layer, error) in enumerate(ordered):
        height = round(STRIP_HEIGHT * error / top, 2)
        columns.append(
            Column(
                layer=layer,
                error=error,
                x=round((number + 0.5) * pitch - width / 2, 2),
                y=round(STRIP_HEIGHT - height, 2),
                width=width,
                height=height,
                is_worst=id(layer) in marked,
            )
        )
    marks = range(round(top / step) + 1)
    lines = tuple((round(STRIP_HEIGHT * (1 - mark * step / top), 2), mark * step) for mark in marks)
    return Strip(columns=tuple(columns), lines=lines)


def _round_step(highest: float) -> float:
    """The distance of two to five lines that people like: 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return 1.0
    power = float(10.0 ** math.floor(math.log10(highest)))
    return next(power * factor for factor in (0.25, 0.5, 1.0, 2.5) if highest / (power * factor) <= _LINES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Operators one after another that run in the same place, as a part of a bar that is 1,000 units long."""

    where: str
    first: int
    last: int
    x: float
    width: float


def placement_runs(operators: Sequence[Json]) -> list[Run]:
    """Return where operators run, in their order, those that stand together as one."""
    found, start = [], 0
    for where, group in itertools.groupby(operators, key=lambda operator: str(operator.get("runs_on", "unknown"))):
        length = len(list(group))
        found.append(
            Run(
                where=where if where in ("dlpu", "cpu") else "unknown",
                first=start,
                last=start + length - 1,
                x=round(1000 * start / len(operators), 2),
                width=round(1000 * length / len(operators), 2),
            )
        )
        start += length
    return found
