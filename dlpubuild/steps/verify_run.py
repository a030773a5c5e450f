"""Models run on validation samples, for the scripts that compare what they give.

In: the bytes of a model, and a few samples at a time. Out: the values of every output for each of them, as real
numbers: what a model stores as integers is read by its scale. TensorFlow Lite gets one thread, so that the figures do
not depend on the machine's cores. `apart` runs a function in a process of its own, since a kernel that meets what it
cannot do ends its process. Nothing is compared here.
"""

import json
import os
import signal

import numpy as np

import stepio
import tflite_run

_CHUNK_SAMPLES = 64
_CHUNK_BYTES = 32 << 20
_ITEM_BYTES = 4
_NAMED_CHARACTERS = 600


class CrashError(Exception):
    """The process that `apart` started ended without a result."""


class Subject:
    """One model: its bytes, its inputs and outputs.

    Args:
        content: the bytes of a `.tflite`.
        role: what messages call it, such as "the float model".
    """

    def __init__(self, schema, content, role):
        self.content = content
        self.role = role
        try:
            self.model = stepio.unpack(schema, content)
            self.tensors = stepio.describe_tensors(schema, self.model)
        except Exception as error:
            raise stepio.StepError(
                "model-unreadable", "{} cannot be read: {}".format(role, error), "give a .tflite file"
            ) from error

    def runner(self, **options):
        """Return a tflite_run.Runner for it.

        Raises:
            StepError: `conversion` where TensorFlow Lite does not take the model.
        """
        try:
            return tflite_run.Runner(self.content, **options)
        except tflite_run.FAULTS as error:
            raise self.fault(error) from error

    def fault(self, error):
        """Return the error for a model that TensorFlow Lite cannot run."""
        return stepio.StepError(
            "conversion",
            "TensorFlow Lite cannot run {}: {}".format(self.role, str(error).strip()[:_NAMED_CHARACTERS]),
            "all that it says is in the log of the step; leave [verify] out to build without measuring",
        )


def read_subject(schema, path, role):
    """Return the model in a file."""
    with open(path, "rb") as stream:
        return Subject(schema, stream.read(), role)


def place(name, number, tensors):
    """Return which of `tensors` is called `name`; `number`, where names do not say."""
    names = [each["name"] for each in tensors]
    return names.index(name) if names.count(name) == 1 else number


def spread(count, most):
    """Return at most `most` of the positions below `count`, evenly spread."""
    wanted = min(count, most)
    return [number * count // wanted for number in range(wanted)]


def chunks(positions, subjects):
    """Yield `positions` a few at a time: as many as fit into some memory with inputs and outputs of all `subjects`."""
    sizes = [size_of(each) for subject in subjects for kind in ("inputs", "outputs") for each in subject.tensors[kind]]
    step = max(1, min(_CHUNK_SAMPLES, _CHUNK_BYTES // max(1, _ITEM_BYTES * sum(sizes))))
    for start in range(0, len(positions), step):
        yield positions[start : start + step]


def size_of(tensor):
    """Return how many elements a described tensor has; a size that is not known counts as 1."""
    elements = 1
    for size in tensor["shape"]:
        elements *= max(1, size)
    return elements


def quantized(array, tensor):
    """Return real numbers as the described tensor stores them."""
    dtype = np.dtype(tensor["dtype"])
    if "scale" not in tensor or array.dtype.kind != "f" or dtype.kind == "f":
        return array.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    # In single precision, as applications do it: halves are not rare, where pixels are scaled.
    scaled = array.astype(np.float32, copy=False) / np.float32(tensor["scale"])
    scaled += np.float32(tensor["zero_point"])
    np.rint(scaled, out=scaled)
    return np.clip(scaled, limits.min, limits.max, out=scaled).astype(dtype)


def real(array, tensor):
    """Return what stored values stand for."""
    if "scale" not in tensor or array.dtype.kind == "f":
        return array
    return (array.astype(np.float32) - np.float32(tensor["zero_point"])) * np.float32(tensor["scale"])


class Running:
    """A model that runs.

    Args:
        subject: the model.
        inputs: described inputs of the `Feed`, in the order in which its values are.
    """

    def __init__(self, subject, inputs, **options):
        tensors = subject.tensors["inputs"]
        self._subject = subject
        self._order = [place(each["name"], number, tensors) for number, each in enumerate(inputs)]
        if sorted(self._order) != list(range(len(tensors))):
            raise stepio.StepError(
                "model-input",
                "{} has the inputs {}; the samples are for {}".format(
                    subject.role,
                    stepio.listed([e["name"] for e in tensors]),
                    stepio.listed([e["name"] for e in inputs]),
                ),
                "give both models the same inputs",
            )
        self.runner = subject.runner(**options)

    def feeds(self, values):
        """Return per input of the model an array with a row per sample, as it stores them."""
        stored = [None] * len(self._order)
        for array, at in zip(values, self._order):
            stored[at] = quantized(array, self._subject.tensors["inputs"][at])
        return stored

    def outputs(self, values):
        """Return per output an array with a row per sample, None where its size differs between samples."""
        stored = self.feeds(values)
        try:
            rows = [self.runner.run([each[row] for each in stored]) for row in range(len(stored[0]))]
        except tflite_run.FAULTS as error:
            raise self._subject.fault(error) from error
        result = []
        for number, described in enumerate(self._subject.tensors["outputs"]):
            arrays = [row[number] for row in rows]
            same = len({array.shape for array in arrays}) == 1
            result.append(real(np.stack(arrays), described) if same else None)
        return result


def apart(function, timeout_s=None):
    """Return what `function` returns, a JSON value, after running it in a process of its own.

    Raises:
        StepError: what the function raised.
        CrashError: the process was ended, or took longer than `timeout_s`.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run_and_exit(function, writing, timeout_s)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        content = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGALRM:
            raise CrashError("it takes longer than {} s".format(timeout_s))
        raise CrashError("TensorFlow Lite ended by signal {}".format(signal.Signals(number).name))
    if not content:
        raise CrashError("its process ended with code {}".format(os.WEXITSTATUS(status)))
    answer = json.loads(content.decode("utf-8"))
    if "error" in answer:
        raise stepio.StepError(**answer["error"])
    return answer["result"]


def _run_and_exit(function, writing, timeout_s):
    """In the child: write what the function returns, or the fault that it raised, as JSON."""
    code = 1
    try:
        if timeout_s is not None:
            signal.alarm(timeout_s)
        try:
            answer = {"result": function()}
        except stepio.StepError as error:
            answer = {"error": {"code": error.code, "message": str(error), "hint": error.hint}}
        with os.fdopen(writing, "wb") as stream:
            stream.write(json.dumps(answer).encode("utf-8"))
        code = 0
    except BaseException:  # noqa: BLE001 - a child must not go on as its parent
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)
