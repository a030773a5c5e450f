"""A float `.tflite` becomes an ONNX model with the same inputs, outputs and fixed shapes.

In: `in/model.tflite` as the import leaves it: float, with a signature. Out: `out/model.onnx`, opset 17, its inputs and
outputs named as the signature names them. Image inputs are NHWC, or NCHW where that is asked for. Starting from the
imported model means that whatever can be imported can be exported, and that both forms compute the same: before it is
kept, the result is held against TensorFlow Lite on random inputs. Nothing is quantized here.
"""

import logging
import os
import sys
import tempfile

import onnx_canonical
import onnx_check
import onnx_model
import stepio

OPSET = 17
# tf2onnx would write the newest that onnx knows, which is newer than what Ambarella's tools read.
_IR_VERSION = 8
_IMAGE_RANK = 4
_COLORS = (1, 3)
_PRODUCER = "dlpubuild, by tf2onnx"


def main(params):
    """Export the model; see the module's first paragraph.

    Args:
        params: `model`, and `inputs_as_nchw`: whether images enter with their channels first.
    """
    with open(params["model"], "rb") as stream:
        content = stream.read()
    schema = stepio.tflite_schema()
    described = stepio.describe_tensors(schema, stepio.unpack(schema, content))
    _refuse_integers(described)
    moved = [each["name"] for each in described["inputs"] if params["inputs_as_nchw"] and _is_image(each["shape"])]
    model = _converted(content, described, moved)
    model_bytes = model.SerializeToString(deterministic=True)
    figures = _compare(content, model_bytes, described, moved)
    onnx_check.check(figures, "the exported model")
    stepio.write_output("out/model.onnx", model_bytes)
    stepio.write_step_json(
        stepio.tool_versions("onnx", "tf2onnx", "onnxruntime", "tensorflow-cpu", "numpy"),
        {
            "inputs": [_as_exported(each, moved) for each in described["inputs"]],
            "outputs": [{key: each[key] for key in ("name", "shape", "dtype")} for each in described["outputs"]],
        },
        {
            "bytes": len(model_bytes),
            "onnx": {"opset": OPSET, "operators": onnx_model.operators(model), "inputs_as_nchw": moved},
            "check": figures,
        },
    )


def _refuse_integers(described):
    """Only what is float has the precision that a converter of another SoC starts from."""
    quantized = [each["name"] for side in ("inputs", "outputs") for each in described[side] if "scale" in each]
    if quantized:
        raise stepio.StepError(
            "model-format",
            "the model is quantized already ({} has a scale), and this SoC's own tools quantize a float one".format(
                stepio.listed(quantized[:1])
            ),
            "give the float model that it was made from",
        )


def _is_image(shape):
    return len(shape) == _IMAGE_RANK and shape[3] in _COLORS


def _as_exported(each, moved):
    shape = list(each["shape"])
    if each["name"] in moved:
        shape = [shape[0], shape[3], shape[1], shape[2]]
    return {"name": each["name"], "shape": shape, "dtype": each["dtype"]}


def _converted(content, described, moved):
    """Return the ONNX model, by tf2onnx."""
    import onnx

    # tf2onnx takes the names in a .tflite for names of TensorFlow, which have few characters and a meaning for ":".
    names = {"in_{:03}".format(number): each["name"] for number, each in enumerate(described["inputs"])}
    out_names = {"out_{:03}".format(number): each["name"] for number, each in enumerate(described["outputs"])}
    plain = {name: node for node, name in names.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.tflite")
        with open(path, "wb") as stream:
            stream.write(_with_plain_names(content, list(names), list(out_names)))
        model = _tf2onnx(path, list(names), list(out_names), [plain[name] for name in moved])
    model.ir_version = _IR_VERSION
    model.producer_name, model.producer_version = _PRODUCER, ""
    model.graph.name = "model"
    model.graph.doc_string = ""
    model.doc_string = ""
    kept = [each for each in model.opset_import if each.domain in onnx_model.ONNX_DOMAINS]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    ordered = {each.name: each for each in model.graph.input}
    if sorted(ordered) != sorted(names):
        unused = [names[node] for node in names if node not in ordered]
        raise stepio.StepError(
            "conversion",
            "the ONNX model has no input {}: nothing in the model uses it".format(stepio.listed(unused)),
            "leave the input out of the model",
        )
    del model.graph.input[:]
    model.graph.input.extend(ordered[node] for node in names)
    onnx_model.keep_outputs(model, list(out_names))
    onnx_model.rename(model, dict(names, **out_names))
    for value, each in zip(model.graph.output, described["outputs"]):
        dims = value.type.tensor_type.shape.dim
        del dims[:]
        for size in each["shape"]:
            dims.add().dim_value = size
    onnx_canonical.make_canonical(model)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise stepio.StepError(
            "conversion", "tf2onnx wrote an invalid ONNX model: {}".format(onnx_model.shortened(error))
        ) from error
    return model


def _with_plain_names(content, inputs, outputs):
    """Return the `.tflite` with these names for its inputs and outputs, and no other tensor called like one."""
    schema = stepio.tflite_schema()
    model = stepio.unpack(schema, content)
    graph = model.subgraphs[0]
    for number, tensor in enumerate(graph.tensors):
        tensor.name = "tensor_{:05}".format(number)
    signature = model.signatureDefs[0]
    for maps, names in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for each, name in zip(maps, names):
            graph.tensors[each.tensorIndex].name = name
            each.name = name
    return stepio.pack(model)


def _tf2onnx(path, inputs, outputs, moved):
    # Its log goes where TensorFlow's goes. Its optimizer's lines would fill it.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    import tf2onnx.convert

    _teach_gelu()
    _mend_fully_connected()
    try:
        model, _ = tf2onnx.convert.from_tflite(
            path, input_names=inputs, output_names=outputs, opset=OPSET, inputs_as_nchw=moved or None
        )
    except Exception as error:
        raise stepio.StepError(
            "conversion",
            "tf2onnx cannot convert the model: {}".format(onnx_model.shortened(error)),
            "all that it says is in the log of the step; or export the trained model to ONNX yourself",
        ) from error
    foreign = sorted(name for name in onnx_model.operators(model) if "." in name or name.startswith("TFL_"))
    if foreign:
        raise stepio.StepError(
            "conversion",
            "ONNX has no operator for: {}".format(", ".join(foreign)),
            "replace it in the model, or export the trained model to ONNX yourself",
        )
    return model


def _teach_gelu():
    """Let tf2onnx convert the one common operator of TensorFlow Lite that it lacks (seen with 1.17.0)."""
    import numpy as np
    from tf2onnx.handler import tfl_op

    class Gelu:
        @classmethod
        def version_9(cls, ctx, node, **_):
            dtype = np.float32
            value, approximate = node.input[0], node.get_attr_value("approximate")
            shape, kind = ctx.get_shape(node.output[0]), ctx.get_dtype(node.output[0])
            ctx.remove_node(node.name)

            def constant(number):
                return ctx.make_const("{}_{:.9g}".format(node.name, number), np.array(number, dtype=dtype)).output[0]

            def make(operator, *inputs, **more):
                return ctx.make_node(operator, list(inputs), shapes=[shape], dtypes=[kind], **more).output[0]

            if approximate:
                cube = make("Mul", make("Mul", make("Mul", value, value), value), constant(0.044715))
                inner = make("Tanh", make("Mul", make("Add", value, cube), constant(0.7978845608028654)))
            else:
                inner = make("Erf", make("Mul", value, constant(0.7071067811865476)))
            half = make("Mul", value, constant(0.5))
            make("Mul", half, make("Add", inner, constant(1.0)), outputs=node.output, name=node.name)

    tfl_op(["TFL_GELU"])(Gelu)


def _mend_fully_connected():
    """Let a dense layer keep its bias where its input is no matrix (seen with 1.17.0, which takes inputs 0 and 1 only).

    TensorFlow Lite has such layers where a pooling, or a reshape that it drops, comes before.
    """
    import numpy as np
    from tf2onnx import utils
    from tf2onnx.handler import tfl_op
    from tf2onnx.tflite_handlers.tfl_math import TflFullyConnectedOp

    class FullyConnected:
        @classmethod
        def to_tf(cls, ctx, node, **more):
            shape, weights = ctx.get_shape(node.input[0]), ctx.get_shape(node.input[1])
            if not node.attr["keep_num_dims"].i and len(shape) != len(weights):
                matrix = [int(np.prod(shape)) // weights[1], weights[1]]
                wanted = ctx.make_const(utils.make_name("matrix"), np.array(matrix, np.int64)).output[0]
                kind = ctx.get_dtype(node.input[0])
                rows = ctx.make_node("Reshape", [node.input[0], wanted], shapes=[matrix], dtypes=[kind])
                rows.skip_conversion = True
                ctx.replace_inputs(node, [rows.output[0], *node.input[1:]])
            TflFullyConnectedOp.to_tf(ctx, node, **more)

    tfl_op(["TFL_FULLY_CONNECTED"])(FullyConnected)


def _compare(content, model_bytes, described, moved):
    """Return the figures of every output in the run where it is farthest off."""
    import numpy as np

    tensors = [
        onnx_model.Tensor(each["name"], tuple(each["shape"]), np.dtype(each["dtype"])) for each in described["inputs"]
    ]
    shapes = {each.name: each.shape for each in tensors}
    lite = onnx_check.Lite(content)
    running = onnx_check.session(model_bytes, "the exported model")
    runs = []
    for seed in onnx_check.SEEDS:
        values = onnx_check.random_inputs(tensors, shapes, seed)
        reference = lite.run(values)
        fed = {name: value.transpose(0, 3, 1, 2) if name in moved else value for name, value in values.items()}
        result = onnx_check.run_onnx(running, fed)
        runs.append(
            [dict(onnx_check.differences(reference[name], result[name]), name=name) for name in sorted(reference)]
        )
    return onnx_check.worst(runs)


if __name__ == "__main__":
    stepio.run(main)
