"""For each lint rule of the tool's own tables a model that breaks that one alone.

In: nothing. Out: functions that return a `ModelSpec`, by SoC and rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.factories.lint_models import (
    in_float,
    in_parts,
    with_addition,
    with_computed_weights,
    with_concat,
    with_convolution,
    with_custom,
    with_dense,
    with_depth_to_space,
    with_depthwise,
    with_image,
    with_indices,
    with_leaky_relu,
    with_mean,
    with_multiplication,
    with_padding,
    with_pool,
    with_reshape,
    with_resize,
    with_scales_in_activation,
    with_slice,
    with_split,
    with_subtraction,
    with_tile,
    with_transpose_conv,
    with_unary,
    with_version,
)
from tests.factories.lint_network import SCALE, WEIGHT_SCALE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.factories.tflite_factory import ModelSpec

ARTPEC8: Mapping[str, Callable[[], ModelSpec]] = {
    "operator-not-listed": lambda: with_unary("EXP"),
    "too-many-parts": lambda: in_parts(17),
    "eight-bit": with_indices,
    "mean": with_mean,
    "subtract": with_subtraction,
    "leaky-relu": lambda: with_leaky_relu(0.1),
    "uneven-split": lambda: with_split(16, 32, name="SPLIT_V"),
    "tile": with_tile,
    "filters-multiple-of-6": lambda: with_convolution(filters=32),
    "kernel-3x3": lambda: with_convolution(kernel=(5, 5)),
    "stride-2": lambda: with_convolution(stride=(4, 4)),
    "regular-convolutions": with_depthwise,
    "post-processing": lambda: with_custom("TFLite_Detection_PostProcess"),
    "cpu-in-the-middle": lambda: in_parts(4),
    "even-image-size": lambda: with_image(33, 32),
    "runtime-version": lambda: with_version("RELU6", 3),
}

ARTPEC9: Mapping[str, Callable[[], ModelSpec]] = {
    "operator-not-listed": lambda: with_unary("EXP"),
    "eight-bit": with_indices,
    "four-dimensions": lambda: with_reshape(1, 4, 4, 16, 48),
    "activation-per-channel": with_scales_in_activation,
    "batch-1": lambda: with_reshape(2, 8, 16, 48),
    "kernel": lambda: with_convolution(kernel=(4, 4)),
    "scale": lambda: with_convolution(scale=SCALE * WEIGHT_SCALE / 70_000),
    "stride": lambda: with_convolution(stride=(4, 4)),
    "large-kernel-stride": lambda: with_convolution(kernel=(9, 9), stride=(2, 2)),
    "dilation": lambda: with_convolution(dilation=(2, 2)),
    "bias-scale": lambda: with_convolution(bias_scales=(1.0,)),
    "channel-multiplier": lambda: with_depthwise(multiplier=2),
    "depthwise-1x1-stride": lambda: with_depthwise(kernel=(1, 1), stride=(2, 2)),
    "transpose-stride": lambda: with_transpose_conv(stride=(1, 1)),
    "transpose-large-kernel": lambda: with_transpose_conv(kernel=(9, 9), padding="VALID"),
    "constant-weights": with_computed_weights,
    "dense-per-channel": lambda: with_dense(weight_scales=(WEIGHT_SCALE,) * 10),
    "add-element-wise": lambda: with_addition((1, 1, 1, 48)),
    "average-pool": lambda: with_pool("AVERAGE_POOL_2D", (2, 2)),
    "concat-scale": lambda: with_concat(48, 48, scale=SCALE / 256),
    "concat-channels": lambda: with_concat(4, 4),
    "depth-to-space": lambda: with_depth_to_space(4),
    "leaky-relu-slope": lambda: with_leaky_relu(1.0),
    "max-pool": lambda: with_pool("MAX_POOL_2D", (5, 5)),
    "max-pool-parity": lambda: with_pool("MAX_POOL_2D", (2, 2), (30, 30)),
    "max-pool-width": lambda: with_pool("MAX_POOL_2D", (3, 3), (32, 836)),
    "mean": lambda: with_mean(18),
    "mean-keep-dimensions": lambda: with_mean(keep=False),
    "multiply-by-constant": lambda: with_multiplication(None),
    "pad-dimensions": lambda: with_padding((0, 0), (0, 0), (0, 0), (0, 16)),
    "pad-size": lambda: with_padding((0, 0), (8, 8), (0, 0), (0, 0)),
    "pad-quantization": lambda: with_padding((0, 0), (1, 1), (1, 1), (0, 0), scale=2 * SCALE),
    "requantize-scale": lambda: with_unary("QUANTIZE", scale=SCALE / 256),
    "resize-factor": lambda: with_resize(48, 48),
    "sigmoid-quantization": lambda: with_unary("LOGISTIC", scale=1 / 128, zero_point=-128),
    "tanh-quantization": lambda: with_unary("TANH", scale=1 / 256),
    "split-channels": lambda: with_split(24, 24),
    "softmax": lambda: with_unary("SOFTMAX", scale=1 / 256, zero_point=-128),
    "strided-slice": with_slice,
    "tile": with_tile,
    "filters-multiple-of-16": lambda: with_convolution(filters=24),
    "relu6": lambda: with_convolution(activation="RELU"),
    "explicit-padding": lambda: with_padding((0, 0), (1, 1), (1, 1), (0, 0)),
    "resize-odd-even": lambda: with_resize(31, 32),
    "resize-corners": lambda: with_resize(32, 32, name="RESIZE_BILINEAR", centers=True),
    "depth": lambda: with_reshape(1, 2, 3, 8192, image=64),
    "post-processing": lambda: with_custom("TFLite_Detection_PostProcess"),
    "cpu-in-the-middle": lambda: in_parts(4),
    "even-image-size": lambda: with_image(33, 32),
    "runtime-version": lambda: with_version("RELU6", 3),
}

CV25: Mapping[str, Callable[[], ModelSpec]] = {
    "width-multiple-of-32": lambda: in_float(with_image(32, 33)),
    "rgb-input": lambda: in_float(with_image(32, 32, 1)),
    "post-processing": lambda: in_float(with_custom("TFLite_Detection_PostProcess")),
}

CV75: Mapping[str, Callable[[], ModelSpec]] = {
    "width-multiple-of-32": lambda: in_float(with_image(32, 33)),
    "post-processing": lambda: in_float(with_custom("TFLite_Detection_PostProcess")),
}

CPU: Mapping[str, Callable[[], ModelSpec]] = {
    "builtin-operators": lambda: with_custom("FlexErf"),
    "even-image-size": lambda: with_image(33, 32),
    "runtime-version": lambda: with_version("RELU6", 3),
}

BREAKING: Mapping[str, Mapping[str, Callable[[], ModelSpec]]] = {
    "artpec8": ARTPEC8,
    "artpec9": ARTPEC9,
    "cv25": CV25,
    "cv75": CV75,
    "cpu": CPU,
}
# Rules about what others lead to: their models break those as well, and a test silences them.
CAUSES: Mapping[str, str] = {"too-many-parts": "operator-not-listed", "cpu-in-the-middle": "operator-not-listed"}
