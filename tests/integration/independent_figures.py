"""Measure the packages of examples/digits without dlpubuild, in the Python of its toolchain.

    python independent_figures.py DIST VALIDATION.npz

Prints JSON: by SoC, what is in the archive, what the model consists of, and how it classifies the validation data.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import tarfile
import warnings
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import numpy as np
import tensorflow as tf

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


def tensors(details: list[dict]) -> list[dict[str, object]]:
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


def answers(interpreter: tf.lite.Interpreter, pixels: np.ndarray) -> np.ndarray:
    """Return the probabilities [N, 10] for images [N, 32, 32, 3]."""
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in pixels:
        values = (image / np.float32(255)).astype(np.float32)
        if source["dtype"] is not np.float32:
            scale, zero_point = source["quantization"]
            limits = np.iinfo(source["dtype"])
            values = np.clip(np.round(values / scale + zero_point), limits.min, limits.max).astype(source["dtype"])
        interpreter.set_tensor(source["index"], values[np.newaxis])
        interpreter.invoke()
        given = interpreter.get_tensor(result["index"])[0].astype(np.float64)
        scale, zero_point = result["quantization"]
        found.append((given - zero_point) * scale if scale else given)
    return np.array(found)


def main() -> None:
    dist, data = Path(sys.argv[1]), np.load(sys.argv[2])
    warnings.simplefilter("ignore")
    told: dict[str, dict[str, object]] = {}
    outputs = {}
    for archive in sorted(dist.glob("*.tar.gz")):
        soc = archive.name.removesuffix(".tar.gz").rpartition("-")[2]
        files = members(archive)
        model = files["model/model.tflite"]
        readable = files.get("model/model_uncompiled.tflite", model)
        interpreter = tf.lite.Interpreter(model_content=readable)
        outputs[soc] = answers(interpreter, data["x"])
        told[soc] = {
            "archive": [archive.name, archive.stat().st_size, hashlib.sha256(archive.read_bytes()).hexdigest()],
            "model": [len(model), hashlib.sha256(model).hexdigest()],
            "operators": operators(readable),
            "inputs": tensors(interpreter.get_input_details()),
            "outputs": tensors(interpreter.get_output_details()),
            "right": int((outputs[soc].argmax(axis=1) == data["y"]).sum()),
        }
    wanted = outputs["cpu"]
    for soc, given in outputs.items():
        noise = ((given - wanted) ** 2).sum()
        told[soc] |= {
            "same": int((given.argmax(axis=1) == wanted.argmax(axis=1)).sum()),
            "sqnr_db": float(10 * np.log10((wanted**2).sum() / noise)) if noise else None,
            "mae": float(np.abs(given - wanted).mean()),
        }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
