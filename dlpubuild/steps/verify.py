"""A built model beside the float model, on validation samples.

In: `in/model.tflite`, what was built; `in/float.tflite`, which may be left out; images or arrays as samples.py reads
them, and perhaps the right class of each. Out: `out/verify.json` with the figures, as docs/verify.md describes it.
Nothing is judged here: the tool holds the figures against the manifest's limits. The same samples give the same bytes
on any number of cores; there are no times in them.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import stepio
import verify_feed
import verify_outputs
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
    document = {"schema": 1, "samples": feed.count, "labelled": bool(_labels(params)), "notes": []}
    document.update(compared_with_float=floats is not None, boxes=None, layers=[], layers_note="", alternatives=[])
    document.update(_apart(lambda: _measured(feed, floats, built, params, document["notes"]), built.role))
    text = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    stepio.write_output("out/verify.json", (text + "\n").encode("utf-8"))
    stepio.write_step_json(
        stepio.tool_versions("tensorflow-cpu", "tensorflow", "numpy", "pillow"),
        built.tensors,
        {"verify": {"samples": feed.count}},
    )


def _apart(function, role):
    try:
        return verify_run.apart(function)
    except verify_run.CrashError as error:
        raise stepio.StepError(
            "conversion",
            "{} cannot be run on the validation data: {}".format(role, error),
            "what TensorFlow Lite says is in the log of the step; leave [verify] out to build without measuring",
        ) from error


def _measured(feed, floats, built, params, notes):
    """Return `outputs`, `boxes` and `notes` of the document."""
    pairs = _paired(floats, built)
    labels = _checked_labels(params, built, feed.count)
    outputs = [verify_outputs.Output(name, labels.get(name), floats is not None) for name, _, _ in pairs]
    progress = stepio.Progress(feed.count, "images" if feed.data["kind"] == "images" else "samples")
    for positions, of_floats, of_built in run_both(feed, floats, built, range(feed.count)):
        for output, (_, ours, theirs) in zip(outputs, pairs):
            output.add(positions, None if of_floats is None else of_floats[ours], of_built[theirs])
        for _ in positions:
            progress.advance()
    found = [output.result(notes) for output in outputs]
    return {"outputs": found, "notes": notes}


def run_both(feed, floats, built, positions):
    """Yield positions of some samples, the outputs of the float model (None without one) and of the built one.

    The next samples are read, and the last ones measured by the caller, while these run.
    """
    subjects = [each for each in (floats, built) if each is not None]
    running = [verify_run.Running(each, feed.inputs, delegates=True) for each in subjects]
    # One thread per model: an interpreter runs one sample at a time.
    pools = [ThreadPoolExecutor(max_workers=1) for _ in running]
    try:
        waiting = None
        for some in verify_run.chunks(positions, subjects):
            values = feed.values(some)
            started = [pool.submit(each.outputs, values) for pool, each in zip(pools, running)]
            if waiting is not None:
                yield _finished(*waiting)
            waiting = (some, started)
        yield _finished(*waiting)
    finally:
        for pool in pools:
            pool.shutdown()


def _finished(some, started):
    results = [each.result() for each in started]
    return some, results[0] if len(results) > 1 else None, results[-1]


def _paired(floats, built):
    """Return per output its name, and its number in either model."""
    tensors = built.tensors["outputs"]
    if floats is None:
        return [(each["name"], None, number) for number, each in enumerate(tensors)]
    wanted = floats.tensors["outputs"]
    order = [verify_run.place(each["name"], number, tensors) for number, each in enumerate(wanted)]
    if sorted(order) != list(range(len(tensors))):
        raise stepio.StepError(
            "model-output",
            "the built model has the outputs {}, the float model {}".format(
                stepio.listed([each["name"] for each in tensors]), stepio.listed([each["name"] for each in wanted])
            ),
            "give both models the same outputs",
        )
    return [(each["name"], number, at) for number, (each, at) in enumerate(zip(wanted, order))]


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
