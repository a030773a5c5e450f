"""Models and images to measure with, the same bytes on every machine but for the versions of the libraries.

Runs in the toolchain's Python: `inputs.py mobilenet FOLDER` or `inputs.py tiny FOLDER` writes `model/` (a SavedModel),
`model.keras` and `images/*.png` into FOLDER. Nothing is trained: how fast a model converts does not depend on its
weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image

MOBILENET_IMAGES = 100
TINY_IMAGES = 1000


def mobilenet() -> keras.Model:
    import tensorflow as tf

    return tf.keras.applications.MobileNetV2(
        weights=None, input_tensor=keras.Input((224, 224, 3), name="image"), classes=1000
    )


def tiny() -> keras.Model:
    image = keras.Input((8, 8, 3), name="image")
    features = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(image)
    classes = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(features))
    return keras.Model(image, classes)


def write_images(folder: Path, count: int, size: int) -> None:
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(count):
        pixels = noise.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")


def main(kind: str, folder: Path) -> None:
    keras.utils.set_random_seed(0)
    model = {"mobilenet": mobilenet, "tiny": tiny}[kind]()
    model.save(folder / "model.keras")
    model.export(folder / "model", verbose=False)
    count = {"mobilenet": MOBILENET_IMAGES, "tiny": TINY_IMAGES}[kind]
    write_images(folder / "images", count, model.inputs[0].shape[1])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
