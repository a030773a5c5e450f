"""Make detectors of bright squares in the working folder; runs in the toolchain, by itself.

Weights are set by hand: a red square is class 0, a green one class 1, on images of 32x32. One convolution looks at a
window of 8x8 pixels at each of 7x7 places; how bright its two halves are moves the box, and both channels make scores.

yolov5.keras   -> boxes [1, 49, 5 + 2]
yolov8.tflite  -> boxes [1, 4 + 2, 49]
ssd.tflite     -> the four outputs of TFLite_Detection_PostProcess; saved/ is the SavedModel it was made of
ready.tflite   the same of integers, as TensorFlow's public converter quantizes it
images/        24 images of two to four squares each
"""

# mypy: ignore-errors

import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

SIZE, WINDOW, STRIDE, PLACES, CLASSES = 32, 8, 4, 7, 2
RNG = np.random.default_rng(5)


def drawn():
    """One image: squares of about the window's size, which may stand between two places, on a dark ground."""
    image = RNG.integers(0, 40, (SIZE, SIZE, 3))
    for _ in range(RNG.integers(2, 5)):
        edge, channel = RNG.integers(6, 11), RNG.integers(0, CLASSES)
        top, left = RNG.integers(0, SIZE - edge, 2)
        image[top : top + edge, left : left + edge] = 20
        image[top : top + edge, left : left + edge, channel] = RNG.integers(130, 256)
    return image.astype(np.uint8)


def weights(scores):
    """Return kernel and bias for the four numbers of a box, and for the scores, a list of (per channel, bias)."""
    ramp = (np.arange(WINDOW) - (WINDOW - 1) / 2) / WINDOW**3
    box = np.zeros((WINDOW, WINDOW, 3, 4))
    box[..., :CLASSES, 0] = ramp[None, :, None]
    box[..., :CLASSES, 1] = ramp[:, None, None]
    box[..., :CLASSES, 2:] = 0.05 / WINDOW**2
    kernel = np.zeros((WINDOW, WINDOW, 3, len(scores)))
    for number, (channels, _) in enumerate(scores):
        kernel[..., number] = np.array(channels) / WINDOW**2
    return box, kernel, np.array([bias for _, bias in scores])


def grid():
    """Centres and sizes of all windows, as shares of the image: x, y, width, height."""
    middle = (np.arange(PLACES) * STRIDE + WINDOW / 2) / SIZE
    x, y = np.meshgrid(middle, middle)
    return np.stack([x, y, np.full_like(x, 0.2), np.full_like(x, 0.2)], axis=2)[None].astype(np.float32)


def yolo(layout):
    found = [((12, 12, 0), -5)] if layout == "yolov5" else []
    found += [((16, -16, 0), 0), ((-16, 16, 0), 0)] if layout == "yolov5" else [((14, -3, 0), -5), ((-3, 14, 0), -5)]
    box, kernel, bias = weights(found)
    image = keras.Input((SIZE, SIZE, 3), batch_size=1, name="image")
    boxes = keras.layers.Conv2D(4, WINDOW, STRIDE, name="box")
    scores = keras.layers.Conv2D(len(found), WINDOW, STRIDE, activation="sigmoid", name="scores")
    rows = keras.layers.Concatenate()([keras.ops.add(boxes(image), grid()), scores(image)])
    rows = keras.layers.Reshape((PLACES * PLACES, 4 + len(found)), name="rows")(rows)
    if layout == "yolov8":
        rows = keras.layers.Permute((2, 1), name="boxes")(rows)
    boxes.set_weights([box, np.zeros(4)])
    scores.set_weights([kernel, bias])
    model = keras.Model(image, rows)
    if layout == "yolov5":
        model.save("yolov5.keras")
    else:
        Path("yolov8.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def ssd():
    found = weights([((-6, -6, 0), 0), ((14, -3, 0), -5), ((-3, 14, 0), -5)])
    box, kernel, bias = (tf.constant(each, tf.float32) for each in found)
    # TFLite_Detection_PostProcess: y, x, height, width; what the network adds is scaled by 10, 10, 5, 5.
    anchors = tf.constant(grid().reshape(-1, 4)[:, [1, 0, 3, 2]])
    order = tf.constant(np.eye(4)[:, [1, 0, 3, 2]] * [50, 50, 25, 25], tf.float32)
    attributes = {
        "max_detections": ("i", 10), "max_classes_per_detection": ("i", 1), "use_regular_nms": ("b", "false"),
        "nms_score_threshold": ("f", 0.1), "nms_iou_threshold": ("f", 0.45), "num_classes": ("i", CLASSES),
        "y_scale": ("f", 10.0), "x_scale": ("f", 10.0), "h_scale": ("f", 5.0), "w_scale": ("f", 5.0),
    }  # fmt: skip
    implements = 'name: "TFLite_Detection_PostProcess" ' + " ".join(
        f'attr {{ key: "{key}" value {{ {kind}: {value} }} }}' for key, (kind, value) in attributes.items()
    )

    @tf.function(experimental_implements=implements)
    def post_process(codes, scores, anchors):
        return tf.constant(0.0), tf.constant(0.0), tf.constant(0.0), tf.constant(0.0)

    @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32, name="image")], autograph=False)
    def call(image):
        codes = tf.nn.conv2d(image, tf.tensordot(box, order, 1), STRIDE, "VALID")
        scores = tf.sigmoid(tf.nn.conv2d(image, kernel, STRIDE, "VALID") + bias)
        many = PLACES * PLACES
        found = post_process(tf.reshape(codes, [1, many, 4]), tf.reshape(scores, [1, many, CLASSES + 1]), anchors)
        return dict(zip(("boxes", "classes", "scores", "count"), found, strict=True))

    module = tf.Module()
    module.call = call
    tf.saved_model.save(module, "saved", signatures={"serving_default": call.get_concrete_function()})
    converter = tf.lite.TFLiteConverter.from_saved_model("saved")
    converter.allow_custom_ops = True
    Path("ssd.tflite").write_bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter._experimental_disable_per_channel = True
    converter.inference_input_type = tf.uint8
    converter.representative_dataset = lambda: (
        [np.asarray(Image.open(each), np.float32)[None] / 255] for each in sorted(Path("images").iterdir())
    )
    Path("ready.tflite").write_bytes(converter.convert())


Path("images").mkdir()
for number in range(24):
    Image.fromarray(drawn()).save(f"images/{number:03}.png")
for each in ("yolov5", "yolov8"):
    yolo(each)
ssd()
