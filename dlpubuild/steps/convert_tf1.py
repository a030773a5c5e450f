"""A model becomes a `.tflite` by TensorFlow 1.15 and its first converter, TOCO.

In: a model as tf1_graph.py reads it; the shapes, names and normalisation that the manifest declares. Out:
`out/model.tflite`, with the model's own names in the declared order. With `integer` a model that was trained
quantization-aware becomes a uint8 model with one scale per tensor, by the ranges in its graph; without, any model
becomes a float one, and such ranges are dropped. Nothing is calibrated: what TensorFlow 1.15 quantizes after training
gets a scale per channel.
"""

import os
import re

import stepio
import tf1_graph
from tflite_file import describe, read_tflite, with_names, with_order

_PIXELS = 256
_QAT_HINT = (
    "train with tf.contrib.quantize.create_training_graph, and freeze the graph that create_eval_graph rewrote; each "
    "activation, the output included, needs a FakeQuant node or an operator that the converter derives a range for"
)


def main(params):
    """Convert the model; see the module's first paragraph.

    Args:
        params: `format`, `model`; `inputs`, each with `name` and perhaps `shape`, `mean`, `std`; `outputs`; `integer`;
            `optimization`: `none`, `dynamic` or `float16`, for the weights of a float model.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    model = tf1_graph.load(params)
    if params["integer"] and not model.fake_quant:
        raise stepio.StepError(
            "model-format",
            "the model was not trained quantization-aware: its graph has no FakeQuant nodes, hence no ranges",
            _QAT_HINT + '; or set toolchain = "tf2", which quantizes by calibration data',
        )
    if params["integer"] and any(node.op == tf1_graph.PER_CHANNEL for node in model.graph_def.node):
        raise stepio.StepError(
            "model-format",
            "the model was trained with ranges per channel; TensorFlow 1.15 knows one range per tensor only",
            "train with tf.contrib.quantize, or with ranges per tensor",
        )
    content = _convert(model if params["integer"] else model.without_ranges(), params)
    content = _named(content, model)
    result = read_tflite(content)
    stepio.write_output("out/model.tflite", content)
    stepio.write_step_json(
        stepio.tool_versions("tensorflow", "numpy"),
        describe(result),
        {"bytes": len(content), "operators": len(result.operators)},
    )


def _convert(model, params):
    import tensorflow as tf

    declared = {each["name"]: each for each in params["inputs"]}
    with tf.Graph().as_default() as graph:
        _import_graph(tf, model.graph_def)
        inputs = [_tensor(graph, tensor, name, "input") for name, tensor in model.inputs]
        outputs = [_tensor(graph, tensor, name, "output") for name, tensor in model.outputs]
        for (name, _), tensor in zip(model.inputs, inputs):
            tensor.set_shape(_fixed_shape(name, tensor.shape, declared.get(name, {}).get("shape")))
        converter = tf.compat.v1.lite.TFLiteConverter(model.graph_def, inputs, outputs)
        converter.experimental_new_converter = False
        converter.experimental_new_quantizer = False
        if params["integer"]:
            converter.inference_type = tf.uint8
            converter.inference_input_type = tf.uint8
            converter.quantized_input_stats = {
                array: _input_stats(name, declared.get(name, {}))
                for (name, _), array in zip(model.inputs, converter.get_input_arrays())
            }
        else:
            _optimize(tf, converter, params["optimization"])
        try:
            return converter.convert()
        except Exception as error:
            raise _fault(str(error)) from error


def _import_graph(tf, graph_def):
    try:
        tf.import_graph_def(graph_def, name="")
    except Exception as error:
        raise stepio.StepError(
            "model-unreadable",
            "TensorFlow 1.15 cannot read the graph: {}".format(tf1_graph.shortened(str(error))),
            'a graph of a newer TensorFlow is converted with toolchain = "tf2"; else freeze it again',
        ) from error


def _tensor(graph, tensor, name, side):
    try:
        return graph.get_tensor_by_name(tensor)
    except (KeyError, ValueError, OverflowError) as error:
        raise stepio.StepError(
            "model-" + side, 'the graph has no {} "{}"'.format(side, name), "correct [[model.{}]] name".format(side)
        ) from error


def _optimize(tf, converter, optimization):
    if optimization != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if optimization == "float16":
        converter.target_spec.supported_types = [tf.float16]


def _fixed_shape(name, own, declared):
    """Return the shape of an input with every dimension known; a first one that is not becomes the batch of 1."""
    sizes = None if own.rank is None else own.as_list()
    if sizes and len(sizes) > 1 and sizes[0] not in (None, 1):
        raise stepio.StepError(
            "model-shape",
            'input "{}" has the shape {}: its batch is {}, and every DLPU takes 1'.format(
                name, _shown_shape(sizes), sizes[0]
            ),
            "freeze the graph with a free batch, or with a batch of 1",
        )
    if declared is not None:
        fits = sizes is None or (
            len(sizes) == len(declared) and all(size in (None, given) for size, given in zip(sizes, declared))
        )
        if fits:
            return list(declared)
        raise stepio.StepError(
            "model-shape",
            'input "{}" is declared {}, but the model has {}'.format(name, declared, _shown_shape(sizes)),
            "correct [[model.input]] shape (? is any size)",
        )
    if sizes is not None and None not in sizes[1:]:
        return [1 if size is None else size for size in sizes]
    raise stepio.StepError(
        "model-shape",
        'input "{}" has the shape {}, which is not fixed'.format(name, _shown_shape(sizes)),
        'write it into the manifest: [[model.input]] name = "{}", shape = [1, ...]'.format(name),
    )


def _shown_shape(sizes):
    return "[?]" if sizes is None else "[{}]".format(", ".join("?" if size is None else str(size) for size in sizes))


def _input_stats(name, declared):
    """Return (mean, std) as TensorFlow 1 has them: a stored value q means (q - mean) / std, as for our pixels."""
    mean, std = (_one_value(name, key, declared.get(key), neutral) for key, neutral in (("mean", 0.0), ("std", 1.0)))
    if std <= 0 or not 0 <= mean < _PIXELS:
        raise stepio.StepError(
            "model-input",
            'input "{}": TensorFlow 1.15 needs a std above 0 and a mean of 0 to 255, so that some pixel stands for 0; '
            "found mean {}, std {}".format(name, mean, std),
            "correct [[model.input]] mean and std: x = (pixel - mean) / std",
        )
    return mean, std


def _one_value(name, key, values, neutral):
    values = values or [neutral]
    if len(set(values)) > 1:
        raise stepio.StepError(
            "model-input",
            'input "{}": TensorFlow 1.15 takes one {} for all channels, because a quantized input has one scale and '
            "one zero point; found {}".format(name, key, values),
            "train with the same {} for all channels, or put the normalisation into the graph".format(key),
        )
    return float(values[0])


def _named(content, model):
    """Return the file with its inputs and outputs in our order, called as a person knows them."""
    result = read_tflite(content)
    tensors = {tensor.name: tensor.index for tensor in result.tensors}
    wanted = []
    for pairs, indices in ((model.inputs, result.inputs), (model.outputs, result.outputs)):
        arrays = [tensor[:-2] if tensor.endswith(":0") else tensor for _, tensor in pairs]
        if sorted(arrays) != sorted(result.tensors[index].name for index in indices):
            found = stepio.listed(result.tensors[index].name for index in indices)
            raise stepio.StepError(
                "conversion", "the converted model has {} where {} was asked for".format(found, stepio.listed(arrays))
            )
        wanted.append([tensors[array] for array in arrays])
    names = {}
    for pairs, indices in zip((model.inputs, model.outputs), wanted):
        names.update({index: name for (name, _), index in zip(pairs, indices)})
    return with_names(read_tflite(with_order(result, *wanted)), names)


def _fault(text):
    """Say what TOCO found, of the much that it printed."""
    array = re.search(r"Array (\S+), which is an input to the (\S+) operator producing the output array (\S+),", text)
    bare = re.search(r"Array (\S+) does not have MinMax information", text)
    custom = re.search(r"list of operators for which you will need custom implementations: ([^\n]+?)\.?\s*\n", text)
    integer = re.search(r"operator of type (\S+) for which the quantized form is not yet implemented", text)
    if array and "min/max" in text:
        return stepio.StepError(
            "conversion",
            'the graph has no range (min/max) for the array "{}", which {} takes to make "{}"'.format(
                array.group(1), array.group(2), array.group(3).rstrip(",.")
            ),
            _QAT_HINT,
        )
    if bare:
        return stepio.StepError(
            "conversion", 'the graph has no range (min/max) for the array "{}"'.format(bare.group(1)), _QAT_HINT
        )
    if integer:
        return stepio.StepError(
            "conversion",
            "TensorFlow 1.15 has no integer form of the operator {}".format(integer.group(1).rstrip(".,")),
            "leave it out of the graph: name an output before it in [[model.output]]",
        )
    if "PartitionedCall" in text:
        return stepio.StepError(
            "conversion",
            "the model was saved by TensorFlow 2, whose functions 1.15 cannot convert",
            'set toolchain = "tf2"',
        )
    if custom:
        return stepio.StepError(
            "conversion",
            "TensorFlow Lite of 1.15 has no operator for: {}".format(custom.group(1)),
            "replace these operators in the model; the DLPUs run builtin operators only",
        )
    check = re.search(r"\] (Check failed: [^\n]+)", text)
    return stepio.StepError(
        "conversion",
        "TensorFlow 1.15 cannot convert the model: {}".format(
            check.group(1) if check else tf1_graph.shortened(text.replace("See console for info.", ""))
        ),
        "all that TensorFlow says is in the log of the step",
    )


if __name__ == "__main__":
    stepio.run(main)
