"""Train the example's network quantization-aware with TensorFlow 1.15, and write it as a frozen graph.

    $(dlpubuild toolchain prepare tf1 --print-python) train.py [--steps 500] [--output model/digits_frozen.pb]

Takes half a minute on two cores. Nothing is downloaded: the digits lie beside this file.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A graphics card computes in another order, and gives other weights.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import digits
import numpy as np
import tensorflow as tf

BATCH = 64
# Numbers of channels are multiples of 6, as ARTPEC-8 prefers.
CHANNELS = (24, 36, 36)
INPUT, OUTPUT = "image", "probabilities"


def network(images, is_training):
    """Return the logits [N, 10] for images [N, 32, 32, 3] in 0..1: three convolutions with stride 2, and a layer."""
    layers = tf.compat.v1.layers
    x = images
    for number, channels in enumerate(CHANNELS, start=1):
        x = layers.conv2d(x, channels, 3, strides=2, padding="same", use_bias=False, name=f"conv{number}")
        # fused: what the rewriter and the converter recognise, and fold into the convolution.
        x = layers.batch_normalization(x, momentum=0.9, training=is_training, fused=True, name=f"norm{number}")
        x = tf.nn.relu(x, name=f"relu{number}")
    return layers.dense(layers.flatten(x), 10, name="dense")


def shifted(pixels, random):
    """Return the images moved by up to two pixels each way, so that the network does not learn positions by heart."""
    moves = random.randint(-2, 3, size=(len(pixels), 2))
    return np.stack([np.roll(image, tuple(move), axis=(0, 1)) for image, move in zip(pixels, moves)])


def session():
    """Return a session on one thread: several add up in an order of their own."""
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    return tf.compat.v1.Session(config=config)


def train(pixels, classes, steps, checkpoint):
    """Train the network, with fake quantization once it knows something, and write a checkpoint."""
    random = np.random.RandomState(7)
    with tf.Graph().as_default(), session() as run:
        tf.compat.v1.set_random_seed(7)
        images = tf.compat.v1.placeholder(tf.float32, [None, digits.SIZE, digits.SIZE, 3], name=INPUT)
        wanted = tf.compat.v1.placeholder(tf.int64, [None])
        loss = tf.compat.v1.losses.sparse_softmax_cross_entropy(wanted, network(images, is_training=True))
        # Rewrites the graph in place: batch normalization is folded, weights and activations get fake quantization.
        tf.contrib.quantize.create_training_graph(quant_delay=steps * 2 // 5)
        step = tf.compat.v1.train.get_or_create_global_step()
        rate = tf.compat.v1.train.cosine_decay(3e-3, step, steps)
        with tf.control_dependencies(tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)):
            update = tf.compat.v1.train.AdamOptimizer(rate).minimize(loss, global_step=step)
        run.run(tf.compat.v1.global_variables_initializer())
        for number in range(steps):
            picked = random.randint(0, len(pixels), BATCH)
            batch = shifted(pixels[picked], random).astype(np.float32) / 255
            _, value = run.run([update, loss], {images: batch, wanted: classes[picked]})
            if number % 100 == 99:
                print(f"step {number + 1}: loss {value:.4f}")
        tf.compat.v1.train.Saver().save(run, checkpoint, write_meta_graph=False)


def freeze(checkpoint):
    """Return the graph that infers, its variables made constants."""
    with tf.Graph().as_default() as graph, session() as run:
        images = tf.compat.v1.placeholder(tf.float32, [1, digits.SIZE, digits.SIZE, 3], name=INPUT)
        tf.nn.softmax(network(images, is_training=False), name=OUTPUT)
        # The same rewriting for a graph without training; without it the trained ranges are not in the graph.
        tf.contrib.quantize.create_eval_graph()
        tf.compat.v1.train.Saver().restore(run, checkpoint)
        constant = tf.compat.v1.graph_util.convert_variables_to_constants(run, graph.as_graph_def(), [OUTPUT])
        return tf.compat.v1.graph_util.remove_training_nodes(constant, protected_nodes=[OUTPUT])


def top1(graph_def, pixels, classes):
    """Return the share of images whose class the frozen graph gives the highest value."""
    with tf.Graph().as_default(), session() as run:
        tf.import_graph_def(graph_def, name="")
        right = 0
        for image, wanted in zip(pixels, classes):
            values = run.run(OUTPUT + ":0", {INPUT + ":0": image[np.newaxis].astype(np.float32) / 255})
            right += int(np.argmax(values[0]) == wanted)
        return right / len(classes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--output", type=Path, default=digits.HERE / "model" / "digits_frozen.pb", metavar="FILE")
    arguments = parser.parse_args()
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    pixels, classes = digits.load()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = str(Path(folder) / "digits")
        train(pixels[: digits.TRAINED_ON], classes[: digits.TRAINED_ON], arguments.steps, checkpoint)
        frozen = freeze(checkpoint)
    arguments.output.write_bytes(frozen.SerializeToString(deterministic=True))
    held_out = pixels[digits.TRAINED_ON :], classes[digits.TRAINED_ON :]
    print(f"top-1 on {len(held_out[1])} held-out digits: {top1(frozen, *held_out):.4f}")


if __name__ == "__main__":
    main()
