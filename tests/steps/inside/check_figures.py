"""Hold arrays against each other as the steps do; print the fault for each case, or null."""

# mypy: ignore-errors

import json
import sys

import numpy as np
import onnx_check
import stepio

values = np.random.default_rng(0).random((1, 4, 4)).astype("f4")
gaps = values.copy()
gaps[0, 0, 0] = np.nan
broken = values.copy()
broken[0, 1, 1] = np.inf
cases = {
    "same": (values, values * np.float32(1 + 1e-6)),
    "nan": (gaps, values),
    "turned": (values, values.transpose(0, 2, 1)),
    "indices": (np.arange(10), np.arange(10)[::-1]),
    "infinite": (values, broken),
}
found = {}
for name, (expected, got) in cases.items():
    try:
        onnx_check.check([dict(onnx_check.differences(expected, got), name="y")], "the converted model")
        found[name] = None
    except stepio.StepError as error:
        found[name] = {"code": error.code, "message": str(error)}
sys.stdout.write(json.dumps(found) + "\n")
