"""Models for the steps of toolchain tf1, written into the current folder by TensorFlow 1.15.

qat.pb         image [?,8,8,3] -> conv, ReLU, dense, softmax `scores` [?,4]; FakeQuant on weights and activations
gap.pb         the same without the FakeQuant behind the first convolution's ReLU
float.pb       the same without any
pair.pb        inputs `first`, `second` [1,2]; outputs `sum`, `product` [1,2], quantization-aware
split.pb       input `values` [1,4]; outputs `parts`, `parts:1` [1,2], float
dynamic.pb     an input of unknown height and width; batch.pb: a batch of 4
exp.pb         quantization-aware, with an operator that has no integer form; foreign.pb: with none at all
    wide.pb        quantization-aware with a range per channel
    future.pb      with an operator that TensorFlow 1.15 does not know; broken.pb: with an input that is not there
saved/ qat/    SavedModels: input `image`, output `probabilities`, on nodes of other names; float and aware
unserved/      a SavedModel with another signature
model.h5       a Keras model, input `image`, output `probabilities`
"""

# mypy: ignore-errors
import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def ranged(tensor, low, high, wanted):
    return tf.quantization.fake_quant_with_min_max_args(tensor, low, high) if wanted else tensor


def classifier(shape, aware=True, gap=False, name="image", output="scores", variables=False):
    """A small network; with `variables` its weights are not constants yet."""
    random = np.random.RandomState(3)

    def weights(*sizes):
        values = random.uniform(-0.5, 0.5, size=sizes).astype(np.float32)
        return ranged(v1.Variable(values) if variables else tf.constant(values), -0.5, 0.5, aware)

    image = v1.placeholder(tf.float32, shape, name=name)
    x = tf.nn.conv2d(image, weights(3, 3, 3, 6), strides=2, padding="SAME", name="conv")
    x = tf.nn.relu(tf.nn.bias_add(x, tf.constant(random.uniform(size=6).astype(np.float32))), name="relu")
    x = ranged(x, 0.0, 6.0, aware and not gap)
    x = tf.matmul(tf.reshape(x, [-1, 96]), weights(96, 4))
    return image, tf.nn.softmax(ranged(x, -8.0, 8.0, aware), name=output)


def write_graph(path, build):
    with tf.Graph().as_default() as graph:
        build()
        Path(path).write_bytes(graph.as_graph_def().SerializeToString(deterministic=True))


def pair():
    first = v1.placeholder(tf.float32, [1, 2], name="first")
    second = v1.placeholder(tf.float32, [1, 2], name="second")
    tf.quantization.fake_quant_with_min_max_args(first + second, 0.0, 2.0, name="sum")
    tf.quantization.fake_quant_with_min_max_args(first * second, 0.0, 1.0, name="product")


def split():
    tf.split(v1.placeholder(tf.float32, [1, 4], name="values"), 2, axis=1, name="parts")


def exp():
    x = tf.exp(v1.placeholder(tf.float32, [1, 4], name="values"))
    tf.quantization.fake_quant_with_min_max_args(x, 0.0, 3.0, name="made")


def foreign():
    x = tf.linalg.inv(v1.placeholder(tf.float32, [1, 4, 4], name="values"))
    tf.identity(tf.math.lgamma(x), name="made")


def wide():
    image = v1.placeholder(tf.float32, [1, 8, 8, 3], name="image")
    weights = tf.constant(np.linspace(-1, 1, 54, dtype=np.float32).reshape(3, 3, 3, 2))
    ranges = tf.constant([-1.0, -0.5]), tf.constant([1.0, 0.5])
    weights = tf.quantization.fake_quant_with_min_max_vars_per_channel(weights, *ranges)
    x = tf.nn.relu(tf.nn.conv2d(image, weights, strides=2, padding="SAME"))
    tf.quantization.fake_quant_with_min_max_args(x, 0.0, 6.0, name="made")


def write_changed(path, change):
    graph = v1.GraphDef()
    graph.ParseFromString(Path("qat.pb").read_bytes())
    change(graph)
    Path(path).write_bytes(graph.SerializeToString(deterministic=True))


def rename_operator(graph):
    next(node for node in graph.node if node.op == "Relu").op = "ReluOfTomorrow"


def cut_input(graph):
    next(node for node in graph.node if node.op == "Relu").input[0] = "nothing"


def write_saved(path, aware, key):
    with tf.Graph().as_default(), v1.Session() as session:
        image, scores = classifier([None, 8, 8, 3], aware, name="x_in", output="softmax", variables=True)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(path)
        signature = v1.saved_model.predict_signature_def({"image": image}, {"probabilities": scores})
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map={key: signature})
        builder.save()


def write_keras():
    with tf.Graph().as_default(), v1.Session() as session:
        v1.keras.backend.set_session(session)
        v1.set_random_seed(1)
        image = v1.keras.Input((8, 8, 3), name="image")
        x = v1.keras.layers.Conv2D(4, 3, use_bias=False)(image)
        x = v1.keras.layers.BatchNormalization()(x)
        x = v1.keras.layers.Flatten()(v1.keras.layers.ReLU()(x))
        model = v1.keras.Model(image, v1.keras.layers.Dense(4, activation="softmax", name="probabilities")(x))
        model.save("model.h5", include_optimizer=False)


v1.logging.set_verbosity(v1.logging.ERROR)
write_graph("qat.pb", lambda: classifier([None, 8, 8, 3]))
write_graph("gap.pb", lambda: classifier([None, 8, 8, 3], gap=True))
write_graph("float.pb", lambda: classifier([None, 8, 8, 3], aware=False))
write_graph("dynamic.pb", lambda: classifier([None, None, None, 3]))
write_graph("batch.pb", lambda: classifier([4, 8, 8, 3]))
write_graph("pair.pb", pair)
write_graph("split.pb", split)
write_graph("exp.pb", exp)
write_graph("wide.pb", wide)
write_changed("future.pb", rename_operator)
write_changed("broken.pb", cut_input)
write_graph("foreign.pb", foreign)
write_saved("saved", False, "serving_default")
write_saved("qat", True, "serving_default")
write_saved("unserved", False, "other")
write_keras()
