"""Classify the held-out digits with one or more .tflite files, and print how many each gets right.

    python evaluate.py [--min 0.95] dist/*/model/model.tflite

Runs in any Python that has TensorFlow, for instance the one that `dlpubuild toolchain prepare tf2 --print-python`
names. Exits with 1 where a model is below --min.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
SIZE = 32


def enlarged(small: np.ndarray) -> np.ndarray:
    """Return gray images [N, 8, 8] as the RGB images [N, 32, 32, 3] that the network was trained on."""
    large = [np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for image in small]
    return np.repeat(np.stack(large)[..., np.newaxis], 3, axis=3)


def top1(path: Path, pixels: np.ndarray, classes: np.ndarray) -> float:
    """Return the share of images [N, 32, 32, 3] whose class the model at `path` gives the highest value."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (result,) = interpreter.get_output_details()
    right = 0
    for image, wanted in zip(pixels, classes, strict=True):
        interpreter.set_tensor(source["index"], stored(image / 255.0, source)[np.newaxis])
        interpreter.invoke()
        right += int(np.argmax(interpreter.get_tensor(result["index"])[0]) == wanted)
    return right / len(classes)


def stored(values: np.ndarray, detail: dict) -> np.ndarray:
    """Return real values as the input tensor stores them."""
    if detail["dtype"] == np.float32:
        return values.astype(np.float32)
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(values / scale + zero_point), limits.min, limits.max).astype(detail["dtype"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.tflite")
    parser.add_argument("--min", type=float, default=0.0, help="least acceptable share of right answers")
    arguments = parser.parse_args()
    # TensorFlow 2.19 announces with every interpreter that it will move to another package.
    warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
    with np.load(HERE / "data" / "validation.npz") as data:
        pixels, classes = enlarged(data["x"]), data["y"]
    low = False
    for path in arguments.models:
        share = top1(path, pixels, classes)
        low = low or share < arguments.min
        print(f"{share:.4f}  {'below ' + str(arguments.min) + '  ' if share < arguments.min else ''}{path}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
