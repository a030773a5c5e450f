"""Write `.tflite` files with signatures to the current folder.

image.tflite     "im age/0:å" [1, 32, 24, 3] -> scores [1, 5], map [1, 32, 24, 4]; GELU, transposed convolution
two.tflite       b [1, 4], a [1, 8, 4] -> y [1, 4]
lstm.tflite      a [1, 6, 4] -> y [1, 3]
integer.tflite   image.tflite, quantized, its inputs and outputs too
"""

# mypy: ignore-errors

import sys
from pathlib import Path

import import_model
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(3)
LAYERS = keras.layers


def converted(model, inputs, outputs, **more):
    specs = [tf.TensorSpec([1, *each.shape[1:]], tf.float32) for each in model.inputs]
    function = tf.function(lambda *values: [tf.identity(each) for each in tf.nest.flatten(model(list(values)))])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function(*specs)])
    for name, value in more.items():
        setattr(converter, name, value)
    return import_model.with_signature(converter.convert(), inputs, outputs)


def write(name, content):
    Path(name).write_bytes(content)


image = keras.Input((32, 24, 3), name="image")
x = LAYERS.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(image)
x = LAYERS.SeparableConv2D(8, 3, padding="same", activation="swish")(x)
up = LAYERS.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
flat = LAYERS.Dense(5, activation="gelu")(LAYERS.GlobalAveragePooling2D()(x))
network = keras.Model(image, [flat, up])
names = (["im age/0:å"], ["scores", "map"])
write("image.tflite", converted(network, *names))


def samples():
    random = np.random.default_rng(0)
    for _ in range(4):
        yield [random.random((1, 32, 24, 3), dtype=np.float32)]


write(
    "integer.tflite",
    converted(
        network,
        *names,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=samples,
        inference_input_type=tf.uint8,
        inference_output_type=tf.uint8,
    ),
)
a, b = keras.Input((8, 4)), keras.Input((4,))
write(
    "two.tflite", converted(keras.Model([b, a], LAYERS.Add()([b, LAYERS.GlobalMaxPooling1D()(a)])), ["b", "a"], ["y"])
)
a = keras.Input((6, 4))
write("lstm.tflite", converted(keras.Model(a, LAYERS.Dense(3)(LAYERS.LSTM(5)(a))), ["a"], ["y"]))
sys.stdout.write("{}\n")
