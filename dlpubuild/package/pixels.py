"""How a pixel becomes the value an input stores.

In: an input and its preprocessing. Out: a `PixelMapping`, the line through which all 256 pixel values go, and
whether that line is just a shift, so that an application can feed camera pixels as they are. A shift holds if it
is off by no more than half a step anywhere, which is what rounding is. Pure arithmetic.

A network was trained on `x = (pixel - mean) / std`; an integer tensor stores `round(x / scale) + zero_point`,
clamped to its type. Together that is `clamp(round(multiplier * pixel + offset))`. Example: mean 0, std 255 and
a scale of 1/255 give multiplier 1 and offset 0: the stored value is the pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, GateError
from dlpubuild.package.description import image_geometry

if TYPE_CHECKING:
    from dlpubuild.package.description import IoTensor
    from dlpubuild.package.spec import InputPreprocessing

_PIXELS = range(256)
# A mean of 127.5 lands exactly between two integers, where either is as good; float32 scales blur that a little.
_HALF_STEP = 0.5 + 1e-3
_RANGES = {
    "uint8": (0, 255),
    "int8": (-128, 127),
    "uint16": (0, 65535),
    "int16": (-32768, 32767),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelMapping:
    """`stored = clamp(round(multiplier * pixel + offset), minimum, maximum)`, per channel.

    `minimum` and `maximum` are None for a float input, which is neither rounded nor clamped. `shift` is the one
    number that added to any pixel gives the stored value, None where there is no such number. `identity` says
    that the bytes of an image can be fed as they are.
    """

    multiplier: tuple[float, ...]
    offset: tuple[float, ...]
    minimum: int | None
    maximum: int | None
    shift: int | None
    identity: bool


def per_channel(what: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Return one value per channel from one per channel or one for all; `what` names them in an error.

    Raises:
        GateError: there are neither one nor `channels` values.
    """
    if len(values) == 1:
        return values * channels
    if len(values) != channels:
        raise GateError(
            ErrorCode.MODEL_SHAPE,
            f"{what} has {len(values)} values, but the built model's input has {channels} channels",
            hint=f"give 1 or {channels} values in [[model.input]]",
        )
    return values


def pixel_mapping(tensor: IoTensor, preprocessing: InputPreprocessing) -> PixelMapping:
    """Return how a pixel in 0..255 becomes a value of `tensor`.

    Raises:
        GateError: mean or std has neither one value nor one per channel.
    """
    geometry = image_geometry(tensor, preprocessing)
    channels = geometry.channels if geometry else max(len(preprocessing.mean), len(preprocessing.std))
    mean = per_channel("mean", preprocessing.mean, channels)
    std = per_channel("std", preprocessing.std, channels)
    scale = 1.0 if tensor.scale is None else tensor.scale
    zero_point = tensor.zero_point or 0
    multiplier = tuple(1 / (s * scale) for s in std)
    offset = tuple(zero_point - m / (s * scale) for m, s in zip(mean, std, strict=True))
    bounds = _RANGES.get(tensor.dtype)
    if bounds is None:
        return PixelMapping(
            multiplier=multiplier, offset=offset, minimum=None, maximum=None, shift=None, identity=False
        )
    shift = _common_shift(multiplier, offset, bounds)
    return PixelMapping(
        multiplier=multiplier,
        offset=offset,
        minimum=bounds[0],
        maximum=bounds[1],
        shift=shift,
        identity=shift == 0 and tensor.dtype == "uint8",
    )


def _common_shift(multiplier: tuple[float, ...], offset: tuple[float, ...], bounds: tuple[int, int]) -> int | None:
    # A pixel in the middle is not clamped, so its neighbours are the only shifts that can hold for all.
    middle = len(_PIXELS) // 2
    exact = multiplier[0] * middle + offset[0] - middle
    for shift in sorted({math.floor(exact), math.ceil(exact)}, key=abs):
        if all(
            _stores(m * pixel + o, pixel + shift, bounds)
            for m, o in zip(multiplier, offset, strict=True)
            for pixel in _PIXELS
        ):
            return shift
    return None


def _stores(exact: float, wanted: int, bounds: tuple[int, int]) -> bool:
    low, high = bounds
    if not low <= wanted <= high:
        return False
    # What lies beyond an end of the type is clamped to it.
    reaches = exact >= wanted - _HALF_STEP or wanted == low
    stays = exact <= wanted + _HALF_STEP or wanted == high
    return reaches and stays
