"""A model as TensorFlow 1.15 converts it: one frozen graph, and which of its tensors are inputs and outputs.

In: a frozen graph (`.pb`), a SavedModel with a `serving_default` signature, or a Keras model in `.h5`; the names and
shapes that the manifest declares. Out: a `FrozenModel`, in the declared order or else the model's own. Names are those
that a person knows: of a frozen graph its nodes, of a SavedModel the signature's, of a Keras model its layers'. Nothing
is converted here.
"""

import os
from typing import Any, NamedTuple, Tuple

import stepio

SERVING = "serving_default"
PER_CHANNEL = "FakeQuantWithMinMaxVarsPerChannel"
FAKE_QUANT = ("FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", PER_CHANNEL)
_NO_OUTPUTS = frozenset({"Placeholder", "PlaceholderWithDefault", "NoOp", "Assert", "Const", "SaveV2", "RestoreV2"})
_SHOWN_REASON_CHARACTERS = 600
_SHOWN_NAMES = 20
_DAMAGED_HINT = "save the model again, and see that [model] source and format name what it is"
_TF2_HINT = 'a model of TensorFlow 2 is built with toolchain = "tf2"'


class FrozenModel(NamedTuple):
    """A graph without variables; inputs and outputs are pairs of the public name and the name of the tensor."""

    graph_def: Any
    inputs: Tuple[Tuple[str, str], ...]
    outputs: Tuple[Tuple[str, str], ...]

    @property
    def fake_quant(self):
        """How many nodes carry ranges from quantization-aware training."""
        return sum(node.op in FAKE_QUANT for node in self.graph_def.node)

    def without_ranges(self):
        """Return the model with nodes that only pass values on where the ranges were.

        The converter's own `drop_fake_quant` leaves those of activations where they are (seen with 1.15.5).
        """
        import tensorflow as tf

        graph_def = tf.compat.v1.GraphDef()
        graph_def.CopyFrom(self.graph_def)
        for node in graph_def.node:
            if node.op in FAKE_QUANT:
                node.op = "Identity"
                del node.input[1:]
                node.attr.clear()
                node.attr["T"].type = tf.float32.as_datatype_enum
        return self._replace(graph_def=graph_def)


def load(params):
    """Return the model that the parameters `format`, `model`, `inputs` and `outputs` describe.

    Raises:
        StepError: it cannot be read, or has no such inputs and outputs.
    """
    readers = {"frozen-graph": _frozen_graph, "saved-model": _saved_model, "keras": _keras}
    if params["format"] not in readers:
        raise stepio.StepError(
            "model-format",
            "TensorFlow 1.15 does not read this format: {}".format(params["format"]),
            'give a frozen graph, a SavedModel or .h5, or set toolchain = "tf2"',
        )
    return readers[params["format"]](params["model"], [each["name"] for each in params["inputs"]], params["outputs"])


def _frozen_graph(path, inputs, outputs):
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    graph_def = tf.compat.v1.GraphDef()
    try:
        with open(path, "rb") as stream:
            graph_def.ParseFromString(stream.read())
    except DecodeError as error:
        raise stepio.StepError(
            "model-unreadable", "the frozen graph is damaged, or no GraphDef", _DAMAGED_HINT
        ) from error
    nodes = {node.name: node.op for node in graph_def.node}
    if not nodes:
        raise stepio.StepError("model-unreadable", "the frozen graph is empty", _DAMAGED_HINT)
    placeholders = [name for name, operator in nodes.items() if operator == "Placeholder"]
    outputs = outputs or _leaves(graph_def)
    if not outputs:
        raise stepio.StepError(
            "model-output", "the frozen graph does not say its outputs", "name them: [[model.output]] name"
        )
    for name in inputs or placeholders:
        _require(name, nodes, "input", placeholders)
    for name in outputs:
        _require(name, nodes, "output", _leaves(graph_def))
    for name in _needed_placeholders(graph_def, inputs or placeholders, outputs):
        raise stepio.StepError(
            "model-input",
            'the outputs also depend on the placeholder "{}"'.format(name),
            "add a [[model.input]] for it",
        )
    return FrozenModel(
        graph_def,
        tuple((name, _tensor_name(name)) for name in inputs or placeholders),
        tuple((name, _tensor_name(name)) for name in outputs),
    )


def _tensor_name(name):
    return name if ":" in name else name + ":0"


def _require(name, nodes, side, candidates):
    node, _, number = name.partition(":")
    if node in nodes and (not number or number.isdigit()):
        return
    near = stepio.suggestion(node, candidates) or stepio.suggestion(node, nodes)
    raise stepio.StepError(
        "model-" + side,
        'the graph has no {} "{}"; it may be {}{}'.format(side, name, _some(candidates), near),
        "correct [[model.{}]] name".format(side),
    )


def _needed_placeholders(graph_def, inputs, outputs):
    """Return the placeholders on which outputs depend and that are no inputs."""
    nodes = {node.name: node for node in graph_def.node}
    seen = {name.partition(":")[0] for name in inputs}
    pending = [name.partition(":")[0] for name in outputs]
    needed = []
    while pending:
        name = pending.pop()
        if name not in seen and name in nodes:
            seen.add(name)
            pending.extend(each.lstrip("^").partition(":")[0] for each in nodes[name].input)
            if nodes[name].op == "Placeholder":
                needed.append(name)
    return sorted(needed)


def _leaves(graph_def):
    """Return the nodes whose results no other node takes, as they are the outputs where nobody names any."""
    taken = {name.lstrip("^").partition(":")[0] for node in graph_def.node for name in node.input}
    return [node.name for node in graph_def.node if node.name not in taken and node.op not in _NO_OUTPUTS]


def _some(names):
    names = list(names)
    rest = " and {} more".format(len(names) - _SHOWN_NAMES) if len(names) > _SHOWN_NAMES else ""
    return stepio.listed(names[:_SHOWN_NAMES]) + rest


def _saved_model(path, inputs, outputs):
    if not os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise stepio.StepError(
            "model-unreadable",
            "the folder is not a SavedModel: it has no saved_model.pb",
            "point [model] source at the folder that holds saved_model.pb",
        )
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        try:
            meta_graph = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], path)
        except Exception as error:
            raise stepio.StepError(
                "model-unreadable",
                "TensorFlow 1.15 cannot load the SavedModel: {}".format(shortened(str(error))),
                "export it with the tag serve, from TensorFlow 1; {}".format(_TF2_HINT),
            ) from error
        if SERVING not in meta_graph.signature_def:
            raise stepio.StepError(
                "model-format",
                'the SavedModel has no signature "{}"; it has: {}'.format(
                    SERVING, stepio.listed(sorted(meta_graph.signature_def))
                ),
                "export it with tf.saved_model.simple_save, or with a signature of that name",
            )
        signature = meta_graph.signature_def[SERVING]
        return _frozen(
            session, signature_tensors(signature.inputs), signature_tensors(signature.outputs), inputs, outputs
        )


def signature_tensors(table):
    """Return (public name, name of the tensor) of one side of a signature, sorted."""
    return [(name, table[name].name) for name in sorted(table)]


def _keras(path, inputs, outputs):
    with open(path, "rb") as stream:
        if stream.read(8) != b"\x89HDF\r\n\x1a\n":
            raise stepio.StepError("model-unreadable", "the .h5 file is damaged: it is not HDF5", _DAMAGED_HINT)
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        keras = tf.compat.v1.keras
        keras.backend.set_session(session)
        # Constants in the graph instead of a switch: batch normalization infers.
        keras.backend.set_learning_phase(0)
        try:
            model = keras.models.load_model(path, compile=False)
        except Exception as error:
            raise stepio.StepError(
                "model-unreadable",
                "Keras in TensorFlow 1.15 cannot load the model: {}".format(shortened(str(error))),
                "save it with TensorFlow 1.15, or as a SavedModel or frozen graph; {}".format(_TF2_HINT),
            ) from error
        if not getattr(model, "inputs", None):
            raise stepio.StepError(
                "model-shape",
                "the Keras model was never built, so it does not know the shapes of its inputs and has no weights",
                "call model.build(...) or train it, and save it again",
            )
        known_inputs = [(name, tensor.name) for name, tensor in zip(model.input_names, model.inputs)]
        known_outputs = [(name, tensor.name) for name, tensor in zip(model.output_names, model.outputs)]
        return _frozen(session, known_inputs, known_outputs, inputs, outputs)


def _frozen(session, known_inputs, known_outputs, inputs, outputs):
    """Return the session's graph with its variables made constants, its inputs and outputs as declared."""
    import tensorflow as tf

    chosen_inputs = _chosen(known_inputs, inputs, "input")
    # A model cannot run without the others.
    chosen_inputs += [each for each in known_inputs if each not in chosen_inputs]
    chosen_outputs = _chosen(known_outputs, outputs, "output") or known_outputs
    nodes = [tensor.partition(":")[0] for _, tensor in chosen_outputs]
    # What it says of variables is meant for nobody here.
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    try:
        constant = tf.compat.v1.graph_util.convert_variables_to_constants(session, session.graph.as_graph_def(), nodes)
        graph_def = tf.compat.v1.graph_util.remove_training_nodes(constant, protected_nodes=nodes)
    except Exception as error:
        raise stepio.StepError(
            "conversion", "TensorFlow 1.15 cannot freeze the model: {}".format(shortened(str(error))), _TF2_HINT
        ) from error
    return FrozenModel(graph_def, tuple(chosen_inputs), tuple(chosen_outputs))


def _chosen(known, declared, side):
    by_name = dict(known)
    for name in declared:
        if name not in by_name:
            raise stepio.StepError(
                "model-" + side,
                'the model has no {} "{}"; it has: {}{}'.format(
                    side, name, stepio.listed(by_name), stepio.suggestion(name, by_name)
                ),
                "correct [[model.{}]] name".format(side),
            )
    return [(name, by_name[name]) for name in declared]


def shortened(text):
    """Return a message of TensorFlow's within a few lines."""
    short = " ".join(line.strip() for line in text.splitlines() if line.strip())
    return short if len(short) <= _SHOWN_REASON_CHARACTERS else short[:_SHOWN_REASON_CHARACTERS] + " ..."
