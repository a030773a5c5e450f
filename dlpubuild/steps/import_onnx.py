"""An ONNX model becomes a float `.tflite` with every dimension fixed.

In: `in/model.onnx`, with the files of its weights beside it where it has such; the shapes, layouts and names that the
manifest declares. Out: `out/model.tflite`, whose first signature has the names of the ONNX model, in the declared order
or else its own. Inputs with the layout `nchw` and outputs that are images take NHWC, as TensorFlow has it; the step's
record says which. Before it is kept, the result is held against ONNX Runtime on random inputs. Nothing is quantized
here but the weights where `optimization` asks for it.
"""

import contextlib
import copy
import os
import re
import signal
import subprocess
import sys
import tempfile

import import_model
import onnx_check
import onnx_model
import stepio

# onnx2tf looks for pictures by this name in the current folder, and downloads them where there are none.
_SAMPLE_NAME = "calibration_image_sample_data_20x128x128x3_float32.npy"
_SAMPLE_SHAPE = (20, 128, 128, 3)
_MODEL_NAME = "model.onnx"
_IMAGE_RANK = 4
_LEAST_RANK_WITH_CHANNELS = 3
_SIMPLIFY = """
import sys, onnx, onnxsim
simplified, _ = onnxsim.simplify(onnx.load(sys.argv[1]), check_n=0)
onnx.save(simplified, sys.argv[1] + ".simplified")
"""


def main(params):
    """Convert the model; see the module's first paragraph.

    Args:
        params: `model`, `outputs`, `optimization`, and `inputs`, each with `name` and, where they are known, `shape` in
            the ONNX model's own layout and `layout`: `nchw`, `nhwc` or `keep`.
    """
    model = onnx_model.load(params["model"])
    operators, opset = onnx_model.operators(model), onnx_model.opset(model)
    _refuse_operators(operators)
    inputs = onnx_model.inputs(model)
    shapes = import_model.fixed_shapes(inputs, params["inputs"])
    chosen = import_model.chosen_outputs([each.name for each in onnx_model.outputs(model)], params["outputs"])
    ordered = import_model.in_declared_order([each.name for each in inputs], params["inputs"])
    moved = _moved_inputs(shapes, params["inputs"])
    onnx_model.keep_outputs(model, chosen)
    onnx_model.fix_shapes(model, shapes)

    by_name = {each.name: each for each in inputs}
    ordered_inputs = [by_name[name] for name in ordered]
    model_bytes = _serialized(model)
    samples = [onnx_check.random_inputs(ordered_inputs, shapes, seed) for seed in onnx_check.SEEDS]
    running = onnx_check.session(model_bytes)
    references = [onnx_check.run_onnx(running, values) for values in samples]
    del running

    traced, content = _converted(model, ordered, chosen, moved, samples[0])
    lite_samples = [
        {name: onnx_check.to_nhwc(value) if name in moved else value for name, value in values.items()}
        for values in samples
    ]
    layouts, figures = _compare(content, lite_samples, references, chosen)
    onnx_check.check(figures, "the converted model")
    if params["optimization"] != "none":
        # What rounding weights changes is no fault of the conversion; that one was checked.
        with import_model.conversion():
            content = _to_tflite(traced, ordered, chosen, params["optimization"])
    _tell(layouts)
    schema = stepio.tflite_schema()
    converted = stepio.unpack(schema, content)
    stepio.write_output("out/model.tflite", content)
    stepio.write_step_json(
        stepio.tool_versions("onnx", "onnx2tf", "onnxruntime", "onnxsim", "tensorflow-cpu", "tf-keras", "numpy"),
        stepio.describe_tensors(schema, converted),
        {
            "bytes": len(content),
            "operators": len(converted.subgraphs[0].operators),
            "onnx": {
                "opset": opset,
                "operators": operators,
                "inputs": [
                    {"name": name, "shape": list(shapes[name]), "layout": "nhwc" if name in moved else "kept"}
                    for name in ordered
                ],
                "outputs": [
                    {"name": name, "shape": list(references[0][name].shape), "layout": layouts[name]} for name in chosen
                ],
            },
            "check": figures,
        },
    )


def _refuse_operators(operators):
    """Say what cannot be converted before anything is tried."""
    quantized = [name for name in operators if onnx_model.QUANTIZED.match(name)]
    if quantized:
        raise stepio.StepError(
            "model-format",
            "the ONNX model is quantized (it has {}), and the scales in it would be lost".format(
                stepio.listed(quantized)
            ),
            "give the float model: its calibration data decides the scales",
        )
    folder = next((each for each in sys.path if os.path.isdir(os.path.join(each, "onnx2tf", "ops"))), None)
    known = os.listdir(os.path.join(folder, "onnx2tf", "ops")) if folder else []
    missing = [name for name in operators if "{}.py".format(name) not in known]
    if folder and missing:
        raise stepio.StepError(
            "conversion",
            "no way to convert the ONNX operator{} {}".format("" if len(missing) == 1 else "s", stepio.listed(missing)),
            "replace it in the model; what onnx2tf converts is listed in its README under Supported layers",
        )


def _moved_inputs(shapes, declared):
    """Return the names of the inputs that become NHWC: images with channels first."""
    layouts = {each["name"]: each.get("layout") for each in declared}
    moved = set()
    for name, shape in shapes.items():
        layout = layouts.get(name) or ("nchw" if len(shape) == _IMAGE_RANK else "keep")
        if layout == "nchw" and len(shape) == _IMAGE_RANK:
            moved.add(name)
    return moved


def _serialized(model):
    try:
        return model.SerializeToString(deterministic=True)
    except ValueError as error:
        raise stepio.StepError(
            "model-format",
            "the ONNX model has more than 2 GB of weights, more than its format takes in one piece",
            "no DLPU runs a model of this size; train a smaller one",
        ) from error


def _converted(model, ordered, chosen, moved, sample):
    """Return the model as a concrete function of TensorFlow, and the float `.tflite` made of it.

    TensorFlow Lite has no Erf: its converter makes a Gelu of it where it sees one. Where it does not, Erf is computed
    from other operators.
    """

    def attempt(stand_ins):
        with import_model.conversion():
            traced = _to_tensorflow(model, ordered, chosen, moved, sample, stand_ins)
            return traced, _to_tflite(traced, ordered, chosen, "none")

    try:
        return attempt([])
    except stepio.StepError as error:
        if not re.search(r"no operator for: (.*, )?Erf\b", str(error)):
            raise
    return attempt(["erf"])


def _to_tensorflow(model, ordered, chosen, moved, sample, stand_ins):
    """Return the model as a concrete function of TensorFlow, inputs and outputs in the given order."""
    import numpy as np
    import onnx
    import tensorflow as tf

    # TensorFlow takes few characters in names; the signature gets the names themselves in the end.
    names = {name: "input_{:03}".format(number) for number, name in enumerate(ordered)}
    out_names = {name: "output_{:03}".format(number) for number, name in enumerate(chosen)}
    if set(names) & set(out_names):
        raise stepio.StepError(
            "model-output",
            "an output of the ONNX model is one of its inputs: {}".format(stepio.listed(set(names) & set(out_names))),
            "leave it out: [[model.output]] lists the outputs that are wanted",
        )
    renamed = copy.deepcopy(model)
    onnx_model.rename(renamed, dict(names, **out_names))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, _MODEL_NAME)
        onnx.save(renamed, path)
        _simplify(path)
        random = np.random.default_rng(0)
        np.save(os.path.join(folder, _SAMPLE_NAME), random.random(_SAMPLE_SHAPE, dtype=np.float32))
        data = []
        for name in ordered:
            value = onnx_check.to_nhwc(sample[name]) if name in moved else sample[name]
            np.save(os.path.join(folder, names[name] + ".npy"), value)
            data.append([names[name], names[name] + ".npy"])
        with _working_in(folder):
            keras_model = _onnx2tf(data, [names[name] for name in ordered if name not in moved], stand_ins)
    if len(keras_model.outputs) != len(chosen):
        raise stepio.StepError(
            "conversion",
            "onnx2tf gave {} outputs for {}".format(len(keras_model.outputs), stepio.listed(chosen)),
            "an output that does not depend on an input cannot be kept: leave it out of [[model.output]]",
        )
    specs = {tensor.name: tensor for tensor in keras_model.inputs}
    order = [tensor.name for tensor in keras_model.inputs]

    def call(*tensors):
        by_name = dict(zip([names[name] for name in ordered], tensors))
        results = keras_model([by_name[name] for name in order], training=False)
        results = results if isinstance(results, (list, tuple)) else [results]
        return [tf.identity(each) for each in results]

    function = tf.function(call, autograph=False)
    return function.get_concrete_function(
        *[tf.TensorSpec(specs[names[name]].shape, specs[names[name]].dtype, name=names[name]) for name in ordered]
    )


def _simplify(path):
    """Compute what is constant in the model at `path`: shapes, most of all, without which little converts.

    In a process of its own: beside TensorFlow the one of ONNX Runtime that is in onnxsim crashes (seen with 0.4.36).
    """
    done = subprocess.run([sys.executable, "-c", _SIMPLIFY, path], stdout=sys.stderr, check=False)
    if done.returncode == -signal.SIGKILL:
        # Going on would make another model where there is less memory.
        raise stepio.StepError(
            "step-memory",
            "onnxsim was killed while it simplified the ONNX model, most probably for want of memory",
            "give steps more memory: --memory, or memory under [limits]",
        )
    if done.returncode == 0:
        os.replace(path + ".simplified", path)
    else:
        print("onnxsim ended with {}; going on with the model as it is".format(done.returncode), file=sys.stderr)


def _onnx2tf(data, kept, stand_ins):
    """Run onnx2tf on the model in the current folder; return a Keras model."""
    # What it says goes where what TensorFlow says goes: to the log. Standard output is for events.
    with contextlib.redirect_stdout(sys.stderr):
        import onnx2tf

        try:
            return onnx2tf.convert(
                input_onnx_file_path=_MODEL_NAME,
                output_folder_path="converted",
                not_use_onnxsim=True,
                custom_input_op_name_np_data_path=data,
                keep_shape_absolutely_input_names=kept or None,
                replace_to_pseudo_operators=stand_ins or None,
                disable_model_save=True,
                verbosity="info",
            )
        except (Exception, SystemExit) as error:
            raise _onnx2tf_fault(error) from error


def _onnx2tf_fault(error):
    """Name the operator where onnx2tf stumbled, as it does by the name of the node."""
    import onnx

    name = getattr(error, "onnx_op_name", None)
    # It has given names to nodes without one, in the file.
    model = onnx.load(_MODEL_NAME, load_external_data=False)
    kinds = [node.op_type for node in model.graph.node if node.name == name]
    where = ' at the operator {} ("{}")'.format(kinds[0], name) if kinds else ""
    reason = "" if isinstance(error, SystemExit) else ": {}".format(onnx_model.shortened(error))
    return stepio.StepError(
        "conversion",
        "onnx2tf cannot convert the ONNX model{}{}".format(where, reason),
        "all that onnx2tf says is in the log of the step; often another opset, or replacing that operator, helps",
    )


@contextlib.contextmanager
def _working_in(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _to_tflite(traced, ordered, chosen, optimization):
    import tensorflow as tf

    content = import_model.run_converter(tf.lite.TFLiteConverter.from_concrete_functions([traced]), optimization)
    return import_model.with_signature(content, ordered, chosen)


def _compare(content, samples, references, chosen):
    """Return the layout of every output by name, and the figures of its worst run."""
    lite = onnx_check.Lite(content)
    results = [lite.run(values) for values in samples]
    layouts = {}
    runs = [[] for _ in samples]
    for name in chosen:
        layouts[name], moves = _layout([each[name] for each in references], [each[name] for each in results], name)
        for position, (reference, result) in enumerate(zip(references, results)):
            figure = onnx_check.differences(reference[name].transpose(moves), result[name])
            runs[position].append(dict(figure, name=name))
    return layouts, onnx_check.worst(runs)


def _layout(references, results, name):
    """Return how an output lies in the `.tflite`, and the order of the ONNX axes that gives it.

    onnx2tf moves the channels of what it takes for an image behind the others. Where two orders have the same shape the
    values decide.
    """
    shape, found = references[0].shape, results[0].shape
    kept, last = tuple(range(len(shape))), (0, *range(2, len(shape)), 1)
    orders = [("kept", kept)] + ([("nhwc", last)] if len(shape) >= _LEAST_RANK_WITH_CHANNELS else [])
    fitting = [(layout, order) for layout, order in orders if tuple(shape[axis] for axis in order) == tuple(found)]
    if not fitting:
        raise stepio.StepError(
            "conversion-differs",
            'output "{}" of the converted model has the shape {}, but the ONNX model gives {}'.format(
                name, list(found), list(shape)
            ),
            "an operator was converted wrongly; the log of the step lists them",
        )

    def distance(candidate):
        return max(
            onnx_check.differences(reference.transpose(candidate[1]), result)["relative"]
            for reference, result in zip(references, results)
        )

    return min(fitting, key=distance)


def _tell(layouts):
    """Of inputs the plan tells: their layout is known before."""
    for name, layout in layouts.items():
        if layout == "nhwc":
            stepio.message(
                'output "{}" has its channels last in the built model; in the ONNX model they come first'.format(name)
            )


if __name__ == "__main__":
    stepio.run(main)
