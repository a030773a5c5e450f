"""Tiny images, good and bad.

In: a mode and a size. Out: the bytes of an image file, made with Pillow.
"""

from __future__ import annotations

import io
from typing import Any

from PIL import Image


def image_bytes(kind: str = "PNG", *, mode: str = "RGB", size: tuple[int, int] = (8, 8), **options: Any) -> bytes:
    """Return an image with some content, in Pillow's words for format and mode."""
    stream = io.BytesIO()
    gradient = Image.linear_gradient("L").resize(size)
    image = Image.merge(mode, [gradient] * len(mode)) if mode in ("RGB", "CMYK") else gradient.convert(mode)
    image.save(stream, kind, **options)
    return stream.getvalue()


def animated_gif() -> bytes:
    """Return a GIF of three frames."""
    return image_bytes(
        "GIF", mode="L", save_all=True, append_images=[Image.new("L", (8, 8), shade) for shade in (40, 200)]
    )
