"""Damaged and contradictory `.tflite` files, made from sound ones.

In: the bytes of a file, or a `ModelSpec`, and a source of choices: Hypothesis' `draw`, or a seeded generator. Out:
other bytes. Byte mutations know nothing of the format; structural ones make a flatbuffer that is well formed and says
something absurd, which a random byte hardly ever does.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from hypothesis import strategies as st

from tests.factories.tflite_factory import (
    CONV_OPTIONS,
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    custom_model,
    encode,
    float_model,
    integer_model,
    with_dynamic_batch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hypothesis.strategies import SearchStrategy

HUGE = 2**31 - 1
ODD_NAMES = (
    "",
    "\x1b[2J\x1b]0;owned\x07",
    "</td><script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "a\n\u202eb\u200d",
    "n" * 5000,
    "\0",
)
ODD_SIZES = (0, -1, -(2**31), 1, 7, HUGE)
ODD_SCALES = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e-45, 3.4e38)
ODD_POINTS = (0, -129, 256, 2**63 - 1, -(2**63))
ODD_WORDS = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)


class Choices(Protocol):
    """Where a mutation takes its choices from."""

    def number(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, both included."""

    def pick(self, items: Sequence[Any]) -> Any:
        """Return one of `items`."""


class Drawn:
    """Choices that Hypothesis makes, and makes smaller when a test fails."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def number(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self.number(0, len(items) - 1)]


def sound_specs() -> tuple[ModelSpec, ...]:
    """Return what is mutated: each kind of model that the factory knows."""
    compiled = custom_model("edgetpu-custom-op")
    last = replace(compiled.graphs[0].operators[-1], custom_options=b"executable" * 20)
    graph = replace(compiled.graphs[0], operators=(*compiled.graphs[0].operators[:-1], last))
    return (
        integer_model(per_channel=True, io="uint8"),
        float_model(weights="float16"),
        float_model(weights="int8"),
        with_dynamic_batch(integer_model()),
        replace(compiled, graphs=(graph,)),
        replace(integer_model(), data_outside=True),
    )


def damaged_bytes(data: bytes, choices: Choices) -> bytes:
    """Return `data` truncated, overwritten, or with parts of it moved, in one to four places."""
    changed = bytearray(data)
    for _ in range(choices.number(1, 4)):
        way: Callable[[bytearray, Choices], None] = choices.pick(
            (_truncate, _byte, _byte, _word, _word, _word, _move, _insert)
        )
        if len(changed) > 16:
            way(changed, choices)
    return bytes(changed)


def _truncate(data: bytearray, choices: Choices) -> None:
    del data[choices.number(8, len(data) - 1) :]


def _byte(data: bytearray, choices: Choices) -> None:
    data[choices.number(8, len(data) - 1)] = choices.number(0, 255)


def _word(data: bytearray, choices: Choices) -> None:
    """Overwrite what may be a reference, a count, an index or a size, often by a small step."""
    place = 4 * choices.number(0, len(data) // 4 - 2)
    place = 0 if place == 4 else place
    (old,) = struct.unpack_from("<I", data, place)
    new = choices.pick((*ODD_WORDS, len(data), old + 1, old - 1, old + 4, old - 4, old * 2, old ^ 0x80000000))
    struct.pack_into("<I", data, place, new % 2**32)


def _move(data: bytearray, choices: Choices) -> None:
    """Copy some bytes over others, so that tables and vectors get each other's contents."""
    length = 4 * choices.number(1, 8)
    if len(data) > length + 16:
        source = 4 * choices.number(2, (len(data) - length) // 4)
        target = 4 * choices.number(2, (len(data) - length) // 4)
        data[target : target + length] = data[source : source + length]


def _insert(data: bytearray, choices: Choices) -> None:
    place = choices.number(8, len(data))
    data[place:place] = bytes(choices.number(1, 16))


_DAMAGES = (_truncate, _byte, _byte, _word, _word, _word, _move, _insert)


def absurd_spec(spec: ModelSpec, choices: Choices) -> ModelSpec:
    """Return `spec` with one to four things in it that make no sense; every index is still within bounds."""
    for _ in range(choices.number(1, 4)):
        way: Callable[[ModelSpec, Choices], ModelSpec] = choices.pick(ABSURDITIES)
        spec = way(spec, choices)
    return spec


def absurd_bytes(spec: ModelSpec, choices: Choices) -> bytes:
    """Return the file of an `absurd_spec`."""
    return encode(absurd_spec(spec, choices))


def _tensor(spec: ModelSpec, choices: Choices, **changes: Any) -> ModelSpec:
    graph = spec.graphs[choices.number(0, len(spec.graphs) - 1)]
    if not graph.tensors:
        return spec
    index = choices.number(0, len(graph.tensors) - 1)
    tensors = (*graph.tensors[:index], replace(graph.tensors[index], **changes), *graph.tensors[index + 1 :])
    return _graph(spec, graph, tensors=tensors)


def _graph(spec: ModelSpec, graph: GraphSpec, **changes: Any) -> ModelSpec:
    return replace(spec, graphs=tuple(replace(each, **changes) if each is graph else each for each in spec.graphs))


def odd_name(spec: ModelSpec, choices: Choices) -> ModelSpec:
    return _tensor(spec, choices, name=choices.pick(ODD_NAMES))


def odd_shape(spec: ModelSpec, choices: Choices) -> ModelSpec:
    """Empty, negative, zero, or so large that its product has hundreds of digits."""
    rank = choices.pick((0, 1, 2, 3, 4, 5, 16))
    shape = tuple(choices.pick(ODD_SIZES) for _ in range(rank))
    return _tensor(spec, choices, shape=shape, shape_signature=choices.pick(((), shape, (-1,), (-1,) * rank)))


def odd_type(spec: ModelSpec, choices: Choices) -> ModelSpec:
    return _tensor(spec, choices, dtype=choices.pick(("int64", "bool", "int4", "float16", "int8", "float32")))


def odd_scales(spec: ModelSpec, choices: Choices) -> ModelSpec:
    """Scales that are no numbers, zero points that no type holds, more or fewer of one than of the other."""
    scales = tuple(choices.pick(ODD_SCALES) for _ in range(choices.pick((1, 2, 8, 300))))
    points = tuple(choices.pick(ODD_POINTS) for _ in range(choices.pick((1, 2, 9))))
    axis = choices.pick((0, 1, 3, -1, HUGE, -(2**31)))
    return _tensor(spec, choices, scales=scales, zero_points=points, axis=axis)


def odd_data(spec: ModelSpec, choices: Choices) -> ModelSpec:
    return _tensor(spec, choices, data=bytes(choices.pick((0, 1, 3, 4097))))


def tangled_graph(spec: ModelSpec, choices: Choices) -> ModelSpec:
    """Operators that take what they give, give what is constant, take nothing, or take what is absent."""
    graph = spec.graphs[0]
    if not graph.operators or not graph.tensors:
        return spec
    last = len(graph.tensors) - 1
    inputs = tuple(choices.number(-1, last) for _ in range(choices.pick((0, 1, 3, 40))))
    outputs = tuple(choices.number(0, last) for _ in range(choices.pick((0, 1, 2))))
    index = choices.number(0, len(graph.operators) - 1)
    operator = replace(graph.operators[index], inputs=inputs, outputs=choices.pick((outputs, inputs)))
    return _graph(spec, graph, operators=(*graph.operators[:index], operator, *graph.operators[index + 1 :]))


def other_operator(spec: ModelSpec, choices: Choices) -> ModelSpec:
    """An operator of another name and version with options that belong to a third one."""
    graph = spec.graphs[0]
    if not graph.operators:
        return spec
    name = choices.pick(("STRIDED_SLICE", "TRANSPOSE_CONV", "BATCH_MATMUL", "CUSTOM", "GELU", "SOFTMAX", "RESHAPE"))
    index = choices.number(0, len(graph.operators) - 1)
    operator = replace(
        graph.operators[index],
        name=name,
        version=choices.pick((0, 1, 99, HUGE, -1)),
        custom_code=choices.pick(("", "FlexErf", "edgetpu-custom-op", *ODD_NAMES)) if name == "CUSTOM" else "",
        options=choices.pick((None, CONV_OPTIONS, replace(CONV_OPTIONS, union_type=choices.number(0, 130)))),
    )
    return _graph(spec, graph, operators=(*graph.operators[:index], operator, *graph.operators[index + 1 :]))


def odd_ends(spec: ModelSpec, choices: Choices) -> ModelSpec:
    """No inputs, no outputs, the same many times, or constants."""
    graph = spec.graphs[0]
    last = len(graph.tensors) - 1
    ends = tuple(choices.number(0, last) for _ in range(choices.pick((0, 1, 5, 300)))) if graph.tensors else ()
    changed = _graph(spec, graph, **{choices.pick(("inputs", "outputs")): ends})
    return replace(changed, signatures=choices.pick(((), changed.signatures)))


def another_graph(spec: ModelSpec, choices: Choices) -> ModelSpec:
    """A second graph: empty, or one more of the same."""
    empty = GraphSpec(tensors=(), operators=(), inputs=(), outputs=(), name=choices.pick(ODD_NAMES))
    return replace(spec, graphs=(*spec.graphs, choices.pick((empty, spec.graphs[0]))))


def empty_graph(spec: ModelSpec, choices: Choices) -> ModelSpec:
    lonely = GraphSpec(tensors=(TensorSpec(name="x", shape=(1,)),), operators=(), inputs=(), outputs=())
    nothing = GraphSpec(tensors=(), operators=(OperatorSpec(name="ADD", inputs=(), outputs=()),), inputs=(), outputs=())
    return replace(spec, graphs=(choices.pick((lonely, nothing)), *spec.graphs[1:]), signatures=())


def odd_metadata(spec: ModelSpec, choices: Choices) -> ModelSpec:
    name = choices.pick(("min_runtime_version", "CONVERSION_METADATA", "TFLITE_METADATA", *ODD_NAMES))
    data = choices.pick((b"", b"\xff" * 16, b"2.3.0" + bytes(11), bytes(64), b"\x1b[31m", encode(integer_model())[:90]))
    return replace(spec, metadata={**spec.metadata, name: data}, description=choices.pick(ODD_NAMES))


ABSURDITIES: tuple[Callable[[ModelSpec, Choices], ModelSpec], ...] = (
    odd_name,
    odd_shape,
    odd_type,
    odd_scales,
    odd_data,
    tangled_graph,
    other_operator,
    odd_ends,
    another_graph,
    empty_graph,
    odd_metadata,
)


def damaged_models() -> SearchStrategy[bytes]:
    """Return a Hypothesis strategy of files: absurd ones, damaged ones, and some that are both."""

    @st.composite
    def files(draw: st.DrawFn) -> bytes:
        choices = Drawn(draw(st.data()))
        spec = choices.pick(_SOUND)
        way = choices.number(0, 2)
        data = encode(spec) if way == 0 else absurd_bytes(spec, choices)
        return data if way == 1 else damaged_bytes(data, choices)

    return files()


_SOUND = sound_specs()
