"""What is read of an ONNX file: names, shapes, operators, files with weights; and what is no ONNX file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.project.model import KnownTensor
from dlpubuild.project.onnx_signature import OnnxFacts, read_onnx, read_onnx_model
from dlpubuild.project.signature import UnreadableModelError
from tests.factories.onnx_factory import field, graph, model, node, small_model, tensor, value_info


def read(folder: Path, data: bytes) -> OnnxFacts:
    path = folder / "m.onnx"
    path.write_bytes(data)
    return read_onnx(path)


def refusal(folder: Path, data: bytes) -> str:
    with pytest.raises(UnreadableModelError) as caught:
        read(folder, data)
    return str(caught.value)


def test_names_shapes_and_types_are_those_of_the_file(tmp_path: Path) -> None:
    facts = read(tmp_path, small_model())
    assert facts.inputs == (KnownTensor(name="image", shape=(1, 3, 8, 8), dtype="float32"),)
    assert facts.outputs == (KnownTensor(name="scores", shape=(1, 4), dtype="float32"),)
    assert (facts.opset, facts.ir_version, facts.producer) == (17, 8, "by hand")


def test_a_size_with_a_name_or_without_anything_is_dynamic(tmp_path: Path) -> None:
    assert read(tmp_path, small_model(("batch", 3, "", 0))).inputs[0].shape == (-1, 3, -1, -1)


def test_a_shape_that_is_not_there_is_not_known(tmp_path: Path) -> None:
    data = model(graph(inputs={"a": None}, outputs={"b": ()}))
    facts = read(tmp_path, data)
    assert (facts.inputs[0].shape, facts.outputs[0].shape) == (None, ())


def test_weights_that_are_listed_as_inputs_are_none(tmp_path: Path) -> None:
    sparse = field(15, field(1, tensor("s")))
    body = graph(inputs={"image": (1, 3), "w": (3, 3), "s": (3,)}, outputs={"y": (1, 3)}, weights=[tensor("w")])
    assert [each.name for each in read(tmp_path, model(body + sparse)).inputs] == ["image"]


def test_operators_are_counted_in_subgraphs_too_and_named_with_their_domain(tmp_path: Path) -> None:
    inner = graph(inputs={}, outputs={"b": ()}, nodes=[node("Add"), node("Add")])
    branch = node("If", attributes=[field(6, inner), field(11, inner)])
    own = [node("Relu", domain="ai.onnx"), node("Fancy", domain="com.example"), branch]
    facts = read(tmp_path, model(graph(inputs={"a": (1,)}, outputs={"b": (1,)}, nodes=own)))
    assert facts.operators == {"Add": 4, "If": 1, "Relu": 1, "com.example.Fancy": 1}


def test_files_that_hold_weights_are_found_in_weights_and_in_attributes(tmp_path: Path) -> None:
    constant = node("Constant", attributes=[field(5, tensor("c", location="more/c.bin"))])
    weights = [tensor("w", location="w.data"), tensor("v", location="w.data"), tensor("u", raw=b"1234")]
    data = model(graph(inputs={"a": (1,)}, outputs={"b": (1,)}, nodes=[constant], weights=weights))
    assert read(tmp_path, data).external == ("more/c.bin", "w.data")


def test_names_may_have_any_characters(tmp_path: Path) -> None:
    name = 'images/0:å "x"\n'
    data = model(graph(inputs={name: (1,)}, outputs={"b": (1,)}))
    assert read(tmp_path, data).inputs[0].name == name


def test_weights_are_passed_over_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    size = 8 << 30
    head = small_model()
    # A field of eight gigabytes that the file has as a hole: reading it would take seconds and all memory.
    with path.open("wb") as stream:
        stream.write(head)
        stream.write(field(200, b"")[:-1] + bytes([0x80, 0x80, 0x80, 0x80, 0x20]))
        stream.truncate(stream.tell() + size)
    assert read_onnx(path).outputs[0].name == "scores"


@pytest.mark.parametrize("quantized", ["QuantizeLinear", "QLinearConv", "ConvInteger", "DynamicQuantizeLinear"])
def test_a_quantized_model_is_no_way_in(tmp_path: Path, quantized: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(small_model(nodes=[node(quantized)]))
    with pytest.raises(UnreadableModelError, match=quantized):
        read_onnx_model(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b"<html>404</html>", "damaged, or not an ONNX model"),
        (b"version https://git-lfs.github.com/spec/v1\n", "damaged, or not an ONNX model"),
        (b"PK\x03\x04" + bytes(100), "damaged, or not an ONNX model"),
        (bytes(100), "a field has the number 0"),
        (field(1, 8), "it has no graph"),
        (field(7, graph(inputs={"a": ()}, outputs={"b": ()})), "it is no model"),
        (model(field(11, value_info("a", ()))), "its graph has no operators"),
        (model(graph(inputs={}, outputs={"b": ()})), "it has no input"),
        (model(graph(inputs={"a": ()}, outputs={})), "it has no output"),
        (model(graph(inputs={"": ()}, outputs={"b": ()})), "or one has none"),
        (model(graph(inputs={"a": ()}, outputs={"b": ()}) * 2), "two of its inputs have one name"),
        (model(graph(inputs={"a": ()}, outputs={"b": ()})) * 2, "it is no model"),
        (model(field(1, field(1, "x")) + graph(inputs={"a": ()}, outputs={"b": ()})), "an operator in it has no name"),
        (model(field(11, field(1, b"\xff\xfe")) + graph(inputs={}, outputs={"b": ()})), "is not text"),
        (model(field(11, field(1, "a") + field(2, field(4, b"")))) + b"", "no operators"),
        (small_model() + b"\x0b", "unknown encoding 3"),
        (small_model() + b"\xff" * 11, "too long"),
        (field(1, b"text") + small_model(), "a message stands where a number belongs"),
        (field(7, 3) + small_model(), "a number stands where a message belongs"),
    ],
)
def test_what_is_no_onnx_model_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    assert said in refusal(tmp_path, data)


def test_an_input_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    sequence = field(11, field(1, "a") + field(2, field(4, b"")))
    assert "not a tensor" in refusal(tmp_path, model(graph(inputs={}, outputs={"b": ()}) + sequence))


def test_graphs_without_end_are_refused(tmp_path: Path) -> None:
    body = node("Relu")
    for _ in range(100):
        body = node("If", attributes=[field(6, field(1, body))])
    data = model(graph(inputs={"a": ()}, outputs={"b": ()}, nodes=[body]))
    assert "nested more than 32 deep" in refusal(tmp_path, data)


def test_a_file_that_was_cut_off_is_refused_wherever_that_was(tmp_path: Path) -> None:
    whole = small_model(weights=[tensor("w", raw=b"0123456789abcdef")])
    refused = 0
    for length in range(len(whole)):
        try:
            read(tmp_path, whole[:length])
        except UnreadableModelError:
            refused += 1
    # What comes behind the graph, the operator sets, may be missing without the reader noticing.
    assert refused > 0.8 * len(whole)


@settings(derandomize=True, database=None, deadline=None)
@given(position=st.integers(min_value=0, max_value=10_000), byte=st.integers(min_value=0, max_value=255))
def test_a_changed_byte_never_ends_in_another_error(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    data = bytearray(small_model(weights=[tensor("w", raw=b"0123"), tensor("v", location="w.data")]))
    data[position % len(data)] = byte
    path = tmp_path_factory.getbasetemp() / f"changed-{os.getpid()}.onnx"
    path.write_bytes(data)
    try:
        read_onnx(path)
    except UnreadableModelError as error:
        assert str(error)  # noqa: PT017 - either is right
