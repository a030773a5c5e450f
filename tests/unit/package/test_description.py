from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlpubuild.errors import ErrorCode, GateError
from dlpubuild.package.description import (
    ImageGeometry,
    describe_tflite,
    float32_text,
    image_geometry,
    preprocessing_by_input,
)
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.model import Subgraph, Tensor, TensorQuantization, TfliteModel
from dlpubuild.tflite.read import read_file
from tests.unit.package.specs import IMAGE, RGB_0_TO_1

MODELS = Path(__file__).resolve().parents[4] / "shared" / "data" / "models"
PROPERTY = settings(derandomize=True, database=None, deadline=None)


def float32(value: float) -> float:
    stored: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return stored


@PROPERTY
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(0.003921568859368563)
@example(3.4028234663852886e38)
@example(1.401298464324817e-45)
def test_a_float32_is_written_so_that_it_reads_back(value: float) -> None:
    text = float32_text(value)
    assert float32(float(text)) == value
    assert "." in text or "e" in text
    digits = text.split("e", maxsplit=1)[0].strip("-").replace(".", "").strip("0")
    assert len(digits) <= 9


@pytest.mark.parametrize(
    ("value", "text"),
    [(1 / 255, "0.003921569"), (0.1, "0.1"), (1.0, "1.0"), (255.0, "255.0"), (1e-5, "1e-05"), (0.0187, "0.0187")],
)
def test_a_float32_is_written_as_short_as_can_be(value: float, text: str) -> None:
    assert float32_text(float32(value)) == text


@pytest.mark.parametrize(
    ("shape", "how", "geometry"),
    [
        ((1, 32, 24, 3), None, ImageGeometry(height=32, width=24, channels=3, layout="NHWC")),
        ((1, 3, 32, 24), "NCHW", ImageGeometry(height=32, width=24, channels=3, layout="NCHW")),
        ((1, 32, 24), "NHWC", ImageGeometry(height=32, width=24, channels=1, layout="NHWC")),
        ((1, 32, 24), None, None),
        ((1, 10), "NHWC", None),
    ],
)
def test_the_size_of_an_image_is_read_off_the_shape(
    shape: tuple[int, ...], how: Literal["NHWC", "NCHW"] | None, geometry: ImageGeometry | None
) -> None:
    preprocessing = None if how is None else replace(RGB_0_TO_1, layout=how)
    assert image_geometry(replace(IMAGE, shape=shape), preprocessing) == geometry


def test_a_single_input_is_matched_whatever_it_is_called() -> None:
    assert preprocessing_by_input((replace(IMAGE, name="input_1"),), (RGB_0_TO_1,)) == (RGB_0_TO_1,)


def test_several_inputs_are_matched_by_name() -> None:
    left, right = replace(IMAGE, name="left"), replace(IMAGE, name="right")
    how = replace(RGB_0_TO_1, name="right")
    assert preprocessing_by_input((left, right), (how,)) == (None, how)


def test_the_first_result_of_a_node_may_be_named_with_its_number() -> None:
    left, right = replace(IMAGE, name="left"), replace(IMAGE, name="right")
    how = replace(RGB_0_TO_1, name="right:0")
    assert preprocessing_by_input((left, right), (how,)) == (None, how)


def test_preprocessing_of_an_input_that_does_not_exist_is_refused() -> None:
    tensors = (replace(IMAGE, name="left"), replace(IMAGE, name="right"))
    with pytest.raises(GateError) as caught:
        preprocessing_by_input(tensors, (RGB_0_TO_1,))
    assert caught.value.code is ErrorCode.MODEL_SHAPE
    assert "'image'" in caught.value.message
    assert "'left', 'right'" in caught.value.hint


def model_with_input(dtype: str, scales: tuple[float, ...]) -> TfliteModel:
    tensor = Tensor(
        index=0,
        name="serving_default_image:0",
        shape=(1, 4),
        shape_signature=(1, 4),
        dtype=dtype,
        quantization=TensorQuantization(scales=scales, zero_points=(7,) * len(scales)) if scales else None,
        constant_bytes=0,
    )
    graph = Subgraph(name="main", tensors=(tensor,), operators=(), inputs=(0,), outputs=(0,))
    return TfliteModel(size_bytes=0, schema_version=3, description="", subgraphs=(graph,), signatures=(), metadata={})


def test_tensors_keep_name_shape_type_and_scale() -> None:
    model = model_with_input("uint8", (0.5,))
    (tensor,) = describe_tflite(model, summarise(model)).inputs
    assert (tensor.name, tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point) == (
        "image",
        (1, 4),
        "uint8",
        0.5,
        7,
    )


@pytest.mark.parametrize(("dtype", "scales"), [("float32", ()), ("float32", (0.0,)), ("int32", ())])
def test_a_tensor_that_is_not_quantized_has_no_scale(dtype: str, scales: tuple[float, ...]) -> None:
    model = model_with_input(dtype, scales)
    (tensor,) = describe_tflite(model, summarise(model)).outputs
    assert (tensor.scale, tensor.zero_point) == (None, None)


@pytest.mark.parametrize("scales", [(0.5, 0.25), (0.0,), (-1.0,), (float("nan"),), (float("inf"),)])
def test_an_input_without_one_positive_scale_is_refused(scales: tuple[float, ...]) -> None:
    model = model_with_input("uint8", scales)
    with pytest.raises(GateError) as caught:
        describe_tflite(model, summarise(model))
    assert caught.value.code is ErrorCode.GATE


def test_a_real_model_is_described() -> None:
    path = MODELS / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    model = read_file(path)
    described = describe_tflite(model, summarise(model))
    assert described.inputs[0].shape == (1, 224, 224, 3)
    assert float32_text(described.inputs[0].scale or 0) == "0.007843138"
    assert dict(described.operators)["CONV_2D"] == 36
    assert described.quantization == "per-channel"
    assert described.min_runtime == "1.14.0"
