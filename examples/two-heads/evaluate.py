"""Run the held-out pictures through one or more .tflite files, and print how often each output is right.

    python evaluate.py [--min 0.9] dist/*/model/model.tflite

Runs in any Python that has TensorFlow and Pillow, for instance the one that `dlpubuild toolchain prepare tf2
--print-python` names. Exits with 1 where an output of a model is below --min. A model that was compiled for the Edge
TPU runs on nothing else: in a package for ARTPEC-7 the one that it was compiled from is measured.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from PIL import Image

HERE = Path(__file__).resolve().parent
HEADS = {"person": "A_person_pred", "car": "B_car_pred"}


def held_out() -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures, uint8 [N, 256, 256, 3], and what is on them, bool [N, 2]."""
    with (HERE / "data" / "validation" / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    pixels = np.stack([np.asarray(Image.open(HERE / "data" / "validation" / row["file"])) for row in rows])
    return pixels, np.array([[row[output] == "1" for output in HEADS.values()] for row in rows])


def scores(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Return the probabilities that the model at `path` gives, [N, 2]: person, car, in the order of its outputs."""
    interpreter = tf.lite.Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    results = interpreter.get_output_details()
    found = []
    for image in pixels:
        interpreter.set_tensor(source["index"], stored(image / 255.0, source)[np.newaxis])
        interpreter.invoke()
        found.append([real(interpreter.get_tensor(result["index"]), result) for result in results])
    return np.array(found)


def stored(values: np.ndarray, detail: dict) -> np.ndarray:
    """Return real values as the input tensor stores them."""
    if detail["dtype"] == np.float32:
        return values.astype(np.float32)
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(values / scale + zero_point), limits.min, limits.max).astype(detail["dtype"])


def real(values: np.ndarray, detail: dict) -> float:
    """Return the one value of an output tensor as a real number."""
    scale, zero_point = detail["quantization"]
    value = float(values.reshape(()))
    return value if detail["dtype"] == np.float32 else (value - zero_point) * scale


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.tflite")
    parser.add_argument("--min", type=float, default=0.0, help="least acceptable share of right answers of an output")
    arguments = parser.parse_args()
    # TensorFlow 2.19 announces with every interpreter that it will move to another package.
    warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
    pixels, present = held_out()
    low = False
    for given in arguments.models:
        uncompiled = given.with_name("model_uncompiled.tflite")
        path = uncompiled if uncompiled.exists() else given
        shares = ((scores(path, pixels) > 0.5) == present).mean(axis=0)
        low = low or shares.min() < arguments.min
        told = "  ".join(f"{head} {share:.4f}" for head, share in zip(HEADS, shares, strict=True))
        print(f"{told}  {'below ' + str(arguments.min) + '  ' if shares.min() < arguments.min else ''}{path}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
