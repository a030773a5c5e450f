"""Run what is no sound model as quantizing runs its result; runs in the toolchain.

In: `{"models": {name: path}}`. Out: by name, why it has no figures.
"""

# mypy: ignore-errors
# ruff: noqa: T201, PTH103, PTH123, PTH208 - it talks through stdout, to code that takes paths as text

import json
import os
import sys

import numpy as np
import output_check

TENSORS = {
    "inputs": [{"name": "image", "shape": [1, 16, 16, 3], "dtype": "float32"}],
    "outputs": [{"name": "scores", "shape": [1, 4], "dtype": "float32"}],
}


def main():
    os.makedirs("out", exist_ok=True)
    rows = np.arange(2, dtype=np.float32)[:, None, None, None, None] * np.ones((1, 1, 16, 16, 3), np.float32)
    samples = {"positions": np.arange(2), "input-0": rows, "output-0": rows[:, :, 0, 0, :1] + np.zeros((1, 1, 4))}
    failures = {}
    for name, path in json.load(sys.stdin)["models"].items():
        with open(path, "rb") as stream:
            model = output_check.IntegerModel(stream.read(), TENSORS, [None], False)
        failures[name] = output_check.measured(samples, TENSORS, model, None)["failures"].get("per-tensor")
    print(json.dumps([failures, sorted(os.listdir("out"))]))


main()
