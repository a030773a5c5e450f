"""Draw the images, train the example's network on them, and write the model and its data.

    $(dlpubuild toolchain prepare tf2 --print-python) train.py

Takes a few minutes on two cores. The pictures are drawn by this script, so nothing is downloaded: streets and walls in
all kinds of light, and on some of them a car, a person, or both, of any size and color. 2,000 are trained on; 64 more
serve as calibration data and 100 more are never seen in training.
"""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

HERE = Path(__file__).resolve().parent
SIZE = 256
TRAINED_ON = 2000
CALIBRATED_ON = 64
VALIDATED_ON = 100
EPOCHS = 16
BATCH = 32
LEARNING_RATE = 3e-3
JPEG_QUALITY = 60


def picture(random: np.random.Generator, *, car: bool, person: bool) -> Image.Image:
    """Return an RGB image of 256x256 pixels with a car or a person where asked for."""
    image = background(random)
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(2, 7)):
        draw_clutter(draw, random)
    things = [draw_car] * car + [draw_person] * person
    for number in random.permutation(len(things)):
        things[number](draw, random)
    if random.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.2)))
    noise = random.normal(0, random.uniform(2, 10), (SIZE, SIZE, 1))
    contrast = random.uniform(0.6, 1.3)
    pixels = (np.asarray(image, np.float64) - 128) * contrast + 128 + random.uniform(-30, 30) + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def color(random: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, ...]:
    return tuple(int(value) for value in random.integers(low, high, 3))


def background(random: np.random.Generator) -> Image.Image:
    """Return a wall above a street: two smooth gradients."""
    corners = random.integers(20, 236, (2, 2, 3)).astype(np.uint8)
    image = Image.fromarray(corners).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    horizon = int(random.integers(90, 200))
    street = random.integers(40, 160, (2, 2, 1)) + random.integers(-12, 13, (2, 2, 3))
    below = Image.fromarray(street.astype(np.uint8)).resize((SIZE, SIZE - horizon), Image.Resampling.BILINEAR)
    image.paste(below, (0, horizon))
    return image


def draw_clutter(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Draw what is neither: a box, a disc, a pole, a pointed roof."""
    x, y = (int(value) for value in random.integers(0, SIZE, 2))
    width, height = (int(value) for value in random.integers(10, 80, 2))
    fill = color(random)
    kind = random.integers(4)
    if kind == 0:
        draw.rectangle((x, y, x + width, y + height), fill=fill)
    elif kind == 1:
        draw.ellipse((x, y, x + width // 2, y + width // 2), fill=fill)
    elif kind == 2:
        draw.line((x, y, x + width // 8, y + 2 * height), fill=fill, width=int(random.integers(2, 8)))
    else:
        draw.polygon((x, y + height, x + width, y + height, x + width // 2, y), fill=fill)


def draw_car(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Draw a car from the side: body, cabin with windows, two wheels."""
    length = int(random.integers(90, 170))
    body, cabin, wheel = int(length * 0.22), int(length * random.uniform(0.16, 0.22)), int(length * 0.11)
    x = int(random.integers(-length // 8, SIZE - length + length // 8))
    y = int(random.integers(cabin + 20, SIZE - body - wheel - 4))
    paint = color(random)
    left, right = x + int(length * random.uniform(0.15, 0.25)), x + int(length * random.uniform(0.72, 0.85))
    slope = int(length * 0.1)
    draw.polygon((left, y + 1, left + slope, y - cabin, right - slope, y - cabin, right, y + 1), fill=paint)
    glass = color(random, 150, 250)
    middle = (left + right) // 2
    draw.polygon(
        (left + slope // 2 + 4, y, left + slope + 3, y - cabin + 4, middle - 3, y - cabin + 4, middle - 3, y),
        fill=glass,
    )
    draw.polygon(
        (middle + 3, y, middle + 3, y - cabin + 4, right - slope - 3, y - cabin + 4, right - slope // 2 - 4, y),
        fill=glass,
    )
    draw.rounded_rectangle((x, y, x + length, y + body), radius=body // 3, fill=paint)
    for center in (x + int(length * 0.22), x + int(length * 0.78)):
        bottom = y + body
        draw.ellipse((center - wheel, bottom - wheel, center + wheel, bottom + wheel), fill=color(random, 0, 45))
        hub = wheel // 2
        draw.ellipse((center - hub, bottom - hub, center + hub, bottom + hub), fill=color(random, 130, 220))


def draw_person(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Draw a person who stands or walks: head, coat, arms, legs."""
    height = int(random.integers(90, 180))
    head, width = int(height * 0.075), int(height * random.uniform(0.11, 0.15))
    x = int(random.integers(width + 10, SIZE - width - 10))
    y = int(random.integers(2, SIZE - height - 2))
    skin = tuple(int(value * random.uniform(0.4, 1.0)) for value in (250, 205, 170))
    coat, trousers = color(random), color(random)
    shoulder, hip, foot = y + int(2.3 * head), y + int(height * 0.55), y + height
    thick = max(4, int(height * 0.06))
    step = int(height * random.uniform(0.03, 0.14))
    draw.line((x - width // 2, hip, x - step, foot), fill=trousers, width=thick + 3)
    draw.line((x + width // 2, hip, x + step, foot), fill=trousers, width=thick + 3)
    swing = int(height * random.uniform(0.0, 0.08))
    draw.line((x - width, shoulder + 3, x - width - swing, hip), fill=coat, width=thick)
    draw.line((x + width, shoulder + 3, x + width + swing, hip), fill=coat, width=thick)
    draw.rounded_rectangle((x - width, shoulder, x + width, hip + 4), radius=width // 2, fill=coat)
    draw.ellipse((x - head, y, x + head, y + int(2.3 * head)), fill=skin)


def pictures(count: int, seed: int) -> tuple[list[Image.Image], np.ndarray]:
    """Return images and what is on them, float32 [count, 2]: person, car; a quarter of each combination."""
    random = np.random.default_rng(seed)
    present = np.array([(number % 2, number // 2 % 2) for number in range(count)], np.float32)
    return [picture(random, person=bool(person), car=bool(car)) for person, car in present], present


def network() -> keras.Model:
    """Return a small residual network whose every operator runs on every DLPU.

    3x3 kernels, stride 2, ReLU; numbers of channels are multiples of 16, as ARTPEC-9 prefers. The last map is 8x8, the
    size over which ARTPEC-9 takes a mean, and the pooling is one of known size, which ARTPEC-8 lists.
    """

    def norm(x, filters, name, *, kernel=3, strides=2):
        x = keras.layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(
            x
        )
        return keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)

    inputs = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.ReLU(name="stem_relu")(norm(inputs, 16, "stem"))
    for number, filters in enumerate((16, 16, 32), start=1):
        straight = norm(x, filters, f"block{number}_straight", kernel=1)
        x = keras.layers.ReLU(name=f"block{number}_relu1")(norm(x, filters, f"block{number}_1"))
        x = keras.layers.Add(name=f"block{number}_add")([norm(x, filters, f"block{number}_2", strides=1), straight])
        x = keras.layers.ReLU(name=f"block{number}_relu2")(x)
    x = keras.layers.ReLU(name="last_relu")(norm(x, 32, "last"))
    x = keras.layers.Flatten(name="flat")(keras.layers.AveragePooling2D(SIZE // 32, name="pool")(x))
    x = keras.layers.Dense(32, activation="relu", name="shared")(x)
    # The names in Axis' example of a person and car indicator; they begin with a letter of the alphabet because
    # TensorFlow Lite once sorted outputs by name.
    heads = [keras.layers.Dense(1, activation="sigmoid", name=name)(x) for name in ("A_person_pred", "B_car_pred")]
    return keras.Model(inputs, heads, name="person_car_indicator")


def as_pixels(images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(image) for image in images])


def write_folder(folder: Path, images: list[Image.Image]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        image.save(folder / f"{number:03d}.jpg", quality=JPEG_QUALITY, optimize=True)


def write_data() -> None:
    """Write calibration images, and what training never sees with a table of what is on it."""
    write_folder(HERE / "data" / "calibration", pictures(CALIBRATED_ON, 1)[0])
    images, present = pictures(VALIDATED_ON, 2)
    write_folder(HERE / "data" / "validation", images)
    with (HERE / "data" / "validation" / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("file", "A_person_pred", "B_car_pred"))
        writer.writerows((f"{number:03d}.jpg", int(row[0]), int(row[1])) for number, row in enumerate(present))


def main() -> None:
    keras.utils.set_random_seed(7)
    write_data()
    images, present = pictures(TRAINED_ON, 0)
    pixels = as_pixels(images)
    model = network()
    # The pictures stay bytes until they are needed: as floats all of them take 1.5 GB.
    raw = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    trainer = keras.Model(raw, model(keras.layers.Rescaling(1 / 255)(raw)))
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, EPOCHS * (TRAINED_ON // BATCH + 1))
    trainer.compile(optimizer=keras.optimizers.Adam(schedule), loss="binary_crossentropy", metrics=[["accuracy"]] * 2)
    random = np.random.default_rng(3)
    for epoch in range(EPOCHS):
        # Half of the images mirrored, so that there are more of them.
        mirrored = random.random(len(pixels)) < 0.5
        seen = np.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)
        known = [present[:, :1], present[:, 1:]]
        trainer.fit(seen, known, batch_size=BATCH, epochs=epoch + 1, initial_epoch=epoch, verbose=2)
    (HERE / "model").mkdir(exist_ok=True)
    model.save(HERE / "model" / "two-heads.keras")
    (HERE / "model" / "labels.txt").write_text("person\ncar\n", encoding="utf-8")


if __name__ == "__main__":
    main()
