"""Which operators of a model run on the DLPU, and into how many parts that divides its graph.

In: a model, an SoC's table, and which operators the DLPU takes for themselves. Out: a `Placement`, of the main graph.
`dlpubuild.targets.lint.partition` cuts it. That a camera's runtime cuts as TensorFlow Lite's delegates do is inferred:
its messages count parts of both processors, as TensorFlow Lite does. Nothing is judged here.
"""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from dlpubuild.targets.lint.model import Placement
from dlpubuild.targets.lint.partition import Part, first_on_dlpu, parts
from dlpubuild.targets.lint.rules import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dlpubuild.targets.lint.table import LintTable
    from dlpubuild.tflite.model import Subgraph, TfliteModel

_GROUPING: Final = {
    "any": "how they group into parts is inferred from TensorFlow Lite's delegates",
    "first": "that the compiler maps the first part only is documented of its default options",
}


def place(model: TfliteModel, table: LintTable) -> Placement:
    """Return where each operator of the main subgraph of `model` is expected to run.

    Raises:
        TemplateError: an expression of the table is faulty.
    """
    return place_operators(model, table, judge(model, table).taken)


def place_operators(model: TfliteModel, table: LintTable, taken: Sequence[bool]) -> Placement:
    """Return where each operator runs; `taken` says of each whether the DLPU takes it for itself."""
    graph = model.main
    runs = _runs(graph, table, taken)
    on_dlpu = tuple(sorted(index for part in runs if part.on_dlpu for index in part.operators))
    on_cpu = tuple(sorted(index for part in runs if not part.on_dlpu for index in part.operators))
    return Placement(
        processor=table.processor,
        on_dlpu=on_dlpu,
        on_cpu=on_cpu,
        dlpu=_counts(graph, on_dlpu),
        cpu=_counts(graph, on_cpu),
        parts=len(runs),
        switches=max(len(runs) - 1, 0),
        max_parts=table.max_parts.count if table.max_parts else None,
        basis=table.basis or _basis(graph, table),
    )


def _runs(graph: Subgraph, table: LintTable, taken: Sequence[bool]) -> tuple[Part, ...]:
    """Return the parts in the order in which they run.

    An operator whose inputs never come, which only a damaged file has, is left to the CPU at the end.
    """
    indices = {index for index, is_taken in enumerate(taken) if is_taken}
    if table.parts == "first":
        indices = set(first_on_dlpu(graph, indices))
    found = list(parts(graph, indices))
    left = set(range(len(graph.operators))).difference(*(part.operators for part in found))
    if left and found and not found[-1].on_dlpu:
        found[-1] = Part(on_dlpu=False, operators=tuple(sorted((*found[-1].operators, *left))))
    elif left:
        found.append(Part(on_dlpu=False, operators=tuple(sorted(left))))
    return tuple(found)


def _counts(graph: Subgraph, indices: Iterable[int]) -> Mapping[str, int]:
    counts = Counter(graph.operators[index].label for index in indices)
    return MappingProxyType(dict(sorted(counts.items())))


def _basis(graph: Subgraph, table: LintTable) -> str:
    present = {operator.label for operator in graph.operators}
    evidence = sorted({each.evidence for each in table.operators if present.intersection(each.names)})
    told = " and ".join(evidence) or "inferred"
    return f"which operators the {table.processor} takes is {told}; {_GROUPING[table.parts]}"
