"""Frozen graphs: what they take and give, and what passes for one and is none."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.project.frozen_graph import read_frozen_graph
from dlpubuild.project.model import KnownTensor
from dlpubuild.project.signature import UnreadableModelError
from tests.factories.model_factory import graph_def, saved_model

NODES = [
    ("image", "Placeholder", []),
    ("training", "PlaceholderWithDefault", ["off"]),
    ("off", "Const", []),
    ("conv", "Conv2D", ["image", "weights"]),
    ("weights", "Const", []),
    ("top", "TopKV2", ["conv", "off"]),
    ("scores", "Softmax", ["conv", "^training"]),
    ("boxes", "Identity", ["top:1"]),
    ("init", "NoOp", []),
]
GRAPH = graph_def(NODES, shapes={"image": (-1, 8, 8, 3)})


def names(data: bytes, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    signature = read_frozen_graph(data, inputs=inputs, outputs=outputs).signature
    return [each.name for each in signature.inputs], [each.name for each in signature.outputs]


def test_placeholders_are_inputs_and_what_nobody_takes_is_an_output() -> None:
    assert names(GRAPH) == (["image"], ["scores", "boxes"])


def test_an_input_has_type_and_shape_of_its_placeholder() -> None:
    (image,) = read_frozen_graph(GRAPH).signature.inputs
    assert image == KnownTensor(name="image", shape=(-1, 8, 8, 3), dtype="float32")


@pytest.mark.parametrize("shape", [None, ()])
def test_a_rank_that_is_not_known_stays_unknown_and_a_scalar_is_one(shape: tuple[int, ...] | None) -> None:
    (image,) = read_frozen_graph(graph_def(NODES, shapes={"image": shape})).signature.inputs
    assert image.shape == shape


def test_declared_tensors_cut_the_graph_off() -> None:
    assert names(GRAPH, inputs=("conv",)) == (["conv"], ["scores", "boxes"])
    assert names(GRAPH, outputs=("top:1", "conv:0")) == (["image"], ["top:1", "conv:0"])
    assert names(GRAPH, inputs=("conv",), outputs=("image",)) == (["conv", "image"], ["image"])


def test_for_names_that_the_graph_does_not_have_those_are_told_that_it_has() -> None:
    assert names(GRAPH, inputs=("imag", "image:x"), outputs=("score", "conv")) == (
        ["image"],
        ["conv", "scores", "boxes"],
    )


def test_a_placeholder_with_a_default_is_an_input_where_there_is_no_other() -> None:
    nodes = [("zero", "Const", []), ("x", "PlaceholderWithDefault", ["zero"]), ("y", "Relu", ["x"])]
    assert names(graph_def(nodes)) == (["x"], ["y"])


def test_a_graph_in_a_circle_is_read() -> None:
    assert names(graph_def([("a", "Merge", ["b"]), ("b", "Add", ["a"]), ("y", "Exit", ["b"])])) == ([], ["y"])


def test_operators_are_counted_with_those_of_functions() -> None:
    data = graph_def(NODES, function_nodes=[("f", "Relu", []), ("g", "Relu", [])])
    operators = read_frozen_graph(data).operators
    assert (operators["Relu"], operators["Const"]) == (2, 2)
    assert list(operators) == sorted(operators)


@pytest.mark.parametrize("where", ["graph", "function"])
def test_training_for_integers_is_seen_wherever_it_is(where: str) -> None:
    fake = [("q", "FakeQuantWithMinMaxVars", ["conv"])]
    data = graph_def(NODES + fake) if where == "graph" else graph_def(NODES, function_nodes=fake)
    assert read_frozen_graph(data).is_quantization_aware
    assert not read_frozen_graph(GRAPH).is_quantization_aware


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (saved_model({"x": (1,)}, {"y": (1,)}), "SavedModel"),
        (b'node {\n  name: "x"\n  op: "Const"\n}\n', "text form"),
        (b"this is no graph, but a text that somebody called .pb", "not a frozen graph"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "not a frozen graph"),
        (GRAPH[:-20], "not a frozen graph"),
        (graph_def([("v", "VarHandleOp", []), ("y", "ReadVariableOp", ["v"])]), "not frozen"),
        (bytes.fromhex("2204080110c0"), "not a frozen graph"),
    ],
)
def test_what_is_no_frozen_graph_is_told(data: bytes, told: str) -> None:
    with pytest.raises(UnreadableModelError, match=told):
        read_frozen_graph(data)


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(data=st.binary(max_size=200) | st.builds(lambda cut, more: GRAPH[:cut] + more, st.integers(0, 400), st.binary()))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(UnreadableModelError):
        read_frozen_graph(data, inputs=("image", "^", ":1"), outputs=("scores:0", ""))
