"""What is odd in a model that can be read: what contradicts itself, or what no interpreter would run.

In: a `TfliteModel`, every index of which has been checked. Out: an `Oddity` for each kind of thing found, in a fixed
order, with the first places. Nothing is an error here, for a file may be looked at that nobody would run; and a sound
file may have some of it, such as tensors that a converter left behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, prod
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlpubuild.tflite.model import Subgraph, Tensor, TensorQuantization, TfliteModel

OddityKind = Literal[
    "unknown-operator",
    "unknown-type",
    "no-producer",
    "several-producers",
    "bad-subgraph",
    "bad-shape",
    "huge-shape",
    "constant-size",
    "bad-scale",
    "scale-count",
    "zero-point",
    "unused-tensor",
    "odd-name",
]
_TITLES: Final[Mapping[OddityKind, str]] = {
    "unknown-operator": "operators of a newer schema than is known here",
    "unknown-type": "tensors of a type that is not known here",
    "no-producer": "tensors that are taken before anything gives them, or in a circle",
    "several-producers": "tensors that are given more than once, or given though they are constants or inputs",
    "bad-subgraph": "operators that call a subgraph which is not there",
    "bad-shape": "tensors with a negative size",
    "huge-shape": "tensors that claim more than 2^40 elements",
    "constant-size": "constants of another size than their shape and type need",
    "bad-scale": "tensors with a scale that is not a positive number",
    "scale-count": "tensors with another number of scales or zero points than channels",
    "zero-point": "tensors with a zero point that their type cannot hold",
    "unused-tensor": "tensors that nothing takes or gives",
    "odd-name": "names with characters that cannot be printed",
}
MAX_PLACES: Final = 5
_HUGE: Final = 1 << 40
_BITS: Final[Mapping[str, int]] = {
    "float64": 64, "float32": 32, "float16": 16, "bfloat16": 16, "complex64": 64, "complex128": 128, "bool": 8,
    "int64": 64, "uint64": 64, "int32": 32, "uint32": 32, "int16": 16, "uint16": 16, "int8": 8, "uint8": 8, "int4": 4,
}  # fmt: skip
_RANGES: Final[Mapping[str, tuple[int, int]]] = {"int8": (-128, 127), "uint8": (0, 255), "int16": (0, 0)}
_CALLED: Final = (
    "then_subgraph_index", "else_subgraph_index", "cond_subgraph_index", "body_subgraph_index", "init_subgraph_index",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Things of one kind: how many, and where the first of them are (`tensor 3`, `operator 7 of subgraph 1`)."""

    kind: OddityKind
    count: int
    places: tuple[str, ...]

    @property
    def title(self) -> str:
        """What they are, in words."""
        return _TITLES[self.kind]

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.places) else ""
        return f"{self.count} {self.title}: {', '.join(self.places)}{more}"


@dataclass(slots=True)
class _Found:
    counts: dict[OddityKind, int] = field(default_factory=dict)
    places: dict[OddityKind, list[str]] = field(default_factory=dict)

    def add(self, kind: OddityKind, what: str, index: int, graph: int) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        places = self.places.setdefault(kind, [])
        if len(places) < MAX_PLACES:
            places.append(f"{what} {index} of subgraph {graph}" if graph else f"{what} {index}")


def oddities(model: TfliteModel) -> tuple[Oddity, ...]:
    """Return what is odd in `model`, each kind once."""
    found = _Found()
    for number, graph in enumerate(model.subgraphs):
        for tensor in graph.tensors:
            for kind in _tensor_oddities(tensor):
                found.add(kind, "tensor", tensor.index, number)
        _look_at_operators(found, model, graph, number)
    return tuple(
        Oddity(kind=kind, count=found.counts[kind], places=tuple(found.places[kind]))
        for kind in _TITLES
        if kind in found.counts
    )


def _tensor_oddities(tensor: Tensor) -> Iterator[OddityKind]:
    if tensor.dtype.startswith("unknown"):
        yield "unknown-type"
    if not tensor.name.isprintable():
        yield "odd-name"
    if any(size < 0 for size in tensor.shape):
        yield "bad-shape"
    elif prod(tensor.shape) > _HUGE:
        yield "huge-shape"
    elif tensor.is_constant and _bytes_needed(tensor) not in (None, tensor.constant_bytes):
        yield "constant-size"
    if tensor.quantization is not None:
        yield from _scale_oddities(tensor, tensor.quantization)


def _bytes_needed(tensor: Tensor) -> int | None:
    bits = _BITS.get(tensor.dtype)
    return None if bits is None else (prod(tensor.shape) * bits + 7) // 8


def _scale_oddities(tensor: Tensor, quantization: TensorQuantization) -> Iterator[OddityKind]:
    scales, points, axis = quantization.scales, quantization.zero_points, quantization.axis
    # The sum is no finite number where one of them is none, and without such the least is what it says.
    if not isfinite(sum(scales)) or min(scales) <= 0:
        yield "bad-scale"
    channels = tensor.shape[axis] if 0 <= axis < len(tensor.shape) else -1
    if (len(scales) > 1 and len(scales) != channels) or len(points) not in (1, len(scales)):
        yield "scale-count"
    low, high = _RANGES.get(tensor.dtype, (None, None))
    if low is not None and high is not None and points and not low <= min(points) <= max(points) <= high:
        yield "zero-point"


def _look_at_operators(found: _Found, model: TfliteModel, graph: Subgraph, number: int) -> None:
    ready = {tensor.index for tensor in graph.tensors if tensor.is_constant or tensor.is_variable}
    ready.update(graph.inputs)
    used, missing, again = {*graph.inputs, *graph.outputs}, set(), set()
    for operator in graph.operators:
        if operator.name.startswith("UNKNOWN"):
            found.add("unknown-operator", "operator", operator.index, number)
        called = [operator.options[name] for name in _CALLED if name in operator.options]
        if any(not isinstance(each, int) or not 0 <= each < len(model.subgraphs) for each in called):
            found.add("bad-subgraph", "operator", operator.index, number)
        inputs = {index for index in operator.inputs if index >= 0}
        outputs = {index for index in operator.outputs if index >= 0}
        missing |= inputs - ready
        again |= outputs & ready
        ready |= outputs
        used |= inputs | outputs
    missing |= set(graph.outputs) - ready
    for index in sorted(missing):
        found.add("no-producer", "tensor", index, number)
    for index in sorted(again):
        found.add("several-producers", "tensor", index, number)
    for tensor in graph.tensors:
        if tensor.index not in used:
            found.add("unused-tensor", "tensor", tensor.index, number)
