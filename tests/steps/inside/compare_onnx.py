"""Run ONNX models and `.tflite` files on the same values; print how far their outputs are apart.

In: `[{"onnx": path, "tflite": path, "moved": [inputs that are NHWC in the .tflite only]}, ...]`. Out: for each the
largest relative difference by output name, its own words and not those of the steps.
"""

# mypy: ignore-errors

import json
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf

warnings.simplefilter("ignore")
found = []
for job in json.load(sys.stdin):
    session = onnxruntime.InferenceSession(job["onnx"])
    runner = tf.lite.Interpreter(model_path=job["tflite"]).get_signature_runner()
    random = np.random.default_rng(99)
    values = {each.name: random.random(each.shape, dtype=np.float32) for each in session.get_inputs()}
    reference = dict(zip([each.name for each in session.get_outputs()], session.run(None, values), strict=True))
    given = {name: np.moveaxis(value, 1, -1) if name in job["moved"] else value for name, value in values.items()}
    result = runner(**given)
    distances = {}
    for name, expected in reference.items():
        got = result[name]
        if got.shape != expected.shape:
            got = np.moveaxis(got, -1, 1)
        distances[name] = float(np.abs(got - expected).max() / np.abs(expected).max())
    model = onnx.load(job["onnx"])
    onnx.checker.check_model(model, full_check=True)
    found.append(
        {
            "distances": distances,
            "opset": {each.domain: each.version for each in model.opset_import},
            "inputs": {each.name: each.shape for each in session.get_inputs()},
            "outputs": {each.name: each.shape for each in session.get_outputs()},
        }
    )
sys.stdout.write(json.dumps(found) + "\n")
