"""Which operator of one graph is which of another.

In: the operators of both as keys, in order of execution. Out: pairs of positions, in order; a position that stands
alone was removed or added. Operators never pair with those of another name. However long the lists are, the time stays
short: what is too long to be compared each with each is paired by its place.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# How many pairs of operators are weighed against each other at most, in all: about half a second.
MAX_WEIGHED: Final = 500_000


class OperatorKey(NamedTuple):
    """What an operator is recognised by: its name, and the name and shape of what it gives."""

    label: str
    output: str
    shape: tuple[int, ...]


class Pair(NamedTuple):
    """Positions in the old and in the new list; None where there is no counterpart."""

    old: int | None
    new: int | None


def align(old: Sequence[OperatorKey], new: Sequence[OperatorKey]) -> tuple[Pair, ...]:
    """Return each position of both lists once, in an order in which both ascend."""
    return tuple(_Alignment(old, new).pairs())


class _Alignment:
    def __init__(self, old: Sequence[OperatorKey], new: Sequence[OperatorKey]) -> None:
        self._old = old
        self._new = new
        self._left = MAX_WEIGHED

    def pairs(self) -> Iterator[Pair]:
        at_old = at_new = 0
        for old, new in [*_anchors(self._old, self._new), (len(self._old), len(self._new))]:
            yield from self._gap(range(at_old, old), range(at_new, new))
            if old < len(self._old):
                yield Pair(old, new)
            at_old, at_new = old + 1, new + 1

    def _gap(self, old: range, new: range) -> Iterator[Pair]:
        """Pair what stands between two anchors."""
        tail = []
        while old and new and self._weight(old[0], new[0]) > 2:  # noqa: PLR2004 - name and shape are the same
            yield Pair(old[0], new[0])
            old, new = old[1:], new[1:]
        while old and new and self._weight(old[-1], new[-1]) > 2:  # noqa: PLR2004 - as above
            tail.append(Pair(old[-1], new[-1]))
            old, new = old[:-1], new[:-1]
        cells = len(old) * len(new)
        if cells <= self._left:
            self._left -= cells
            yield from self._weighed(old, new)
        else:
            yield from self._by_place(old, new)
        yield from reversed(tail)

    def _weight(self, old: int, new: int) -> int:
        mine, other = self._old[old], self._new[new]
        return 2 + (mine.shape == other.shape) + (mine.output == other.output) if mine.label == other.label else 0

    def _weighed(self, old: range, new: range) -> Iterator[Pair]:
        """Pair so that the weights of the pairs sum up to the most."""
        best = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
        for i in range(len(old) - 1, -1, -1):
            below, row = best[i + 1], best[i]
            for j in range(len(new) - 1, -1, -1):
                weight = self._weight(old[i], new[j])
                row[j] = max(below[j], row[j + 1], weight + below[j + 1] if weight else 0)
        i = j = 0
        while i < len(old) and j < len(new):
            weight = self._weight(old[i], new[j])
            if weight and best[i][j] == weight + best[i + 1][j + 1]:
                yield Pair(old[i], new[j])
                i, j = i + 1, j + 1
            elif best[i][j] == best[i + 1][j]:
                yield Pair(old[i], None)
                i += 1
            else:
                yield Pair(None, new[j])
                j += 1
        yield from (Pair(each, None) for each in old[i:])
        yield from (Pair(None, each) for each in new[j:])

    def _by_place(self, old: range, new: range) -> Iterator[Pair]:
        for mine, other in zip(old, new, strict=False):
            if self._weight(mine, other):
                yield Pair(mine, other)
            else:
                yield Pair(mine, None)
                yield Pair(None, other)
        yield from (Pair(each, None) for each in old[len(new) :])
        yield from (Pair(None, each) for each in new[len(old) :])


def _anchors(old: Sequence[OperatorKey], new: Sequence[OperatorKey]) -> list[tuple[int, int]]:
    """Return the longest ascending run of operators that either list has once, recognised by name and output."""
    mine, others = _once(old), _once(new)
    places = sorted((mine[key], others[key]) for key in mine.keys() & others.keys())
    ends: list[int] = []
    tops: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(places):
        at = bisect_left(ends, place)
        before.append(tops[at - 1] if at else -1)
        ends[at : at + 1] = [place]
        tops[at : at + 1] = [number]
    chain = []
    number = tops[-1] if tops else -1
    while number >= 0:
        chain.append(places[number])
        number = before[number]
    return chain[::-1]


def _once(keys: Sequence[OperatorKey]) -> dict[tuple[str, str], int]:
    counts = Counter((key.label, key.output) for key in keys)
    return {
        (key.label, key.output): position
        for position, key in enumerate(keys)
        if key.output and counts[key.label, key.output] == 1
    }
