"""A built model beside the float model, on validation samples.

In: `in/model.tflite`, what was built; `in/float.tflite`, which may be left out; images or arrays as samples.py reads
them, and perhaps the right class of each. Out: `out/verify.json` with the figures, as docs/verify.md describes it.
Nothing is judged here: the tool holds the figures against the manifest's limits. The same samples give the same bytes
on any number of cores; there are no times in them.
"""

import json

import stepio
import verify_alternatives
import verify_compare
import verify_feed
import verify_layers
import verify_run


def main(params):
    """Measure; see the module's first paragraph.

    Args:
        params: `model`; perhaps `float`, `calibrated`, `calibration`, `boxes`; `inputs` and `data` as calibrate.py has
            them; `labels`: a class per sample by name of output; `scheme`, `io`, `layer_samples`.
    """
    schema = stepio.tflite_schema()
    built = verify_run.read_subject(schema, params["model"], "the built model")
    floats = None
    if params.get("float"):
        floats = verify_run.read_subject(schema, params["float"], "the float model")
    feed = verify_feed.Feed(schema, floats or built, params)
    document = {"schema": 1, "samples": feed.count, "labelled": bool(_labels(params))}
    document.update(compared_with_float=floats is not None, boxes=None, layers=[], layers_note="", alternatives=[])
    subject = verify_compare.Comparison(feed, floats, _checked_labels(params, built, feed.count), params.get("boxes"))
    document.update(_apart(lambda: subject.figures(built, range(feed.count), tell=True), built.role))
    if floats is not None and params.get("layer_samples"):
        document.update(_layers(schema, feed, floats, built, params["layer_samples"]))
    if floats is not None and params.get("calibrated") and params.get("scheme"):
        document["alternatives"], notes = verify_alternatives.measured(schema, subject, built, params, document)
        document["notes"].extend(notes)
    text = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    stepio.write_output("out/verify.json", (text + "\n").encode("utf-8"))
    stepio.write_step_json(
        stepio.tool_versions("tensorflow-cpu", "tensorflow", "numpy", "pillow"),
        built.tensors,
        {"verify": {"samples": feed.count}},
    )


def _layers(schema, feed, floats, built, most):
    """Return `layers` and `layers_note`: without them there is still all that the gates need."""
    try:
        layers, note = verify_run.apart(lambda: verify_layers.measured(schema, feed, floats, built, most))
    except (verify_run.CrashError, stepio.StepError) as error:
        return {"layers": [], "layers_note": "the tensors between could not be measured: {}".format(error)}
    return {"layers": layers, "layers_note": note}


def _apart(function, role):
    try:
        return verify_run.apart(function)
    except verify_run.CrashError as error:
        raise stepio.StepError(
            "conversion",
            "{} cannot be run on the validation data: {}".format(role, error),
            "what TensorFlow Lite says is in the log of the step; leave [verify] out to build without measuring",
        ) from error


def _labels(params):
    """Return the classes by name of output; a sample without has -1 in the parameters, which TOML has no null for."""
    return {
        name: [None if each is None or each < 0 else each for each in values]
        for name, values in (params.get("labels") or {}).items()
        if values is not None
    }


def _checked_labels(params, built, count):
    labels = _labels(params)
    names = [each["name"] for each in built.tensors["outputs"]]
    for name, values in labels.items():
        if name not in names:
            raise stepio.StepError(
                "validation-label",
                'there are labels for output "{}"; the model has: {}{}'.format(
                    name, stepio.listed(names), stepio.suggestion(name, names)
                ),
                "name the column of labels.csv as the model names its output",
            )
        if len(values) != count:
            raise stepio.StepError(
                "validation-label",
                'output "{}" has {} labels for {} samples'.format(name, len(values), count),
                "give every sample a label",
            )
    return labels


if __name__ == "__main__":
    stepio.run(main)
