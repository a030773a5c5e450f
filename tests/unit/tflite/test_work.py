"""What each operator costs and keeps: work, parameters, custom options."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.flatbuffer import NotAModelError
from dlpubuild.tflite.read import read_model
from dlpubuild.tflite.work import operator_macs, operator_parameter_bytes, parameter_bytes
from tests.factories.tflite_factory import (
    CONV_MACS,
    DENSE_MACS,
    custom_model,
    encode,
    integer_model,
    with_graph,
)

OPTIONS = b"what a compiler made" * 100


def compiled(*, outside: bool) -> bytes:
    spec = custom_model("edgetpu-custom-op")
    operators = spec.graphs[0].operators
    operators = (*operators[:-1], replace(operators[-1], custom_options=OPTIONS))
    return encode(replace(with_graph(spec, operators=operators), data_outside=outside))


def test_work_and_parameters_of_each_operator_add_up_to_those_of_the_model() -> None:
    model = read_model(encode(integer_model(io="uint8")))
    graph, facts = model.main, summarise(model)
    assert [operator_macs(graph, each) for each in graph.operators] == [0, CONV_MACS, DENSE_MACS, 0]
    costs = [operator_parameter_bytes(graph, each) for each in graph.operators]
    assert costs == [0, 8 * 3 * 3 * 3 + 8 * 4, 10 * 4 * 4 * 8 + 10 * 4, 0]
    assert sum(costs) == parameter_bytes(model) == facts.parameter_bytes


def test_a_constant_that_two_operators_share_counts_for_each_but_once_in_the_model() -> None:
    spec = integer_model()
    again = replace(spec.graphs[0].operators[0])
    model = read_model(encode(with_graph(spec, operators=(*spec.graphs[0].operators, again))))
    costs = [operator_parameter_bytes(model.main, each) for each in model.main.operators]
    assert costs[0] == costs[2]
    assert sum(costs) == parameter_bytes(model) + costs[2]


@pytest.mark.parametrize("outside", [False, True], ids=["inside", "behind-the-flatbuffer"])
def test_custom_options_are_measured(outside: bool) -> None:
    model = read_model(compiled(outside=outside))
    assert [each.custom_bytes for each in model.main.operators] == [0, 0, len(OPTIONS)]


def test_custom_options_behind_the_end_are_refused() -> None:
    with pytest.raises(NotAModelError):
        read_model(compiled(outside=True)[: -len(OPTIONS)])


def test_an_activation_is_what_is_fused() -> None:
    model = read_model(encode(integer_model()))
    assert [each.activation for each in model.main.operators] == ["RELU6", ""]
