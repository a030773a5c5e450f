"""The same random inputs through ONNX Runtime and through a `.tflite`, and how far the results are apart.

In: an ONNX model and a float `.tflite` that are meant to compute the same. Out: figures for each output, or a
`StepError`. The inputs come from fixed seeds: the figures are those of the models.
"""

import math
import warnings
from typing import Any, Dict, List

import onnx_model
import stepio

# Largest difference that is taken for rounding, as a share of the largest value of the output. Both sides compute in
# float32 and sum in different orders: seen are 1e-7 to 3e-5, growing with depth. What is wrong, as an axis taken for
# another, is off by a tenth and more.
TOLERANCE = 1e-3
# Of a model that computes in half precision, whose rounding is 1e-3 at every step; seen are 3e-4 for three layers.
HALF_TOLERANCE = 1e-2
# Below it an output is zero but for rounding, and relative to its largest value anything is far off. ONNX Runtime's
# sigmoid is right to 8e-8, whatever its value: of one that says 1e-6 that is much.
_FLOOR = 1e-3
# Of integers, such as indices of a largest value, this share may differ: two values can be equal but for rounding.
_INTEGER_TOLERANCE = 0.01
SEEDS = (1, 2)
# Which axis of NCHW each axis of NHWC is.
_NHWC = (0, 2, 3, 1)


def session(model_bytes, purpose="the model"):
    """Return an ONNX Runtime session on one thread: its sums then have one order.

    Raises:
        StepError: `model-unreadable`: it cannot run the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise stepio.StepError(
            "model-unreadable",
            "ONNX Runtime cannot run {}: {}".format(purpose, onnx_model.shortened(error)),
            "see that the model runs in ONNX Runtime with the shapes of the manifest",
        ) from error


def random_inputs(tensors, shapes, seed) -> Dict[str, Any]:
    """Return values for each input by name: numbers in 0..1, as of an image; 0 or 1 where they are whole."""
    import numpy as np

    random = np.random.default_rng(seed)
    values = {}
    for each in tensors:
        shape = shapes[each.name]
        if each.dtype.kind == "f":
            values[each.name] = random.random(shape, dtype=np.float32).astype(each.dtype)
        else:
            values[each.name] = random.integers(0, 2, shape).astype(each.dtype)
    return values


def run_onnx(running, values) -> Dict[str, Any]:
    """Return the outputs by name."""
    names = [each.name for each in running.get_outputs()]
    try:
        return dict(zip(names, running.run(names, values)))
    except Exception as error:
        raise stepio.StepError(
            "model-unreadable",
            "ONNX Runtime cannot run the model: {}".format(onnx_model.shortened(error)),
            "see that the model runs in ONNX Runtime with the shapes of the manifest",
        ) from error


class Lite:
    """A `.tflite` that is run by the names of its signature."""

    def __init__(self, content):
        import tensorflow as tf

        with warnings.catch_warnings():
            # TensorFlow 2.19 announces that the interpreter will move to another package.
            warnings.simplefilter("ignore")
            # The delegate sums in an order that depends on the processor.
            kernels = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            self._interpreter = tf.lite.Interpreter(
                model_content=content, num_threads=1, experimental_op_resolver_type=kernels
            )
        self._runner = self._interpreter.get_signature_runner()

    def run(self, values) -> Dict[str, Any]:
        """Return the outputs by name."""
        details = self._runner.get_input_details()
        return self._runner(**{name: value.astype(details[name]["dtype"]) for name, value in values.items()})


def to_nhwc(value):
    """Return a four-dimensional array with its channels last."""
    return value.transpose(_NHWC)


def differences(reference, result) -> Dict[str, float]:
    """Return how far `result` is from `reference`, two arrays of one shape.

    Returns:
        `max_abs`, the largest difference; `relative`, the same as a share of the largest value of the reference, or, of
        integers, the share of values that differ; `tolerance` for it; and `compared`, the share of values that were
        compared: what is not finite in both is not.
    """
    import numpy as np

    expected = np.asarray(reference)
    if expected.dtype.kind != "f":
        wrong = float(np.mean(expected != np.asarray(result))) if expected.size else 0.0
        distance = np.abs(expected.astype(np.float64) - np.asarray(result).astype(np.float64))
        largest = float(distance.max()) if distance.size else 0.0
        return {"max_abs": largest, "relative": wrong, "tolerance": _INTEGER_TOLERANCE, "compared": 1.0}
    tolerance = HALF_TOLERANCE if expected.dtype == np.float16 else TOLERANCE
    expected, found = expected.astype(np.float64), np.asarray(result).astype(np.float64)
    finite = np.isfinite(expected)
    if not finite.any():
        return {"max_abs": 0.0, "relative": 0.0, "tolerance": tolerance, "compared": 0.0}
    largest = float(np.abs(expected[finite] - found[finite]).max())
    scale = max(float(np.abs(expected[finite]).max()), _FLOOR)
    relative = largest / scale
    return {
        "max_abs": largest if math.isfinite(largest) else float(np.finfo(np.float32).max),
        "relative": relative if math.isfinite(relative) else float(np.finfo(np.float32).max),
        "tolerance": tolerance,
        "compared": float(finite.mean()),
    }


def check(figures: List[Dict[str, Any]], what):
    """Hold the figures of every output, each with its `name`, against their tolerance.

    Raises:
        StepError: `conversion-differs`, naming the output that is farthest off.
    """
    bad = [each for each in figures if each["relative"] > each["tolerance"]]
    if not bad:
        return
    worst = max(bad, key=lambda each: each["relative"] / each["tolerance"])
    raise stepio.StepError(
        "conversion-differs",
        'output "{}" of {} is not what it was: on random inputs it differs by up to {:.3g}, that is {:.3g} of its '
        "largest value where {:.3g} is allowed".format(
            worst["name"], what, worst["max_abs"], worst["relative"], worst["tolerance"]
        ),
        "an operator was converted wrongly; the log of the step lists them. Try another opset, or simplify the model",
    )


def worst(figures: List[List[Dict[str, Any]]]) -> List[Dict[str, Any]]:
    """Return the figures of each output in the run where it is farthest off."""
    return [max(runs, key=lambda each: each["relative"]) for runs in zip(*figures)]
