"""Make models whose output may stand still, in the working folder; runs in the toolchain.

collapsing.keras      one filter has weights 10,000 times those of the others, and a bias under which its ReLU never
                      opens: training leaves such filters behind. With one scale for all, the others become zero.
two_outputs.keras     the same with a second output that does not need them
constant.keras        the float model gives the same for every input
unsure.keras          an untrained classifier of 1,000 classes: its output moves by less than a step
index/                the class of `collapsing` as a number, a SavedModel
lookup/               takes four indices, not pixels; a SavedModel
lstm.keras            keeps its state in variables
images.npz            24 samples of noise of different brightness, float32; alike.npz: the same one 24 times
images/               the same as PNG files; ids.npz, series.npz: samples of the last two models
"""

# mypy: ignore-errors
# ruff: noqa: T201 - it talks through stdout, to code that takes paths as text

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image


def backbone(image):
    kernel = np.random.default_rng(4).normal(0, 0.1, (3, 3, 3, 8)).astype(np.float32)
    kernel[..., 0] = 1000
    bias = np.zeros(8, np.float32)
    bias[0] = -1e6
    layer = layers.Conv2D(8, 3, activation="relu")
    x = layer(image)
    layer.set_weights([kernel, bias])
    return layers.GlobalAveragePooling2D()(x)


def head(x, name, size=4, activation="softmax"):
    layer = layers.Dense(size, activation=activation, name=name)
    y = layer(x)
    weights = np.random.default_rng(6).normal(0, 20, (x.shape[-1], size)).astype(np.float32)
    layer.set_weights([weights, -0.5 * weights.sum(axis=0) * 0.15])
    return y


def save_index(scores):
    module = tf.Module()
    module.tracked = [variable.value for variable in scores.variables]
    module.call = tf.function(lambda image: {"index": tf.argmax(scores(image), axis=-1, output_type=tf.int32)})
    signature = module.call.get_concrete_function(image=tf.TensorSpec((1, 16, 16, 3), tf.float32, name="image"))
    tf.saved_model.save(module, "index", signatures={"serving_default": signature})


def save_lookup():
    table = tf.constant(np.random.default_rng(2).normal(size=(50, 8)), tf.float32)
    weights = tf.constant(np.random.default_rng(3).normal(size=(32, 3)), tf.float32)

    def look_up(ids):
        return {"y": tf.matmul(tf.reshape(tf.gather(table, ids), [1, 32]), weights)}

    module = tf.Module()
    module.call = tf.function(look_up)
    signature = module.call.get_concrete_function(ids=tf.TensorSpec((1, 4), tf.int32, name="ids"))
    tf.saved_model.save(module, "lookup", signatures={"serving_default": signature})


def main():
    image = layers.Input(batch_shape=(1, 16, 16, 3), name="image")
    features = backbone(image)
    keras.Model(image, head(features, "scores")).save("collapsing.keras")
    brightness = layers.GlobalAveragePooling2D()(image)
    keras.Model(image, [head(features, "scores"), head(brightness, "bright", 2, "sigmoid")]).save("two_outputs.keras")
    zeros = layers.Dense(3, kernel_initializer="zeros", bias_initializer="ones", activation="softmax", name="same")
    keras.Model(image, zeros(brightness)).save("constant.keras")
    many = layers.Dense(1000, activation="softmax", name="classes")
    keras.Model(image, many(brightness)).save("unsure.keras")
    scores = keras.Model(image, head(features, "scores"))
    save_index(scores)
    save_lookup()
    series = layers.Input(batch_shape=(1, 8, 4), name="series")
    keras.Model(series, layers.Dense(3, name="next")(layers.LSTM(6)(series))).save("lstm.keras")
    rng = np.random.default_rng(8)
    rows = (
        rng.random((24, 16, 16, 3), dtype=np.float32) * np.linspace(0.1, 1, 24, dtype=np.float32)[:, None, None, None]
    )
    np.savez("images.npz", image=rows)
    np.savez("alike.npz", image=rows[[5] * 24])
    np.savez("ids.npz", ids=rng.integers(0, 50, (24, 4), dtype=np.int32))
    np.savez("series.npz", series=rng.normal(size=(24, 8, 4)).astype(np.float32))
    Path("images").mkdir()
    for number, row in enumerate(rows):
        Image.fromarray((row * 255).astype(np.uint8)).save(f"images/{number:02}.png")
    print(json.dumps("made"))


main()
