"""A ready float `.tflite` becomes one to quantize: names, order and sizes as the manifest wants them.

In: `in/model.tflite`, float; the inputs and outputs that the manifest declares. Out: `out/model.tflite`, whose one
signature names inputs and outputs in the declared order, and whose sizes are all fixed. Sizes that the model computes
from those of its inputs become constants. Weights are not touched, and nothing is quantized; a file that is quantized
already is refused.
"""

import collections

import stepio

SERVING = "serving_default"
_RUNTIME = "min_runtime_version"
_PREFIX = "serving_default_"
# What is as large as the data says, whatever the sizes of its inputs.
_DATA_SIZED = ("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "UNIQUE", "WHERE")
# Not known, or not the same each time, whatever they read.
_NEVER_FOLDED = ("CUSTOM", "MULTINOMIAL", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM")
_QUANTIZED = ("INT8", "UINT8", "INT16", "INT4")
_BIGGEST_FOLDED = 1 << 20
# TensorFlow Lite's own interpreter has it (tensorflow/lite/core/kernels/register.cc); it computes in float.
_DETECTION = "TFLite_Detection_PostProcess"


def main(params):
    """Rewrite the model; see the module's first paragraph.

    Args:
        params: `model`, `inputs`, `outputs`.
    """
    with open(params["model"], "rb") as stream:
        content = stream.read()
    schema = stepio.tflite_schema()
    model = _read(schema, content)
    _require_float(schema, model)
    _require_builtin(schema, model)
    graph = model.subgraphs[0]
    names = _public_names(model)
    inputs = _ordered(graph.inputs, names, [each["name"] for each in params["inputs"]], "input")
    outputs = _ordered(graph.outputs, names, params["outputs"], "output")
    if params["outputs"]:
        outputs = outputs[: len(params["outputs"])]
    shapes = {index: _fixed_shape(graph.tensors[index], name, params["inputs"]) for index, name in inputs}
    if any(_signature(graph.tensors[index]) != shape for index, shape in shapes.items()):
        _fix_sizes(schema, model, content, shapes)
    _set_io(schema, model, inputs, outputs)
    _drop_unused(graph)
    _keep_runtime_only(model)
    packed = stepio.pack(model)
    stepio.write_output("out/model.tflite", packed)
    stepio.write_step_json(
        stepio.tool_versions("tensorflow-cpu", "tensorflow", "numpy"),
        stepio.describe_tensors(schema, model),
        {"bytes": len(packed), "operators": len(graph.operators)},
    )


def _read(schema, content):
    fault = None
    if content[4:8] != b"TFL3":
        fault = "the file is damaged or not a .tflite"
    else:
        try:
            model = stepio.unpack(schema, content)
        except Exception as error:  # noqa: BLE001 - whatever the reader stumbles over
            fault = "the .tflite is damaged: {}".format(error)
    if fault is None and not model.subgraphs:
        fault = "the .tflite holds no graph"
    if fault:
        raise stepio.StepError("model-unreadable", fault, "convert the model again")
    if any(getattr(buffer, "offset", 0) > 1 for buffer in model.buffers):
        raise stepio.StepError(
            "model-format",
            "the weights of the .tflite lie behind its flatbuffer, as in files above 2 GB; that is not rewritten",
            "give the model it was made from",
        )
    return model


def _type_names(schema):
    return {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}


def _require_float(schema, model):
    """A quantized file has lost what calibration would need; half-precision weights are rounded already."""
    types = _type_names(schema)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            scale = tensor.quantization.scale if tensor.quantization is not None else None
            kind = types[tensor.type]
            if kind == "FLOAT16" or (kind in _QUANTIZED and scale is not None and len(scale)):
                raise stepio.StepError(
                    "model-format",
                    'the .tflite is not float: tensor "{}" is {}'.format(stepio.as_text(tensor.name), kind.lower()),
                    "give the float model it was made from",
                )


def _require_builtin(schema, model):
    """A custom operator needs code that no interpreter here has, so such a model cannot be calibrated."""
    for code in model.operatorCodes:
        is_custom = max(code.deprecatedBuiltinCode, code.builtinCode) == schema.BuiltinOperator.CUSTOM
        if is_custom and stepio.as_text(code.customCode or "") != _DETECTION:
            raise stepio.StepError(
                "model-format",
                'the .tflite has the custom operator "{}", which TensorFlow Lite alone cannot run'.format(
                    stepio.as_text(code.customCode or "")
                ),
                "leave it out of the exported graph, and compute it in the application",
            )


def _public_names(model):
    """Return the name of each input and output by its tensor: that of the first signature, else the tensor's own."""
    graph = model.subgraphs[0]
    names = {}
    for index in list(graph.inputs) + list(graph.outputs):
        name = stepio.as_text(graph.tensors[index].name)
        name = name[len(_PREFIX) :] if name.startswith(_PREFIX) else name
        names[int(index)] = name[:-2] if name.endswith(":0") else name
    for signature in model.signatureDefs or []:
        if signature.subgraphIndex == 0:
            for entry in list(signature.inputs) + list(signature.outputs):
                names[int(entry.tensorIndex)] = stepio.as_text(entry.name)
            break
    return names


def _ordered(indices, names, declared, what):
    """Return (tensor, name), those declared first."""
    by_name = collections.OrderedDict((names[int(index)], int(index)) for index in indices)
    for name in declared:
        if name not in by_name:
            raise stepio.StepError(
                "model-" + what,
                'the model has no {} "{}"; it has: {}{}'.format(
                    what, name, stepio.listed(by_name), stepio.suggestion(name, by_name)
                ),
                "correct [[model.{}]] name".format(what),
            )
    rest = [name for name in by_name if name not in declared]
    return [(by_name[name], name) for name in list(declared) + rest]


def _signature(tensor):
    """Return the shape with -1 for what is dynamic."""
    sizes = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    return [int(size) for size in (sizes if sizes is not None else [])]


def _fixed_shape(tensor, name, declared):
    own = _signature(tensor)
    shown = "[{}]".format(", ".join("?" if size < 0 else str(size) for size in own))
    if len(own) > 1 and own[0] not in (-1, 1):
        raise stepio.StepError(
            "model-shape",
            'input "{}" has the shape {}: its batch is {}, and every DLPU takes 1'.format(name, shown, own[0]),
            "convert the model with a free batch, or with a batch of 1",
        )
    given = [each["shape"] for each in declared if each["name"] == name and each.get("shape") is not None]
    if given:
        fits = len(own) == len(given[0]) and all(size in (-1, wanted) for size, wanted in zip(own, given[0]))
        if not fits:
            raise stepio.StepError(
                "model-shape",
                'input "{}" is declared {}, but the .tflite has {}'.format(name, list(given[0]), shown),
                "correct [[model.input]] shape: a .tflite can only be resized where it says ?",
            )
        return list(given[0])
    if -1 in own[1:]:
        raise stepio.StepError(
            "model-shape",
            'input "{}" has the shape {}, which is not fixed'.format(name, shown),
            'write it into the manifest: [[model.input]] name = "{}", shape = [1, ...]'.format(name),
        )
    return [1 if size < 0 else size for size in own]


def _fix_sizes(schema, model, content, shapes):
    """Give every tensor the size it has for inputs of these shapes, as TensorFlow Lite computes it.

    What depends on sizes alone, such as the shape that a dynamic batch is reshaped to, becomes a constant.
    """
    import numpy as np
    import tensorflow as tf

    if len(model.subgraphs) > 1:
        raise stepio.StepError(
            "model-shape",
            "the .tflite has dynamic sizes and branches or loops of its own; such a file cannot be fixed afterwards",
            "convert the model again with fixed sizes",
        )
    graph = model.subgraphs[0]
    try:
        interpreter = tf.lite.Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        for index, shape in shapes.items():
            interpreter.resize_tensor_input(index, shape)
        interpreter.allocate_tensors()
        for entry in interpreter.get_input_details():
            interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise stepio.StepError(
            "model-shape",
            "TensorFlow Lite cannot run the model with these sizes: {}".format(str(error).strip()[:600]),
            "convert the model again with fixed sizes, or correct [[model.input]] shape",
        ) from error
    details = {each["index"]: each for each in interpreter.get_tensor_details()}
    unknown = _data_sized(schema, model, graph)
    for index, tensor in enumerate(graph.tensors):
        if index not in unknown and index in details:
            tensor.shape = np.array(details[index]["shape"], dtype=np.int32)
            tensor.shapeSignature = None
    _fold(schema, model, graph, interpreter, details)


def _operator_name(schema, model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.deprecatedBuiltinCode, code.builtinCode)
    return next((name for name, value in vars(schema.BuiltinOperator).items() if value == number), "")


def _data_sized(schema, model, graph):
    """Return the tensors whose size depends on the data."""
    unknown = set()
    for operator in graph.operators:
        reads = {int(index) for index in operator.inputs}
        if unknown & reads or _operator_name(schema, model, operator) in _DATA_SIZED:
            unknown.update(int(index) for index in operator.outputs)
    return unknown


def _fold(schema, model, graph, interpreter, details):
    """Replace operators whose result depends on no input's values by that result."""
    import numpy as np

    from_data = {int(index) for index in graph.inputs}
    from_data.update(index for index, tensor in enumerate(graph.tensors) if tensor.isVariable)
    kept = []
    for operator in graph.operators:
        name = _operator_name(schema, model, operator)
        reads = {int(index) for index in operator.inputs if index >= 0}
        results = [int(index) for index in operator.outputs]
        is_data = bool(reads & from_data) and name != "SHAPE"
        bytes_of = sum(int(np.prod(details[index]["shape"])) for index in results if index in details)
        if is_data or not reads or not results or name in _NEVER_FOLDED or bytes_of > _BIGGEST_FOLDED:
            from_data.update(results)
            kept.append(operator)
            continue
        for index in results:
            value = np.ascontiguousarray(interpreter.get_tensor(index))
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), dtype=np.uint8)
            model.buffers.append(buffer)
            graph.tensors[index].buffer = len(model.buffers) - 1
    graph.operators = kept


def _set_io(schema, model, inputs, outputs):
    import numpy as np

    graph = model.subgraphs[0]
    graph.inputs = np.array([index for index, _ in inputs], dtype=np.int32)
    graph.outputs = np.array([index for index, _ in outputs], dtype=np.int32)
    signature = schema.SignatureDefT()
    signature.signatureKey = SERVING
    signature.subgraphIndex = 0
    signature.inputs = _maps(schema, graph, inputs)
    signature.outputs = _maps(schema, graph, outputs)
    model.signatureDefs = [signature]


def _maps(schema, graph, pairs):
    maps = []
    for index, name in pairs:
        entry = schema.TensorMapT()
        entry.name = name
        entry.tensorIndex = index
        graph.tensors[index].name = name
        maps.append(entry)
    return maps


def _drop_unused(graph):
    """Drop operators that only led to outputs which nobody asked for."""
    needed = {int(index) for index in graph.outputs}
    kept = []
    for operator in reversed(graph.operators):
        results = {int(index) for index in operator.outputs}
        if results & needed or not results:
            needed.update(int(index) for index in operator.inputs)
            kept.append(operator)
    graph.operators = kept[::-1]


def _keep_runtime_only(model):
    """Metadata of a model zoo describes inputs and outputs that may be others now."""
    model.metadata = [each for each in model.metadata or [] if stepio.as_text(each.name) == _RUNTIME]
    model.metadataBuffer = None


if __name__ == "__main__":
    stepio.run(main)
