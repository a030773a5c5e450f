"""Classify the held-out digits with one or more .tflite files, and print how many each gets right.

    python evaluate.py [--min 0.95] dist/*/model/model.tflite

Runs in any Python that has TensorFlow, for instance the one that `dlpubuild toolchain prepare tf1 --print-python`
names. Exits with 1 where a model is below --min.
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import digits
import numpy as np
import tensorflow as tf


def top1(path, pixels, classes):
    """Return the share of images [N, 32, 32, 3] whose class the model at `path` gives the highest value."""
    interpreter = tf.lite.Interpreter(model_path=path)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (result,) = interpreter.get_output_details()
    # A quantized input of this example takes pixels as they are: its scale is 1/255, its zero point 0.
    stored = pixels / np.float32(255) if source["dtype"] == np.float32 else pixels
    right = 0
    for image, wanted in zip(stored.astype(source["dtype"]), classes):
        interpreter.set_tensor(source["index"], image[np.newaxis])
        interpreter.invoke()
        right += int(np.argmax(interpreter.get_tensor(result["index"])[0]) == wanted)
    return right / len(classes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", metavar="MODEL.tflite")
    parser.add_argument("--min", type=float, default=0.0, help="least acceptable share of right answers")
    arguments = parser.parse_args()
    pixels, classes = (part[digits.TRAINED_ON :] for part in digits.load())
    low = False
    for path in arguments.models:
        share = top1(path, pixels, classes)
        low = low or share < arguments.min
        print(f"{share:.4f}  {f'below {arguments.min}  ' if share < arguments.min else ''}{path}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
