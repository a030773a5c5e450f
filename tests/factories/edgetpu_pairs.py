"""Real models beside what the Edge TPU compiler made of them, and how well a prediction meets that.

In: folders with pairs `X.tflite` and `X_edgetpu.tflite`. Out: for each pair what the compiler left on the CPU and what
the lint expects there, and the figures over all of them. A compiled file holds one custom operator and what stays
outside it, which keeps the name of what it puts out: an operator is known again by its own name and that one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.targets.lint.model import LintSettings
from dlpubuild.targets.lint.run import lint_model
from dlpubuild.targets.load import load_socs
from dlpubuild.tflite.facts import EDGETPU_OPERATOR
from dlpubuild.tflite.read import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlpubuild.targets.lint.model import Placement
    from dlpubuild.targets.model import Soc
    from dlpubuild.tflite.model import Operator, Subgraph

ROOT = Path(__file__).resolve().parents[2]
COMPILED = "_edgetpu.tflite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A model and what the compiler made of it."""

    source: Path
    compiled: Path

    @property
    def name(self) -> str:
        return self.source.stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """A pair and its prediction: every operator by its names, and which of them stay on the CPU."""

    placement: Placement
    left: Counter[str]
    operators: Counter[tuple[str, str]]
    expected: Counter[tuple[str, str]]
    real: Counter[tuple[str, str]]


def find_pairs(*folders: Path) -> list[Pair]:
    """Return the pairs in `folders` and below, by name."""
    found = [
        Pair(source=source, compiled=compiled)
        for folder in folders
        for compiled in sorted(folder.rglob(f"*{COMPILED}"))
        if (source := compiled.with_name(compiled.name.removesuffix(COMPILED) + ".tflite")).is_file()
    ]
    return sorted(found, key=lambda pair: pair.name)


@cache
def artpec7() -> Soc:
    folder = ROOT / "templates"
    return load_socs([folder], trusted=folder)["artpec7"]


@cache
def meet(pair: Pair) -> Met:
    """Return what the lint expects of `pair`, and what the compiler did."""
    model, compiled = read_file(pair.source), read_file(pair.compiled)
    placement = lint_model(model, artpec7(), LintSettings()).placement
    assert placement is not None
    outside = [operator for operator in compiled.main.operators if operator.label != EDGETPU_OPERATOR]
    return Met(
        placement=placement,
        left=Counter(operator.label for operator in outside),
        operators=_known(model.main, model.main.operators),
        expected=_known(model.main, (model.main.operators[index] for index in placement.on_cpu)),
        real=_known(compiled.main, outside),
    )


def figures(pairs: Sequence[Pair]) -> str:
    """Return precision and recall, of each operator and over all, of `stays on the CPU` and of `mapped`."""
    met = [meet(pair) for pair in pairs]
    names = sorted({name for each in met for name, _ in each.operators})
    rows: list[tuple[str, ...]] = [
        (f"{len(pairs)} pairs", "all", "CPU", "found", "precision", "recall", "mapped", "found", "precision", "recall")
    ]
    rows += [_row(name, met, {name}) for name in names]
    rows.append(_row("all operators", met, set(names)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _row(title: str, met: Sequence[Met], names: set[str]) -> tuple[str, ...]:
    def only(counted: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
        return Counter({key: count for key, count in counted.items() if key[0] in names})

    every = sum(only(each.operators).total() for each in met)
    cells: list[str] = [title, str(every)]
    for stays in (True, False):
        expected = [only(each.expected if stays else each.operators - each.expected) for each in met]
        real = [only(each.real if stays else each.operators - each.real) for each in met]
        both = sum((a & b).total() for a, b in zip(expected, real, strict=True))
        said, there = sum(each.total() for each in expected), sum(each.total() for each in real)
        cells += [str(there), str(both), _share(both, said), _share(both, there)]
    return tuple(cells)


def _share(part: int, of: int) -> str:
    return f"{part / of:.3f}" if of else "-"


def _known(graph: Subgraph, operators: Iterable[Operator]) -> Counter[tuple[str, str]]:
    return Counter((operator.label, graph.tensors[operator.outputs[0]].name) for operator in operators)
