"""Which operators of a model run on the DLPU, and into how many parts that divides its graph.

In: a model, an SoC's table, and which operators the DLPU takes for themselves. Out: a `Placement`, of the main graph.
The parts are those of TensorFlow Lite's delegates (`PartitionGraphIntoIndependentNodeSubsets` in
tensorflow/lite/graph_info.cc): by turns, all operators of one processor whose inputs are there, then all of the other,
whatever their order in the file. That a camera's runtime divides a graph in this way is inferred: its messages count
parts of both processors, as TensorFlow Lite does. Nothing is judged here.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from dlpubuild.targets.lint.model import Placement
from dlpubuild.targets.lint.rules import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dlpubuild.targets.lint.table import LintTable
    from dlpubuild.tflite.model import Subgraph, TfliteModel

_GROUPING: Final = {
    "any": "how they group into parts is inferred from TensorFlow Lite's delegates",
    "first": "that the compiler maps the first part only is documented of its default options",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Operators that run together, by index, sorted; on the DLPU or on the CPU."""

    on_dlpu: bool
    operators: tuple[int, ...]


def place(model: TfliteModel, table: LintTable) -> Placement:
    """Return where each operator of the main subgraph of `model` is expected to run.

    Raises:
        TemplateError: an expression of the table is faulty.
    """
    return place_operators(model, table, judge(model, table).taken)


def place_operators(model: TfliteModel, table: LintTable, taken: Sequence[bool]) -> Placement:
    """Return where each operator runs; `taken` says of each whether the DLPU takes it for itself."""
    graph = model.main
    parts = divide(graph, taken)
    if table.parts == "first":
        parts = only_first(parts)
    on_dlpu = tuple(sorted(index for part in parts if part.on_dlpu for index in part.operators))
    on_cpu = tuple(sorted(index for part in parts if not part.on_dlpu for index in part.operators))
    return Placement(
        processor=table.processor,
        on_dlpu=on_dlpu,
        on_cpu=on_cpu,
        dlpu=_counts(graph, on_dlpu),
        cpu=_counts(graph, on_cpu),
        parts=len(parts),
        switches=max(len(parts) - 1, 0),
        max_parts=table.max_parts.count if table.max_parts else None,
        basis=table.basis or _basis(graph, table),
    )


def divide(graph: Subgraph, on_dlpu: Sequence[bool]) -> tuple[Part, ...]:
    """Return the parts of `graph` in the order in which they run; neighbours are on different processors.

    The first operator in the file whose inputs are there decides which processor begins. An operator whose inputs never
    come, which only a damaged file has, is left to the CPU at the end.
    """
    waiting = _Waiting(graph)
    parts: list[Part] = []
    ready = {True: deque[int](), False: deque[int]()}
    first = waiting.ready
    for index in first:
        ready[on_dlpu[index]].append(index)
    turn = on_dlpu[first[0]] if first else False
    while ready[turn]:
        members = []
        queue = ready[turn]
        while queue:
            index = queue.popleft()
            members.append(index)
            for freed in waiting.done(index):
                ready[on_dlpu[freed]].append(freed)
        parts.append(Part(turn, tuple(sorted(members))))
        turn = not turn
    left = waiting.left
    if left and parts and not parts[-1].on_dlpu:
        parts[-1] = Part(on_dlpu=False, operators=tuple(sorted((*parts[-1].operators, *left))))
    elif left:
        parts.append(Part(on_dlpu=False, operators=tuple(left)))
    return tuple(parts)


class _Waiting:
    """Which operators still wait for which tensors."""

    def __init__(self, graph: Subgraph) -> None:
        self._graph = graph
        made = {index for operator in graph.operators for index in operator.outputs if index >= 0}
        self._users: dict[int, list[int]] = {index: [] for index in made}
        self._missing: list[int] = []
        for position, operator in enumerate(graph.operators):
            awaited = made.intersection(operator.inputs)
            self._missing.append(len(awaited))
            for index in awaited:
                self._users[index].append(position)
        self.ready = [position for position, count in enumerate(self._missing) if not count]
        self._started = set(self.ready)

    def done(self, position: int) -> list[int]:
        """Return the operators that wait for nothing any more, now that this one has run."""
        freed = []
        for index in self._graph.operators[position].outputs:
            # A tensor that two operators make, in a damaged file, is there with the first.
            for user in self._users.pop(index, ()):
                self._missing[user] -= 1
                if not self._missing[user]:
                    freed.append(user)
        self._started.update(freed)
        return freed

    @property
    def left(self) -> list[int]:
        """The operators that never started."""
        return [position for position in range(len(self._missing)) if position not in self._started]


def only_first(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts where a compiler maps the first part on the DLPU and leaves all that comes later to the CPU."""
    first = next((number for number, part in enumerate(parts) if part.on_dlpu), None)
    if first is None:
        return tuple(parts)
    later = sorted(index for part in parts[first + 1 :] for index in part.operators)
    rest = (Part(on_dlpu=False, operators=tuple(later)),) if later else ()
    return (*parts[: first + 1], *rest)


def _counts(graph: Subgraph, indices: Iterable[int]) -> Mapping[str, int]:
    counts = Counter(graph.operators[index].label for index in indices)
    return MappingProxyType(dict(sorted(counts.items())))


def _basis(graph: Subgraph, table: LintTable) -> str:
    present = {operator.label for operator in graph.operators}
    evidence = sorted({each.evidence for each in table.operators if present.intersection(each.names)})
    told = " and ".join(evidence) or "inferred"
    return f"which operators the {table.processor} takes is {told}; {_GROUPING[table.parts]}"
