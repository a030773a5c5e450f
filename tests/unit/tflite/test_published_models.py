"""Reader and facts on models that others made and published; figures are from their own documentation or from a
second reader (TensorFlow's generated schema)."""

from __future__ import annotations

import pytest

from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.model import TensorQuantization
from tests.unit.tflite.shared_models import shared_model

# name: (tensors, operators, quantization, weights, tensors per channel, min_runtime)
FIGURES = {
    "deeplabv3_mnv2_dm05_pascal_quant": (186, 72, "per-tensor", "uint8", 0, "1.14.0"),
    "keras_lstm_mnist_ptq": (29, 6, "per-tensor", "int8", 0, "1.14.0"),
    "mobilenet_v1_0.25_128_quant": (89, 31, "per-tensor", "uint8", 0, "1.5.0"),
    "mobilenet_v2_1.0_224_quant": (174, 66, "per-tensor", "uint8", 0, "1.5.0"),
    "movenet_single_pose_lightning_ptq": (333, 157, "per-channel", "int8", 146, "2.2.0"),
    "split_concat": (12, 3, "per-tensor", "none", 0, ""),
    "tf2_mobilenet_v2_1.0_224_ptq": (177, 68, "per-channel", "int8", 106, "1.14.0"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_of_a_published_model(name: str) -> None:
    model = shared_model(name)
    facts = summarise(model)

    assert (
        len(model.main.tensors),
        len(model.main.operators),
        facts.quantization,
        facts.weight_kind,
        len(facts.per_channel_tensors),
        facts.min_runtime,
    ) == FIGURES[name]


def test_mobilenet_v2_is_what_its_publisher_describes() -> None:
    model = shared_model("mobilenet_v2_1.0_224_quant")
    (image,), (scores,) = model.inputs, model.outputs

    assert (image.name, image.shape, image.dtype) == ("input", (1, 224, 224, 3), "uint8")
    assert image.quantization == TensorQuantization(scales=(1 / 128,), zero_points=(128,))
    assert (scores.shape, scores.dtype) == ((1, 1001), "uint8")
    assert scores.quantization == TensorQuantization(scales=(1 / 256,), zero_points=(0,))
    facts = summarise(model)
    assert facts.operators == {
        "ADD": 10,
        "AVERAGE_POOL_2D": 1,
        "CONV_2D": 36,
        "DEPTHWISE_CONV_2D": 17,
        "RESHAPE": 1,
        "SOFTMAX": 1,
    }
    assert {operator.version for operator in model.main.operators} == {1}
    assert facts.float_tensors == facts.dynamic_tensors == ()


@pytest.mark.parametrize(
    ("name", "millions"), [("mobilenet_v1_0.25_128_quant", 14), ("mobilenet_v2_1.0_224_quant", 301)]
)
def test_multiply_accumulates_agree_with_the_published_figure(name: str, millions: int) -> None:
    assert round(summarise(shared_model(name)).macs / 1e6) == millions


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("mobilenet_v1_0.25_128_quant_edgetpu", 1, 1),
        ("split_concat_edgetpu", 3, 5),
        ("keras_lstm_mnist_ptq_edgetpu", 1, 1),
    ],
)
def test_a_file_compiled_for_the_edge_tpu_is_one_custom_operator(name: str, inputs: int, outputs: int) -> None:
    model = shared_model(name)
    facts = summarise(model)

    assert model.description == "Exported from Subgraph."
    assert facts.operators == {"edgetpu-custom-op": 1}
    assert facts.custom_operators == ("edgetpu-custom-op",)
    assert (len(model.inputs), len(model.outputs)) == (inputs, outputs)


def test_float_notes_of_a_quantized_lstm_are_not_float_computation() -> None:
    model = shared_model("keras_lstm_mnist_ptq")

    assert sum(tensor.dtype == "float32" for tensor in model.main.tensors) == 4
    assert summarise(model).float_tensors == ()
    assert [model.public_name(tensor) for tensor in (*model.inputs, *model.outputs)] == ["x", "output_0"]


def test_a_file_without_any_buffer_is_read() -> None:
    model = shared_model("model_invoking_error")

    assert [operator.label for operator in model.main.operators] == ["fake-op-double"]
    assert [tensor.constant_bytes for tensor in model.main.tensors] == [0, 0]


def test_every_published_model_is_read_with_known_operators_and_types() -> None:
    for name in FIGURES:
        model = shared_model(name)
        assert not [op.name for op in model.main.operators if op.name.startswith("UNKNOWN")]
        assert not [tensor.dtype for tensor in model.main.tensors if tensor.dtype.startswith("unknown")]
