"""What is said of a model, on small files that are known to the last tensor."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlpubuild.tflite.facts import ModelFacts, summarise
from dlpubuild.tflite.read import read_model
from dlpubuild.tflite.work import count_macs
from tests.factories.tflite_factory import (
    CONV_MACS,
    DENSE_MACS,
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    OptionsSpec,
    TensorSpec,
    custom_model,
    encode,
    float_model,
    integer_model,
    with_dynamic_batch,
    with_graph,
    with_tensor,
)


def facts_of(spec: ModelSpec) -> ModelFacts:
    return summarise(read_model(encode(spec)))


def constant(name: str, shape: tuple[int, ...], *, scales: tuple[float, ...] = (), dtype: str = "int8") -> TensorSpec:
    return TensorSpec(name=name, shape=shape, dtype=dtype, scales=scales, data=b"\1")


@pytest.mark.parametrize(
    ("spec", "quantization", "granularity", "weight_kind"),
    [
        (integer_model(), "per-tensor", "per-tensor", "int8"),
        (integer_model(per_channel=True), "per-channel", "per-channel", "int8"),
        (integer_model(io="uint8"), "per-tensor", "per-tensor", "int8"),
        (integer_model(per_channel=True, io="float32"), "per-channel", "per-channel", "int8"),
        (float_model(), "none", "none", "float32"),
        (float_model(weights="float16"), "float16", "none", "float16"),
        (float_model(weights="int8"), "dynamic", "per-channel", "int8"),
    ],
    ids=["per-tensor", "per-channel", "uint8-io", "float-io", "float", "float16", "dynamic"],
)
def test_quantization_is_read_from_tensors_and_operators(
    spec: ModelSpec, quantization: str, granularity: str, weight_kind: str
) -> None:
    facts = facts_of(spec)

    assert (facts.quantization, facts.granularity, facts.weight_kind) == (quantization, granularity, weight_kind)


def test_integer_weights_behind_a_dequantize_are_dynamic() -> None:
    spec = float_model(weights="float16")
    filters, dense = (replace(spec.graphs[0].tensors[i], dtype="int8", scales=(0.5,)) for i in (1, 4))

    facts = facts_of(with_tensor(with_tensor(spec, 1, filters), 4, dense))

    assert (facts.quantization, facts.granularity, facts.weight_kind) == ("dynamic", "per-tensor", "int8")


def test_one_bias_per_channel_makes_a_model_per_channel() -> None:
    bias = constant("bias", (8,), scales=(0.5, 0.25), dtype="int32")

    facts = facts_of(with_tensor(integer_model(), 2, bias))

    assert (facts.quantization, facts.granularity) == ("per-channel", "per-channel")
    assert [tensor.index for tensor in facts.per_channel_tensors] == [2]


def test_weights_of_two_types_are_mixed() -> None:
    assert facts_of(with_tensor(integer_model(), 4, constant("w", (10, 128), dtype="float32"))).weight_kind == "mixed"


def test_without_weights_quantized_activations_decide() -> None:
    tensors = tuple(TensorSpec(name=name, shape=(1, 4), dtype="uint8", scales=(0.5,)) for name in "ab")
    spec = with_graph(
        integer_model(),
        tensors=tensors,
        operators=(OperatorSpec(name="RESHAPE", inputs=(0,), outputs=(1,)),),
        inputs=(0,),
        outputs=(1,),
    )

    facts = facts_of(spec)

    assert (facts.quantization, facts.granularity, facts.weight_kind) == ("per-tensor", "none", "none")


def test_operators_are_counted_by_name_in_alphabetical_order() -> None:
    facts = facts_of(integer_model(io="uint8"))

    assert list(facts.operators.items()) == [("CONV_2D", 1), ("FULLY_CONNECTED", 1), ("QUANTIZE", 2)]


def test_operators_of_every_subgraph_are_counted() -> None:
    spec = integer_model()

    facts = facts_of(replace(spec, graphs=spec.graphs * 2))

    assert facts.operators == {"CONV_2D": 2, "FULLY_CONNECTED": 2}
    assert facts.macs == 2 * (CONV_MACS + DENSE_MACS)


def test_flex_operators_are_told_from_other_custom_operators() -> None:
    flex, custom = facts_of(custom_model("FlexErf")), facts_of(custom_model("TFLite_Detection_PostProcess"))

    assert (flex.flex_operators, flex.custom_operators) == (("FlexErf",), ())
    assert (custom.flex_operators, custom.custom_operators) == ((), ("TFLite_Detection_PostProcess",))
    assert custom.operators["TFLite_Detection_PostProcess"] == 1


def test_float_tensors_are_those_an_operator_touches() -> None:
    note = TensorSpec(name="intermediate", shape=(), dtype="float32")
    spec = integer_model(io="uint8", output_io="float32")

    facts = facts_of(with_graph(spec, tensors=(*spec.graphs[0].tensors, note)))

    assert [tensor.name for tensor in facts.float_tensors] == ["StatefulPartitionedCall:0"]


def test_dynamic_tensors_are_listed_by_index() -> None:
    assert facts_of(float_model()).dynamic_tensors == ()
    assert [t.index for t in facts_of(with_dynamic_batch(float_model())).dynamic_tensors] == [0, 3, 6]


def test_parameters_are_the_bytes_of_all_constants() -> None:
    filters, bias, dense, dense_bias = 8 * 3 * 3 * 3, 8 * 4, 10 * 128, 10 * 4

    assert facts_of(integer_model()).parameter_bytes == filters + bias + dense + dense_bias
    assert facts_of(float_model()).parameter_bytes == 4 * (filters + dense) + bias + dense_bias


def test_a_shared_buffer_counts_once() -> None:
    model = read_model(encode(integer_model()))
    first = model.main.tensors[1]
    tied = replace(model.main.tensors[4], buffer=first.buffer, constant_bytes=first.constant_bytes)
    tensors = (*model.main.tensors[:4], tied, *model.main.tensors[5:])

    facts = summarise(replace(model, subgraphs=(replace(model.main, tensors=tensors),)))

    assert facts.parameter_bytes == first.constant_bytes + 8 * 4 + 10 * 4


def test_the_minimum_runtime_is_read_without_its_padding() -> None:
    assert facts_of(integer_model()).min_runtime == "2.3.0"
    assert facts_of(replace(integer_model(), metadata={})).min_runtime == ""
    assert facts_of(replace(integer_model(), metadata={"min_runtime_version": bytes(16)})).min_runtime == ""


ADJ_X = OptionsSpec(union_type=101, fields=((0, "bool", True),))


@pytest.mark.parametrize(
    ("name", "inputs", "output", "options", "macs"),
    [
        ("CONV_2D", [(1, 9, 9, 3), (8, 3, 3, 3)], (1, 4, 4, 8), None, 4 * 4 * 8 * 27),
        ("CONV_2D", [(1, 9, 9, 4), (8, 3, 3, 2)], (1, 4, 4, 8), None, 4 * 4 * 8 * 18),
        ("DEPTHWISE_CONV_2D", [(1, 9, 9, 4), (1, 3, 3, 8)], (1, 7, 7, 8), None, 7 * 7 * 8 * 9),
        ("TRANSPOSE_CONV", [(4,), (8, 3, 3, 2), (1, 5, 5, 2)], (1, 10, 10, 8), None, 5 * 5 * 2 * 9 * 8),
        ("FULLY_CONNECTED", [(2, 16), (10, 16)], (2, 10), None, 2 * 10 * 16),
        ("BATCH_MATMUL", [(2, 3, 5), (2, 5, 7)], (2, 3, 7), None, 2 * 3 * 7 * 5),
        ("BATCH_MATMUL", [(2, 5, 3), (2, 5, 7)], (2, 3, 7), ADJ_X, 2 * 3 * 7 * 5),
        ("ADD", [(1, 9, 9, 3), (1, 9, 9, 3)], (1, 9, 9, 3), None, 0),
    ],
    ids=["conv", "grouped-conv", "depthwise", "transpose", "dense", "matmul", "matmul-adj-x", "add"],
)
def test_multiply_accumulates(
    name: str,
    inputs: list[tuple[int, ...]],
    output: tuple[int, ...],
    options: OptionsSpec | None,
    macs: int,
) -> None:
    last = len(inputs)
    graph = GraphSpec(
        tensors=tuple(TensorSpec(name="t", shape=shape) for shape in (*inputs, output)),
        operators=(OperatorSpec(name=name, inputs=tuple(range(last)), outputs=(last,), options=options),),
        inputs=(0,),
        outputs=(last,),
    )

    assert count_macs(read_model(encode(ModelSpec(graphs=(graph,))))) == macs


def test_a_dynamic_batch_counts_as_one() -> None:
    assert facts_of(with_dynamic_batch(integer_model())).macs == CONV_MACS + DENSE_MACS
