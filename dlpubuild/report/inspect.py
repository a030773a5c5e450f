"""What is in a `.tflite` model, as text: a first page for a person, and the full tables behind it.

In: a model and its facts. Out: pieces of text for a terminal of some width. Names come out of a file of unknown origin,
so they are made printable. Nothing is read here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from dlpubuild.report.inspect_rows import (
    count_text,
    kind_rows,
    operator_rows,
    scale_texts,
    shape_text,
    tensor_rows,
    whole_text,
)
from dlpubuild.report.text import columns, fitted, printable, shortened, size_text, wrapped
from dlpubuild.tflite.facts import EDGETPU_OPERATOR
from dlpubuild.tflite.metadata import RUNTIME_KEY, metadata_entries
from dlpubuild.tflite.oddities import oddities
from dlpubuild.tflite.runtime import edgetpu_readable, min_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlpubuild.report.inspect_rows import KindRow, OperatorRow
    from dlpubuild.tflite.facts import ModelFacts
    from dlpubuild.tflite.model import Subgraph, Tensor, TfliteModel
    from dlpubuild.tflite.runtime import MinRuntime

_SHOWN_VERSIONS = 3
# Rows that are laid out at once: columns of a longer table are as wide as in the first of its parts.
_SHOWN_ENDS = 200
_PART = 2000
_WIDE = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is shown beside the first page, and how many columns there are; None for as many as it takes."""

    operators: bool = False
    tensors: bool = False
    width: int | None = None


FIRST_PAGE = Shown()


def inspect_text(name: str, model: TfliteModel, facts: ModelFacts, shown: Shown = FIRST_PAGE) -> str:
    """Return a page about the model for a terminal."""
    return "".join(inspect_pieces(name, model, facts, shown))


def inspect_pieces(name: str, model: TfliteModel, facts: ModelFacts, shown: Shown = FIRST_PAGE) -> Iterator[str]:
    """Yield a page about the model, and the tables that are asked for."""
    yield columns(wrapped(list(fact_rows(name, model, facts)), shown.width)) + "\n"
    for title, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        yield "\n" + _ends(title, model, tensors, shown.width) + "\n"
    yield "\n" + _kinds(model, facts, shown.width) + "\n"
    if facts.per_channel_tensors:
        yield f"\n{len(facts.per_channel_tensors)} tensors have a scale per channel\n"
    odd = oddities(model)
    if odd:
        yield "\nodd in this file\n" + "".join(f"  {each}\n" for each in odd)
    for number, graph in enumerate(model.subgraphs):
        of_graph = f" of subgraph {number} {printable(graph.name)}".rstrip() if len(model.subgraphs) > 1 else ""
        if shown.operators:
            yield from _operators(graph, of_graph, shown.width)
        if shown.tensors:
            yield from _tensors(graph, of_graph, shown.width)


def fact_rows(name: str, model: TfliteModel, facts: ModelFacts) -> Iterator[tuple[str, str]]:
    """Yield what is known of the whole model, as labelled lines; a line without a label belongs to the one before."""
    yield ("file", printable(name))
    yield ("size", size_text(model.size_bytes))
    yield ("description", printable(model.description[:200]) or "-")
    yield ("quantization", facts.quantization)
    yield ("weights", f"{facts.weight_kind}, {size_text(facts.parameter_bytes)} of constants")
    outside = ", beside what was mapped" if EDGETPU_OPERATOR in facts.custom_operators else ""
    yield ("work", f"{whole_text(facts.macs)} multiply-accumulates per inference{outside}")
    if len(model.subgraphs) > 1:
        yield ("subgraphs", f"{len(model.subgraphs)}, of which the first is run")
    yield from _runtime_rows(min_runtime(model), facts.min_runtime)
    yield from edgetpu_rows(model, facts)
    for entry in metadata_entries(model)[:_SHOWN_ENDS]:
        if entry.name != RUNTIME_KEY:
            says = f": {printable(entry.text)}" if entry.text else ""
            yield ("metadata", f"{printable(entry.name[:80])}, {size_text(entry.size_bytes)}{says}")


def _runtime_rows(found: MinRuntime, noted: str) -> Iterator[tuple[str, str]]:
    """The oldest TensorFlow, the operator versions that ask for it, and what the converter wrote, if that differs."""
    if found.version is None:
        yield ("min. TensorFlow", printable(noted) or "not noted")
    else:
        asking = [
            f"{each.operator} version {each.version}" for each in found.operators if each.runtime == found.version
        ]
        more = f" and {len(asking) - _SHOWN_VERSIONS} more" if len(asking) > _SHOWN_VERSIONS else ""
        yield ("min. TensorFlow", f"{found.version}, for {', '.join(asking[:_SHOWN_VERSIONS])}{more}")
        if noted != found.version:
            yield ("", f"the converter noted {printable(noted)}" if noted else "the converter did not note it")
    unknown = [f"{printable(each.operator)} version {each.version}" for each in found.unknown]
    if unknown:
        more = ", …" if len(unknown) > _SHOWN_VERSIONS else ""
        yield ("", f"not known: {', '.join(unknown[:_SHOWN_VERSIONS])}{more}")


def edgetpu_rows(model: TfliteModel, facts: ModelFacts) -> list[tuple[str, str]]:
    """Return what the Edge TPU compiler would make of a model, or made of it, as labelled lines."""
    if EDGETPU_OPERATOR in facts.custom_operators:
        return _compiled_rows(model, facts)
    findings = edgetpu_readable(model)
    if findings:
        return [("Edge TPU", f"its compiler cannot read this: {findings[0]}"), *(("", str(f)) for f in findings[1:])]
    if facts.custom_operators or facts.flex_operators:
        return [("Edge TPU", "its compiler leaves custom operators to the CPU")]
    if facts.quantization not in ("per-tensor", "per-channel"):
        return [("Edge TPU", "its compiler needs an integer model")]
    return [("Edge TPU", "its compiler reads all operator versions, as far as is known")]


def _compiled_rows(model: TfliteModel, facts: ModelFacts) -> list[tuple[str, str]]:
    parts = facts.operators[EDGETPU_OPERATOR]
    left = Counter({label: count for label, count in facts.operators.items() if label != EDGETPU_OPERATOR})
    on_cpu = f"{left.total()} operators run on the CPU" if left else "all of it runs there"
    operators = [each for graph in model.subgraphs for each in graph.operators]
    mapped = sum(each.custom_bytes for each in operators if each.custom_code == EDGETPU_OPERATOR)
    rows = [
        ("Edge TPU", f"compiled for it, in {parts} {'parts' if parts > 1 else 'part'}; {on_cpu}"),
        ("", f"what was mapped takes {size_text(mapped)}, {mapped / model.size_bytes:.1%} of the file"),
    ]
    if left:
        kinds = [f"{printable(label)} {count}" for label, count in sorted(left.items())]
        rows.append(("on the CPU", ", ".join(kinds[:_SHOWN_ENDS])))
    return rows


def _ends(title: str, model: TfliteModel, tensors: Sequence[Tensor], width: int | None) -> str:
    header = (title, "shape", "type", "scale", "zero point")
    rows = [
        (printable(model.public_name(tensor)), shape_text(tensor), tensor.dtype, *scale_texts(tensor))
        for tensor in tensors[:_SHOWN_ENDS]
    ]
    more = f"\nand {len(tensors) - _SHOWN_ENDS} more" if len(tensors) > _SHOWN_ENDS else ""
    return fitted(rows, header=header, width=width, shrink=(0,)) + more


def _kinds(model: TfliteModel, facts: ModelFacts, width: int | None) -> str:
    total = sum(facts.operators.values())
    rows = [
        (printable(row.label), str(row.times), row.versions, _or_dash(row.macs), _cost(row))
        for row in kind_rows(model)[:_SHOWN_ENDS]
    ]
    header = (f"operators ({total})", "count", "version", "MACs", "parameters")
    return fitted(rows, header=header, width=width, shrink=(0,), right=frozenset({1, 3, 4}))


def _operators(graph: Subgraph, of_graph: str, width: int | None) -> Iterator[str]:
    yield f"\noperators{of_graph}, in order of execution\n"
    rows = (
        (
            str(row.number),
            printable(row.label),
            str(row.version),
            row.outputs,
            row.activation or "-",
            _or_dash(row.macs),
            _cost(row),
            row.options or "-",
            printable(row.output_name),
        )
        for row in operator_rows(graph)
    )
    header = ("", "operator", "v", "output", "fused", "MACs", "parameters", "options", "name")
    yield from _table(rows, header, width, last=2, shrink=(3, 1), right=frozenset({0, 2, 5, 6}))


def _tensors(graph: Subgraph, of_graph: str, width: int | None) -> Iterator[str]:
    yield f"\ntensors{of_graph}\n"
    rows = (
        (
            str(row.number),
            row.role or "-",
            row.shape,
            row.dtype,
            row.scale,
            row.zero_point,
            str(row.bytes) if row.bytes else "-",
            printable(row.name),
        )
        for row in tensor_rows(graph)
    )
    header = ("", "tensor", "shape", "type", "scale", "zero point", "bytes", "name")
    yield from _table(rows, header, width, last=1, shrink=(2, 4), right=frozenset({0, 6}))


def _table(
    rows: Iterator[tuple[str, ...]],
    header: Sequence[str],
    width: int | None,
    *,
    last: int,
    shrink: Sequence[int],
    right: frozenset[int],
) -> Iterator[str]:
    """Yield a table in parts, so that one of any length takes little memory.

    On a narrow terminal the `last` columns stand on a line of their own below each row.
    """
    cut = len(header) - last
    while part := list(islice(rows, _PART)):
        if width is None or width >= _WIDE:
            tail = range(len(header) - 1, cut - 1, -1)
            yield fitted(part, header=header, width=width, shrink=(*tail, *shrink), right=right) + "\n"
            continue
        lines = fitted([row[:cut] for row in part], header=header[:cut], width=width, shrink=shrink, right=right)
        heading, *above = lines.split("\n")
        yield heading + "\n"
        indent = " " * (2 + max(len(row[0]) for row in part))
        for line, row in zip(above, part, strict=True):
            below = ", ".join(each for each in row[cut:] if each not in ("", "-"))
            yield line + "\n" + (indent + shortened(below, width - len(indent)) + "\n" if below else "")


def _or_dash(count: int) -> str:
    return count_text(count) if count else "-"


def _cost(row: KindRow | OperatorRow) -> str:
    """Bytes of parameters; of a custom operator those of its options, too."""
    size_bytes = row.parameter_bytes + row.custom_bytes
    return size_text(size_bytes) if size_bytes else "-"
