"""Why the Edge TPU compiler did not compile a model, in words that say what to change.

In: what it printed, how it ended, and the model. Out: a `Fault`. The compiler names one operator at most and often
says nothing; what it leaves open is looked up in the model: which operators have that version, which tensors have no
size, which activations are the largest. The texts are those that users show in google-coral/edgetpu issues, whose
numbers stand beside them.
"""

import re
from typing import NamedTuple

from tflite_file import CUSTOM
from tflite_operators import NEWEST_READABLE

COMPILER = "the Edge TPU compiler"
_SHOWN = 3
_SHOWN_CHARACTERS = 60
_SHOWN_LINES = 4

_VERSION_HINT = (
    "leave the operator out, or express it in older ones; or convert with a TensorFlow before 2.7: toolchain = "
    '"tf1" under [target.artpec7], an image with an older TensorFlow under [toolchain.tf2], or a .tflite that is ready'
)
_GROUPED_HINT = (
    "use ordinary or depthwise convolutions: channels in groups are not supported; a grouped convolution can be "
    "written as a split, one convolution for each group, and a concatenation"
)
_ACTIVATION_HINT = (
    "make the input, or the number of channels where it is still large, smaller; or set search-delegate = true under "
    "[target.artpec7], which leaves the last operators to the CPU until the rest compiles"
)


class Fault(NamedTuple):
    """Why a compilation failed.

    `is_opaque` is true where the compiler does not say what it stumbled over, so that looking for it is worth while.
    """

    code: str
    message: str
    hint: str
    is_opaque: bool = False


def explain(text, ending, model):
    """Return why a compilation failed.

    Args:
        text: what the compiler printed of it.
        ending: how it ended, as a phrase: `with exit code 1`, `by signal SIGSEGV`.
        model: what was compiled (`tflite_file.Model`).
    """
    for pattern, fault_of in _KNOWN:
        match = re.search(pattern, text)
        if match is not None:
            return fault_of(match, model)
    node = _failed_node(text, model)
    if node:
        return Fault(
            "compiler-operator",
            "{} cannot prepare {}{}".format(COMPILER, node, _said(text)),
            "look at that operator's shapes and scales; TensorFlow Lite's own interpreter may say more",
        )
    return Fault(
        "compiler-internal",
        "{} ended {} without naming a reason{}".format(COMPILER, ending, _said(text)),
        "large activations are the usual reason; " + _ACTIVATION_HINT,
        is_opaque=True,
    )


def too_slow(limit, model):
    """Return the fault of a compilation that did not end in time; `limit` says in which, as a phrase."""
    return Fault(
        "compiler-timeout",
        "{} did not finish {}; the largest activations are {}".format(COMPILER, limit, _largest(model)),
        "this is usually caused by large activations: {}; or give it more time with timeout under "
        "[target.artpec7]".format(_ACTIVATION_HINT),
    )


def unreadable(model):
    """Return the operators whose version is newer than all that the compiler is expected to read."""
    return [
        operator
        for operator in model.operators
        if operator.name != CUSTOM and operator.version > NEWEST_READABLE.get(operator.name, 0)
    ]


def versions_of(operators):
    """Return operators for a message, by name and version: `CONV_2D version 6 (operators 3, 9)`."""
    numbers = {}
    for operator in operators:
        numbers.setdefault((operator.name, operator.version), []).append(str(operator.index))
    return "; ".join(
        "{} version {} (operator{} {})".format(name, version, "s" if len(found) > 1 else "", _some(found, 8))
        for (name, version), found in sorted(numbers.items())
    )


def operator_text(operator, model):
    """Return an operator for a message: its number, name, and the tensor that it writes."""
    written = [model.tensors[index] for index in operator.outputs if index >= 0]
    what = ", which writes {}".format(tensor_text(written[0])) if written else ""
    return "operator {} {}{}".format(operator.index, operator.label, what)


def tensor_text(tensor):
    """Return a tensor for a message, with its shape and what it takes in memory."""
    # Converters join the names of all that was fused into one tensor with ";".
    name = tensor.name.partition(";")[0]
    if len(name) > _SHOWN_CHARACTERS:
        name = "..." + name[3 - _SHOWN_CHARACTERS :]
    shape = "x".join("?" if size < 0 else str(size) for size in tensor.shape)
    return "tensor {} '{}' ({} {}, {})".format(tensor.index, name, shape, tensor.dtype, _size(tensor.bytes))


def _operator_version(match, model):
    # google-coral/edgetpu issues 631, 845 and 879.
    name, version = match.group(1), int(match.group(2))
    same = [operator for operator in model.operators if (operator.name, operator.version) == (name, version)]
    others = [operator for operator in unreadable(model) if operator not in same]
    message = "{} cannot read {}".format(COMPILER, versions_of(same) or "{} version {}".format(name, version))
    if others:
        message += "; nor can it be expected to read {}".format(versions_of(others))
    grouped = _grouped(model)
    if name == "CONV_2D" and grouped:
        return Fault(
            "compiler-grouped-convolution",
            "{}: the converter writes this version for a grouped convolution, which {}".format(
                message, _are(grouped, model)
            ),
            _GROUPED_HINT,
        )
    return Fault("compiler-operator-version", message, _VERSION_HINT)


def _not_quantized(match, model):
    # google-coral/edgetpu issues 168, 213 and 313, with these very words.
    del match
    floats = [
        operator
        for operator in model.operators
        if any(model.tensors[at].dtype.startswith("float") for at in (*operator.inputs, *operator.outputs) if at >= 0)
    ]
    where = "; it computes in floats in {}".format(_some([operator_text(each, model) for each in floats], _SHOWN))
    return Fault(
        "compiler-not-quantized",
        "{} takes fully quantized models only, and this one is not{}".format(COMPILER, where if floats else ""),
        "quantize weights and activations to 8 bits, with calibration data",
    )


def _dynamic_size(match, model):
    # google-coral/edgetpu issue 829.
    del match
    dynamic = [tensor for tensor in model.tensors if any(size < 0 for size in tensor.shape)]
    if dynamic:
        where = "not fixed here: {}".format(_some([tensor_text(tensor) for tensor in dynamic], _SHOWN))
    else:
        where = "none is open in the file, so an operator computes one: a RESHAPE, a slice or a loop is likely"
    return Fault(
        "compiler-dynamic-size",
        "{} needs sizes that are known before it runs; {}".format(COMPILER, where),
        "fix the input, batch 1, by shape under [[model.input]]; a size that the model computes must go",
    )


def _large_activations(match, model):
    # google-coral/edgetpu issues 444, 512 and 601.
    del match
    return Fault(
        "compiler-large-activations",
        "{} finds the activations too large; the largest are {}".format(COMPILER, _largest(model)),
        _ACTIVATION_HINT,
        is_opaque=True,
    )


def _timeout(match, model):
    # google-coral/edgetpu issue 686.
    timer = re.search(r"compilation timeout timer of (\d{1,9}) seconds", match.string)
    return too_slow("within {} s".format(timer.group(1)) if timer else "in time", model)


def _scales(match, model):
    # google-coral/edgetpu issue 453: a product of scales that does not fit into 32 bits.
    node = _failed_node(match.string, model)
    return Fault(
        "compiler-scale",
        "{} cannot use the scales of {}".format(COMPILER, node or "an operator that it does not name"),
        "values there have a range that no sample of the calibration data had, or hardly any: look at the data and at "
        "dead channels, and quantize again",
    )


def _grouped_convolution(match, model):
    grouped = _grouped(model)
    node = _failed_node(match.string, model)
    where = _are(grouped, model) if grouped else "is {}".format(node or "an operator that it does not name")
    return Fault(
        "compiler-grouped-convolution",
        "{} does not support a convolution over groups of channels ({} in, {} in each filter), which {}".format(
            COMPILER, match.group(1), match.group(2), where
        ),
        _GROUPED_HINT,
    )


def _darwinn_operator(match, model):
    # google-coral/edgetpu issue 828.
    name = match.group(1).upper()
    same = [operator for operator in model.operators if operator.name == name]
    where = ": {}".format(_some([operator_text(each, model) for each in same], _SHOWN)) if same else ""
    return Fault(
        "compiler-operator",
        "{} does not support {} as it is used{}".format(COMPILER, name, where),
        "look at the limits of that operator in Coral's table of supported operators; cut the model before it with "
        "intermediate-tensors under [target.artpec7], or leave it out",
    )


def _custom_operator(match, model):
    name = match.group(1)
    same = [each for each in model.operators if each.custom_code == name]
    where = ": {}".format(_some([operator_text(each, model) for each in same], _SHOWN)) if same else ""
    return Fault(
        "compiler-operator",
        "{} does not know the custom operator {}{}".format(COMPILER, name, where),
        "leave it out of the exported graph, and compute it in the application",
    )


def _intermediate_tensors(match, model):
    # google-coral/edgetpu issue 778.
    del match, model
    return Fault(
        "compiler-option",
        "{} does not understand the list of intermediate tensors".format(COMPILER),
        "names with a colon or a comma cannot be given to it: name other tensors in intermediate-tensors",
    )


def _not_parsed(match, model):
    del model
    return Fault(
        "compiler-model",
        "{} cannot read the model{}".format(COMPILER, _said(match.string)),
        "convert the model again; operator versions newer than TensorFlow 2.6 are a usual reason",
    )


def _option(match, model):
    del model
    return Fault(
        "compiler-option",
        "{} does not take an option that it was given{}".format(COMPILER, _said(match.string)),
        "is this version 16.0, as `edgetpu_compiler --version` says?",
    )


# The first that fits counts: what names an operator comes before what only says that something failed.
_KNOWN = (
    (r"Didn't find op for builtin opcode '(\w{1,64})' version '(\d{1,9})'", _operator_version),
    (r"Model not quantized", _not_quantized),
    (r"graph that has dynamic-sized tensors", _dynamic_size),
    (r"Encountered unresolved custom op: ([^\s.]+)", _custom_operator),
    (r"filter->dims->data\[3\] \((\d+) != (\d+)\)", _grouped_convolution),
    (r"no_integer_overflow_from_quantization was not true", _scales),
    (r"'tfl\.(\w{1,64})' op is not supported on DarwiNN", _darwinn_operator),
    (r"large activation tensors", _large_activations),
    (r"Compilation timeout\b", _timeout),
    (r"number of lists given to intermediate_tensors", _intermediate_tensors),
    (r"Model could not be parsed|Invalid model|Did not get operators, tensors, or buffers", _not_parsed),
    (r"(?i)unknown (command line )?(flag|option)|unrecognized option", _option),
)


def _failed_node(text, model):
    """Return the operator that TensorFlow Lite's interpreter names, empty where it names none."""
    match = re.search(r"Node number (\d{1,9}) \(([^)\n]{1,80})\) failed to prepare", text)
    if match is None:
        return ""
    index = int(match.group(1))
    if index < len(model.operators) and match.group(2) in (model.operators[index].name, model.operators[index].label):
        return operator_text(model.operators[index], model)
    return "operator {} {}".format(index, match.group(2))


def _grouped(model):
    """Return the convolutions whose filters see a part of the channels only."""
    found = []
    for operator in model.operators:
        if operator.name == "CONV_2D" and min(operator.inputs[:2], default=-1) >= 0:
            values, filters = (model.tensors[index].shape for index in operator.inputs[:2])
            if values[-1:] != filters[-1:]:
                found.append(operator)
    return found


def _are(operators, model):
    return "{} {}".format(
        "is" if len(operators) == 1 else "are", _some([operator_text(each, model) for each in operators], _SHOWN)
    )


def _largest(model):
    written = {index for operator in model.operators for index in operator.outputs if index >= 0}
    tensors = sorted((model.tensors[index] for index in written), key=lambda each: (-each.bytes, each.index))
    return ", ".join(tensor_text(tensor) for tensor in tensors[:_SHOWN]) or "none"


def _said(text):
    """Return the lines that say something of a failure, for the end of a message."""
    lines = [line.strip() for line in text.splitlines()]
    telling = [
        line[:200]
        for line in lines
        if re.search(r"(?i)error|fail|invalid|abort|terminat|fault|not supported|could not|unknown|unrecognized", line)
        and not re.match(r"Compilation failed!", line)
    ]
    return "; it said: {}".format(" / ".join(telling[:_SHOWN_LINES])) if telling else ""


def _some(texts, count):
    more = len(texts) - count
    return ", ".join(texts[:count]) + (" and {} more".format(more) if more > 0 else "")


def _size(size_bytes):
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= factor:
            return "{:.1f} {}".format(size_bytes / factor, unit)
    return "{} B".format(size_bytes)
