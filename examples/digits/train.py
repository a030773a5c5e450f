"""Train the example's network on scikit-learn's handwritten digits, and write the model and its data.

    uv run --no-project --python 3.11 --with tensorflow-cpu==2.19.1 --with scikit-learn --with pillow train.py

Takes well under two minutes on two cores. The digits come with scikit-learn: nothing is downloaded but packages. Of the
1,797 images 1,400 are trained on, 120 of those serve as calibration data, and the other 397 are never seen in training.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
SIZE = 32
TRAINED_ON = 1400
CALIBRATED_ON = 120
EPOCHS = 30


def images() -> tuple[np.ndarray, np.ndarray]:
    """Return all digits as uint8 RGB images [1797, 32, 32, 3] and their classes [1797], in a fixed random order."""
    digits = load_digits()
    small = np.round(digits.images * (255 / 16)).astype(np.uint8)
    large = [np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for image in small]
    order = np.random.default_rng(0).permutation(len(large))
    pixels = np.repeat(np.stack(large)[..., np.newaxis], 3, axis=3)
    return pixels[order], digits.target[order].astype(np.uint8)


def network() -> keras.Model:
    """Return a small convolutional network of what all DLPUs run well: 3x3 kernels, stride 2, ReLU.

    Numbers of channels are multiples of 6, as ARTPEC-8 prefers, and past the first layer of 16, as ARTPEC-9 does.
    """
    inputs = keras.Input((SIZE, SIZE, 3), batch_size=None, name="image")
    x = inputs
    for number, channels in enumerate((24, 48, 48), start=1):
        x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{number}")(x)
        x = keras.layers.ReLU(name=f"relu{number}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = keras.layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="digits")


def shifted(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Return the images moved by up to two pixels each way, so that the network does not learn positions by heart."""
    random = np.random.default_rng(seed)
    moves = random.integers(-2, 3, size=(len(pixels), 2))
    return np.stack([np.roll(image, tuple(move), axis=(0, 1)) for image, move in zip(pixels, moves, strict=True)])


def write_data(pixels: np.ndarray, classes: np.ndarray) -> None:
    """Write calibration images as PNG, and what training never saw as one array file."""
    folder = HERE / "data" / "calibration"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(CALIBRATED_ON):
        Image.fromarray(pixels[number]).save(folder / f"{classes[number]}-{number:03d}.png", optimize=True)
    np.savez_compressed(HERE / "data" / "validation.npz", x=pixels[TRAINED_ON:], y=classes[TRAINED_ON:])


def main() -> None:
    keras.utils.set_random_seed(7)
    pixels, classes = images()
    model = network()
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * (TRAINED_ON // 64 + 1))),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    for epoch in range(EPOCHS):
        batch = shifted(pixels[:TRAINED_ON], epoch).astype(np.float32) / 255
        model.fit(batch, classes[:TRAINED_ON], batch_size=64, epochs=epoch + 1, initial_epoch=epoch, verbose=2)
    _, accuracy = model.evaluate(pixels[TRAINED_ON:].astype(np.float32) / 255, classes[TRAINED_ON:], verbose=0)
    print(f"top-1 on {len(pixels) - TRAINED_ON} held-out digits: {accuracy:.4f}")
    # Without the optimizer's state, which is twice as large as the weights.
    bare = network()
    bare.set_weights(model.get_weights())
    (HERE / "model").mkdir(exist_ok=True)
    bare.save(HERE / "model" / "digits.keras")
    (HERE / "model" / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)), encoding="utf-8")
    write_data(pixels, classes)


if __name__ == "__main__":
    main()
