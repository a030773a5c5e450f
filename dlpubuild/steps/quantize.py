"""A calibrated `.tflite` becomes an integer `.tflite`.

In: `in/calibrated.tflite` of calibrate.py, and its `in/probe.npz`, which may be left out. Out: `out/model.tflite`, with
the bytes that TensorFlow's public converter gives for the same model and samples (a test holds it to that). Whether the
result is what the SoC needs is judged by the tool, from the file. What it makes of the samples of the probe is measured
here, as output_check.py describes, and judged by the tool, too.
"""

import integer_model
import output_check
import probe
import stepio


def main(params):
    """Quantize the model; see the module's first paragraph."""
    with open(params["model"], "rb") as stream:
        calibrated = stream.read()
    schema = stepio.tflite_schema()
    model, content = _quantized(schema, calibrated, params, params["per_channel"])
    stepio.write_output("out/model.tflite", content)
    metrics = {"bytes": len(content), "operators": len(model.subgraphs[0].operators)}
    if "probe" in params:
        metrics["check"] = output_check.measured(
            probe.unpack(params["probe"]),
            stepio.describe_tensors(schema, stepio.unpack(schema, calibrated)),
            _measurable(schema, model, content, params["per_channel"]),
            lambda: _other(schema, calibrated, params),
            integer_model.detected(schema, calibrated),
        )
    stepio.write_step_json(
        stepio.tool_versions("tensorflow-cpu", "tensorflow", "numpy"), stepio.describe_tensors(schema, model), metrics
    )


def _quantized(schema, calibrated, params, per_channel):
    return integer_model.quantized(schema, calibrated, per_channel, params["input_type"], params["output_type"])


def _other(schema, calibrated, params):
    """Return what the scheme that was not asked for gives."""
    per_channel = not params["per_channel"]
    model, content = _quantized(schema, calibrated, params, per_channel)
    return _measurable(schema, model, content, per_channel)


def _measurable(schema, model, content, per_channel):
    return output_check.IntegerModel(
        content, stepio.describe_tensors(schema, model), output_check.output_steps(schema, model), per_channel
    )


if __name__ == "__main__":
    stepio.run(main)
