"""Decode odd images as samples.py does; runs in the toolchain.

Out: by name, the pixels of each image as nested lists (height, width, channels), or what is wrong with it.
"""

# mypy: ignore-errors
# ruff: noqa: T201, PTH123 - it talks through stdout, to code that takes paths as text

import json

import numpy as np
import samples
from PIL import Image

# Named as in the manifest; 2 by 2 unless a test of resizing says otherwise.
CASES = {}


def case(name, save, shape=(1, 2, 2, 3), color="rgb", resize="stretch"):
    CASES[name] = (save, {"shape": list(shape), "color": color, "resize": resize})


def solid(mode, value, size=(2, 2)):
    return Image.new(mode, size, value)


def save_gif(path):
    solid("RGB", (200, 10, 20)).save(
        path, "GIF", save_all=True, append_images=[solid("RGB", (0, 255, 0)), solid("RGB", (0, 0, 255))], duration=50
    )


def save_palette(path):
    image = solid("P", 1)
    image.putpalette([0, 0, 0, 10, 200, 30] + [0] * 762)
    image.save(path, "PNG", transparency=0)


def save_sixteen_bit(path):
    Image.fromarray(np.array([[0, 255], [256, 65535]], dtype=np.uint16)).save(path, "PNG")


def save_rotated(path):
    image = Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, "PNG", exif=exif)


def save_stripes(path):
    """Red on the left quarter, blue on the right one, green between: 8 wide, 2 high."""
    row = [(255, 0, 0)] * 2 + [(0, 255, 0)] * 4 + [(0, 0, 255)] * 2
    Image.fromarray(np.array([row, row], dtype=np.uint8)).save(path, "PNG")


case("one pixel", lambda path: solid("RGB", (1, 2, 3), (1, 1)).save(path, "PNG"), shape=(1, 3, 4, 3))
case(
    "cmyk jpeg",
    lambda path: solid("CMYK", (0, 255, 255, 0), (16, 16)).save(path, "JPEG", quality=95),
    shape=(1, 1, 1, 3),
)
case("animated gif", save_gif)
case("palette", save_palette)
case("alpha", lambda path: solid("RGBA", (9, 8, 7, 0)).save(path, "PNG"))
case("gray with alpha", lambda path: solid("LA", (77, 10)).save(path, "PNG"))
case("one bit", lambda path: solid("1", 1).save(path, "PNG"))
case("sixteen bit", save_sixteen_bit, shape=(1, 2, 2, 1), color="gray")
case("sixteen bit to rgb", save_sixteen_bit)
case("exif", save_rotated, shape=(1, 1, 2, 3))
case("bgr", lambda path: solid("RGB", (1, 2, 3)).save(path, "PNG"), color="bgr", shape=(1, 1, 1, 3))
case("gray", lambda path: solid("RGB", (255, 0, 0)).save(path, "PNG"), color="gray", shape=(1, 1, 1, 1))
case("stretch", save_stripes, shape=(1, 2, 2, 3))
case("crop", save_stripes, shape=(1, 2, 2, 3), resize="crop")
case("crop tall", save_stripes, shape=(1, 4, 2, 3), resize="crop")
case("letterbox", save_stripes, shape=(1, 4, 4, 3), resize="letterbox")
case("letterbox gray", save_stripes, shape=(1, 4, 4, 1), color="gray", resize="letterbox")
case(
    "letterbox wide",
    lambda path: solid("RGB", (1, 2, 3), (1, 300)).save(path, "PNG"),
    shape=(1, 4, 4, 3),
    resize="letterbox",
)
case("floating point", lambda path: solid("F", 0.5).save(path, "TIFF"))
case("empty", lambda path: open(path, "wb").close())


def result(name, save, model_input):
    path = name.replace(" ", "-")
    save(path)
    try:
        pixels = samples.decode(path, model_input)
    except ValueError as error:
        return str(error)
    assert pixels.dtype == np.uint8
    return pixels[0].tolist()


print(json.dumps({name: result(name, *rest) for name, rest in CASES.items()}))
