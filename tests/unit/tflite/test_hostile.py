"""The reader on damaged and hostile files: an error or a model, soon, and in little memory."""

from __future__ import annotations

import struct
import tracemalloc
from time import process_time

import flatbuffers  # type: ignore[import-untyped] # it has neither stubs nor a py.typed marker
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.report.inspect import Shown, inspect_pieces
from dlpubuild.report.inspect_html import Section, inspect_html
from dlpubuild.report.inspect_json import inspect_json
from dlpubuild.report.json_text import json_chunks
from dlpubuild.targets.gate import ModelNeeds, gate_findings
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.flatbuffer import NotAModelError
from dlpubuild.tflite.model import TfliteModel
from dlpubuild.tflite.read import MAX_RANK, MAX_SUBGRAPHS, read_model
from tests.factories.inspections import look
from tests.factories.mutations import damaged_models
from tests.factories.tflite_factory import TensorSpec, encode, float_model, integer_model, with_tensor

STEADY = settings(derandomize=True, database=None, deadline=None, max_examples=150)
MODELS = (encode(integer_model(per_channel=True, io="uint8")), encode(float_model(weights="float16")))
NEEDS = ModelNeeds(
    quantization="per-tensor", input_type="uint8", output_type="uint8", integer_only=True, static_shapes=True, batch=1
)
# Of this process on a processor, some hundred times what a sound file of the size takes: other work does not count.
SECONDS = 2.0


def outcome(data: bytes) -> TfliteModel | ErrorCode:
    """Read and judge `data`; anything but a model or a `DlpuError`, and anything slow, fails the test."""
    begin = process_time()
    try:
        model = read_model(data)
    except DlpuError as error:
        return error.code
    else:
        summarise(model)
        gate_findings(model, NEEDS)
        return model
    finally:
        assert process_time() - begin < SECONDS


@STEADY
@given(st.binary(max_size=200))
def test_random_bytes_are_not_a_model(data: bytes) -> None:
    assert outcome(data) is ErrorCode.NOT_A_MODEL


@STEADY
@given(st.binary(max_size=200))
@example(b"")
@example(b"\0" * 64)
@example(b"\xff" * 64)
def test_random_bytes_behind_the_identifier_are_a_model_or_a_fault(rest: bytes) -> None:
    for root in (8, 12, 0, 0x7FFFFFFF, 0xFFFFFFFF):
        result = outcome(struct.pack("<I", root) + b"TFL3" + rest)
        assert isinstance(result, TfliteModel) or result is ErrorCode.NOT_A_MODEL


@STEADY
@given(st.sampled_from(MODELS), st.data())
def test_a_truncated_file_is_a_model_or_a_fault(data: bytes, draw: st.DataObject) -> None:
    cut = draw.draw(st.integers(min_value=0, max_value=len(data) - 1))

    result = outcome(data[:cut])

    assert isinstance(result, TfliteModel) or result is ErrorCode.NOT_A_MODEL


@STEADY
@given(st.sampled_from(MODELS), st.data())
def test_overwritten_bytes_give_a_model_or_a_fault(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    places = st.tuples(st.integers(min_value=8, max_value=len(data) - 1), st.integers(min_value=0, max_value=255))
    for place, value in draw.draw(st.lists(places, min_size=1, max_size=6)):
        damaged[place] = value

    result = outcome(bytes(damaged))

    assert isinstance(result, TfliteModel) or result is ErrorCode.NOT_A_MODEL


@STEADY
@given(st.sampled_from(MODELS), st.data())
def test_overwritten_references_and_counts_give_a_model_or_a_fault(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    place = 4 * draw.draw(st.integers(min_value=2, max_value=len(data) // 4 - 1))
    value = draw.draw(st.sampled_from([0, 1, 0x7F, 0xFFFF, len(data), 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
    struct.pack_into("<I", damaged, place, value)

    result = outcome(bytes(damaged))

    assert isinstance(result, TfliteModel) or result is ErrorCode.NOT_A_MODEL


@settings(STEADY, max_examples=50)
@given(st.data())
def test_whatever_is_in_a_file_it_is_shown_compared_and_linted_or_refused(draw: st.DataObject) -> None:
    look(draw.draw(damaged_models()))


def test_every_third_of_a_file_is_refused() -> None:
    data = MODELS[0]

    assert {outcome(data[: len(data) * part // 3]) for part in range(3)} == {ErrorCode.NOT_A_MODEL}


def repeated(builder: flatbuffers.Builder, offset: int, count: int) -> int:
    """Write a vector of `count` references to the same place."""
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def table(builder: flatbuffers.Builder, **fields: int) -> int:
    """Write a table; `f0=offset` is field 0."""
    builder.StartObject(8)
    for name, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(int(name[1:]), offset, 0)
    return int(builder.EndObject())


def finished(builder: flatbuffers.Builder, graphs: int, codes: int = 0) -> bytes:
    builder.StartObject(8)
    builder.PrependUint32Slot(0, 3, 0)
    builder.PrependUOffsetTRelativeSlot(1, codes, 0)
    builder.PrependUOffsetTRelativeSlot(2, graphs, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_one_graph_that_is_referred_to_many_times_is_refused_soon_and_in_little_memory() -> None:
    builder = flatbuffers.Builder(1 << 20)
    tensors = repeated(builder, table(builder), 20_000)
    data = finished(builder, repeated(builder, table(builder, f0=tensors), 20_000))

    tracemalloc.start()
    try:
        assert outcome(data) is ErrorCode.NOT_A_MODEL
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_more_graphs_than_any_model_has_are_refused() -> None:
    builder = flatbuffers.Builder(1 << 16)
    data = finished(builder, repeated(builder, table(builder), MAX_SUBGRAPHS + 1)) + bytes(1 << 16)

    with pytest.raises(NotAModelError) as caught:
        read_model(data)

    assert f"{MAX_SUBGRAPHS + 1} graphs" in caught.value.message


def test_many_operators_on_many_tensors_are_shown_in_little_memory() -> None:
    """The most that a file of its size may hold: what is shown of it is made piece by piece."""
    builder = flatbuffers.Builder(1 << 18)
    builder.StartVector(4, 200, 4)
    for _ in range(200):
        builder.PrependInt32(0)
    ends = builder.EndVector()
    tensors = repeated(builder, table(builder), 1_500)
    operators = repeated(builder, table(builder, f1=ends, f2=ends), 60)
    graphs = repeated(builder, table(builder, f0=tensors, f3=operators), 1)
    model = read_model(finished(builder, graphs, repeated(builder, table(builder), 1)) + bytes(1 << 17))
    facts = summarise(model)

    tracemalloc.start()
    try:
        sizes = [
            sum(map(len, inspect_pieces("name", model, facts, Shown(operators=True, tensors=True)))),
            sum(map(len, json_chunks(inspect_json(model, facts)))),
            sum(map(len, inspect_html("name", [Section(name="name", model=model, facts=facts)]))),
        ]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
    assert min(sizes) > 50_000


def test_one_vector_of_numbers_that_is_read_many_times_is_refused() -> None:
    builder = flatbuffers.Builder(1 << 20)
    builder.StartVector(4, 20_000, 4)
    for _ in range(20_000):
        builder.PrependInt32(0)
    inputs = builder.EndVector()
    tensors = repeated(builder, table(builder), 1)
    data = finished(builder, repeated(builder, table(builder, f0=tensors, f1=inputs, f2=inputs), 5_000))

    assert outcome(data) is ErrorCode.NOT_A_MODEL


def test_one_long_name_that_is_read_many_times_is_refused() -> None:
    builder = flatbuffers.Builder(1 << 20)
    name = builder.CreateString("n" * 100_000)
    data = finished(builder, repeated(builder, table(builder, f0=repeated(builder, table(builder, f3=name), 5_000)), 1))

    assert outcome(data) is ErrorCode.NOT_A_MODEL


def test_a_vector_that_claims_more_than_the_file_holds_is_refused_before_it_is_read() -> None:
    data = MODELS[0]
    count = struct.pack("<I", len("made by a test"))
    at = data.index(count + b"made by a test")
    damaged = data[:at] + struct.pack("<I", 0x7FFFFFFF) + data[at + 4 :]

    with pytest.raises(NotAModelError) as caught:
        read_model(damaged)

    assert "2147483647 elements" in caught.value.message


def test_a_shape_of_thousands_of_dimensions_is_refused() -> None:
    spec = with_tensor(integer_model(), 0, TensorSpec(name="x", shape=(2,) * (MAX_RANK + 1)))

    assert outcome(encode(spec)) is ErrorCode.NOT_A_MODEL
