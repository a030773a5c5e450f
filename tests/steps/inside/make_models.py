"""Make the models and samples of the step tests in the working folder; runs in the toolchain.

cnn.keras, cnn.h5     convolution, BatchNorm, ReLU6, depthwise, add, dense, softmax; any batch; image -> probabilities
cnn_exported/         the same as Keras exports it: any batch
pair.keras            batch 1; inputs right, left; outputs zebra, apple (not in alphabetical order); equal weights
pair_saved/           the same as a SavedModel: inputs left, right; outputs apple, zebra
lstm.keras            a recurrent layer
anysize.keras         height and width are free
no_serving/           a SavedModel with two signatures, neither of them serving_default
reshaping/            any batch, computed shapes, inputs zebra, apple
unsupported/          has an operator that TensorFlow Lite has not
quantization_aware/   has fake quantization
lambda.keras, custom.keras, weights.weights.h5, unbuilt.keras   what cannot be loaded
cnn.npz, pair.npz     calibration samples, float32
"""

# mypy: ignore-errors
# ruff: noqa: T201 - it talks through stdout, to code that takes paths as text

import json

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def shaken(model, seed):
    """Give BatchNorm statistics as training leaves them: fresh ones fold to nothing."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = (weight.shape for weight in layer.get_weights())
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, gamma),
                    rng.normal(0, 0.3, beta),
                    rng.normal(0, 0.3, mean),
                    rng.uniform(0.5, 2, variance),
                ]
            )
    return model


def cnn():
    image = layers.Input((32, 32, 3), name="image")
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    x = layers.Add()([x, layers.Conv2D(16, 1)(y)])
    x = layers.Conv2D(32, 3, strides=2, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dense(24, activation="relu")(layers.GlobalAveragePooling2D()(x))
    return shaken(keras.Model(image, layers.Dense(10, activation="softmax", name="probabilities")(x)), 1)


def pair():
    # At a free batch the public converter leaves Flatten's shape to be computed at run time.
    right, left = (layers.Input(batch_shape=(1, 16, 16, 3), name=name) for name in ("right", "left"))
    # Equal constants under two operators, which the converter lets share one buffer.
    first = layers.Conv2D(8, 3, padding="same", activation="relu")
    second = layers.Conv2D(8, 3, padding="same", activation="relu")
    x, y = first(right), second(left)
    second.set_weights(first.get_weights())
    z = layers.Flatten()(layers.MaxPooling2D(4)(layers.Concatenate()([x, y])))
    zebra = layers.Dense(4, activation="softmax", name="zebra")(z)
    apple = layers.Dense(2, name="apple")(z)
    return keras.Model([right, left], [zebra, apple])


class Module(tf.Module):
    def __init__(self, call):
        super().__init__()
        self.call = tf.function(call, autograph=False)


def save(folder, call, signatures, tracked=None):
    module = Module(call)
    module.tracked = tracked
    tf.saved_model.save(
        module,
        folder,
        signatures={name: module.call.get_concrete_function(**specs) for name, specs in signatures.items()},
    )


def spec(name, *shape):
    return tf.TensorSpec(shape, tf.float32, name=name)


def save_saved_models(pair_model):
    def run_pair(left, right):
        zebra, apple = pair_model([right, left], training=False)
        return {"zebra": zebra, "apple": apple}

    specs = {"left": spec("left", 1, 16, 16, 3), "right": spec("right", 1, 16, 16, 3)}
    save("pair_saved", run_pair, {"serving_default": specs}, [variable.value for variable in pair_model.variables])

    save("no_serving", lambda x: {"y": x + 1.0}, {"train": {"x": spec("x", 1, 4)}, "score": {"x": spec("x", 1, 5)}})
    save("logarithm", lambda x: {"y": tf.math.log(x)}, {"serving_default": {"x": spec("x", 1, 4)}})
    save("unsupported", lambda x: {"y": tf.linalg.inv(x)}, {"serving_default": {"x": spec("x", 1, 4, 4)}})
    save(
        "quantization_aware",
        lambda x: {"y": tf.quantization.fake_quant_with_min_max_args(x, -1, 1)},
        {"serving_default": {"x": spec("x", 1, 4)}},
    )
    weights = tf.constant(np.random.default_rng(3).normal(size=(48, 5)), tf.float32)

    def reshape(zebra, apple):
        batch = tf.shape(zebra)[0]
        return {
            "out_z": tf.matmul(tf.reshape(zebra, [batch, 48]), weights),
            "an_out": apple + tf.cast(tf.shape(apple)[1], tf.float32),
        }

    save(
        "reshaping",
        reshape,
        {"serving_default": {"zebra": spec("zebra", None, None, 3), "apple": spec("apple", None, None, 3)}},
    )


class Twice(layers.Layer):
    def call(self, x):
        return x * 2


def main():
    keras.utils.set_random_seed(7)
    model = cnn()
    model.save("cnn.keras")
    model.save("cnn.h5")
    model.export("cnn_exported", verbose=False)
    pair_model = pair()
    pair_model.save("pair.keras")
    save_saved_models(pair_model)
    keras.Sequential([keras.Input((8, 4), name="series"), layers.LSTM(6), layers.Dense(3, name="next")]).save(
        "lstm.keras"
    )
    free = layers.Input((None, None, 3), name="image")
    keras.Model(free, layers.GlobalMaxPooling2D(name="peak")(layers.Conv2D(8, 3)(free))).save("anysize.keras")
    plain = layers.Input((4,), name="x")
    keras.Model(plain, layers.Lambda(lambda x: x * 3)(plain)).save("lambda.keras")
    keras.Model(plain, Twice()(plain)).save("custom.keras")
    keras.Model(plain, layers.Dense(2)(plain)).save_weights("weights.weights.h5")
    keras.Sequential([layers.Dense(2)]).save("unbuilt.keras")
    rng = np.random.default_rng(5)
    np.savez("cnn.npz", image=rng.random((40, 32, 32, 3), dtype=np.float32))
    np.savez(
        "pair.npz",
        left=rng.random((24, 16, 16, 3), dtype=np.float32),
        right=2 * rng.random((24, 16, 16, 3), dtype=np.float32),
    )
    print(json.dumps("made"))


main()
