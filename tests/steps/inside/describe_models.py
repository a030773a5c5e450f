"""Say what an interpreter has as inputs and outputs, and what it computes of ones; runs in the toolchain.

In: paths. Out: per model `inputs` and `outputs` as lists of `[name, shape, dtype]`, `signature` as two lists of names,
and `values`, the first four of each output by name.
"""

# mypy: ignore-errors
# ruff: noqa: T201 - it talks through stdout, to code that takes paths as text

import json
import sys

import numpy as np
import tensorflow as tf


def described(details):
    return [
        [each["name"], [int(size) for size in each["shape_signature"]], np.dtype(each["dtype"]).name]
        for each in details
    ]


def describe(path):
    interpreter = tf.lite.Interpreter(model_path=path)
    inputs, outputs = described(interpreter.get_input_details()), described(interpreter.get_output_details())
    runner = interpreter.get_signature_runner("serving_default")
    by_index = {each["index"]: name for name, each in runner.get_input_details().items()}
    out_by_index = {each["index"]: name for name, each in runner.get_output_details().items()}
    feeds = {
        name: np.arange(np.prod(each["shape"]), dtype=each["dtype"]).reshape(each["shape"]) / np.float32(100)
        for name, each in runner.get_input_details().items()
    }
    return {
        "inputs": inputs,
        "outputs": outputs,
        "signature": [
            [by_index[each["index"]] for each in interpreter.get_input_details()],
            [out_by_index[each["index"]] for each in interpreter.get_output_details()],
        ],
        "values": {name: [float(x) for x in value.ravel()[:4]] for name, value in runner(**feeds).items()},
    }


def main():
    print(json.dumps([describe(path) for path in json.load(sys.stdin)]))


main()
