"""What an integer model makes of a few samples, beside what the float model made of them.

In: the samples of probe.py, and integer models. Out: figures, which go into the record of the step. Whether they are
good enough is judged by the tool; here is only decided when a second integer model is worth its time. Figures have four
digits, because kernels differ between processors.

For each output of the float model: `low` and `high` over all samples; `spread`, the greatest difference between two
samples of any one element; `distinct`, how many of its values over the samples differ. For each integer model the same,
after dequantizing, and

step            what one step of the output is worth; null where it has no scale, as an index
expected        how many of the float model's values differ once they are rounded to these steps
sqnr_db         power of the float values over power of the difference, between -99.9 and 99.9; null without scale
explained       how much of the float model's variation over the samples it follows: 1 is all, 0 is what a constant
                does; null where there is no variation
agreement       share of elements that are the same, for what has no scale; else null
"""

import math
import os
import signal

import numpy as np

import probe
import stepio
import tflite_run

_SCHEMES = {True: "per-channel", False: "per-tensor"}
# An output that does not move where the float model's moves more than this many steps is compared with what the
# other scheme gives. The tool judges by a larger number.
_COMPARED_ABOVE_STEPS = 4
_STEPS_OF_8_BITS = 255
_DB_LIMIT = 99.9
_RUN_TIMEOUT_S = 900
_PARTIAL = "out/outputs.partial"


def measured(samples, floats, model, requantized, left_out=()):
    """Return the figures, as the record has them.

    Args:
        samples: as `probe.unpack` returns them.
        floats: inputs and outputs of the float model, as stepio.describe_tensors returns them.
        model: an `IntegerModel`.
        requantized: function that returns the `IntegerModel` that the other scheme gives.
        left_out: numbers of outputs that cannot be compared value by value: boxes, whose rows are sorted by score.
    """
    inputs = [samples.get("input-{}".format(number)) for number in range(len(floats["inputs"]))]
    result = {"samples": len(samples.get("positions", ())), "distinct": 0, "scheme": _SCHEMES[model.per_channel]}
    result.update({"outputs": [], "unmeasured": [], "failures": {}})
    if any(array is None for array in inputs):
        return result
    result["distinct"] = _distinct(inputs)
    expected = _expected(samples, floats["outputs"], left_out, result)
    if result["distinct"] == 1 or not expected:
        return result
    _measure(model, inputs, floats, expected, result)
    if any(_is_worth_comparing(each, result["scheme"]) for each in result["outputs"]):
        try:
            other = requantized()
        except stepio.StepError as error:
            result["failures"][_SCHEMES[not model.per_channel]] = str(error)
        else:
            _measure(other, inputs, floats, expected, result)
    return result


class IntegerModel:
    """An integer `.tflite` and what is needed to feed it.

    Args:
        content: its bytes.
        tensors: its inputs and outputs as stepio.describe_tensors returns them.
        steps: per output the worth of a step, None where it has no scale; see `output_steps`.
        per_channel: how its weights are quantized.
    """

    def __init__(self, content, tensors, steps, per_channel):
        self.content = content
        self.tensors = tensors
        self.steps = steps
        self.per_channel = per_channel


def output_steps(schema, model):
    """Return per output of `model` (as stepio.unpack returns it) what a step is worth, None where it has no scale.

    A float output of an integer model is made by a DEQUANTIZE, whose input has the scale.
    """
    graph = model.subgraphs[0]
    dequantized = {}
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.DEQUANTIZE:
            dequantized[int(operator.outputs[0])] = int(operator.inputs[0])
    steps = []
    for index in graph.outputs:
        quantization = graph.tensors[dequantized.get(int(index), int(index))].quantization
        known = quantization is not None and quantization.scale is not None and len(quantization.scale) == 1
        steps.append(float(quantization.scale[0]) if known else None)
    return steps


def _distinct(arrays):
    """Return how many rows differ, over all arrays together."""
    return len({b"".join(array[row].tobytes() for array in arrays) for row in range(len(arrays[0]))})


def _expected(samples, outputs, left_out, result):
    """Return what the float model gave, by the number of the output; say why of those that cannot be compared."""
    expected = {}
    for number, each in enumerate(outputs):
        if number in left_out:
            continue
        array = samples.get("output-{}".format(number))
        if array is None:
            reason = "the float model gives none, or one whose size differs from sample to sample"
        elif not array.size:
            reason = "it is empty"
        elif not np.isfinite(array).all():
            reason = "the float model gives values that are not finite"
        else:
            expected[number] = array
            continue
        result["unmeasured"].append({"name": each["name"], "reason": reason})
    return expected


def _measure(model, inputs, floats, expected, result):
    """Add the figures of one integer model to `result`, or why it has none."""
    scheme = _SCHEMES[model.per_channel]
    try:
        outputs = _run(model, _feeds(model, inputs, floats["inputs"]))
    except _CannotRunError as error:
        result["failures"][scheme] = str(error)
        return
    if not result["outputs"]:
        for number in sorted(expected):
            name = floats["outputs"][number]["name"]
            result["outputs"].append({"name": name, "float": _spread(_rows(expected[number])), "integer": {}})
    for entry, number in zip(result["outputs"], sorted(expected)):
        place = _place(number, floats["outputs"], model.tensors["outputs"])
        got = outputs.get("output-{}".format(place))
        if got is None or got.shape != expected[number].shape or not np.isfinite(got).all():
            continue
        described = model.tensors["outputs"][place]
        if "scale" in described:
            got = (got.astype(np.float32) - described["zero_point"]) * np.float32(described["scale"])
        entry["integer"][scheme] = _figures(expected[number], got, model.steps[place])


def _place(number, ours, theirs):
    """Return which of `theirs` is called as number `number` of `ours`; the same number where names do not say."""
    names = [each["name"] for each in theirs]
    name = ours[number]["name"]
    return names.index(name) if names.count(name) == 1 else number


def _feeds(model, inputs, described):
    """Return the values of every input of the integer model, one array per input, one row per sample."""
    tensors = model.tensors["inputs"]
    if len(tensors) != len(inputs):
        raise _CannotRunError("it has {} inputs, the float model {}".format(len(tensors), len(inputs)))
    feeds = [None] * len(tensors)
    for number, array in enumerate(inputs):
        place = _place(number, described, tensors)
        feeds[place] = _quantized(array, tensors[place])
    if any(feed is None for feed in feeds):
        raise _CannotRunError("its inputs are not called as those of the float model")
    return feeds


def _quantized(array, tensor):
    dtype = np.dtype(tensor["dtype"])
    if "scale" not in tensor or array.dtype.kind != "f" or dtype.kind == "f":
        return array.astype(dtype)
    limits = np.iinfo(dtype)
    values = np.rint(array.astype(np.float64) / tensor["scale"]) + tensor["zero_point"]
    return np.clip(values, limits.min, limits.max).astype(dtype)


class _CannotRunError(Exception):
    """The integer model cannot be run on the samples."""


def _run(model, feeds):
    """Run the model in a process of its own: a kernel that meets what it cannot do ends the process."""
    child = os.fork()
    if child == 0:
        _run_and_exit(model, feeds)
    try:
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
            raise _CannotRunError("it takes longer than {} s".format(_RUN_TIMEOUT_S))
        if os.WIFSIGNALED(status):
            raise _CannotRunError("TensorFlow Lite ended by signal {}".format(os.WTERMSIG(status)))
        if os.WEXITSTATUS(status):
            with open(_PARTIAL, "rb") as stream:
                raise _CannotRunError(stream.read().decode("utf-8", "replace").strip()[:600] or "no reason is known")
        return probe.unpack(_PARTIAL)
    finally:
        if os.path.exists(_PARTIAL):
            os.remove(_PARTIAL)


def _run_and_exit(model, feeds):
    """In the child: leave the outputs, or what is wrong, in a file."""
    code = 1
    try:
        signal.alarm(_RUN_TIMEOUT_S)
        try:
            runner = tflite_run.Runner(model.content, delegates=True)
            rows = [runner.run([feed[row] for feed in feeds]) for row in range(len(feeds[0]))]
            content, code = probe.pack(probe.stacked("output", rows)), 0
        except tflite_run.FAULTS as error:
            content = str(error).encode("utf-8", "replace")
        with open(_PARTIAL, "wb") as stream:
            stream.write(content)
    finally:
        os._exit(code)


def _rows(array):
    """One row per sample; indices need all digits, and are few."""
    return array.reshape(len(array), -1).astype(np.float32 if array.dtype.kind == "f" else np.float64)


def _power(rows):
    return float(np.square(rows).sum(dtype=np.float64))


def _spread(rows):
    return {
        "low": _rounded(rows.min()),
        "high": _rounded(rows.max()),
        "spread": _rounded((rows.max(axis=0) - rows.min(axis=0)).max()),
        "distinct": _distinct([rows]),
    }


def _figures(expected, got, step):
    wanted, given = _rows(expected), _rows(got)
    figures = _spread(given)
    is_index = expected.dtype.kind in "iub"
    if step is None and not is_index:
        # A float output that no DEQUANTIZE makes: what 8 bits over its range would be.
        step = float(wanted.max() - wanted.min()) / _STEPS_OF_8_BITS or None
    figures["step"] = None if step is None else _rounded(step)
    figures["expected"] = _distinct([np.rint(wanted / step) if step else wanted])
    figures["sqnr_db"] = None if is_index else _sqnr_db(wanted, given)
    varies = _power(wanted - wanted.mean(axis=0))
    explained = 1 - _power(wanted - given) / varies if varies and not is_index else None
    figures["explained"] = None if explained is None else _rounded(explained)
    figures["agreement"] = _rounded((wanted == given).mean()) if is_index else None
    return figures


def _sqnr_db(wanted, given):
    signal_power, noise_power = _power(wanted), _power(wanted - given)
    if not noise_power:
        return _DB_LIMIT
    if not signal_power:
        return -_DB_LIMIT
    return round(min(_DB_LIMIT, max(-_DB_LIMIT, 10 * math.log10(signal_power / noise_power))), 1)


def _is_worth_comparing(output, scheme):
    figures = output["integer"].get(scheme)
    if figures is None or figures["distinct"] > 1:
        return False
    if figures["step"] is None:
        return output["float"]["distinct"] > 1
    return output["float"]["spread"] > _COMPARED_ABOVE_STEPS * figures["step"]


def _rounded(value):
    return float("{:.4g}".format(float(value)))
