"""Run models by TensorFlow's public interpreter, sample by sample, and keep what they give; runs in the toolchain.

In: `{"runs": [{"model", "samples", "save", "keep_all"}]}`. Out: per run an `.npz` of real numbers, one array per output
by its name in the signature, one row per sample; with `keep_all` one per tensor, of the samples at `positions`, and as
JSON name, scale and zero point of each.
"""

# mypy: ignore-errors
# ruff: noqa: T201 - it talks through stdout, to code that takes paths as text

import json
import sys
import warnings

import numpy as np
import tensorflow as tf

warnings.simplefilter("ignore")


def stored(values, detail):
    scale, zero_point = detail["quantization"]
    if detail["dtype"] == np.float32 or not scale:
        return values.astype(detail["dtype"])
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(values / scale + zero_point), limits.min, limits.max).astype(detail["dtype"])


def real(values, detail):
    scale, zero_point = detail["quantization"]
    if not scale or values.dtype.kind == "f":
        return values
    return (values.astype(np.float64) - zero_point) * scale


def run(job):
    kinds = tf.lite.experimental.OpResolverType
    keep_all = job.get("keep_all", False)
    interpreter = tf.lite.Interpreter(
        model_path=job["model"],
        experimental_preserve_all_tensors=keep_all,
        experimental_op_resolver_type=kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES if keep_all else kinds.AUTO,
    )
    interpreter.allocate_tensors()
    # Of another interpreter: a runner refers to the inside of its own, which then does not run by hand.
    runner = tf.lite.Interpreter(model_path=job["model"]).get_signature_runner()
    by_index = {each["index"]: each for each in interpreter.get_tensor_details()}
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    with np.load(job["samples"]) as archive:
        samples = {name: archive[name] for name in archive.files}
    found = {}
    positions = job.get("positions", range(len(next(iter(samples.values())))))
    for at in positions:
        for name, detail in inputs.items():
            values = stored(samples[name][at].reshape(detail["shape"]), by_index[detail["index"]])
            interpreter.set_tensor(detail["index"], values)
        interpreter.invoke()
        if keep_all:
            for index, detail in by_index.items():
                try:
                    values = interpreter.get_tensor(index)
                except ValueError:
                    continue
                found.setdefault(detail["name"], []).append(real(values, detail))
        else:
            for name, detail in outputs.items():
                values = real(interpreter.get_tensor(detail["index"]), by_index[detail["index"]])
                found.setdefault(name, []).append(values)
    found = {name: np.stack(rows) for name, rows in found.items() if len({row.shape for row in rows}) == 1}
    if keep_all:
        # Names of tensors may hold anything, and are no names of files.
        names = sorted(found)
        np.savez(job["save"], *[found[name] for name in names])
        return [[name, *map(float, by_name(by_index, name)["quantization"])] for name in names]
    np.savez(job["save"], **found)
    return None


def by_name(by_index, name):
    return next(each for each in by_index.values() if each["name"] == name)


def main():
    job = json.load(sys.stdin)
    print("\n" + json.dumps([run(each) for each in job["runs"]]))


main()
