"""The gate, rule by rule and both ways: what fails it, and what looks alike and passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlpubuild.errors import ErrorCode, ExitCode, GateError
from dlpubuild.targets.gate import (
    SHOWN_PER_RULE,
    GateFinding,
    GateRule,
    ModelNeeds,
    gate_findings,
    raise_for_findings,
)
from dlpubuild.tflite.read import read_model
from tests.factories.tflite_factory import (
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    custom_model,
    encode,
    float_model,
    integer_model,
    with_dynamic_batch,
    with_graph,
    with_tensor,
)
from tests.unit.tflite.shared_models import shared_model

PER_TENSOR = ModelNeeds(
    quantization="per-tensor", input_type="int8", output_type="int8", integer_only=True, static_shapes=True, batch=1
)
PER_CHANNEL = replace(PER_TENSOR, quantization="per-channel")
UINT8 = replace(PER_TENSOR, input_type="uint8", output_type="uint8")
FLOAT_IO = replace(PER_TENSOR, input_type="float32", output_type="float32")
CPU = ModelNeeds(
    quantization="none",
    input_type="float32",
    output_type="float32",
    integer_only=False,
    static_shapes=False,
    batch=None,
)


def findings(spec: ModelSpec, needs: ModelNeeds) -> tuple[GateFinding, ...]:
    return gate_findings(read_model(encode(spec)), needs)


def rules(spec: ModelSpec, needs: ModelNeeds) -> list[str]:
    return [finding.rule.value for finding in findings(spec, needs)]


def activation(name: str, dtype: str, *, shape: tuple[int, ...] = (1, 10)) -> TensorSpec:
    return TensorSpec(name=name, shape=shape, dtype=dtype, scales=() if dtype == "float32" else (0.5,))


def extended(spec: ModelSpec, operator: str, tensor: TensorSpec) -> ModelSpec:
    """Return `spec` with one more operator, whose output `tensor` is the model's only one."""
    graph = spec.graphs[0]
    last = len(graph.tensors)
    step = OperatorSpec(name=operator, inputs=graph.outputs, outputs=(last,))
    return with_graph(spec, tensors=(*graph.tensors, tensor), operators=(*graph.operators, step), outputs=(last,))


@pytest.mark.parametrize(
    ("spec", "needs"),
    [
        (integer_model(), PER_TENSOR),
        (integer_model(io="uint8"), UINT8),
        (integer_model(io="float32"), FLOAT_IO),
        (integer_model(io="uint8", output_io="float32"), replace(UINT8, output_type="float32")),
        (integer_model(per_channel=True), PER_CHANNEL),
        (integer_model(per_channel=True, io="uint8"), replace(UINT8, quantization="per-channel")),
        (float_model(), CPU),
        (float_model(weights="float16"), replace(CPU, quantization="float16")),
        (float_model(weights="int8"), replace(CPU, quantization="dynamic")),
        (integer_model(per_channel=True), replace(PER_CHANNEL, integer_only=False, static_shapes=False, batch=None)),
    ],
    ids=[
        "int8",
        "uint8",
        "float-io",
        "mixed-io",
        "per-channel",
        "per-channel-uint8",
        "float",
        "float16",
        "dynamic",
        "cpu-int8",
    ],
)
def test_a_file_that_is_what_was_asked_for_has_no_findings(spec: ModelSpec, needs: ModelNeeds) -> None:
    assert findings(spec, needs) == ()


def test_per_tensor_refuses_every_tensor_with_more_than_one_scale() -> None:
    found = findings(integer_model(per_channel=True), PER_TENSOR)

    assert [finding.rule for finding in found] == [GateRule.PER_CHANNEL_TENSOR] * 2
    assert [finding.subject for finding in found] == ["tensor 1 'conv/filters'", "tensor 2 'conv/bias'"]
    assert found[0].found == "8 scales along dimension 0"


def test_per_tensor_refuses_a_per_channel_tensor_of_another_subgraph() -> None:
    spec = integer_model()
    body = GraphSpec(
        tensors=(TensorSpec(name="w", shape=(2,), scales=(1.0, 2.0), data=b"ab"),), operators=(), inputs=(), outputs=()
    )

    found = findings(replace(spec, graphs=(*spec.graphs, body)), PER_TENSOR)

    assert [(f.rule, f.subject) for f in found] == [(GateRule.PER_CHANNEL_TENSOR, "tensor 0 'w' of subgraph 1")]


def test_per_channel_accepts_a_model_that_is_per_tensor_throughout() -> None:
    assert rules(integer_model(), PER_CHANNEL) == []


@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
@pytest.mark.parametrize("needs", [FLOAT_IO, replace(FLOAT_IO, quantization="per-channel")])
def test_integer_schemes_refuse_float_activations_whatever_the_weights(weights: str, needs: ModelNeeds) -> None:
    spec = {
        "float32": float_model(),
        "float16": float_model(weights="float16"),
        "int8": float_model(weights="int8"),
    }[weights]

    found = rules(spec, needs)

    assert found[0] == "not-quantized"
    assert "float-operator" in found


def test_a_cpu_target_that_asks_for_integers_refuses_a_float_model() -> None:
    assert rules(float_model(), replace(CPU, quantization="per-channel")) == ["not-quantized"]
    assert rules(float_model(weights="int8"), replace(CPU, quantization="per-channel")) == ["not-quantized"]


def test_weights_that_should_be_smaller_and_are_not_are_a_fault() -> None:
    assert rules(float_model(), replace(CPU, quantization="float16")) == ["not-quantized"]
    assert rules(float_model(), replace(CPU, quantization="dynamic")) == ["not-quantized"]
    assert rules(float_model(weights="float16"), replace(CPU, quantization="dynamic")) == ["not-quantized"]


def test_dynamic_passes_where_every_weight_is_too_small_for_the_converter() -> None:
    small = TensorSpec(name="dense/weights", shape=(7, 128), dtype="float32", data=bytes(4 * 7 * 128))

    assert rules(with_tensor(float_model(), 4, small), replace(CPU, quantization="dynamic")) == []


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_a_float_target_refuses_smaller_weights(weights: str) -> None:
    spec = float_model(weights="float16") if weights == "float16" else float_model(weights="int8")

    assert rules(spec, CPU) == ["unwanted-quantization"]


def test_a_dynamic_target_refuses_integer_activations() -> None:
    needs = replace(CPU, quantization="dynamic")

    assert rules(integer_model(io="float32"), needs) == ["unwanted-quantization"]


def test_float_weights_in_a_quantized_model_make_a_float_operator() -> None:
    weights = TensorSpec(name="w", shape=(10, 128), dtype="float32", data=bytes(5120))

    (finding,) = findings(with_tensor(integer_model(), 4, weights), PER_TENSOR)

    assert (finding.rule, finding.subject) == (GateRule.FLOAT_OPERATOR, "operator 1 FULLY_CONNECTED")
    assert finding.found == "float32 in tensor 4 'w'"


@pytest.mark.parametrize(
    ("dtype", "scales", "found"),
    [("int8", (), "int8 without a scale"), ("int4", (0.5,), "int4"), ("int16", (0.5,), "int16")],
)
def test_weights_must_be_eight_bits_with_a_scale(dtype: str, scales: tuple[float, ...], found: str) -> None:
    weights = TensorSpec(name="w", shape=(10, 128), dtype=dtype, scales=scales, data=bytes(1280))

    (finding,) = findings(with_tensor(integer_model(), 4, weights), PER_TENSOR)

    assert (finding.rule, finding.found) == (GateRule.WEIGHT_TYPE, found)


def test_a_float_operator_between_quantized_ones_is_named_with_its_index() -> None:
    spec = extended(integer_model(), "DEQUANTIZE", activation("y", "float32"))
    spec = extended(spec, "SOFTMAX", activation("z", "float32"))
    spec = extended(spec, "QUANTIZE", activation("out", "int8"))

    found = findings(spec, PER_TENSOR)

    assert [finding.rule for finding in found] == [GateRule.FLOAT_OPERATOR] * 3
    assert [finding.subject for finding in found] == [
        "operator 2 DEQUANTIZE",
        "operator 3 SOFTMAX",
        "operator 4 QUANTIZE",
    ]


def test_a_float_operator_behind_the_float_output_that_was_asked_for_is_a_fault() -> None:
    spec = extended(integer_model(io="float32"), "SOFTMAX", activation("z", "float32"))

    found = findings(spec, FLOAT_IO)

    assert [finding.subject for finding in found] == ["operator 3 DEQUANTIZE", "operator 4 SOFTMAX"]


def test_quantize_and_dequantize_are_float_operators_where_integers_were_asked_for() -> None:
    assert rules(integer_model(io="float32"), PER_TENSOR) == [
        "input-type",
        "output-type",
        "float-operator",
        "float-operator",
    ]


def test_float_operators_are_nobody_s_business_on_a_cpu() -> None:
    assert rules(float_model(), replace(CPU, integer_only=False)) == []


def test_integer_tensors_of_other_widths_are_no_fault() -> None:
    spec = integer_model()
    indices = TensorSpec(name="shape", shape=(2,), dtype="int32", data=bytes(8))
    wide = TensorSpec(name="wide", shape=(1, 128), dtype="int16", scales=(0.5,))
    mask = TensorSpec(name="mask", shape=(1, 128), dtype="bool")
    graph = spec.graphs[0]
    spec = with_graph(
        spec,
        tensors=(*graph.tensors, indices, wide, mask),
        operators=(
            *graph.operators,
            OperatorSpec(name="RESHAPE", inputs=(3, 7), outputs=(8,)),
            OperatorSpec(name="CUMSUM", inputs=(8, 7), outputs=(9,)),
        ),
    )

    assert rules(spec, PER_TENSOR) == []


def test_a_flex_operator_is_a_fault_and_is_named() -> None:
    (finding,) = findings(custom_model("FlexErf"), PER_TENSOR)

    assert (finding.rule, finding.subject) == (GateRule.FLEX_OPERATOR, "operator 2 FlexErf")


def test_a_custom_operator_is_a_fault_and_is_named() -> None:
    (finding,) = findings(custom_model("PosenetDecoderOp"), PER_TENSOR)

    assert (finding.rule, finding.subject) == (GateRule.CUSTOM_OPERATOR, "operator 2 PosenetDecoderOp")


def test_the_detection_that_tensorflow_lite_brings_itself_is_none() -> None:
    assert rules(custom_model("TFLite_Detection_PostProcess"), PER_TENSOR) == []


def test_outputs_of_the_detection_are_float_whatever_the_type_of_the_others() -> None:
    spec = custom_model("TFLite_Detection_PostProcess")
    boxes = TensorSpec(name="boxes", shape=(), dtype="float32")
    spec = with_graph(with_tensor(spec, 7, boxes), outputs=(7,))

    assert rules(spec, replace(PER_TENSOR, output_type="uint8")) == []
    other = with_graph(with_tensor(custom_model("Other"), 7, boxes), outputs=(7,))
    assert "output-type" in rules(other, PER_TENSOR)


def test_custom_operators_are_left_to_a_cpu() -> None:
    needs = replace(PER_TENSOR, integer_only=False)

    assert rules(custom_model("FlexErf"), needs) == []


def test_a_dynamic_shape_is_a_fault_where_shapes_must_be_static() -> None:
    found = findings(with_dynamic_batch(integer_model()), PER_TENSOR)

    assert {finding.rule for finding in found} == {GateRule.DYNAMIC_SHAPE}
    assert [finding.found for finding in found] == ["shape ?x9x9x3", "shape ?x4x4x8", "shape ?x10"]


def test_a_dynamic_shape_inside_the_graph_is_a_fault_too() -> None:
    tensor = TensorSpec(name="conv/relu6", shape=(1, 4, 4, 8), scales=(0.5,), shape_signature=(1, -1, 4, 8))

    (finding,) = findings(with_tensor(integer_model(), 3, tensor), PER_TENSOR)

    assert (finding.rule, finding.subject) == (GateRule.DYNAMIC_SHAPE, "tensor 3 'conv/relu6'")


def test_dynamic_shapes_pass_where_they_are_allowed() -> None:
    assert rules(with_dynamic_batch(float_model()), CPU) == []


def test_a_dynamic_batch_is_a_batch_fault_where_shapes_may_be_dynamic() -> None:
    assert rules(with_dynamic_batch(float_model()), replace(CPU, batch=1)) == ["batch-size"]


def test_a_batch_of_four_is_a_fault_where_one_is_wanted() -> None:
    spec = with_tensor(integer_model(), 0, activation("image", "int8", shape=(4, 9, 9, 3)))

    (finding,) = findings(spec, PER_TENSOR)

    assert (finding.rule, finding.found) == (GateRule.BATCH_SIZE, "shape 4x9x9x3")
    assert rules(spec, replace(PER_TENSOR, batch=None)) == []


def test_a_vector_input_has_no_batch() -> None:
    spec = with_tensor(integer_model(), 0, activation("image", "int8", shape=(243,)))

    assert rules(spec, PER_TENSOR) == []


@pytest.mark.parametrize(
    ("spec", "needs", "expected"),
    [
        (integer_model(), UINT8, ["input-type", "output-type"]),
        (integer_model(io="uint8"), PER_TENSOR, ["input-type", "output-type"]),
        (integer_model(io="uint8", output_io="int8"), UINT8, ["output-type"]),
        (integer_model(), FLOAT_IO, ["input-type", "output-type"]),
    ],
    ids=["int8-for-uint8", "uint8-for-int8", "output-only", "int8-for-float"],
)
def test_inputs_and_outputs_must_have_the_type_asked_for(
    spec: ModelSpec, needs: ModelNeeds, expected: list[str]
) -> None:
    assert rules(spec, needs) == expected


def test_an_output_of_indices_has_no_eight_bit_form_and_passes() -> None:
    spec = extended(integer_model(io="uint8"), "ARG_MAX", TensorSpec(name="class", shape=(1,), dtype="int64"))

    assert rules(spec, UINT8) == []


def test_an_output_of_wide_integers_with_a_scale_is_a_real_value_and_fails() -> None:
    tensor = TensorSpec(name="sum", shape=(1,), dtype="int32", scales=(0.5,))

    assert rules(extended(integer_model(io="uint8"), "ADD", tensor), UINT8) == ["output-type"]


def test_findings_come_by_rule_and_then_in_file_order() -> None:
    found = rules(with_dynamic_batch(integer_model(per_channel=True, io="uint8")), PER_TENSOR)

    order = [rule.value for rule in GateRule]
    assert found == sorted(found, key=order.index)
    assert found.count("dynamic-shape") == 5


def test_long_names_are_shortened_to_their_end() -> None:
    name = "model/" + "block/" * 20 + "conv/filters;model/bn/FusedBatchNormV3"
    tensor = TensorSpec(name=name, shape=(8, 3, 3, 3), scales=(1.0, 2.0), data=bytes(216))

    (finding,) = findings(with_tensor(integer_model(), 1, tensor), PER_TENSOR)

    assert finding.subject.endswith("/block/conv/filters'")
    assert len(finding.subject) < 80


def test_nothing_is_raised_without_findings() -> None:
    raise_for_findings((), soc="artpec8", file="model.tflite")


def test_a_failed_gate_has_its_own_code_and_exit_code() -> None:
    with pytest.raises(GateError) as caught:
        raise_for_findings(findings(float_model(), PER_TENSOR), soc="artpec8", file="model.tflite")

    assert caught.value.code is ErrorCode.GATE
    assert caught.value.exit_code is ExitCode.GATE_FAILED


def test_the_wording_of_a_failed_gate() -> None:
    with pytest.raises(GateError) as caught:
        raise_for_findings(findings(custom_model("FlexErf"), UINT8), soc="artpec9", file="digits-artpec9/model.tflite")

    assert str(caught.value) == (
        "digits-artpec9/model.tflite is not what artpec9 needs:\n"
        "  input-type (1): ask the converter for uint8 inputs\n"
        "    tensor 0 'image_int8': found int8, wanted uint8\n"
        "  output-type (1): ask the converter for uint8 outputs\n"
        "    tensor 7 'custom': found int8, wanted uint8\n"
        "  flex-operator (1): express it in built-in operators; cameras have no Flex delegate\n"
        "    operator 2 FlexErf: found an operator of TensorFlow itself, wanted operators of TensorFlow Lite only\n"
        "  hint: change what is said above in the model or under [target.artpec9] of the manifest, and build again"
    )


def test_the_text_shows_eight_findings_of_a_rule_and_counts_the_rest() -> None:
    finding = GateFinding(rule=GateRule.DYNAMIC_SHAPE, subject="tensor 1 'x'", found="a", wanted="b", change="c")

    with pytest.raises(GateError) as caught:
        raise_for_findings([finding] * (SHOWN_PER_RULE + 3), soc="artpec8", file="m")

    assert caught.value.message.count("tensor 1 'x'") == SHOWN_PER_RULE
    assert "and 3 more" in caught.value.message
    assert "dynamic-shape (11)" in caught.value.message


@pytest.mark.parametrize(
    ("name", "needs", "expected"),
    [
        ("mobilenet_v2_1.0_224_quant", UINT8, {}),
        ("deeplabv3_mnv2_dm05_pascal_quant", UINT8, {}),
        ("keras_lstm_mnist_ptq", UINT8, {}),
        ("split_concat", UINT8, {}),
        ("tf2_mobilenet_v2_1.0_224_ptq", replace(UINT8, quantization="per-channel"), {}),
        ("tf2_mobilenet_v2_1.0_224_ptq", UINT8, {"per-channel-tensor": 106}),
        ("mobilenet_v1_0.25_128_quant_edgetpu", UINT8, {"custom-operator": 1}),
        (
            "movenet_single_pose_lightning_ptq",
            replace(UINT8, quantization="per-channel"),
            {"output-type": 1, "float-operator": 18},
        ),
    ],
)
def test_the_gate_on_published_models(name: str, needs: ModelNeeds, expected: dict[str, int]) -> None:
    found = [finding.rule.value for finding in gate_findings(shared_model(name), needs)]

    assert {rule: found.count(rule) for rule in sorted(set(found))} == expected


# compiled models

EDGETPU = replace(PER_CHANNEL, compiled_operator="edgetpu-custom-op")


def test_a_compiled_model_may_have_the_operator_of_its_compiler_and_no_other() -> None:
    compiled = custom_model("edgetpu-custom-op")
    assert rules(compiled, EDGETPU) == []
    assert rules(compiled, PER_CHANNEL) == ["custom-operator"]
    assert "custom-operator" in rules(custom_model("PosenetDecoderOp"), EDGETPU)


def test_what_was_not_compiled_is_no_compiled_model() -> None:
    (finding,) = findings(integer_model(), EDGETPU)
    assert (finding.rule, finding.subject) == (GateRule.CUSTOM_OPERATOR, "model")


def test_types_sizes_and_batch_of_a_compiled_model_count() -> None:
    assert rules(custom_model("edgetpu-custom-op"), replace(EDGETPU, input_type="uint8")) == ["input-type"]
    assert "dynamic-shape" in rules(with_dynamic_batch(custom_model("edgetpu-custom-op")), EDGETPU)


@pytest.mark.parametrize(
    "name", ["deeplabv3_mnv2_dm05_pascal_quant", "movenet_single_pose_lightning_ptq", "mobilenet_v1_0.25_128_quant"]
)
def test_published_compiled_models_are_compiled_and_pass(name: str) -> None:
    model = shared_model(f"{name}_edgetpu")
    (output,) = model.outputs
    needs = replace(EDGETPU, input_type="uint8", output_type="float32" if output.dtype == "float32" else "uint8")
    assert gate_findings(model, needs) == ()
    assert gate_findings(model, replace(needs, compiled_operator=None))
