"""Write small models as a developer makes them before and after the `change` of a lint rule, quantized by TensorFlow.

Out: `<soc>.<rule>.before.tflite` and `.after.tflite` in the working folder.
"""

# mypy: ignore-errors

import sys
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

warnings.simplefilter("ignore")
L = tf.keras.layers
SIZE = 56  # an eighth of it is 7
RAMP = np.linspace(0, 1, 48, dtype=np.float32)


def apply(function, x):
    """Apply a function of TensorFlow's own in a Keras model."""
    return L.Lambda(function)(x)


def conv(x, filters=48, size=3, strides=2, padding="same"):
    return L.ReLU(max_value=6)(L.Conv2D(filters, size, strides=strides, padding=padding)(x))


def eighth(x):
    return conv(conv(conv(x)))


def parts(x, sizes):
    return apply(lambda each: tf.split(each, sizes, axis=3), x)


def squeeze_and_excite(x):
    weights = L.Conv2D(48, 1, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))
    return L.Multiply()([x, weights])


def average(x):
    return L.GlobalAveragePooling2D(keepdims=True)(x)


# Rule: what breaks it, and what is left when it is changed as the rule says.
ARTPEC8 = {
    "mean": (
        lambda x: L.GlobalAveragePooling2D()(eighth(x)),
        lambda x: L.Flatten()(L.AveragePooling2D((7, 7))(eighth(x))),
    ),
    "tile": (
        lambda x: L.UpSampling2D(2)(conv(x)),
        lambda x: L.Resizing(SIZE, SIZE, interpolation="nearest")(conv(x)),
    ),
}
ARTPEC9 = {
    "add-element-wise": (lambda x: apply(lambda each: each + RAMP, conv(x)), conv),
    "channel-multiplier": (
        lambda x: L.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(conv(x)),
        lambda x: conv(L.DepthwiseConv2D(3, padding="same", depth_multiplier=1)(conv(x)), 96, 1, 1),
    ),
    "dense-per-channel": (
        lambda x: L.Dense(16)(L.Flatten()(average(eighth(x)))),
        lambda x: L.Flatten()(L.Conv2D(16, 1)(average(eighth(x)))),
    ),
    "explicit-padding": (lambda x: conv(L.ZeroPadding2D(1)(x), padding="valid"), conv),
    "mean-keep-dimensions": (
        lambda x: L.GlobalAveragePooling2D()(eighth(x)),
        lambda x: L.Flatten()(average(eighth(x))),
    ),
    "multiply-by-constant": (
        lambda x: squeeze_and_excite(eighth(x)),
        lambda x: apply(lambda each: each * RAMP, eighth(x)),
    ),
    "strided-slice": (
        lambda x: apply(lambda each: each[..., 16:], conv(x)),
        lambda x: parts(conv(x), 3),
    ),
}
IMAGE = np.random.default_rng(1).random((1, SIZE, SIZE, 3), dtype=np.float32)

for soc, rules in (("artpec8", ARTPEC8), ("artpec9", ARTPEC9)):
    for rule, pair in rules.items():
        for when, build in zip(("before", "after"), pair, strict=True):
            tf.keras.utils.set_random_seed(1)
            image = tf.keras.Input(batch_shape=(1, SIZE, SIZE, 3))
            converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(image, build(image)))
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: [[IMAGE]]
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.uint8
            converter._experimental_disable_per_channel = soc == "artpec8"
            Path(f"{soc}.{rule}.{when}.tflite").write_bytes(converter.convert())
sys.stdout.write("{}\n")
