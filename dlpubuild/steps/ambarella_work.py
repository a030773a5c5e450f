"""What the Ambarella toolchain is to do for one model: a folder with all it reads, and the command lines to run there.

In: a model, calibration data, what the manifest asks for. Out: files in a folder, and a `Job`. The command lines are
those that Axis documents ("onnx-to-cv25", and tensorflow-to-larod-cv25 of acap-native-sdk-examples);
every path in them is relative to the folder, so that they are the same wherever they are run. Nothing is run here.

How an input is fed: the parser is told of bytes (`idf`, the format of the data) and of what they are divided by (`ic`).
Two forms are documented, both for a model that was trained on pixels divided by 255: `idf:0,0,8,0`, which is a fixed
point after 8 bits, and `idf:0,0,0,0` with `ic:255.00446258`. Another divisor than 255 is expected to be an `ic` of its
own; there is no documented way to subtract a mean, or to divide each channel by another number.
"""

import os
from typing import NamedTuple, Tuple

import stepio
from ambarella_calibration import Command, from_arrays, from_images
from ambarella_model import read_source

MODEL_FILE = "model.bin"
FIXED_POINT, SCALED = "idf:0,0,8,0", "idf:0,0,0,0"
_QUANTIZED = "quantized"
_VAS_OUTPUT = "vas_output"
_PIXEL_RANGE = 255
# As documented for a division by 255.
_DOCUMENTED_SCALE = "255.00446258"


class Job(NamedTuple):
    """All that is to be done; `notes` are what a person should know, `inputs` and `outputs` go into the record."""

    commands: Tuple[Command, ...]
    inputs: Tuple[dict, ...]
    outputs: Tuple[dict, ...]
    notes: Tuple[str, ...]
    samples: int


def lay_out(params, folder):
    """Fill a folder with what the toolchain reads, and return what is to be run there.

    Args:
        params: of the step: `model`, `parser`, `inputs`, `outputs`, `data`, `activations`, `coefficients`,
            `input_format`; `shapes`, the inputs as an ONNX model has them, where those of `inputs` are interleaved.
        folder: an empty one.

    Raises:
        stepio.StepError: the options cannot say what is asked for, or the data does not fit.
    """
    parser = params["parser"]
    shapes = params.get("shapes") or params["inputs"]
    source = read_source(params["model"], parser, shapes, params["outputs"])
    model = "model.tflite" if parser == "tf" else "model.onnx"
    stepio.write_output(os.path.join(folder, model), source.content)
    declared = {each["name"]: each for each in params["inputs"]}
    notes = []
    if params["data"]["kind"] == "images":
        lists, commands = from_images(params["data"]["files"], source, declared, folder, notes)
        samples = len(params["data"]["files"])
    else:
        lists, commands = from_arrays(params["data"], source, folder)
        samples = len(params["data"]["indices"])
    inputs, options = [], []
    for tensor, path in zip(source.inputs, lists):
        option, scale = _source_option(tensor, declared.get(tensor.name, {}), path, params, notes)
        options += ["-isrc", option]
        inputs.append(_recorded(tensor, scale))
    for tensor in source.outputs:
        options += ["-odst", "o:{}|odf:fp32".format(tensor.tensor)]
    options += _precision(params)
    program, flag = ("tfparser.py", "-p") if parser == "tf" else ("onnxparser.py", "-m")
    vas = "{0}/{0}.vas".format(_QUANTIZED)
    commands += [
        Command(program, (flag, model, "-o", _QUANTIZED, "-of", _QUANTIZED, *options), vas),
        Command("vas", ("-auto", "-show-progress", vas), _VAS_OUTPUT),
        Command("cavalry_gen", ("-d", _VAS_OUTPUT + "/", "-f", MODEL_FILE), MODEL_FILE),
    ]
    return Job(
        tuple(commands), tuple(inputs), tuple(_recorded(each, None) for each in source.outputs), tuple(notes), samples
    )


def _recorded(tensor, scale):
    entry = {"name": tensor.name, "tensor": tensor.tensor, "shape": list(tensor.shape), "layout": "NCHW"}
    return entry if scale is None else dict(entry, scale=scale)


def _source_option(tensor, declared, path, params, notes):
    """Return the value of -isrc, and by what a byte is multiplied there."""
    mean, std = declared.get("mean") or [0], declared.get("std") or [1]
    if any(mean):
        raise stepio.StepError(
            "model-input",
            'input "{}" has the mean {}: the documented options of the parser divide bytes and cannot subtract'.format(
                tensor.name, list(mean)
            ),
            "put the subtraction into the model, as its first layer, and export it again: then mean is 0",
        )
    if len(set(std)) > 1:
        raise stepio.StepError(
            "model-input",
            'input "{}" has the std {}: the documented options of the parser have one divisor for all channels'.format(
                tensor.name, list(std)
            ),
            "put the division into the model, as its first layer, and export it again: then std is 1 or 255",
        )
    divisor = std[0]
    wanted = params["input_format"]
    if wanted == "auto":
        wanted = FIXED_POINT if params["parser"] == "onnx" and divisor == _PIXEL_RANGE else SCALED
    if wanted == FIXED_POINT and divisor != _PIXEL_RANGE:
        raise stepio.StepError(
            "model-input",
            'input "{}" has the std {:g}, but {} divides by 256: it is for a std of 255'.format(
                tensor.name, divisor, FIXED_POINT
            ),
            'set input-format = "{}", or leave it out'.format(SCALED),
        )
    parts = ["is:" + ",".join(map(str, tensor.shape)), "iq"]
    feed = "i:{}={}".format(tensor.tensor, path)
    if wanted == FIXED_POINT:
        parts += [FIXED_POINT, feed]
    elif divisor == 1:
        notes.append(
            'input "{}" takes pixels as 0..255: told to the parser as {} without ic, which is inferred from the two '
            "documented forms".format(tensor.name, SCALED)
        )
        parts += [feed, SCALED]
    elif divisor == _PIXEL_RANGE:
        parts += [feed, "ic:" + _DOCUMENTED_SCALE, SCALED]
    else:
        scale = repr(float(divisor))
        notes.append(
            'input "{}" has the std {}: told to the parser as ic:{}, which is inferred from the documented '
            "ic:{}".format(tensor.name, scale, scale, _DOCUMENTED_SCALE)
        )
        parts += [feed, "ic:" + scale, SCALED]
    return "|".join(parts), 1.0 / divisor


def _precision(params):
    forced = [
        "{}-force-{}".format(what, params[key])
        for what, key in (("act", "activations"), ("coeff", "coefficients"))
        if params[key] != "auto"
    ]
    return ["-c", ",".join(forced)] if forced else []
