"""What a rule may ask of an operator, a tensor and a model."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.targets.lint.expression import condition
from dlpubuild.targets.lint.facts import WholeModelFacts
from dlpubuild.targets.lint.operator_facts import OperatorFacts
from dlpubuild.targets.lint.tensor_facts import SingleTensorFacts, TensorFacts
from dlpubuild.tflite.option_defaults import complete_options, default_options, option_names
from dlpubuild.tflite.read import read_model
from dlpubuild.tflite.runtime import min_runtime
from dlpubuild.tflite.schema import OPERATOR_NAMES
from tests.factories.tflite_factory import (
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    OptionsSpec,
    TensorSpec,
    encode,
    float_model,
    integer_model,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def ints(*values: int, shape: tuple[int, ...] | None = None) -> TensorSpec:
    """Return a constant of int32."""
    return TensorSpec(
        name="ints", shape=(len(values),) if shape is None else shape, dtype="int32",
        data=struct.pack(f"<{len(values)}i", *values),
    )  # fmt: skip


def feature(*shape: int) -> TensorSpec:
    return TensorSpec(name="feature", shape=shape, scales=(0.5,), zero_points=(3,))


def facts_of(
    name: str,
    inputs: Sequence[TensorSpec | None],
    outputs: Sequence[TensorSpec] = (),
    options: OptionsSpec | None = None,
) -> OperatorFacts:
    """Return the facts of the one operator of a model; None stands for an absent input."""
    tensors: list[TensorSpec] = []
    indices = []
    for each in inputs:
        indices.append(-1 if each is None else len(tensors))
        if each is not None:
            tensors.append(each)
    first_output = len(tensors)
    tensors += outputs
    operator = OperatorSpec(
        name=name, inputs=tuple(indices), outputs=tuple(range(first_output, len(tensors))), options=options
    )
    graph = GraphSpec(tensors=tuple(tensors), operators=(operator,), inputs=(0,), outputs=(len(tensors) - 1,))
    model = read_model(encode(ModelSpec(graphs=(graph,))))
    return OperatorFacts(model, model.main, model.main.operators[0])


def axis_options(union: int, field: int, value: int) -> OptionsSpec:
    return OptionsSpec(union_type=union, fields=((field, "int32", value),))


def test_a_convolution() -> None:
    model = read_model(encode(integer_model(per_channel=True)))
    facts = OperatorFacts(model, model.main, model.main.operators[0])
    assert (facts.name, facts.version, facts.custom_code) == ("CONV_2D", 3, "")
    assert facts.x is not None
    assert facts.w is not None
    assert facts.bias is not None
    assert facts.y is not None
    assert (facts.x.name, facts.w.name, facts.bias.name, facts.y.name) == (
        "image_int8", "conv/filters", "conv/bias", "conv/relu6",
    )  # fmt: skip
    assert (facts.kernel_h, facts.kernel_w, facts.groups) == (3, 3, 1)
    assert (facts.op["stride_h"], facts.op["padding"], facts.op["fused_activation_function"]) == (2, "VALID", "RELU6")
    assert (facts.op["dilation_h_factor"], facts.op["dilation_w_factor"]) == (1, 1)
    assert (facts.w.per_channel, len(facts.w.scales), facts.w.scale) == (True, 8, 0.25)
    assert (facts.x.n, facts.x.h, facts.x.w, facts.x.c, facts.x.rank, facts.x.elements) == (1, 9, 9, 3, 4, 243)
    assert [each.name for each in facts.constants] == ["conv/filters", "conv/bias"]
    assert (facts.axes, facts.pads, facts.begin, facts.end, facts.size, facts.strides, facts.new_shape) == (None,) * 7


def test_a_grouped_convolution_has_as_many_groups_as_its_weights_lack_channels() -> None:
    facts = facts_of("CONV_2D", [feature(1, 8, 8, 16), feature(32, 3, 3, 4)], [feature(1, 8, 8, 32)])
    assert facts.groups == 4


def test_a_depthwise_convolution_has_a_group_for_each_channel() -> None:
    facts = facts_of("DEPTHWISE_CONV_2D", [feature(1, 8, 8, 16), feature(1, 3, 5, 16)], [feature(1, 8, 8, 16)])
    assert (facts.groups, facts.kernel_h, facts.kernel_w) == (16, 3, 5)


def test_the_input_of_a_transposed_convolution_is_not_its_constant_shape() -> None:
    weights = replace(feature(8, 2, 4, 16), data=bytes(8 * 2 * 4 * 16))
    facts = facts_of("TRANSPOSE_CONV", [ints(1, 8, 8, 8), weights, feature(1, 4, 4, 16)], [feature(1, 8, 8, 8)])
    assert facts.x is not None
    assert facts.x.shape == (1, 4, 4, 16)
    assert (facts.kernel_h, facts.kernel_w, facts.bias) == (2, 4, None)


def test_a_pool_has_its_size_in_its_options() -> None:
    options = OptionsSpec(union_type=5, fields=((3, "int32", 7), (4, "int32", 8)))
    facts = facts_of("AVERAGE_POOL_2D", [feature(1, 8, 8, 4)], [feature(1, 1, 1, 4)], options)
    assert (facts.kernel_h, facts.kernel_w, facts.groups, facts.w) == (8, 7, None, None)


@pytest.mark.parametrize(
    ("name", "inputs", "output", "options", "axes"),
    [
        ("MEAN", [feature(1, 8, 8, 4), ints(-3, 2)], feature(1, 4), None, (1, 2)),
        ("MEAN", [feature(1, 8, 8, 4), ints(1, shape=())], feature(1, 8, 4), None, (1,)),
        ("CONCATENATION", [feature(1, 8, 8, 4)] * 2, feature(1, 8, 8, 8), axis_options(10, 0, -1), (3,)),
        ("SPLIT", [ints(3, shape=()), feature(1, 8, 8, 4)], feature(1, 8, 8, 2), None, (3,)),
        ("PACK", [feature(8, 4)] * 2, feature(2, 8, 4), axis_options(59, 1, -3), (0,)),
        ("SOFTMAX", [feature(1, 10)], feature(1, 10), None, (1,)),
        ("ARG_MAX", [feature(1, 10), ints(-1)], ints(0), None, (1,)),
        ("EXPAND_DIMS", [feature(8, 4), ints(-1)], feature(8, 4, 1), None, (2,)),
        ("SQUEEZE", [feature(1, 8, 1, 4)], feature(8, 4), None, (0, 2)),
        # What is computed by the model, and what is beyond the tensor, is not known.
        ("MEAN", [feature(1, 8, 8, 4), replace(ints(1), data=b"")], feature(1, 4), None, None),
        ("MEAN", [feature(1, 8, 8, 4), ints(-5)], feature(1, 4), None, None),
        ("MEAN", [feature(1, 8, 8, 4), ints(4)], feature(1, 4), None, None),
        ("MEAN", [feature(1, 8, 8, 4)], feature(1, 4), None, None),
        ("ADD", [feature(1, 8)], feature(1, 8), None, None),
    ],
)
def test_axes_are_counted_from_zero(
    name: str, inputs: list[TensorSpec], output: TensorSpec, options: OptionsSpec | None, axes: tuple[int, ...] | None
) -> None:
    assert facts_of(name, inputs, [output], options).axes == axes


def test_pads_come_in_pairs() -> None:
    facts = facts_of("PAD", [feature(1, 8, 8, 4), ints(0, 0, 1, 2, 3, 4, 0, 0, shape=(4, 2))], [feature(1, 11, 15, 4)])
    assert facts.pads == ((0, 0), (1, 2), (3, 4), (0, 0))


def test_a_strided_slice() -> None:
    inputs = [feature(1, 8), ints(0, 1), ints(1, 7), ints(1, 2)]
    facts = facts_of("STRIDED_SLICE", inputs, [feature(1, 3)])
    assert (facts.begin, facts.end, facts.strides, facts.size) == ((0, 1), (1, 7), (1, 2), None)
    assert facts.op["ellipsis_mask"] == 0


def test_what_a_reshape_is_asked_for_stands_in_a_constant_or_in_its_options() -> None:
    assert facts_of("RESHAPE", [feature(1, 8), ints(2, -1)], [feature(2, 4)]).new_shape == (2, -1)
    assert facts_of("RESHAPE", [feature(1, 8)], [feature(2, 4)]).new_shape is None


def test_an_absent_bias_is_none_and_not_the_last_tensor() -> None:
    facts = facts_of("FULLY_CONNECTED", [feature(1, 8), feature(4, 8), None], [feature(1, 4)])
    assert facts.bias is None
    assert len(facts.inputs) == 2


def test_an_operator_without_tensors_has_no_facts_but_its_name() -> None:
    facts = facts_of("CONV_2D", [None], [feature(1)])
    lone = replace(facts._operator, outputs=())
    bare = OperatorFacts(facts._model, facts._graph, lone)
    assert (bare.x, bare.y, bare.w, bare.bias, bare.kernel_h, bare.groups, bare.axes) == (None,) * 7
    assert (bare.inputs, bare.outputs, bare.constants) == ([], [], [])


def test_a_tensor() -> None:
    model = read_model(encode(float_model()))
    facts = TensorFacts(model, model.main.tensors[2])
    assert (facts.dtype, facts.is_integer8, facts.scale, facts.zero_point, facts.scales) == (
        "float32", False, None, None, (),
    )  # fmt: skip
    assert (facts.n, facts.h, facts.w, facts.c) == (1, 1, 1, 8)
    assert (facts.is_constant, facts.is_dynamic, facts.bytes, facts.values) == (True, False, 32, (0.0,) * 8)
    assert TensorFacts(model, model.main.tensors[3]).bytes == 4 * 4 * 8 * 4
    assert TensorFacts(model, model.main.tensors[3]).values is None


def test_a_scalar_and_a_huge_tensor() -> None:
    scalar = SingleTensorFacts(read_model(encode(float_model())), read_model(encode(float_model())).inputs[0]).t
    assert scalar.rank == 4
    huge = facts_of("ADD", [feature(*[2**31 - 1] * 16)], [feature()])
    assert huge.x is not None
    assert huge.y is not None
    assert huge.x.elements == (2**31 - 1) ** 16
    assert (huge.y.rank, huge.y.c, huge.y.elements, huge.y.bytes) == (0, 1, 1, 1)


def test_the_whole_model() -> None:
    model = read_model(encode(integer_model(per_channel=True)))
    facts = WholeModelFacts(model, None).model
    assert (facts.granularity, facts.quantization) == ("per-channel", "per-channel")
    assert dict(facts.operators) == {"CONV_2D": 1, "FULLY_CONNECTED": 1}
    assert (facts.parts, facts.switches, facts.dlpu_operators, facts.cpu_operators) == (None,) * 4
    assert facts.macs > 0
    assert facts.parameter_bytes > 0
    assert facts.min_runtime == min_runtime(model).version
    assert [each.name for each in (*facts.inputs, *facts.outputs)] == ["image_int8", "probabilities_int8"]


def test_a_file_without_options_has_the_schemas_defaults() -> None:
    facts = facts_of("CONV_2D", [feature(1, 8, 8, 3), feature(4, 3, 3, 3)], [feature(1, 8, 8, 4)])
    assert dict(facts.op) == {
        "padding": "SAME",
        "stride_w": 0,
        "stride_h": 0,
        "fused_activation_function": "NONE",
        "dilation_w_factor": 1,
        "dilation_h_factor": 1,
    }


def test_options_of_another_operator_leave_the_own_ones_at_their_defaults() -> None:
    facts = facts_of("CONV_2D", [feature(1, 8, 8, 3)], [feature(1)], axis_options(10, 0, 2))
    assert (facts.op["axis"], facts.op["stride_h"]) == (2, 0)


@pytest.mark.parametrize("name", OPERATOR_NAMES)
def test_defaults_are_known_for_every_operator(name: str) -> None:
    assert default_options(name).keys() <= option_names()
    operator = replace(facts_of("ADD", [feature(1)], [feature(1)])._operator, name=name, options={})
    assert complete_options(operator) == default_options(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y.c == 4 and x.h == 8", True),
        ("op.stride_h is defined", True),
        ("bias is none", True),
        ("bias", False),
        ("op.stride_h", False),
        ("axes is none or 3 in axes", True),
        ("inputs | length == 2 and inputs | selectattr('is_constant') | list | length == 0", True),
        ("kernel_h in (1, 5)", False),
        ("x.dtype.startswith('int')", True),
    ],
)
def test_expressions_over_facts(text: str, expected: Any) -> None:
    facts = facts_of("CONV_2D", [feature(1, 8, 8, 3), feature(4, 3, 3, 3)], [feature(1, 8, 8, 4)])
    assert condition(text, "operator").of(facts) is expected
