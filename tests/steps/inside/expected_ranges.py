"""Calibrate with TensorFlow's own Python on values prepared here, apart from calibrate.py; runs in the toolchain.

In: `model`, and `pixels`, an `.npy` of uint8 rows, with `mean` and `std`; `out`, where the calibrated model goes.
"""

# mypy: ignore-errors
# ruff: noqa: T201, PTH123 - it talks through stdout, to code that takes paths as text

import json
import sys

import numpy as np
from tensorflow.lite.python.optimize import calibrator


def main():
    job = json.load(sys.stdin)
    rows = (np.load(job["pixels"]).astype(np.float32) - np.float32(job["mean"])) / np.float32(job["std"])
    with open(job["model"], "rb") as stream:
        content = calibrator.add_intermediate_tensors(stream.read())
    calibrated = calibrator.Calibrator(content).calibrate(lambda: ([row[np.newaxis]] for row in rows))
    with open(job["out"], "wb") as stream:
        stream.write(calibrated)
    print(json.dumps([float(rows.min()), float(rows.max())]))


main()
