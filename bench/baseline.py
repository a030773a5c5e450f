"""One conversion for one SoC by TensorFlow's public API, as its documentation and Axis' show it: the work by hand.

Runs in the toolchain's Python, one process per conversion. Sources: ai.google.dev/edge/litert "Post-training integer
quantization" (optimizations, representative_dataset, TFLITE_BUILTINS_INT8, inference types) and developer.axis.com
"Model conversion" (`_experimental_disable_per_channel` for ARTPEC-8). Images are read as the example there reads them,
one after another.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIANTS = ("float", "artpec8", "artpec9", "int8-float-io")


def convert(model: Path, images: Path, variant: str) -> bytes:
    converter = _converter(model)
    if variant != "float":

        def samples() -> Iterator[list[np.ndarray]]:
            for path in sorted(images.glob("*.png")):
                pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32)
                yield [((pixels - 127.5) / 127.5)[np.newaxis]]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if variant != "int8-float-io":
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
        if variant == "artpec8":
            converter._experimental_disable_per_channel = True  # noqa: SLF001 - the only switch there is
    return converter.convert()


def _converter(model: Path) -> tf.lite.TFLiteConverter:
    if model.is_dir():
        return tf.lite.TFLiteConverter.from_saved_model(str(model))
    return tf.lite.TFLiteConverter.from_keras_model(tf.keras.models.load_model(model, compile=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    options.output.write_bytes(convert(options.model, options.images, options.variant))


if __name__ == "__main__":
    main()
