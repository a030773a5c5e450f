"""A trained model becomes a float `.tflite` with every dimension fixed.

In: `in/model` (SavedModel) or `in/model.keras`, `in/model.h5`; the shapes and names that the manifest declares.
Out: `out/model.tflite`, whose first signature has the model's own input and output names, in the declared order or else
the model's own. The float model is also what calibration starts from: TensorFlow's integer conversion calibrates the
same bytes (a test holds it to that). Nothing is quantized here but the weights where `optimization` asks for it.
"""

import collections
import contextlib
import os
import re
import tempfile
import zipfile
from typing import Any, NamedTuple, Optional, Tuple

import stepio

SERVING = "serving_default"
_FAKE_QUANT = ("FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel")
_SHOWN_REASON_CHARACTERS = 600
# Where freezing becomes the slower way: 1.5 s against 4.5 s at 14 MB of weights, 21 s against 7 s at 200 MB.
_FREEZE_BELOW_BYTES = 64 << 20
_BYTES_PER_WEIGHT = 4
_DAMAGED_HINT = "save the model again, and see that [model] source and format name what it is"
_SAVED_MODEL_HINT = (
    "save it as a SavedModel, which carries the graph itself: model.export(FOLDER) in Keras 3, model.save(FOLDER) in "
    'Keras 2; then set [model] source = "FOLDER"'
)


class ModelInput(NamedTuple):
    """One input as the model has it: `shape` is None where the rank is unknown, and has None for a dynamic size."""

    name: str
    shape: Optional[Tuple[Optional[int], ...]]
    dtype: Any


def main(params, freeze_below_bytes=_FREEZE_BELOW_BYTES):
    """Convert the model; see the module's first paragraph.

    Args:
        params: `format`, `model`, `inputs`, `outputs`, `optimization`.
        freeze_below_bytes: size of the weights from which on a Keras model takes the other of two equal ways.
    """
    path = params["model"]
    if params["format"] == "keras":
        content = _convert_keras(path, params, freeze_below_bytes)
    elif params["format"] == "saved-model":
        content = _convert_saved_model(path, params)
    else:
        raise stepio.StepError("model-format", 'the format "{}" cannot be imported yet'.format(params["format"]))
    schema = stepio.tflite_schema()
    model = stepio.unpack(schema, content)
    stepio.write_output("out/model.tflite", content)
    stepio.write_step_json(
        stepio.tool_versions("tensorflow-cpu", "tensorflow", "keras", "numpy"),
        stepio.describe_tensors(schema, model),
        {"bytes": len(content), "operators": len(model.subgraphs[0].operators)},
    )


def _convert_keras(path, params, freeze_below_bytes):
    """Trace the model at its final shapes, and freeze it or save it for the converter.

    Both ways give the same tensors and operators, bit for bit; they differ in time and memory. Tracing at fixed shapes
    also keeps recurrent layers convertible, which need the batch size.
    """
    model = _load_keras(path)
    import keras
    import tensorflow as tf

    inputs = [ModelInput(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in model.inputs]
    input_structure, output_structure = _keras_structures(model)
    names = _keras_output_names(model, output_structure)
    shapes = fixed_shapes(inputs, params["inputs"])
    chosen = chosen_outputs(names, params["outputs"])
    ordered = in_declared_order([each.name for each in inputs], params["inputs"])

    def call(**tensors):
        structure = keras.tree.pack_sequence_as(input_structure, [tensors[nodes[each.name]] for each in inputs])
        results = dict(zip(names, keras.tree.flatten(model(structure, training=False))))
        return {node: tf.identity(results[name]) for name, node in zip(chosen, out_nodes)}

    # TensorFlow takes few characters in the names of its nodes; the signature gets the names themselves in the end.
    nodes = {name: "input_{:03}".format(number) for number, name in enumerate(ordered)}
    out_nodes = ["output_{:03}".format(number) for number in range(len(chosen))]
    specs = {nodes[each.name]: tf.TensorSpec(shapes[each.name], each.dtype, name=nodes[each.name]) for each in inputs}
    with conversion():
        function = tf.function(call, autograph=False)
        traced = function.get_concrete_function(**specs)
        if model.count_params() * _BYTES_PER_WEIGHT < freeze_below_bytes:
            content = run_converter(tf.lite.TFLiteConverter.from_concrete_functions([traced]), params["optimization"])
            return with_signature(content, ordered, chosen)
        with tempfile.TemporaryDirectory() as folder:
            _save(tf, folder, function, traced, [variable.value for variable in model.variables])
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SERVING])
            content = run_converter(converter, params["optimization"])
    return _with_order(content, [(nodes[name], name) for name in ordered], list(zip(out_nodes, chosen)))


def _load_keras(path):
    _check_container(path)
    # Chosen here and not left to the environment: a configuration file in the user's home could say otherwise.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:
        raise _keras_fault(keras.__version__, error) from error
    # A Sequential model that was never built has no such attribute.
    if not getattr(model, "inputs", None):
        raise stepio.StepError(
            "model-shape",
            "the Keras model was never built, so it does not know the shapes of its inputs and has no weights",
            "call model.build(...) or train it, and save it again",
        )
    return model


def _check_container(path):
    """Say what is wrong with a damaged file in our words: Keras says "file not found" of any that is not a zip."""
    fault = None
    if path.endswith(".keras"):
        if not zipfile.is_zipfile(path):
            fault = "the .keras file is damaged or not a Keras model: it is not a zip archive"
        else:
            with zipfile.ZipFile(path) as archive:
                if "config.json" not in archive.namelist():
                    fault = "the .keras file is not a Keras model: it has no config.json"
    else:
        with open(path, "rb") as stream:
            if stream.read(8) != b"\x89HDF\r\n\x1a\n":
                fault = "the .h5 file is damaged or not a Keras model: it is not HDF5"
    if fault:
        raise stepio.StepError("model-unreadable", fault, _DAMAGED_HINT)


def _keras_fault(version, error):
    text = str(error)
    missing = re.search(r"(?:Could not locate (?:class|function)|Unknown (?:layer|object)):? '([^']+)'", text)
    if "Lambda" in text:
        return stepio.StepError(
            "model-format",
            "the Keras model has a Lambda layer, whose Python code is not in the file in a form that may be run",
            _SAVED_MODEL_HINT,
        )
    if missing:
        return stepio.StepError(
            "model-format",
            'the Keras model uses the custom layer or function "{}", whose code is not in the file'.format(
                missing.group(1)
            ),
            _SAVED_MODEL_HINT,
        )
    if "No model config found" in text:
        return stepio.StepError(
            "model-format",
            "the file holds weights only, not the model they belong to",
            "save the whole model with model.save(...)",
        )
    return stepio.StepError(
        "model-unreadable", "Keras {} cannot load the model: {}".format(version, _shortened(text)), _SAVED_MODEL_HINT
    )


def _keras_structures(model):
    """Return how the model's inputs and its outputs are nested: a tensor, or a list or dict of tensors."""
    import keras

    if isinstance(model, keras.Sequential):
        # A Sequential model that was loaded has no `input` and `output`, unlike a functional one.
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def _keras_output_names(model, structure):
    """Return one name per output, in the order in which Keras flattens them: the keys of a dict, else the layers'."""
    import keras

    if isinstance(structure, dict):
        paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
        names = ["/".join(str(part) for part in path) for path in paths]
    elif isinstance(model, keras.Sequential):
        names = [model.layers[-1].name]
    else:
        names = list(model.output_names)
    seen = collections.Counter()
    unique = []
    for name in names:
        # A layer that is called twice gives two outputs one name.
        unique.append("{}_{}".format(name, seen[name]) if seen[name] else name)
        seen[name] += 1
    return unique


def _convert_saved_model(path, params):
    """Hand the SavedModel to the converter: as it is, or wrapped in one that fixes its shapes and picks its outputs.

    Unlike a frozen graph a SavedModel keeps the marks by which the converter finds recurrent layers it can fuse.
    """
    if not os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise stepio.StepError(
            "model-unreadable",
            "the folder is not a SavedModel: it has no saved_model.pb",
            "point [model] source at the folder that holds saved_model.pb",
        )
    import tensorflow as tf

    signature = _read_saved_model(path).signature_def[SERVING]
    inputs = [_saved_model_input(name, signature.inputs[name]) for name in sorted(signature.inputs)]
    shapes = fixed_shapes(inputs, params["inputs"])
    chosen = chosen_outputs(sorted(signature.outputs), params["outputs"])
    ordered = in_declared_order([each.name for each in inputs], params["inputs"])
    static = all(each.shape == tuple(shapes[each.name]) for each in inputs)
    with tempfile.TemporaryDirectory() as folder, conversion():
        if not static or len(chosen) != len(signature.outputs):
            _save_fixed(tf, path, folder, inputs, shapes, chosen)
            path = folder
        with _loading():
            converter = tf.lite.TFLiteConverter.from_saved_model(path, signature_keys=[SERVING])
        content = run_converter(converter, params["optimization"])
    return _with_order(content, list(zip(ordered, ordered)), list(zip(chosen, chosen)))


def _read_saved_model(path):
    """Return the meta graph that serves, read without loading the model."""
    from tensorflow.core.protobuf import saved_model_pb2
    from google.protobuf.message import DecodeError

    message = saved_model_pb2.SavedModel()
    try:
        with open(os.path.join(path, "saved_model.pb"), "rb") as stream:
            message.ParseFromString(stream.read())
    except DecodeError as error:
        raise stepio.StepError(
            "model-unreadable", "saved_model.pb is damaged or not a SavedModel", _DAMAGED_HINT
        ) from error
    graphs = [graph for graph in message.meta_graphs if "serve" in graph.meta_info_def.tags]
    if not graphs:
        raise stepio.StepError(
            "model-format",
            'the SavedModel has no graph tagged "serve"',
            "export it with model.export(FOLDER) or tf.saved_model.save(module, FOLDER, signatures=function)",
        )
    graph = graphs[0]
    if SERVING not in graph.signature_def:
        names = sorted(name for name in graph.signature_def if not name.startswith("__"))
        raise stepio.StepError(
            "model-format",
            'the SavedModel has no signature "{}"; it has: {}'.format(SERVING, stepio.listed(names)),
            "export it with model.export(FOLDER) or tf.saved_model.save(module, FOLDER, signatures=function)",
        )
    refuse_fake_quant(node.op for node in graph.graph_def.node)
    refuse_fake_quant(node.op for function in graph.graph_def.library.function for node in function.node_def)
    return graph


def _saved_model_input(name, info):
    import tensorflow as tf

    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else tuple(dim.size if dim.size >= 0 else None for dim in shape.dim)
    return ModelInput(name, sizes, tf.dtypes.as_dtype(info.dtype))


def _save_fixed(tf, path, folder, inputs, shapes, chosen):
    with _loading():
        loaded = tf.saved_model.load(path)
    serve = loaded.signatures[SERVING]

    def call(**tensors):
        results = serve(**tensors)
        return {name: results[name] for name in chosen}

    specs = {each.name: tf.TensorSpec(shapes[each.name], each.dtype, name=each.name) for each in inputs}
    function = tf.function(call, autograph=False)
    _save(tf, folder, function, function.get_concrete_function(**specs), loaded)


def _save(tf, folder, function, traced, tracked):
    """Write a SavedModel that serves `traced`, a trace of `function`; `tracked` owns the variables it uses."""
    module = tf.Module()
    module.function = function
    module.tracked = tracked
    tf.saved_model.save(module, folder, signatures={SERVING: traced})


def refuse_fake_quant(operators):
    """Calibrating such a model would lose what its training fixed (seen with 2.19.1: other weight scales come out)."""
    found = sorted(set(operators).intersection(_FAKE_QUANT))
    if found:
        raise stepio.StepError(
            "model-format",
            "the model was trained quantization-aware (it has {} operators); such models cannot be built yet".format(
                ", ".join(found)
            ),
            "give the float model: its calibration data decides the scales",
        )


def fixed_shapes(inputs, declared):
    """Return the whole shape of every input, by name.

    A dynamic first dimension is the batch and becomes 1; any other must be declared.

    Raises:
        StepError: `model-input` for a declared name that the model has not, `model-shape` for a declared shape that
            the model cannot take and for a dimension that nobody fixes.
    """
    known = [each.name for each in inputs]
    for each in declared:
        if each["name"] not in known:
            raise stepio.StepError(
                "model-input",
                'the model has no input "{}"; it has: {}{}'.format(
                    each["name"], stepio.listed(known), stepio.suggestion(each["name"], known)
                ),
                "correct [[model.input]] name",
            )
    wanted = {each["name"]: each.get("shape") for each in declared}
    return {each.name: _fixed_shape(each, wanted.get(each.name)) for each in inputs}


def _fixed_shape(model_input, declared):
    own = model_input.shape
    shown = "[?]" if own is None else _shown_shape(own)
    if own is not None and len(own) > 1 and own[0] not in (None, 1):
        raise stepio.StepError(
            "model-shape",
            'input "{}" has the shape {}: its batch is {}, and every DLPU takes 1'.format(
                model_input.name, shown, own[0]
            ),
            "save the model with a free batch, or with a batch of 1",
        )
    if declared is not None:
        fits = own is None or (
            len(own) == len(declared) and all(size in (None, given) for size, given in zip(own, declared))
        )
        if not fits:
            raise stepio.StepError(
                "model-shape",
                'input "{}" is declared {}, but the model has {}'.format(
                    model_input.name, _shown_shape(declared), shown
                ),
                "correct [[model.input]] shape, or leave it out where the model says it all (? is any size)",
            )
        return list(declared)
    if own is not None and None not in own[1:]:
        return [1 if size is None else size for size in own]
    where = "its rank" if own is None else "dimension {}".format(own.index(None, 1))
    sizes = ["1"] + ["<size>" if size is None else str(size) for size in (own or (None, None, None, 3))[1:]]
    raise stepio.StepError(
        "model-shape",
        'input "{}" has the shape {}: {} is not fixed'.format(model_input.name, shown, where),
        'write it into the manifest: [[model.input]] name = "{}", shape = [{}]'.format(
            model_input.name, ", ".join(sizes)
        ),
    )


def _shown_shape(shape):
    return "[{}]".format(", ".join("?" if size is None else str(size) for size in shape))


def chosen_outputs(known, declared):
    """Return the outputs the built model has: those declared, in that order, else all of the model's."""
    for name in declared:
        if name not in known:
            raise stepio.StepError(
                "model-output",
                'the model has no output "{}"; it has: {}{}'.format(
                    name, stepio.listed(known), stepio.suggestion(name, known)
                ),
                "correct [[model.output]] name",
            )
    return list(declared) or list(known)


def in_declared_order(known, declared):
    """Return the inputs, those declared first: a model cannot run without the others."""
    first = [each["name"] for each in declared]
    return first + [name for name in known if name not in first]


def run_converter(converter, optimization):
    """Return the bytes of the `.tflite`; `optimization` is `none`, or how its weights become smaller."""
    import tensorflow as tf

    # The metadata would hold a hash of the model; min_runtime_version is written all the same.
    converter.exclude_conversion_metadata = True
    if optimization != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if optimization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


@contextlib.contextmanager
def _loading():
    """Whatever TensorFlow raises within is a fault of the SavedModel, such as missing variables."""
    try:
        yield
    except Exception as error:
        raise stepio.StepError(
            "model-unreadable", "the SavedModel cannot be loaded: {}".format(_shortened(str(error))), _DAMAGED_HINT
        ) from error


@contextlib.contextmanager
def conversion():
    """Whatever TensorFlow raises within is a fault of the conversion."""
    try:
        yield
    except stepio.StepError:
        raise
    except Exception as error:
        raise _conversion_fault(str(error)) from error


def _conversion_fault(text):
    missing = {
        name.strip() for names in re.findall(r"(?:TF Select|Custom) ops: (.+)", text) for name in names.split(",")
    }
    if missing and "xf16>" in text:
        return stepio.StepError(
            "conversion",
            "the model computes in half precision, for which TensorFlow Lite has no {}".format(
                ", ".join(sorted(missing))
            ),
            'set layer.dtype_policy = "float32" on every layer of the trained model, and save it again',
        )
    if missing:
        return stepio.StepError(
            "conversion",
            "TensorFlow Lite has no operator for: {}".format(", ".join(sorted(missing))),
            "replace these operators in the model; the DLPUs run builtin operators only",
        )
    if "TensorListReserve" in text:
        return stepio.StepError(
            "conversion",
            "a recurrent layer of the model does not know its batch size, so it cannot be converted",
            "export the model with a fixed batch of 1, or give the .keras file",
        )
    return stepio.StepError(
        "conversion",
        "TensorFlow cannot convert the model: {}".format(_shortened(text)),
        "all that TensorFlow says is in the log of the step",
    )


def _shortened(text):
    """Return the lines of a TensorFlow or Keras message that tell something, within a screenful."""
    lines = [line.strip() for line in text.splitlines()]
    errors = [line.split("error: ", 1)[1] for line in lines if "error: " in line]
    kept = errors or [line for line in lines if line]
    short = " ".join(kept)
    return short if len(short) <= _SHOWN_REASON_CHARACTERS else short[:_SHOWN_REASON_CHARACTERS] + " ..."


def with_signature(content, inputs, outputs):
    """Return the model with a `serving_default` signature, which a frozen function does not give it."""
    schema = stepio.tflite_schema()
    model = stepio.unpack(schema, content)
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = SERVING
    signature.subgraphIndex = 0
    signature.inputs = _tensor_maps(schema, graph, inputs, graph.inputs)
    signature.outputs = _tensor_maps(schema, graph, outputs, graph.outputs)
    model.signatureDefs = [signature]
    return stepio.pack(model)


def _tensor_maps(schema, graph, names, indices):
    if len(names) != len(indices):
        raise stepio.StepError(
            "conversion", "the converted model has {} tensors for {}".format(len(indices), stepio.listed(names))
        )
    maps = []
    for name, index in zip(names, indices):
        entry = schema.TensorMapT()
        entry.name = name
        entry.tensorIndex = int(index)
        graph.tensors[index].name = name
        maps.append(entry)
    return maps


def _with_order(content, inputs, outputs):
    """Return the model with its inputs and outputs in this order: the converter sorts them by name.

    Args:
        inputs: for each its name in the model's signature, and the name to give it.
        outputs: likewise.
    """
    import numpy as np

    schema = stepio.tflite_schema()
    model = stepio.unpack(schema, content)
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    signature.inputs = _renamed_maps(graph, signature.inputs, inputs)
    signature.outputs = _renamed_maps(graph, signature.outputs, outputs)
    graph.inputs = np.array([each.tensorIndex for each in signature.inputs], dtype=np.int32)
    graph.outputs = np.array([each.tensorIndex for each in signature.outputs], dtype=np.int32)
    return stepio.pack(model)


def _renamed_maps(graph, maps, names):
    by_name = {stepio.as_text(each.name): each for each in maps}
    if sorted(by_name) != sorted(known for known, _ in names):
        raise stepio.StepError(
            "conversion",
            "the converted model has {} where {} was asked for".format(
                stepio.listed(sorted(by_name)), stepio.listed(name for _, name in names)
            ),
        )
    for known, name in names:
        if known != name:
            by_name[known].name = name
            graph.tensors[by_name[known].tensorIndex].name = name
    return [by_name[known] for known, _ in names]


if __name__ == "__main__":
    stepio.run(main)
