"""Shapes of the outputs of TFLite_Detection_PostProcess: from its options, whatever these hold."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from dlpubuild.package.description import describe_tflite
from dlpubuild.tflite.detection import DETECTION_OPERATOR, detection_shapes
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.read import read_model
from tests.factories.tflite_factory import GraphSpec, ModelSpec, OperatorSpec, TensorSpec, encode

# What TensorFlow 2.19 writes for max_detections = 10, max_classes_per_detection = 1 and eight other options.
NAMES = (
    "max_detections",
    "max_classes_per_detection",
    "num_classes",
    "nms_score_threshold",
    "nms_iou_threshold",
    "y_scale",
    "x_scale",
    "h_scale",
    "w_scale",
    "use_regular_nms",
)
WRITTEN = bytes.fromhex(
    "6d61785f646574656374696f6e73006d61785f636c61737365735f7065725f646574656374696f6e006e756d5f636c617373"
    "6573006e6d735f73636f72655f7468726573686f6c64006e6d735f696f755f7468726573686f6c6400795f7363616c650078"
    "5f7363616c6500685f7363616c6500775f7363616c65007573655f726567756c61725f6e6d73000a217e8e465b681720313a"
    "00000c000000010000000a0000000000a040010000000a0000006666e63ecdcccc3d02000000000000000000a04000002041"
    "000020410e06060e0e06060e0e0e322601"
)
SHAPES = {1: (1, 10, 4), 2: (1, 10), 3: (1, 10), 4: (1,)}


def model(options: bytes, *, shape: tuple[int, ...] = (), custom_code: str = DETECTION_OPERATOR) -> ModelSpec:
    tensors = [TensorSpec(name="x", shape=(1, 8), dtype="float32")]
    tensors += [TensorSpec(name=name, shape=shape, dtype="float32") for name in ("boxes", "classes", "scores", "count")]
    found = OperatorSpec(
        name="CUSTOM", inputs=(0,), outputs=(1, 2, 3, 4), custom_code=custom_code, custom_options=options
    )
    return ModelSpec(graphs=(GraphSpec(tensors=tuple(tensors), operators=(found,), inputs=(0,), outputs=(1, 2, 3, 4)),))


def shapes(spec: ModelSpec) -> dict[int, tuple[int, ...]]:
    return dict(detection_shapes(read_model(encode(spec))))


def test_sizes_are_those_that_the_operator_gives_its_outputs() -> None:
    assert all(name.encode() in WRITTEN for name in NAMES)
    assert shapes(model(WRITTEN)) == SHAPES


def test_a_package_says_the_sizes_that_the_file_leaves_out() -> None:
    read = read_model(encode(model(WRITTEN)))
    told = describe_tflite(read, summarise(read))
    assert {number: each.shape for number, each in enumerate(told.outputs, 1)} == SHAPES


def test_a_shape_that_the_file_says_is_left_as_it_is() -> None:
    assert shapes(model(WRITTEN, shape=(1, 20, 4))) == {}


def test_other_operators_are_left_alone() -> None:
    assert shapes(model(WRITTEN, custom_code="TFLite_Something_Else")) == {}


@pytest.mark.parametrize("options", [b"", b"\0", b"\0\0\0", bytes(64), WRITTEN[:40], WRITTEN[:-1], b"\xff" * 300])
def test_options_that_cannot_be_read_leave_shapes_as_they_are(options: bytes) -> None:
    assert shapes(model(options)) == {}


def test_damaged_options_give_a_possible_size_or_none() -> None:
    read = read_model(encode(model(WRITTEN)))
    (operator,) = read.main.operators
    for place, value in product(range(operator.custom_bytes), (0, 1, 9, 38, 127, 255)):
        data = bytearray(read.data)
        data[operator.custom_offset + place] = value
        found = detection_shapes(replace(read, data=bytes(data)))
        assert not found or (list(found) == [1, 2, 3, 4] and 0 < found[2][1] <= 1 << 20)
