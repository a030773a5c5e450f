"""The plan as a layered drawing: which step stands where, and how the lines between them run.

In: the steps of a report document. Out: boxes and curves in pixels, left to right. A step stands one layer behind the
last one that it needs; lines that pass layers get a place in each, and sweeps by the average of the neighbors keep
crossings few. Left out of the drawing, not of the table: needs that another need has already, those that are not among
the steps, and circles.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Json: TypeAlias = Mapping[str, Any]

BOX_WIDTH = 172
BOX_HEIGHT = 66
_GAP_X = 48
_GAP_Y = 16
_PASS_HEIGHT = 10
_MARGIN = 4
_SWEEPS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A step and its upper left corner; `share` is its part of the time of the longest step."""

    step: Json
    x: float
    y: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """From a step to one that needs it."""

    path: str
    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A drawing."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float


@dataclass(slots=True)
class _Node:
    """A step, or where a line passes a layer."""

    key: str
    layer: int
    height: float
    y: float = 0.0


def layout(steps: Sequence[Json]) -> Graph | None:
    """Return the drawing of a plan, or None where there are no steps."""
    by_key = {str(step["key"]): step for step in steps}
    if not by_key:
        return None
    needs = {key: [need for need in map(str, step.get("needs", ())) if need in by_key] for key, step in by_key.items()}
    layers = _layers(needs)
    needs = _direct(needs, layers)
    nodes = {key: _Node(key, layers[key], BOX_HEIGHT) for key in by_key}
    chains = _chains(needs, layers, nodes)
    columns = _columns(nodes, chains)
    _place(columns, chains)
    longest = max((step.get("seconds") or 0.0) for step in steps)
    boxes = tuple(
        Box(
            step=step,
            x=_x(layers[key]),
            y=round(nodes[key].y, 1),
            share=round((step.get("seconds") or 0.0) / longest, 4) if longest else 0.0,
        )
        for key, step in by_key.items()
    )
    lines = tuple(
        Line(path=_path([nodes[key] for key in chain]), source=chain[0], target=chain[-1]) for chain in chains
    )
    return Graph(
        boxes=boxes,
        lines=lines,
        width=_x(len(columns) - 1) + BOX_WIDTH + _MARGIN,
        height=round(max(node.y + node.height for node in nodes.values()) + _MARGIN, 1),
    )


def _x(layer: int) -> float:
    return _MARGIN + layer * (BOX_WIDTH + _GAP_X)


def _layers(needs: dict[str, list[str]]) -> dict[str, int]:
    """Each step one behind the last that it needs; needs that close a circle are dropped from `needs`."""
    found: dict[str, int] = {}
    waiting = dict.fromkeys(needs)
    while waiting:
        ready = [key for key in waiting if all(need in found for need in needs[key])]
        if not ready:
            first = next(iter(waiting))
            needs[first] = [need for need in needs[first] if need in found]
            ready = [first]
        for key in ready:
            found[key] = max((found[need] + 1 for need in needs[key]), default=0)
        for key in ready:
            del waiting[key]
    return found


def _direct(needs: Mapping[str, list[str]], layers: Mapping[str, int]) -> dict[str, list[str]]:
    """The needs without those that another need has already: they would only be more lines."""
    behind: dict[str, set[str]] = {}
    for key in sorted(needs, key=lambda key: layers[key]):
        behind[key] = set(needs[key]).union(*(behind[need] for need in needs[key]))
    return {
        key: [need for need in wanted if not any(need in behind[other] for other in wanted)]
        for key, wanted in needs.items()
    }


def _chains(needs: Mapping[str, list[str]], layers: Mapping[str, int], nodes: dict[str, _Node]) -> list[list[str]]:
    """Every line as the nodes it runs through; where it passes a layer a node of its own is added to `nodes`."""
    chains = []
    for key, wanted in needs.items():
        for need in wanted:
            chain = [need]
            for layer in range(layers[need] + 1, layers[key]):
                passing = f"{need}>{layer}"  # lines from one step share their way
                nodes.setdefault(passing, _Node(passing, layer, _PASS_HEIGHT))
                chain.append(passing)
            chains.append([*chain, key])
    return chains


def _columns(nodes: Mapping[str, _Node], chains: Sequence[Sequence[str]]) -> list[list[_Node]]:
    columns: list[list[_Node]] = [[] for _ in range(1 + max(node.layer for node in nodes.values()))]
    for node in nodes.values():
        columns[node.layer].append(node)
    before, after = _neighbors(chains)
    for sweep in range(_SWEEPS):
        order = columns[1:] if sweep % 2 == 0 else columns[-2::-1]
        neighbors = before if sweep % 2 == 0 else after
        rank = {node.key: number / len(column) for column in columns for number, node in enumerate(column)}
        for column in order:
            column.sort(key=lambda node: _average([rank[key] for key in neighbors.get(node.key, ())], rank[node.key]))
            rank |= {node.key: number / len(column) for number, node in enumerate(column)}
    return columns


def _neighbors(chains: Sequence[Sequence[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for source, target in dict.fromkeys((a, b) for chain in chains for a, b in pairwise(chain)):
        before.setdefault(target, []).append(source)
        after.setdefault(source, []).append(target)
    return before, after


def _average(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _place(columns: Sequence[Sequence[_Node]], chains: Sequence[Sequence[str]]) -> None:
    """Give every node its height on the page: in its column's order, near its neighbors, no two overlapping."""
    before, after = _neighbors(chains)
    middles: dict[str, float] = {}
    for column in columns:
        _stack(column, [0.0] * len(column))
        middles |= {node.key: node.y + node.height / 2 for node in column}
    for sweep in range(_SWEEPS):
        neighbors = (before, after)[sweep % 2]
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wishes = [
                _average([middles[key] for key in neighbors.get(node.key, ())], middles[node.key]) for node in column
            ]
            _stack(column, wishes)
            middles |= {node.key: node.y + node.height / 2 for node in column}
    top = min(node.y for column in columns for node in column) - _MARGIN
    for column in columns:
        for node in column:
            node.y -= top


def _stack(column: Sequence[_Node], wishes: Sequence[float]) -> None:
    """Put nodes as near to the wished middles as their order and the gaps allow."""
    blocks: list[list[float]] = []  # wished top of the block, how many nodes, its height
    offsets = []
    for node, wish in zip(column, wishes, strict=True):
        blocks.append([wish - node.height / 2, 1, node.height])
        while len(blocks) > 1 and blocks[-2][0] + blocks[-2][2] + _GAP_Y > blocks[-1][0]:
            top, count, height = blocks.pop()
            above = blocks[-1]
            # The wish of the lower block, seen from the top of the upper one.
            wished = top - above[2] - _GAP_Y
            above[0] = (above[0] * above[1] + wished * count) / (above[1] + count)
            above[1] += count
            above[2] += _GAP_Y + height
    nodes = iter(column)
    for top, count, _height in blocks:
        offset = top
        for _ in range(int(count)):
            node = next(nodes)
            node.y = offset
            offset += node.height + _GAP_Y
        offsets.append(offset)


def _path(chain: Sequence[_Node]) -> str:
    parts = []
    for number, (left, right) in enumerate(pairwise(chain)):
        start, end = _x(left.layer) + BOX_WIDTH, _x(right.layer)
        y, to = round(left.y + left.height / 2, 1), round(right.y + right.height / 2, 1)
        bend = _GAP_X / 2
        if number == 0:
            parts.append(f"M{start} {y}")
        parts.append(f"C{start + bend} {y} {end - bend} {to} {end} {to}")
        if number < len(chain) - 2:
            parts.append(f"H{end + BOX_WIDTH}")
    return " ".join(parts)
