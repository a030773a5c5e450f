"""Calibration images: which files are images, and whether they decode.

In: names, paths. Out: what cannot be decoded, and why. Decoding for real happens inside the toolchain with a pinned
Pillow; here each image is decoded and thrown away, so that a damaged one is named before anything runs.
"""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Pillow's own limit (Image.MAX_IMAGE_PIXELS): 256 MiB of 24-bit pixels.
_MAX_PIXELS = 256 * 1024 * 1024 // 3
_MAX_WORKERS = 8


def is_image_name(name: str) -> bool:
    """Return whether a file of this name is taken for an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - called once per file of a data set


def undecodable(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return the images that cannot be decoded, each with the reason, in the order given."""
    if not paths:
        return []
    from PIL import Image  # noqa: PLC0415 - only where images were not seen before

    # Not in the threads: one of several that load the plug-ins at once would find none.
    Image.init()
    # Warnings are about oddities that decode all the same; filters are one for all threads.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Pillow lets go of the interpreter lock while it decodes.
        with ThreadPoolExecutor(min(_MAX_WORKERS, len(os.sched_getaffinity(0)))) as pool:
            reasons = list(pool.map(_reason, paths))
    return [(path, reason) for path, reason in zip(paths, reasons, strict=True) if reason]


def _reason(path: Path) -> str:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - see above

    reason = ""
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise Image.DecompressionBombError  # noqa: TRY301 - Pillow itself draws the line at twice as many
            image.load()
            if image.mode == "F":
                reason = "its pixels are floating-point numbers; save it with 8 or 16 bits per channel"
    except UnidentifiedImageError:
        reason = "it is not an image of a known format" if path.stat().st_size else "it is empty"
    except Image.DecompressionBombError:
        reason = "it has more pixels than any calibration image should (decompression bomb)"
    except Exception as error:  # noqa: BLE001 - Pillow's plug-ins raise whatever their format's parser raises
        reason = str(error) or type(error).__name__
    return reason
