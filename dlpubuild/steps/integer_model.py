"""A calibrated `.tflite` made an integer `.tflite`, for the scripts that need one.

In: the bytes of a model of calibrate.py. Out: the bytes that TensorFlow's public converter gives for the same model and
samples (a test holds them to that), and the same as objects. Nothing is read, written or judged here.
"""

import hashlib

import stepio

_CONVERTER_MODULE = "tensorflow/compiler/mlir/lite/python/_pywrap_converter_api.so"
# tensorflow/compiler/mlir/lite/types.proto, message IODataType.
_FLOAT32 = 1
_QUANTIZED_INT8 = 9
# Its outputs are float: made integers, boxes in pixels, indices of classes and counts would share 255 steps each.
_DETECTION = "TFLite_Detection_PostProcess"
_IO_TYPES = {"float32": _FLOAT32, "uint8": 17, "int8": 18}


def quantized(schema, calibrated, per_channel, input_type, output_type):
    """Return the integer model, as objects and as bytes.

    Args:
        calibrated: the bytes of a calibrated float model.
        per_channel: whether weights get a scale per channel.
        input_type, output_type: `float32`, `uint8` or `int8`; where all outputs are those of a detection, they stay
            float.

    Raises:
        StepError: `conversion` where TensorFlow cannot quantize it.
    """
    try:
        if _only_detects(schema, calibrated):
            output_type = "float32"
        content = _quantize(calibrated, per_channel, input_type, output_type)
    except stepio.StepError:
        raise
    except Exception as error:
        raise stepio.StepError(
            "conversion",
            "TensorFlow cannot quantize the model: {}".format(str(error).strip()[:600]),
            "all that TensorFlow says is in the log of the step",
        ) from error
    model = stepio.unpack(schema, content)
    _share_equal_buffers(model)
    return model, stepio.pack(model)


def detected(schema, content):
    """Return the numbers of the outputs that TFLite_Detection_PostProcess makes."""
    model = schema.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    made = set()
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        code = model.OperatorCodes(operator.OpcodeIndex()).CustomCode()
        if code and stepio.as_text(code) == _DETECTION:
            made.update(operator.Outputs(at) for at in range(operator.OutputsLength()))
    return {number for number in range(graph.OutputsLength()) if graph.Outputs(number) in made}


def _only_detects(schema, content):
    """Return whether every output is one that TFLite_Detection_PostProcess makes."""
    found = detected(schema, content)
    return bool(found) and len(found) == schema.Model.GetRootAsModel(content, 0).Subgraphs(0).OutputsLength()


def _quantize(calibrated, per_channel, input_type, output_type):
    """Call what tensorflow.lite.python.convert.mlir_quantize calls, with what lite.py's `_quantize` passes to it."""
    native = stepio.load_from_toolchain(_CONVERTER_MODULE)
    if native is None:
        # Another TensorFlow than the pinned one keeps its modules elsewhere; its own Python finds them.
        return _quantize_through_python(calibrated, per_channel, input_type, output_type)
    return native.ExperimentalMlirQuantizeModel(
        calibrated,
        not per_channel,  # disable_per_channel
        False,  # fully_quantize: inputs and outputs become what the next but one argument says
        _QUANTIZED_INT8,  # inference_type
        _IO_TYPES[input_type],
        _IO_TYPES[output_type],
        False,  # enable_numeric_verify
        False,  # enable_whole_model_verify
        None,  # denylisted_ops
        None,  # denylisted_nodes
        False,  # enable_variable_quantization
        False,  # disable_per_channel_for_dense_layers
        b"",  # debug_options_str: no field of it is set by default
    )


def _quantize_through_python(calibrated, per_channel, input_type, output_type):
    import tensorflow as tf
    from tensorflow.lite.python import convert

    return convert.mlir_quantize(
        calibrated,
        not per_channel,
        input_data_type=tf.dtypes.as_dtype(input_type),
        output_data_type=tf.dtypes.as_dtype(output_type),
    )


def _share_equal_buffers(model):
    """Let constants of equal bytes share one buffer, as the public converter does after it has quantized.

    Source: deduplicate_readonly_buffers in tensorflow/lite/python/convert.py. A buffer is left alone where anything
    may write to it: variables, outputs of operators, inputs and outputs of a subgraph.
    """
    writable = set()
    readable = set()
    for graph in model.subgraphs:
        read, written = set(), set()
        for operator in graph.operators:
            read.update(_tensors(operator.inputs))
            written.update(_tensors(operator.outputs), _tensors(operator.intermediates))
        written.update(_tensors(graph.inputs), _tensors(graph.outputs))
        written.update(index for index in read if graph.tensors[index].isVariable)
        readable.update(graph.tensors[index].buffer for index in read - written)
        writable.update(graph.tensors[index].buffer for index in written)
    kept = {}
    instead = {}
    for index in sorted(readable - writable):
        data = model.buffers[index].data
        if data is not None and len(data):
            content = bytes(data)
            first = kept.setdefault((len(content), hashlib.sha256(content).digest()), index)
            if first != index:
                instead[index] = first
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = instead.get(tensor.buffer, tensor.buffer)
    for index in instead:
        model.buffers[index].data = None


def _tensors(indices):
    """An absent optional input is -1, an absent list None."""
    return [int(index) for index in indices if index >= 0] if indices is not None else []
