"""Run a model on two samples, and on the first again; runs in the toolchain.

In: `{"model": path, "shape": [...]}`. Out: whether the first sample gives the same again, and the second another; both
with TensorFlow Lite's fast kernels and without.
"""

# mypy: ignore-errors
# ruff: noqa: T201, PTH123 - it talks through stdout, to code that takes paths as text

import json
import sys

import numpy as np
import tflite_run


def main():
    job = json.load(sys.stdin)
    with open(job["model"], "rb") as stream:
        content = stream.read()
    one, two = np.random.default_rng(1).normal(size=(2, *job["shape"])).astype(np.float32)
    told = []
    for delegates in (True, False):
        runner = tflite_run.Runner(content, delegates)
        (first,), (second,), (again,) = (runner.run([each]) for each in (one, two, one))
        told.append([first.tobytes() == again.tobytes(), first.tobytes() == second.tobytes()])
    print(json.dumps(told))


main()
