"""Measure the packages of examples/two-heads without dlpubuild, in the Python of its toolchain.

    python independent_figures.py DIST VALIDATION

Writes JSON: by SoC, what is in the archive, what the model consists of, and, output by output, what it says of the
pictures in the folder VALIDATION, whose labels.csv has 0 or 1 for each output.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import sys
import tarfile
import warnings
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]
from PIL import Image

# Which dimensions of its weights, the second input, one value of an operator's output sums over.
SUMMED = {"CONV_2D": slice(1, None), "DEPTHWISE_CONV_2D": slice(1, 3), "FULLY_CONNECTED": slice(-1, None)}


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        files = {each.name.partition("/")[2]: opened.extractfile(each) for each in opened if each.isfile()}
        return {name: stream.read() for name, stream in files.items() if stream is not None}


def operators(model: bytes) -> list[dict[str, object]]:
    interpreter = tf.lite.Interpreter(
        model_content=model,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    shapes = {each["index"]: each["shape"].tolist() for each in interpreter.get_tensor_details()}
    found = []
    for each in interpreter._get_ops_details():
        macs = 0
        if each["op_name"] in SUMMED:
            weights = shapes[each["inputs"][1]]
            macs = math.prod(shapes[each["outputs"][0]]) * math.prod(weights[SUMMED[each["op_name"]]])
        found.append({"name": each["op_name"], "shape": shapes[each["outputs"][0]], "macs": macs})
    return found


def tensors(details: list[dict[str, Any]]) -> list[dict[str, object]]:
    found = []
    for each in details:
        scale, zero_point = each["quantization"]
        is_float = each["dtype"] is np.float32
        found.append(
            {
                "shape": each["shape"].tolist(),
                "dtype": np.dtype(each["dtype"]).name,
                "scale": None if is_float else float(scale),
                "zero_point": None if is_float else int(zero_point),
            }
        )
    return found


def answers(interpreter: tf.lite.Interpreter, pictures: list[np.ndarray]) -> np.ndarray:
    """Return what each output says of each picture, [pictures, outputs]."""
    interpreter.allocate_tensors()
    (source,), results = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for picture in pictures:
        values = (picture / np.float32(255)).astype(np.float32)
        if source["dtype"] is not np.float32:
            scale, zero_point = source["quantization"]
            limits = np.iinfo(source["dtype"])
            values = np.clip(np.round(values / scale + zero_point), limits.min, limits.max).astype(source["dtype"])
        interpreter.set_tensor(source["index"], values[np.newaxis])
        interpreter.invoke()
        found.append([real(interpreter.get_tensor(result["index"]), result["quantization"]) for result in results])
    return np.array(found)


def real(value: np.ndarray, quantization: tuple[float, int]) -> float:
    scale, zero_point = quantization
    return (float(value.reshape(())) - zero_point) * scale if scale else float(value.reshape(()))


def main() -> None:
    dist, folder = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.simplefilter("ignore")
    with (folder / "labels.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    pictures = [np.asarray(Image.open(folder / row[0])) for row in rows]
    present = np.array([[cell == "1" for cell in row[1:]] for row in rows])
    told: dict[str, dict[str, object]] = {}
    outputs = {}
    for archive in sorted(dist.glob("*.tar.gz")):
        soc = archive.name.removesuffix(".tar.gz").rpartition("-")[2]
        files = members(archive)
        model = files["model/model.tflite"]
        readable = files.get("model/model_uncompiled.tflite", model)
        interpreter = tf.lite.Interpreter(model_content=readable)
        outputs[soc] = answers(interpreter, pictures)
        told[soc] = {
            "archive": [archive.name, archive.stat().st_size, hashlib.sha256(archive.read_bytes()).hexdigest()],
            "model": [len(model), hashlib.sha256(model).hexdigest()],
            "operators": operators(readable),
            "inputs": tensors(interpreter.get_input_details()),
            "outputs": tensors(interpreter.get_output_details()),
            "heads": header[1:],
            "right": ((outputs[soc] > 0.5) == present).sum(axis=0).tolist(),
        }
    wanted = outputs["cpu"]
    for soc, given in outputs.items():
        signal, noise = (wanted**2).sum(axis=0), ((given - wanted) ** 2).sum(axis=0)
        told[soc] |= {
            "same": ((given > 0.5) == (wanted > 0.5)).sum(axis=0).tolist(),
            "sqnr_db": [10 * math.log10(s / n) if n else None for s, n in zip(signal, noise, strict=True)],
            "mae": np.abs(given - wanted).mean(axis=0).tolist(),
        }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
