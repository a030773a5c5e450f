"""Make float models, samples and labels to verify with, in the working folder; runs in the toolchain.

heads.tflite      image [1, 16, 16, 3] -> scores [1, 8] (softmax), yes [1, 1] (sigmoid), logit [1, 1], map [1, 8, 8, 4]
pair.tflite       right [1, 6], left [1, 6] -> total [1, 3], index [1], larger [1, 6] (indices)
yolov5.tflite, yolov8.tflite   x [1, 16] -> boxes [1, 60, 5 + 3] and [1, 4 + 3, 60]
ssd.tflite        x [1, 16] -> the four outputs of TFLite_Detection_PostProcess
logarithm.tflite  x [1, 8] -> y [1, 8], which is not finite where x is negative
heads.npz, pair.npz, x.npz, logarithm.npz   40 samples of each, float32; images/: 40 as PNG files
"""

# mypy: ignore-errors
# ruff: noqa: T201 - it talks through stdout, to code that takes paths as text

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

COUNT = 40
ANCHORS = 60
CLASSES = 3
RNG = np.random.default_rng(11)


def constant(*shape, scale=1.0):
    return tf.constant(RNG.normal(0, scale, shape), tf.float32)


def save(name, call, allow_custom=False, **shapes):
    module = tf.Module()
    module.call = tf.function(call, autograph=False)
    specs = {key: tf.TensorSpec(shape, tf.float32, name=key) for key, shape in shapes.items()}
    tf.saved_model.save(module, name, signatures={"serving_default": module.call.get_concrete_function(**specs)})
    converter = tf.lite.TFLiteConverter.from_saved_model(name)
    converter.allow_custom_ops = allow_custom
    Path(f"{name}.tflite").write_bytes(converter.convert())


def heads():
    first, second = constant(3, 3, 3, 8, scale=0.4), constant(3, 3, 8, 16, scale=0.2)
    to_map, to_scores = constant(1, 1, 8, 4, scale=0.5), constant(16, 8, scale=2.0)
    to_yes, to_logit = constant(16, 1, scale=2.0), constant(16, 1, scale=2.0)

    def call(image):
        x = tf.nn.relu6(tf.nn.conv2d(image, first, 2, "SAME"))
        y = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, second, 2, "SAME")), [1, 2])
        y = y - 0.3
        return {
            "scores": tf.nn.softmax(tf.matmul(y, to_scores)),
            "yes": tf.sigmoid(tf.matmul(y, to_yes)),
            "logit": tf.matmul(y, to_logit),
            "map": tf.nn.conv2d(x, to_map, 1, "SAME"),
        }

    save("heads", call, image=(1, 16, 16, 3))
    noise = RNG.random((COUNT, 16, 16, 3)) * RNG.random((COUNT, 1, 1, 3))
    pixels = (noise * 255).astype(np.uint8)
    np.savez("heads.npz", image=pixels.astype(np.float32) / np.float32(255))
    Path("images").mkdir()
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(f"images/{number:03}.png")


def pair():
    weights, more = constant(6, 3), constant(6, 3)

    def call(right, left):
        total = tf.matmul(right, weights) + tf.matmul(left, more)
        larger = tf.argmax(tf.stack([right, left], axis=2), axis=2, output_type=tf.int32)
        return {"total": total, "index": tf.argmax(total, axis=-1, output_type=tf.int32), "larger": larger}

    save("pair", call, right=(1, 6), left=(1, 6))
    np.savez("pair.npz", left=RNG.normal(size=(COUNT, 6)).astype("f"), right=RNG.random((COUNT, 6)).astype("f"))


def found_boxes(x, to_centres, to_sizes, to_scores):
    centres = tf.reshape(tf.sigmoid(tf.matmul(x, to_centres)), [1, ANCHORS, 2])
    sizes = 0.3 * tf.reshape(tf.sigmoid(tf.matmul(x, to_sizes)), [1, ANCHORS, 2])
    return centres, sizes, tf.sigmoid(tf.reshape(tf.matmul(x, to_scores), [1, ANCHORS, CLASSES + 1]) - 0.5)


def yolo():
    weights = constant(16, 2 * ANCHORS, scale=0.3), constant(16, 2 * ANCHORS, scale=0.3)
    to_scores = constant(16, (CLASSES + 1) * ANCHORS, scale=0.4)

    def fifth(x):
        centres, sizes, scores = found_boxes(x, *weights, to_scores)
        return {"boxes": tf.concat([centres, sizes, scores], axis=2)}

    def eighth(x):
        centres, sizes, scores = found_boxes(x, *weights, to_scores)
        return {"boxes": tf.transpose(tf.concat([centres, sizes, scores[:, :, 1:]], axis=2), [0, 2, 1])}

    save("yolov5", fifth, x=(1, 16))
    save("yolov8", eighth, x=(1, 16))
    np.savez("x.npz", x=RNG.normal(size=(COUNT, 16)).astype("f"))


def ssd():
    anchors = tf.constant(np.c_[RNG.random((ANCHORS, 2)), np.full((ANCHORS, 2), 0.25)], tf.float32)
    to_codes, to_scores = constant(16, 4 * ANCHORS, scale=0.3), constant(16, (CLASSES + 1) * ANCHORS, scale=0.6)
    attributes = {
        "max_detections": ("i", 10), "max_classes_per_detection": ("i", 1), "use_regular_nms": ("b", "false"),
        "nms_score_threshold": ("f", 0.1), "nms_iou_threshold": ("f", 0.5), "num_classes": ("i", CLASSES),
        "y_scale": ("f", 10.0), "x_scale": ("f", 10.0), "h_scale": ("f", 5.0), "w_scale": ("f", 5.0),
    }  # fmt: skip
    implements = 'name: "TFLite_Detection_PostProcess" ' + " ".join(
        f'attr {{ key: "{key}" value {{ {kind}: {value} }} }}' for key, (kind, value) in attributes.items()
    )

    @tf.function(experimental_implements=implements)
    def post_process(codes, scores, anchors):
        return tf.constant(0.0), tf.constant(0.0), tf.constant(0.0), tf.constant(0.0)

    def call(x):
        codes = tf.reshape(tf.matmul(x, to_codes), [1, ANCHORS, 4])
        scores = tf.sigmoid(tf.reshape(tf.matmul(x, to_scores), [1, ANCHORS, CLASSES + 1]))
        boxes, classes, best, count = post_process(codes, scores, anchors)
        return {"output_0": count, "output_1": best, "output_2": classes, "output_3": boxes}

    save("ssd", call, allow_custom=True, x=(1, 16))


def main():
    heads()
    pair()
    yolo()
    ssd()
    save("logarithm", lambda x: {"y": tf.math.log(x)}, x=(1, 8))
    values = RNG.random((COUNT, 8)).astype("f") + np.float32(0.5)
    values[3, 2] = -1
    values[7, 1] = 0
    np.savez("logarithm.npz", x=values)
    print(json.dumps("made"))


main()
