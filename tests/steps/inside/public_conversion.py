"""Compare what the steps built with what TensorFlow's public converter makes of the same model; runs in the toolchain.

In: a job per model: where it is, its samples, the float model and the integer models that the steps built. Out: per
built file whether it has the same bytes, tensors and operators, and gives the same outputs on random inputs.
"""

# mypy: ignore-errors
# ruff: noqa: T201, PTH123 - it talks through stdout, to code that takes paths as text

import json
import sys

import keras
import numpy as np
import stepio
import tensorflow as tf

SCHEMA = stepio.tflite_schema()


def converter_of(job):
    if job["format"] == "keras":
        converter = tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model(job["model"], compile=False))
    else:
        converter = tf.lite.TFLiteConverter.from_saved_model(job["model"])
    converter.exclude_conversion_metadata = True
    return converter


def public_integer(job, variant):
    """The full integer conversion as TensorFlow's guide writes it."""
    archive = np.load(job["samples"])
    names = job["inputs"]

    def samples():
        for row in range(len(archive[names[0]])):
            yield {name: archive[name][row : row + 1] for name in names}

    converter = converter_of(job)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.dtypes.as_dtype(variant["input_type"])
    converter.inference_output_type = tf.dtypes.as_dtype(variant["output_type"])
    converter._experimental_disable_per_channel = not variant["per_channel"]
    return converter.convert()


def public_float(job, optimization):
    converter = converter_of(job)
    if optimization != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if optimization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def described_tensor(model, graph, index):
    """Everything of a tensor but its name and place."""
    if index < 0:
        return None
    tensor = graph.tensors[index]
    data = model.buffers[tensor.buffer].data
    quantization = tensor.quantization
    scales = quantization is not None and quantization.scale is not None
    return (
        tensor.type,
        tuple(tensor.shape),
        None if data is None else bytes(data),
        quantization.scale.tobytes() if scales else None,
        quantization.zeroPoint.tobytes() if scales else None,
        quantization.quantizedDimension if scales else None,
    )


def described_operators(model):
    """Each operator with all of its operands; sorted, since independent branches have no order."""
    graph = model.subgraphs[0]
    described = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        options = operator.builtinOptions
        settings = sorted((key, str(value)) for key, value in vars(options).items()) if options else None
        operands = [described_tensor(model, graph, index) for index in [*operator.inputs, *operator.outputs]]
        described.append(repr((code.builtinCode, code.version, settings, operands)))
    return sorted(described)


def described_tensors(model):
    graph = model.subgraphs[0]
    return sorted(repr(described_tensor(model, graph, index)) for index in range(len(graph.tensors)))


def metadata(model):
    return [(entry.name, bytes(model.buffers[entry.buffer].data)) for entry in model.metadata]


def run(content, feeds):
    """Return the bytes of every output, sorted: the public converter renames and reorders outputs."""
    interpreter = tf.lite.Interpreter(model_content=content)
    runner = interpreter.get_signature_runner("serving_default")
    return sorted(output.tobytes() for output in runner(**feeds).values())


def compare(job, built_path, theirs):
    with open(built_path, "rb") as stream:
        ours = stream.read()
    our_model, their_model = stepio.unpack(SCHEMA, ours), stepio.unpack(SCHEMA, theirs)
    inputs = stepio.describe_tensors(SCHEMA, our_model)["inputs"]
    rng = np.random.default_rng(11)
    outputs_equal = True
    for _ in range(5):
        feeds = {}
        for each in inputs:
            if each["dtype"] == "float32":
                feeds[each["name"]] = rng.random(each["shape"], dtype=np.float32)
            else:
                limits = np.iinfo(each["dtype"])
                feeds[each["name"]] = rng.integers(limits.min, limits.max + 1, each["shape"], dtype=each["dtype"])
        outputs_equal = outputs_equal and run(ours, feeds) == run(theirs, feeds)
    return {
        "bytes": ours == theirs,
        "tensors": described_tensors(our_model) == described_tensors(their_model),
        "operators": described_operators(our_model) == described_operators(their_model),
        "metadata": metadata(our_model) == metadata(their_model),
        "outputs": outputs_equal,
    }


def main():
    results = []
    for job in json.load(sys.stdin):
        result = {}
        for optimization, path in job["float"].items():
            result[optimization] = compare(job, path, public_float(job, optimization))
        for name, variant in job["integer"].items():
            result[name] = compare(job, variant["built"], public_integer(job, variant))
        results.append(result)
    print(json.dumps(results))


main()
