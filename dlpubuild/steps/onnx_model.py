"""An ONNX model as the steps take it: read whole, with every shape fixed, and its operators looked at.

In: the path of an `.onnx` file, with the files of its weights beside it. Out: an `onnx.ModelProto` that has all in it.
Faults of the file are `StepError`s. Nothing is converted here.
"""

import collections
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import stepio

# From here on QuantizeLinear and what computes on integers: such a model has scales of its own.
QUANTIZED = re.compile(r"^(QLinear\w+|QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|\w+Integer)$")
# Operators of this domain are ONNX's own; it has two names.
ONNX_DOMAINS = ("", "ai.onnx")
_SHOWN_REASON_CHARACTERS = 600
_EXPORT_HINT = "export the model again; with PyTorch as examples/pytorch/export.py of dlpubuild does it"


class Tensor(NamedTuple):
    """An input or output: `shape` is None where the rank is unknown, and has None for a dynamic size."""

    name: str
    shape: Optional[Tuple[Optional[int], ...]]
    dtype: Any


def load(path):
    """Return the model at `path` with its external weights in it.

    Raises:
        StepError: `model-unreadable`: no ONNX model, or one that ONNX itself calls invalid.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise stepio.StepError("model-unreadable", "the file is damaged or not an ONNX model", _EXPORT_HINT) from error
    if not model.graph.node or not model.opset_import:
        raise stepio.StepError("model-unreadable", "the ONNX model has no operators", _EXPORT_HINT)
    try:
        onnx.load_external_data_for_model(model, os.path.dirname(os.path.abspath(path)))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise stepio.StepError(
            "model-unreadable",
            "weights that the ONNX model keeps in other files cannot be read: {}".format(shortened(error)),
            "save the model as one file: onnx.save(onnx.load(PATH), NEW_PATH)",
        ) from error
    try:
        onnx.checker.check_model(model)
    except ValueError:
        # More than two gigabytes: the checker takes such a model by its path only, and ONNX Runtime checks it, too.
        pass
    except onnx.checker.ValidationError as error:
        if all(name in ONNX_DOMAINS for name in domains(model)):
            raise stepio.StepError(
                "model-unreadable", "ONNX says that the model is invalid: {}".format(shortened(error)), _EXPORT_HINT
            ) from error
    return model


def domains(model):
    """Return the domains of the operators in use."""
    return {node.domain for node in _all_nodes(model.graph)}


def operators(model):
    """Return how often each operator occurs, subgraphs included; those of another domain as `domain.Operator`."""
    names = collections.Counter()
    for node in _all_nodes(model.graph):
        names[node.op_type if node.domain in ONNX_DOMAINS else "{}.{}".format(node.domain, node.op_type)] += 1
    return dict(sorted(names.items()))


def opset(model):
    """Return the version of ONNX's own operators; 0 where there are none."""
    return max([each.version for each in model.opset_import if each.domain in ONNX_DOMAINS] or [0])


def inputs(model) -> List[Tensor]:
    """Return the inputs; before IR version 4 weights are listed among them, and are no inputs."""
    weights = {each.name for each in model.graph.initializer}
    weights.update(each.values.name for each in model.graph.sparse_initializer)
    return [_tensor(each) for each in model.graph.input if each.name not in weights]


def outputs(model) -> List[Tensor]:
    """Return the outputs."""
    return [_tensor(each) for each in model.graph.output]


def fix_shapes(model, shapes: Dict[str, List[int]]):
    """Give every input its shape, and forget what the file says of shapes behind them."""
    graph = model.graph
    kept = [each for each in graph.input if each.name in shapes]
    for value in kept:
        dims = value.type.tensor_type.shape.dim
        del dims[:]
        for size in shapes[value.name]:
            dims.add().dim_value = size
    del graph.value_info[:]
    for value in graph.output:
        shape = value.type.tensor_type.shape
        if any(not dim.HasField("dim_value") or dim.dim_value < 1 for dim in shape.dim):
            rank = len(shape.dim)
            del shape.dim[:]
            for position in range(rank):
                shape.dim.add().dim_param = "{}_{}".format(value.name, position)


def keep_outputs(model, names):
    """Make these the outputs, in this order."""
    known = {each.name: each for each in model.graph.output}
    chosen = [known[name] for name in names]
    del model.graph.output[:]
    model.graph.output.extend(chosen)


def rename(model, names: Dict[str, str]):
    """Rename tensors: TensorFlow takes few characters in a name, and ONNX takes all."""

    def renamed(graph):
        for node in graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
            for attribute in node.attribute:
                for subgraph in [attribute.g, *attribute.graphs]:
                    renamed(subgraph)
        for value in [*graph.input, *graph.output, *graph.value_info, *graph.initializer]:
            value.name = names.get(value.name, value.name)

    renamed(model.graph)


def shortened(error):
    """Return a message of ONNX or ONNX Runtime in one line, within a screenful."""
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return text if len(text) <= _SHOWN_REASON_CHARACTERS else text[:_SHOWN_REASON_CHARACTERS] + " ..."


def _all_nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            # Asking for a subgraph that is not there gives an empty one.
            for subgraph in [attribute.g, *attribute.graphs]:
                for inner in _all_nodes(subgraph):
                    yield inner


def _tensor(value):
    import numpy as np
    import onnx

    kind = value.type.tensor_type
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except (KeyError, TypeError):
        raise stepio.StepError(
            "model-format",
            '"{}" of the ONNX model is not a tensor of numbers'.format(value.name),
            "every input and output has to be one tensor: sequences, maps and optional values do not convert",
        ) from None
    if not kind.HasField("shape"):
        return Tensor(value.name, None, dtype)
    sizes = tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in kind.shape.dim)
    return Tensor(value.name, sizes, dtype)
