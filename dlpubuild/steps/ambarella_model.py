"""The model that a parser of the Ambarella toolchain is given: looked at before, and named so that options can say it.

In: a float `.tflite` or an ONNX file. Out: a `Source` with the inputs and outputs as the parser's options take them.
What the parser would stumble over is refused here, in words that say what to change. The file itself is not changed but
for names: tensors of a `.tflite` whose names hold a colon, as TensorFlow writes them, get the names of its signature,
because `:`, `=` and `|` have a meaning in those options.
"""

import re
from typing import NamedTuple, Tuple

import stepio
from onnx_file import read_onnx
from tflite_file import read_tflite, renamed

_IMAGE_RANK = 4
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
_QUANTIZED_OPERATOR = re.compile(r"QLinear\w+|QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|\w+Integer")
_INTEGER_DTYPES = ("int8", "uint8", "int16", "int4")


class Tensor(NamedTuple):
    """An input or output.

    `name` is what people call it, `tensor` what it is called in the file. `shape` is as the options take it, planar;
    -1 is a size that is not known. `layout` is how the file has it: NHWC or NCHW.
    """

    name: str
    tensor: str
    shape: Tuple[int, ...]
    layout: str


class Source(NamedTuple):
    """A model as it is handed to a parser."""

    content: bytes
    inputs: Tuple[Tensor, ...]
    outputs: Tuple[Tensor, ...]


def read_source(path, parser, declared, wanted_outputs):
    """Return the model at `path`.

    Args:
        path: a file.
        parser: `tf` for a `.tflite`, `onnx`.
        declared: what the manifest says of each input: `name` and perhaps `shape`.
        wanted_outputs: names of outputs, those of the model where there are none.

    Raises:
        stepio.StepError: it cannot be read, is quantized, or has what the options cannot say.
    """
    with open(path, "rb") as stream:
        content = stream.read()
    try:
        source = _tflite(content) if parser == "tf" else _onnx(content, {each["name"]: each for each in declared})
    except ValueError as error:
        raise stepio.StepError(
            "model-unreadable", "the model cannot be read: {}".format(error), "export the model again"
        ) from error
    _check_names(source.inputs, [each["name"] for each in declared], "input")
    source = source._replace(outputs=_chosen(source.outputs, wanted_outputs))
    for tensor in source.inputs:
        if not tensor.shape or any(size < 1 for size in tensor.shape):
            raise stepio.StepError(
                "model-shape",
                'input "{}" has the shape {}; the parser needs fixed sizes'.format(tensor.name, list(tensor.shape)),
                'fix them: [[model.input]] name = "{}", shape = [1, ...]'.format(tensor.name),
            )
    for tensor in (*source.inputs, *source.outputs):
        if not _PLAIN.fullmatch(tensor.tensor):
            raise stepio.StepError(
                "compiler-option",
                'tensor "{}" cannot be named to the parser: its options are made of : | = and commas'.format(
                    tensor.tensor
                ),
                "give it a name of letters, digits, _ . / and - when the model is exported",
            )
    return source


def _tflite(content):
    model = read_tflite(content)
    for index in (*model.inputs, *model.outputs):
        tensor = model.tensors[index]
        if tensor.dtype != "float32":
            kind = "input" if index in model.inputs else "output"
            raise _quantized("{} '{}' is {}".format(kind, tensor.name, tensor.dtype))
    integer = [t for t in model.tensors if t.dtype in _INTEGER_DTYPES and t.scale is not None]
    if integer:
        raise _quantized("tensor '{}' is {} with a scale".format(integer[0].name, integer[0].dtype))
    names = _plain_names(model)
    if names:
        content = renamed(model, names)

    def described(index):
        tensor = model.tensors[index]
        shape = tensor.shape
        if len(shape) == _IMAGE_RANK:
            shape = (shape[0], shape[3], shape[1], shape[2])
        return Tensor(model.names.get(index, tensor.name), names.get(index, tensor.name), tuple(shape), "NHWC")

    return Source(content, tuple(map(described, model.inputs)), tuple(map(described, model.outputs)))


def _plain_names(model):
    """Return new names, by tensor, for inputs and outputs whose own hold what the options cannot say."""
    taken = {tensor.name for tensor in model.tensors}
    names = {}
    for kind, indices in (("input", model.inputs), ("output", model.outputs)):
        for position, index in enumerate(indices):
            tensor = model.tensors[index]
            if _PLAIN.fullmatch(tensor.name) or index in names:
                continue
            public = re.sub(r"[^A-Za-z0-9_./-]", "_", model.names.get(index, tensor.name.partition(":")[0]))
            candidates = (public, "{}_{}".format(kind, position), "{}{}".format(kind[0], position))
            fitting = [each for each in candidates if each and each not in taken and len(each) <= tensor.name_bytes]
            if fitting:
                names[index] = fitting[0]
                taken.add(fitting[0])
    return names


def _onnx(content, declared):
    model = read_onnx(content)
    if model.external is not None:
        raise stepio.StepError(
            "model-unreadable",
            'weight "{}" of the ONNX model lies in another file'.format(model.external),
            "save the model as one file: onnx.save(onnx.load(PATH), NEW_PATH)",
        )
    quantized = [name for name in model.operators if _QUANTIZED_OPERATOR.fullmatch(name)]
    if quantized:
        raise _quantized("it has the operator {}".format(quantized[0]))

    def described(value):
        shape = value.shape or ()
        return Tensor(value.name, value.name, (1, *shape[1:]) if shape[:1] == (-1,) else tuple(shape), "NCHW")

    inputs = []
    for value in model.inputs:
        if value.dtype != "float32":
            raise _quantized('input "{}" is {}'.format(value.name, value.dtype))
        inputs.append(_with_shape(described(value), declared.get(value.name, {}).get("shape")))
    return Source(content, tuple(inputs), tuple(map(described, model.outputs)))


def _with_shape(tensor, shape):
    """Return an input with what the manifest says of sizes that the file leaves open."""
    if shape is not None and len(tensor.shape) in (0, len(shape)):
        if all(own in (-1, size) for own, size in zip(tensor.shape, shape)):
            return tensor._replace(shape=tuple(shape))
        # The manifest may have it as images are stored; the file decides.
        planar = (shape[0], shape[3], shape[1], shape[2]) if len(shape) == _IMAGE_RANK else shape
        if all(own in (-1, size) for own, size in zip(tensor.shape, planar)):
            return tensor._replace(shape=tuple(planar))
        raise stepio.StepError(
            "model-shape",
            'input "{}" has the shape {}, and {} is declared'.format(tensor.name, list(tensor.shape), list(shape)),
            "correct shape under [[model.input]]",
        )
    return tensor


def _quantized(found):
    return stepio.StepError(
        "compiler-model",
        "the model is quantized: {}; the Ambarella toolchain takes a float model and quantizes it itself".format(found),
        "name the float model as [model] source: what it was quantized from",
    )


def _check_names(tensors, declared, kind):
    names = [tensor.name for tensor in tensors]
    for name in declared:
        if name not in names:
            raise stepio.StepError(
                "model-" + kind,
                'the model has no {} "{}"; it has: {}{}'.format(
                    kind, name, stepio.listed(names), stepio.suggestion(name, names)
                ),
                "correct [[model.{}]] name".format(kind),
            )


def _chosen(outputs, wanted):
    if not wanted:
        return outputs
    _check_names(outputs, wanted, "output")
    by_name = {tensor.name: tensor for tensor in outputs}
    return tuple(by_name[name] for name in wanted)
