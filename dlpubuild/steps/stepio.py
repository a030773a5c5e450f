"""What every step script shares: parameters, events, `out/step.json`, and `.tflite` files read by TensorFlow's schema.

A script calls `run(main)`. `main` gets the parameters, reads below `in/`, writes below `out/` and raises `StepError`
for a fault of the user's model or data. Events are JSON lines on stdout; whatever else is printed is log. This module
travels beside each script into every toolchain, so it keeps to Python 3.7 and to the standard library; flatbuffers is
imported where a `.tflite` is written. Nothing here computes anything of a model.
"""

import difflib
import importlib.util
import json
import os
import re
import sys
import time
import traceback

PROGRESS_INTERVAL_S = 0.1
_FILE_IDENTIFIER = b"TFL3"


class StepError(Exception):
    """A fault of the user's model or data: reported as an event, without a traceback.

    Attributes:
        code: machine-readable name of the fault, such as `model-shape`.
        hint: what to do about it; may be empty.
    """

    def __init__(self, code, message, hint=""):
        super().__init__(message)
        self.code = code
        self.hint = hint


def run(main):
    """Run `main` with the parameters in the file that the command line names; exit 1 where it fails."""
    try:
        with open(sys.argv[1], encoding="utf-8") as stream:
            params = json.load(stream)
        main(params)
    except StepError as error:
        _fail(error.code, str(error), error.hint)
    except Exception as error:  # noqa: BLE001 - the last place that can tell the tool what happened
        traceback.print_exc()
        _fail("step-failed", "{}: {}".format(type(error).__name__, error), "the traceback is in the log of the step")
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. Taking TensorFlow down in order costs half a second and has been seen to abort.
    os._exit(0)


def message(text):
    """Tell the user one line."""
    _emit({"event": "message", "text": text})


class Progress:
    """Tells how far a step is, at most ten times a second, and always at its end."""

    def __init__(self, total, unit):
        self._total = total
        self._unit = unit
        self._told_s = None
        self.done = 0

    def advance(self):
        """Count one more."""
        self.done += 1
        now_s = time.monotonic()
        if self._told_s is None or self.done == self._total or now_s - self._told_s >= PROGRESS_INTERVAL_S:
            self._told_s = now_s
            _emit({"event": "progress", "done": self.done, "total": self._total, "unit": self._unit})


def write_step_json(tools, tensors, metrics):
    """Write `out/step.json`.

    Args:
        tools: version by package name; what differs between machines does not belong here.
        tensors: `{"inputs": [...], "outputs": [...]}` as `describe_tensors` returns it.
        metrics: figures of this step, by name.
    """
    document = {"schema": 1, "tools": tools, "tensors": tensors, "metrics": metrics}
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False)
    write_output("out/step.json", (text + "\n").encode("utf-8"))


def write_output(path, content):
    """Write `content` to `path` under a temporary name first, so that the output is whole or absent."""
    temporary = path + ".partial"
    with open(temporary, "wb") as stream:
        stream.write(content)
    os.replace(temporary, path)


def tool_versions(*names):
    """Return the version of each distribution that is installed, by name.

    Read from the names of the `.dist-info` folders: importlib.metadata came with Python 3.8, and asking TensorFlow
    itself means importing it.
    """
    found = {}
    for folder in sys.path:
        if not os.path.isdir(folder):
            continue
        for entry in sorted(os.listdir(folder)):
            match = re.match(r"(.+)-([^-]+)\.dist-info$", entry)
            name = match.group(1).replace("_", "-").lower() if match else None
            if name in names and name not in found:
                found[name] = match.group(2)
    return {name: found[name] for name in names if name in found}


def suggestion(name, known):
    """Return `; did you mean "..."?` with the nearest of `known`, or nothing where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return '; did you mean "{}"?'.format(near[0]) if near else ""


def listed(names):
    """Return names for a message: `"a", "b"`, or `none`."""
    return ", ".join('"{}"'.format(name) for name in names) or "none"


def load_from_toolchain(relative):
    """Load one module file of an installed package without importing the package; None where there is no such file.

    `import tensorflow` takes seconds, and importing any module below it imports all of it. The extension modules that
    calibrate and quantize need none of that. Do not mix: a process that also imports TensorFlow would have the
    extension twice, and crashes when it ends (seen with 2.19.1).
    """
    for folder in sys.path:
        path = os.path.join(folder, relative)
        if os.path.isfile(path):
            name = os.path.basename(relative).split(".")[0]
            spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return None


def tflite_schema():
    """Return TensorFlow's own reader of `.tflite` files, the module generated from its schema."""
    module = load_from_toolchain("tensorflow/lite/python/schema_py_generated.py")
    if module is None:
        raise StepError(
            "step-failed",
            "the toolchain has no tensorflow/lite/python/schema_py_generated.py",
            "use the pinned toolchain, or one with TensorFlow 2.19",
        )
    return module


def unpack(schema, content):
    """Return the `.tflite` in `content` as objects (`schema.ModelT`)."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def pack(model):
    """Return the bytes of a `.tflite`: what TensorFlow's flatbuffer_utils.convert_object_to_bytearray writes."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
    return bytes(builder.Output())


def describe_tensors(schema, model):
    """Return the inputs and outputs of a model, in the order in which an interpreter has them.

    Args:
        model: as `unpack` returns it; its first signature gives the public names.

    Returns:
        `{"inputs": [...], "outputs": [...]}`, each `{"name", "tensor", "shape", "dtype"}` and, where the tensor is
        quantized, `"scale"` and `"zero_point"`. `shape` has -1 for a dynamic dimension; `dtype` is in NumPy's words.
    """
    graph = model.subgraphs[0]
    signature = model.signatureDefs[0] if model.signatureDefs else None
    return {
        "inputs": _described(schema, graph, graph.inputs, signature.inputs if signature else []),
        "outputs": _described(schema, graph, graph.outputs, signature.outputs if signature else []),
    }


def _described(schema, graph, indices, maps):
    dtypes = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    names = {each.tensorIndex: as_text(each.name) for each in maps}
    described = []
    for index in indices:
        tensor = graph.tensors[index]
        signature = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
        entry = {
            "name": names.get(index, as_text(tensor.name)),
            "tensor": as_text(tensor.name),
            "shape": [int(size) for size in (signature if signature is not None else [])],
            "dtype": dtypes[tensor.type],
        }
        quantization = tensor.quantization
        if quantization is not None and quantization.scale is not None and len(quantization.scale):
            entry["scale"] = float(quantization.scale[0])
            entry["zero_point"] = int(quantization.zeroPoint[0])
        described.append(entry)
    return described


def as_text(name):
    """Return a name from a flatbuffer, which reads them as bytes, as text."""
    return name.decode("utf-8") if isinstance(name, bytes) else name


def _fail(code, text, hint):
    _emit({"event": "error", "code": code, "message": text, "hint": hint})
    sys.exit(1)


def _emit(event):
    print(json.dumps(event, sort_keys=True), flush=True)
