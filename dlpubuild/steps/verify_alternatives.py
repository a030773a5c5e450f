"""What other ways to quantize would have given: the other granularity, and fewer calibration samples.

In: the calibrated model, the float model, the calibration samples. Out: per way the figures of each output, beside
those of the model that was built. A way that TensorFlow cannot go, or crashes on, has a `failure` and no figures, and
takes nothing down with it: each runs in a process of its own. Nothing is proposed here.
"""

import os

import calibrate
import integer_model
import samples
import stepio
import verify_run

_MAX_SAMPLES = 256
_TIMEOUT_S = 900
_PER_CHANNEL, _PER_TENSOR = "per-channel", "per-tensor"
# Up to so many samples, further processes take longer to start than they save.
_ALONE = 64
_PARTIAL = "out/fewer.tflite.partial"
# Of the calibration samples; ranges are never narrower with more, so that fewer say whether more would help.
_PARTS = (4, 2)


def measured(schema, comparison, built, params, document):
    """Return the list for the document, and notes.

    Args:
        comparison: a verify_compare.Comparison with a float model.
        built: the verify_run.Subject that was built.
        params: those of the step.
        document: with the `outputs` and `boxes` of the built model on all samples.
    """
    count = comparison.feed.count
    positions = verify_run.spread(count, _MAX_SAMPLES)
    notes = []
    if len(positions) < count:
        notes.append(
            "alternatives are measured on {} of {} validation samples, evenly spread; the built model among them, "
            "too".format(len(positions), count)
        )
    with open(params["calibrated"], "rb") as stream:
        calibrated = stream.read()
    data = (params.get("calibration") or {}).get("data")
    used = samples.sample_count(data) if data else None
    scheme = params["scheme"]
    other = _PER_CHANNEL if scheme == _PER_TENSOR else _PER_TENSOR

    def quantized(content, name):
        io_type = params.get("io") or "int8"
        _, content = integer_model.quantized(schema, content, name == _PER_CHANNEL, io_type, io_type)
        return comparison.figures(verify_run.Subject(schema, content, "the {} model".format(name)), positions)

    def again():
        return document if len(positions) == count else comparison.figures(built, positions)

    found = [_entry(scheme, used, True, again), _entry(other, used, False, lambda: quantized(calibrated, other))]
    for fewer in sorted({max(1, used // part) for part in _PARTS} - {used}) if used else ():

        def with_fewer(fewer=fewer):
            return quantized(_calibrated(schema, params, fewer), scheme)

        found.append(_entry(scheme, fewer, False, with_fewer))
    return found, notes


def _entry(scheme, calibration_samples, is_built, function):
    """Return what the document says of one way; `function` returns figures as verify_compare has them."""
    entry = {"scheme": scheme, "calibration_samples": calibration_samples, "is_built": is_built}
    entry.update(outputs=[], matched=None, failure="")
    try:
        figures = verify_run.apart(lambda: _shortened(function()), _TIMEOUT_S)
    except (verify_run.CrashError, stepio.StepError) as error:
        entry["failure"] = str(error) or type(error).__name__
    else:
        entry.update(figures)
    return entry


def _shortened(figures):
    outputs = []
    for each in figures["outputs"]:
        top1 = each["built"]["top1"]
        entry = {"name": each["name"], "top1": top1 and top1["value"]}
        entry.update({key: each[key] and each[key]["value"] for key in ("sqnr_db", "mae", "agreement")})
        outputs.append(entry)
    boxes = figures["boxes"]
    return {"outputs": outputs, "matched": boxes["matched"]["value"] if boxes and boxes["matched"] else None}


def _calibrated(schema, params, count):
    """Return the float model calibrated on the first `count` of the calibration samples."""
    data = dict(params["calibration"]["data"])
    key = "files" if data["kind"] == "images" else "indices"
    data[key] = data[key][:count]
    job = {"model": params["float"], "inputs": params["calibration"]["inputs"], "data": data}

    def write():
        workers = 1 if count <= _ALONE else None
        stepio.write_output(_PARTIAL, calibrate.calibrated_model(schema, job, workers, probes=False)[0])

    # Apart once more: extension modules that calibrate, quantize and run are not known to bear one another.
    try:
        verify_run.apart(write)
        with open(_PARTIAL, "rb") as stream:
            return stream.read()
    finally:
        if os.path.exists(_PARTIAL):
            os.remove(_PARTIAL)
