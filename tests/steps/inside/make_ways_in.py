"""Make frozen graphs and ready .tflite files in the working folder; runs in the toolchain.

float.pb        convolution, mean, a switch with a default, matmul, softmax; any batch; image -> scores
aware.pb        has fake quantization
norank.pb       an input of unknown rank
branches.pb     two placeholders, of which one is for training only
anysize.tflite  any batch, and height and width are free: a shape is computed; image -> probs, box
static.tflite   batch 1, without a signature, its outputs called Identity
integer.tflite, half.tflite, dynamic.tflite     quantized in one way or another
custom.tflite   has an operator of TensorFlow itself

Also prints, for float.pb, what TensorFlow computes of `feed` at its nodes.
"""

# mypy: ignore-errors
# ruff: noqa: T201, PTH123 - it talks through stdout, to code that takes paths as text

import json

import keras
import numpy as np
import tensorflow as tf
from keras import layers

tf1 = tf.compat.v1


def write(name, content):
    with open(name, "wb") as stream:
        stream.write(content)


def feed(shape):
    return (np.arange(np.prod(shape), dtype=np.float32) / np.float32(100)).reshape(shape)


def float_graph():
    rng = np.random.default_rng(0)
    with tf.Graph().as_default() as graph:
        image = tf1.placeholder(tf.float32, [None, 16, 16, 3], name="image")
        keep = tf1.placeholder_with_default(1.0, [], name="keep")
        kernel = tf.constant(rng.normal(size=(3, 3, 3, 8)).astype("f") * 0.2)
        x = tf.nn.relu(tf.nn.conv2d(image, kernel, 2, "SAME"), name="hidden")
        x = tf.reduce_mean(x, [1, 2]) * keep
        x = tf.linalg.matmul(x, tf.constant(rng.normal(size=(8, 5)).astype("f")), name="logits")
        tf.nn.softmax(x, name="scores")
        with tf1.Session() as session:
            logits, scores = session.run(["logits:0", "scores:0"], {"image:0": feed((1, 16, 16, 3))})
            of_hidden = session.run("logits:0", {"hidden:0": feed((1, 8, 8, 8))})
    write("float.pb", graph.as_graph_def().SerializeToString())
    return {"scores": scores, "logits": logits, "of_hidden": of_hidden}


def other_graphs():
    with tf.Graph().as_default() as graph:
        image = tf1.placeholder(tf.float32, [1, 8, 8, 3], name="image")
        tf.quantization.fake_quant_with_min_max_vars(image, -1.0, 1.0, name="out")
    write("aware.pb", graph.as_graph_def().SerializeToString())
    with tf.Graph().as_default() as graph:
        image = tf1.placeholder(tf.float32, None, name="image")
        tf.nn.softmax(tf.reshape(image, [1, -1]), name="out")
    write("norank.pb", graph.as_graph_def().SerializeToString())
    with tf.Graph().as_default() as graph:
        image = tf1.placeholder(tf.float32, [None, 4], name="image")
        wanted = tf1.placeholder(tf.float32, [None, 4], name="wanted")
        scores = tf.nn.softmax(image, name="scores")
        tf.reduce_mean(tf.square(scores - wanted), name="loss")
    write("branches.pb", graph.as_graph_def().SerializeToString())


def tflites():
    keras.utils.set_random_seed(0)
    image = layers.Input((None, None, 3), name="image")
    x = layers.Conv2D(8, 3, activation="relu")(image)
    box = layers.Reshape((-1, 2), name="box")(layers.Conv2D(4, 1)(x))
    probs = layers.Dense(200, activation="softmax", name="probs")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, {"probs": probs, "box": box})
    model.export("anysize_saved", verbose=False)
    write("anysize.tflite", tf.lite.TFLiteConverter.from_saved_model("anysize_saved").convert())

    def fixed(image):
        return model(image, training=False)["probs"]

    traced = tf.function(fixed).get_concrete_function(tf.TensorSpec([1, 8, 8, 3], tf.float32, name="image"))

    def converted(**settings):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
        for name, value in settings.items():
            setattr(converter, name, value)
        return converter

    write("static.tflite", converted().convert())
    write("dynamic.tflite", converted(optimizations=[tf.lite.Optimize.DEFAULT]).convert())
    half = converted(optimizations=[tf.lite.Optimize.DEFAULT])
    half.target_spec.supported_types = [tf.float16]
    write("half.tflite", half.convert())
    samples = [[feed((1, 8, 8, 3))]]
    integer = converted(optimizations=[tf.lite.Optimize.DEFAULT], representative_dataset=lambda: samples)
    integer.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    write("integer.tflite", integer.convert())
    spec = tf.TensorSpec([1, 4, 4], tf.float32, name="image")
    determinant = tf.function(tf.linalg.det).get_concrete_function(spec)
    custom = tf.lite.TFLiteConverter.from_concrete_functions([determinant])
    custom.allow_custom_ops = True
    write("custom.tflite", custom.convert())
    full = model(feed((1, 20, 24, 3)), training=False)
    return {"probs": full["probs"].numpy(), "box": full["box"].numpy(), "static": fixed(feed((1, 8, 8, 3))).numpy()}


def main():
    values = float_graph() | tflites()
    other_graphs()
    print("\n" + json.dumps({name: [float(x) for x in value.ravel()[:4]] for name, value in values.items()}))


main()
