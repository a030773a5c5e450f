"""Linting damaged and hostile models: a report, soon, and in little memory."""

from __future__ import annotations

import json
from time import process_time
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.errors import DlpuError
from dlpubuild.targets.lint.model import LintReport, LintSettings
from dlpubuild.targets.lint.partition import Part, parts
from dlpubuild.targets.lint.placement import place_operators
from dlpubuild.targets.lint.record import report_json
from dlpubuild.targets.lint.run import lint_model
from dlpubuild.tflite.model import Operator, Subgraph, Tensor, TfliteModel
from dlpubuild.tflite.read import read_model
from tests.factories.lint_tables import head, table_of_toml
from tests.factories.tflite_factory import (
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    custom_model,
    encode,
    float_model,
    integer_model,
)
from tests.unit.targets.lint.rules_of_socs import own_socs

STEADY = settings(derandomize=True, database=None, deadline=None, max_examples=60)
FILES = (
    encode(integer_model(per_channel=True, io="uint8")),
    encode(integer_model(io="float32")),
    encode(float_model(weights="float16")),
    encode(custom_model("edgetpu-custom-op")),
)
SOCS = tuple(own_socs())
# Of this process on a processor, some hundred times what a sound file of the size takes.
SECONDS = 4.0


def outcome(data: bytes) -> list[LintReport]:
    """Lint what can be read of `data` for every SoC; anything slow, or any error but that of the reader, fails."""
    try:
        model = read_model(data)
    except DlpuError:
        return []
    begin = process_time()
    reports = [lint_model(model, soc, LintSettings()) for soc in own_socs().values()]
    for report in reports:
        json.dumps(report_json(report), allow_nan=False)
        if report.placement is not None:
            placed = (*report.placement.on_dlpu, *report.placement.on_cpu)
            assert sorted(placed) == list(range(len(model.main.operators)))
    assert process_time() - begin < SECONDS
    return reports


@STEADY
@given(st.sampled_from(FILES), st.data())
def test_overwritten_bytes_end_in_reports(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    places = st.tuples(st.integers(min_value=8, max_value=len(data) - 1), st.integers(min_value=0, max_value=255))
    for place, value in draw.draw(st.lists(places, min_size=1, max_size=6)):
        damaged[place] = value
    outcome(bytes(damaged))


NAMES = ("ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "CONCATENATION", "STRIDED_SLICE", "PAD", "SPLIT", "RESHAPE")
TENSORS = st.builds(
    TensorSpec,
    name=st.sampled_from(["", "a", "\x1b[2J", "<b>", "x" * 500]),
    shape=st.lists(st.sampled_from([-1, 0, 1, 3, 8, 2**31 - 1]), max_size=6).map(tuple),
    dtype=st.sampled_from(["int8", "uint8", "float32", "int32"]),
    scales=st.sampled_from([(), (0.0,), (0.5,), (float("inf"),), (0.5, float("nan"))]),
    data=st.sampled_from([b"", b"\0\0\0\0", b"\xff" * 32]),
)


@STEADY
@given(st.data())
def test_operators_on_tensors_that_do_not_fit_them_end_in_reports(draw: st.DataObject) -> None:
    tensors = tuple(draw.draw(st.lists(TENSORS, min_size=1, max_size=6)))
    index = st.integers(min_value=-1, max_value=len(tensors) - 1)
    indices = st.lists(index, max_size=4).map(tuple)
    operators = tuple(
        draw.draw(
            st.lists(st.builds(OperatorSpec, name=st.sampled_from(NAMES), inputs=indices, outputs=indices), max_size=6)
        )
    )
    graph = GraphSpec(tensors=tensors, operators=operators, inputs=(0,), outputs=(len(tensors) - 1,))
    assert len(outcome(encode(ModelSpec(graphs=(graph,))))) == len(SOCS)


@pytest.mark.parametrize("soc", ["artpec7", "artpec9"])
def test_many_refused_operators_take_seconds_and_not_minutes(soc: str) -> None:
    tensor = Tensor(index=0, name="t" * 10_000, shape=(1, 8, 8, 8), shape_signature=(1, 8, 8, 8), dtype="int8",
                    quantization=None, constant_bytes=0)  # fmt: skip
    operators = tuple(
        Operator(index=i, name="CONV_2D", version=1, inputs=(0,), outputs=(0,), options=MappingProxyType({}))
        for i in range(50_000)
    )
    graph = Subgraph(name="", tensors=(tensor,), operators=operators, inputs=(0,), outputs=(0,))
    model = TfliteModel(
        size_bytes=0, schema_version=3, description="", subgraphs=(graph,), signatures=(), metadata=MappingProxyType({})
    )
    begin = process_time()
    report = lint_model(model, own_socs()[soc], LintSettings())
    assert process_time() - begin < 30
    assert len(json.dumps(report_json(report))) < 50_000_000
    (told,) = [each for each in report.findings if each.rule == f"{soc}/too-many-operators"]
    assert told.found == "50000 operators"


# The parts, against the algorithm as TensorFlow Lite has it.


def naive_parts(operators: list[tuple[list[int], list[int]]], on_dlpu: list[bool]) -> list[tuple[bool, list[int]]]:
    """`PartitionGraphIntoIndependentNodeSubsets`, written down as it stands there: passes over all until none fits."""
    made = {tensor for _, outputs in operators for tensor in outputs if tensor >= 0}
    ready_tensors: set[int] = set()
    done: set[int] = set()
    found: list[tuple[bool, list[int]]] = []
    while True:
        kind, members = None, []
        changed = True
        while changed:
            changed = False
            for index, (inputs, outputs) in enumerate(operators):
                if index in done or any(t in made and t not in ready_tensors for t in inputs if t >= 0):
                    continue
                if kind is None:
                    kind = on_dlpu[index]
                if on_dlpu[index] == kind:
                    done.add(index)
                    members.append(index)
                    ready_tensors.update(outputs)
                    changed = True
        if not members:
            return found
        found.append((bool(kind), sorted(members)))


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(st.data())
def test_parts_are_those_of_tensorflow_lite(draw: st.DataObject) -> None:
    count = draw.draw(st.integers(min_value=0, max_value=10))
    tensor = st.integers(min_value=-1, max_value=10)
    operators = [
        (draw.draw(st.lists(tensor, max_size=3)), draw.draw(st.lists(tensor, max_size=2))) for _ in range(count)
    ]
    on_dlpu = [draw.draw(st.booleans()) for _ in range(count)]
    graph = Subgraph(
        name="",
        tensors=tuple(
            Tensor(index=i, name="", shape=(), shape_signature=(), dtype="int8", quantization=None, constant_bytes=0)
            for i in range(11)
        ),
        operators=tuple(
            Operator(
                index=i, name="ADD", version=1, inputs=tuple(ins), outputs=tuple(outs), options=MappingProxyType({})
            )
            for i, (ins, outs) in enumerate(operators)
        ),
        inputs=(),
        outputs=(),
    )
    cut = parts(graph, {index for index, is_on in enumerate(on_dlpu) if is_on})
    assert [(part.on_dlpu, list(part.operators)) for part in cut] == naive_parts(operators, on_dlpu)

    model = TfliteModel(
        size_bytes=0, schema_version=3, description="", subgraphs=(graph,), signatures=(), metadata=MappingProxyType({})
    )
    for mode in ("any", "first"):
        placement = place_operators(model, table_of_toml(head(parts=mode)), on_dlpu)
        assert sorted((*placement.on_dlpu, *placement.on_cpu)) == list(range(count))
        assert placement.switches == max(placement.parts - 1, 0)
        first = next((part for part in cut if part.on_dlpu), Part(on_dlpu=True, operators=()))
        if mode == "first":
            assert placement.on_dlpu == first.operators
