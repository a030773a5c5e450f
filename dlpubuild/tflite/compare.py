"""What is different between two models.

In: two `TfliteModel`s. Out: a `Difference`: facts, inputs and outputs, metadata, and operators, each old one beside the
new one that it became. Of a tensor all counts but its name and number: type, shape, scales, zero points, and the bytes
of a constant. Names of inputs and outputs count, those inside are only counted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dlpubuild.tflite.align import OperatorKey, align
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.metadata import metadata_entries
from dlpubuild.tflite.model import Subgraph
from dlpubuild.tflite.runtime import min_runtime
from dlpubuild.tflite.work import operator_macs, operator_parameter_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dlpubuild.tflite.model import Operator, Tensor, TfliteModel

_NO_GRAPH: Final = Subgraph(name="", tensors=(), operators=(), inputs=(), outputs=())
# Of what each tensor says. The digest of a constant's bytes stands for its values.
_TENSOR_FACTS: Final = ("dtype", "shape", "shape_signature", "scales", "zero_points", "axis", "values")
_SHAPE_FACTS: Final = 3
# In all, this many times the file's size is read for digests: a hostile file may refer to the same bytes very often.
_MAX_READS: Final = 4


class Change(NamedTuple):
    """One property with its two values; None where there was or is none."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorChange:
    """An operator that was removed (`new` is None), added (`old` is None), or changed; `subgraph` counts from 0."""

    subgraph: int
    old: Operator | None
    new: Operator | None
    changes: tuple[Change, ...] = ()

    @property
    def label(self) -> str:
        """The name of the operator, which is the same on both sides."""
        found = self.old if self.new is None else self.new
        return found.label if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """All that is different.

    Attributes:
        same_bytes: the files are equal byte by byte, and so is all else.
        facts: facts of the whole model that changed.
        tensors: what changed of inputs and outputs, by position: `input 0: scale`.
        metadata: what entries say; where that is not known, their size in bytes.
        operators: in order of execution.
        unchanged: how many operators are the same, those counted in `renamed` included.
        renamed: how many of these give a tensor of another name.
    """

    same_bytes: bool
    facts: tuple[Change, ...]
    tensors: tuple[Change, ...]
    metadata: tuple[Change, ...]
    operators: tuple[OperatorChange, ...]
    unchanged: int
    renamed: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing of what is compared is different, whatever the bytes are."""
        return not (self.facts or self.tensors or self.metadata or self.operators)


def compare(old: TfliteModel, new: TfliteModel) -> Difference:
    """Return what is different in `new`."""
    before, after = _Side(old), _Side(new)
    operators: list[OperatorChange] = []
    unchanged = renamed = 0
    for number in range(max(len(old.subgraphs), len(new.subgraphs))):
        ours, theirs = _graph(old, number), _graph(new, number)
        for pair in align(_keys(ours), _keys(theirs)):
            mine = None if pair.old is None else ours.operators[pair.old]
            other = None if pair.new is None else theirs.operators[pair.new]
            changes: tuple[Change, ...] = ()
            if mine is not None and other is not None:
                changes = tuple(_operator_changes((before, ours, mine), (after, theirs, other)))
                if not changes:
                    unchanged += 1
                    renamed += _output_name(ours, mine) != _output_name(theirs, other)
                    continue
            operators.append(OperatorChange(subgraph=number, old=mine, new=other, changes=changes))
    return Difference(
        same_bytes=old.data == new.data,
        facts=tuple(_changes(_facts(old), _facts(new))),
        tensors=tuple(_end_changes(before, after)),
        metadata=tuple(_changes(_metadata(old), _metadata(new))),
        operators=tuple(operators),
        unchanged=unchanged,
        renamed=renamed,
    )


class _Side:
    """One of the two models, with digests of its constants."""

    def __init__(self, model: TfliteModel) -> None:
        self.model = model
        self._left = _MAX_READS * model.size_bytes
        self._digests: dict[tuple[int, int], str] = {}
        self._facts: dict[int, tuple[Any, ...]] = {}

    def facts(self, tensor: Tensor | None) -> tuple[Any, ...] | None:
        """Return `_TENSOR_FACTS` of a tensor; None for none."""
        if tensor is None:
            return None
        # A hostile file has many operators on few tensors; the model keeps these, so that each id stays its own.
        facts = self._facts.get(id(tensor))
        if facts is None:
            facts = self._facts[id(tensor)] = self._read(tensor)
        return facts

    def _read(self, tensor: Tensor) -> tuple[Any, ...]:
        found = tensor.quantization
        scales = (found.scales, found.zero_points, found.axis if found.per_channel else None) if found else (None,) * 3
        signature = tensor.shape_signature if tensor.is_dynamic else None
        return (tensor.dtype, tensor.shape, signature, *scales, self._values(tensor))

    def _values(self, tensor: Tensor) -> str | None:
        if not tensor.is_constant:
            return None
        span = (tensor.constant_offset, tensor.constant_bytes)
        if span not in self._digests:
            self._left -= tensor.constant_bytes
            begin, length = span
            read = memoryview(self.model.data)[begin : begin + length] if self._left >= 0 else b""
            self._digests[span] = hashlib.sha256(read).hexdigest()[:16] if self._left >= 0 else "not compared"
        return self._digests[span]


def _graph(model: TfliteModel, number: int) -> Subgraph:
    return model.subgraphs[number] if number < len(model.subgraphs) else _NO_GRAPH


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in [*old, *(name for name in new if name not in old)]:
        yield from _change(name, old.get(name), new.get(name))


def _change(name: str, old: Any, new: Any) -> Iterator[Change]:
    # Compared as text, too: a scale that is not a number is the same as another one.
    if old != new and repr(old) != repr(new):
        yield Change(name, old, new)


def _operator_changes(old: tuple[_Side, Subgraph, Operator], new: tuple[_Side, Subgraph, Operator]) -> Iterator[Change]:
    (before, ours, mine), (after, theirs, other) = old, new
    yield from _change("version", mine.version, other.version)
    yield from _changes(mine.options, other.options)
    yield from _change("macs", operator_macs(ours, mine), operator_macs(theirs, other))
    yield from _change("parameter_bytes", operator_parameter_bytes(ours, mine), operator_parameter_bytes(theirs, other))
    yield from _change("custom_bytes", mine.custom_bytes, other.custom_bytes)
    for what in ("input", "output"):
        taken = mine.inputs if what == "input" else mine.outputs
        given = other.inputs if what == "input" else other.outputs
        for position, (first, second) in enumerate(zip_longest(taken, given)):
            one, two = _pick(ours, first), _pick(theirs, second)
            # Scales of what another operator gave are told there, and those of the graph's inputs by themselves.
            passed_on = what == "input" and one and two and not one.is_constant and not two.is_constant
            told = _SHAPE_FACTS if passed_on else len(_TENSOR_FACTS)
            yield from _tensor_changes(f"{what} {position}", before.facts(one), after.facts(two), told)


def _pick(graph: Subgraph, index: int | None) -> Tensor | None:
    return None if index is None or index < 0 else graph.tensors[index]


def _tensor_changes(
    where: str, old: Sequence[Any] | None, new: Sequence[Any] | None, told: int = len(_TENSOR_FACTS)
) -> Iterator[Change]:
    """What changed of a tensor, of the first `told` facts."""
    if old == new:
        return
    if old is None or new is None:
        yield Change(where, None if old is None else "present", None if new is None else "present")
        return
    for name, mine, other in zip(_TENSOR_FACTS[:told], old[:told], new[:told], strict=True):
        yield from _change(f"{where}: {name}", mine, other)


def _end_changes(old: _Side, new: _Side) -> Iterator[Change]:
    """What changed of inputs and outputs; a name is that of the signature."""
    for what in ("input", "output"):
        before = old.model.inputs if what == "input" else old.model.outputs
        after = new.model.inputs if what == "input" else new.model.outputs
        for position, (mine, other) in enumerate(zip_longest(before, after)):
            if mine is not None and other is not None:
                names = old.model.public_name(mine), new.model.public_name(other)
                yield from _change(f"{what} {position}: name", *names)
            yield from _tensor_changes(f"{what} {position}", old.facts(mine), new.facts(other))


def _facts(model: TfliteModel) -> dict[str, Any]:
    facts = summarise(model)
    return {
        "size_bytes": model.size_bytes,
        "description": model.description,
        "quantization": facts.quantization,
        "weight_kind": facts.weight_kind,
        "parameter_bytes": facts.parameter_bytes,
        "custom_bytes": sum(each.custom_bytes for graph in model.subgraphs for each in graph.operators),
        "macs": facts.macs,
        "min_runtime_of_operators": min_runtime(model).version,
        "subgraphs": len(model.subgraphs),
        "operators": sum(facts.operators.values()),
        "tensors": sum(len(graph.tensors) for graph in model.subgraphs),
    }


def _metadata(model: TfliteModel) -> dict[str, Any]:
    return {entry.name: entry.text or f"{entry.size_bytes} bytes" for entry in metadata_entries(model)}


def _keys(graph: Subgraph) -> list[OperatorKey]:
    return [OperatorKey(each.label, _output_name(graph, each), _output_shape(graph, each)) for each in graph.operators]


def _output_name(graph: Subgraph, operator: Operator) -> str:
    return next((graph.tensors[index].name for index in operator.outputs if index >= 0), "")


def _output_shape(graph: Subgraph, operator: Operator) -> tuple[int, ...]:
    return next((graph.tensors[index].shape for index in operator.outputs if index >= 0), ())
