from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode, GateError
from dlpubuild.package.pixels import pixel_mapping
from tests.unit.package.specs import IMAGE, RGB_0_TO_1

if TYPE_CHECKING:
    from dlpubuild.package.description import IoTensor
    from dlpubuild.package.spec import InputPreprocessing


def float32(value: float) -> float:
    stored: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return stored


def image(dtype: str, scale: float | None, zero_point: int | None) -> IoTensor:
    return replace(IMAGE, dtype=dtype, scale=None if scale is None else float32(scale), zero_point=zero_point)


def normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> InputPreprocessing:
    return replace(RGB_0_TO_1, mean=mean, std=std)


ZERO_TO_ONE = normalised((0.0,), (255.0,))
PLUS_MINUS_ONE = normalised((127.5,), (127.5,))
IMAGENET = normalised((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


@pytest.mark.parametrize(
    ("tensor", "how"),
    [
        (image("uint8", 1 / 255, 0), ZERO_TO_ONE),
        (image("uint8", 1.0, 0), normalised((0.0,), (1.0,))),
        (image("uint8", 1 / 128, 128), normalised((128.0,), (128.0,))),
        # The mean lies between two integers: either zero point is half a step off.
        (image("uint8", 1 / 127.5, 127), PLUS_MINUS_ONE),
        (image("uint8", 1 / 127.5, 128), PLUS_MINUS_ONE),
        (image("uint8", 0.003921569, 0), ZERO_TO_ONE),
    ],
)
def test_pixels_are_fed_as_they_are_where_the_stored_value_is_the_pixel(
    tensor: IoTensor, how: InputPreprocessing
) -> None:
    mapping = pixel_mapping(tensor, how)
    assert (mapping.identity, mapping.shift, mapping.minimum, mapping.maximum) == (True, 0, 0, 255)


@pytest.mark.parametrize(
    ("tensor", "how"),
    [
        (image("uint8", 1 / 128, 128), PLUS_MINUS_ONE),
        (image("uint8", 1 / 254, 0), ZERO_TO_ONE),
        (image("uint8", 1 / 255, 3), ZERO_TO_ONE),
        (image("uint8", 0.0187, 114), IMAGENET),
        (image("uint8", 1 / 255, 0), normalised((0.0, 0.0, 0.0), (255.0, 255.0, 254.0))),
    ],
)
def test_no_shift_is_claimed_where_one_pixel_would_be_wrong(tensor: IoTensor, how: InputPreprocessing) -> None:
    mapping = pixel_mapping(tensor, how)
    assert (mapping.identity, mapping.shift) == (False, None)


@pytest.mark.parametrize(
    ("tensor", "how"),
    [(image("int8", 1 / 255, -128), ZERO_TO_ONE), (image("int8", 1 / 127.5, -1), PLUS_MINUS_ONE)],
)
def test_a_signed_input_takes_pixels_shifted_by_128(tensor: IoTensor, how: InputPreprocessing) -> None:
    mapping = pixel_mapping(tensor, how)
    assert (mapping.identity, mapping.shift, mapping.minimum, mapping.maximum) == (False, -128, -128, 127)


def test_a_float_input_is_neither_rounded_nor_clamped() -> None:
    mapping = pixel_mapping(image("float32", None, None), PLUS_MINUS_ONE)
    assert mapping.multiplier == (1 / 127.5,) * 3
    assert mapping.offset == (-1.0,) * 3
    assert (mapping.identity, mapping.shift, mapping.minimum, mapping.maximum) == (False, None, None, None)


def test_the_line_is_normalisation_followed_by_quantization() -> None:
    tensor = image("uint8", 0.0187, 114)
    mapping = pixel_mapping(tensor, IMAGENET)
    assert tensor.scale is not None
    for channel, (mean, std) in enumerate(zip(IMAGENET.mean, IMAGENET.std, strict=True)):
        for pixel in range(256):
            line = mapping.multiplier[channel] * pixel + mapping.offset[channel]
            assert math.isclose(line, (pixel - mean) / std / tensor.scale + 114, abs_tol=1e-9)


def test_three_means_for_one_channel_are_refused() -> None:
    with pytest.raises(GateError) as caught:
        pixel_mapping(replace(IMAGE, shape=(1, 8, 8, 1)), IMAGENET)
    assert caught.value.code is ErrorCode.MODEL_SHAPE


def test_a_std_of_zero_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="std"):
        normalised((0.0,), (0.0,))
