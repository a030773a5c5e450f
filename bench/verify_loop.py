"""One round of verifying, or of a bare loop over the same samples; runs in the toolchain.

    python verify_loop.py import FOLDER MODEL.keras    float.tflite in FOLDER
    python verify_loop.py calibrate FOLDER COUNT       calibrated.tflite and samples.npz, of noise
    python verify_loop.py quantize FOLDER              model.tflite
    python verify_loop.py step|bare FOLDER             prints seconds on the wall and of the processor, as JSON

The first three are processes of their own because TensorFlow's extension modules do not bear one another.

Timed are reading the samples, loading both models and running all samples, not starting Python and importing. `bare`
is what one would write by hand: set, invoke and get for the float model and for the built one, sample after sample, and
nothing of the outputs is looked at. `step` has all that the step does with outputs: metrics, intervals, histograms.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "dlpubuild" / "steps"))

CALIBRATED_ON = 8


def import_keras(model: str) -> None:
    import import_model

    Path("out").mkdir()
    import_model.main({"format": "keras", "model": model, "inputs": [], "outputs": [], "optimization": "none"})
    Path("out/model.tflite").replace("float.tflite")


def calibrated(count: str) -> None:
    import calibrate
    import stepio

    schema = stepio.tflite_schema()
    described = stepio.describe_tensors(schema, stepio.unpack(schema, Path("float.tflite").read_bytes()))["inputs"][0]
    random = np.random.default_rng(1)
    np.savez(
        "samples.npz", **{described["name"]: random.random((int(count), *described["shape"][1:]), dtype=np.float32)}
    )
    data = {"kind": "npz", "file": "samples.npz", "indices": list(range(CALIBRATED_ON))}
    content, _, _ = calibrate.calibrated_model(schema, {"model": "float.tflite", "inputs": [], "data": data}, 1)
    Path("calibrated.tflite").write_bytes(content)
    Path("count.json").write_text(count)


def quantize() -> None:
    import integer_model
    import stepio

    content = Path("calibrated.tflite").read_bytes()
    _, content = integer_model.quantized(stepio.tflite_schema(), content, False, "uint8", "uint8")
    Path("model.tflite").write_bytes(content)


def step(count: int) -> Iterator[None]:
    import stepio
    import tflite_run
    import verify_compare
    import verify_feed
    import verify_run

    schema = stepio.tflite_schema()
    # Loads TensorFlow Lite's libraries, which importing TensorFlow has done for the other.
    tflite_run.Runner(Path("model.tflite").read_bytes(), delegates=True)
    data = {"kind": "npz", "file": "samples.npz", "indices": list(range(count))}
    yield
    floats = verify_run.read_subject(schema, "float.tflite", "the float model")
    built = verify_run.read_subject(schema, "model.tflite", "the built model")
    feed = verify_feed.Feed(schema, floats, {"inputs": [], "data": data})
    document = verify_compare.Comparison(feed, floats, {}, None).figures(built, range(count))
    assert document["outputs"][0]["agreement"]["of"] == count
    yield


def bare(count: int) -> Iterator[None]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tensorflow as tf

    warnings.simplefilter("ignore")
    yield
    with np.load("samples.npz") as archive:
        values = archive[archive.files[0]]
    loaded = []
    for name in ("float.tflite", "model.tflite"):
        interpreter = tf.lite.Interpreter(model_path=name, num_threads=1)
        interpreter.allocate_tensors()
        loaded.append((interpreter, interpreter.get_input_details()[0], interpreter.get_output_details()[0]["index"]))
    for row in values[:count]:
        for interpreter, source, output in loaded:
            scale, zero_point = source["quantization"]
            given = row[np.newaxis]
            if scale:
                given = np.clip(np.round(given / scale + zero_point), 0, 255).astype(source["dtype"])
            interpreter.set_tensor(source["index"], given)
            interpreter.invoke()
            interpreter.get_tensor(output)
    yield


def measure(way: str) -> None:
    count = json.loads(Path("count.json").read_text())
    run = {"step": step, "bare": bare}[way](count)
    next(run)
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    next(run)
    spent = [time.perf_counter() - started_s, time.process_time() - started_cpu_s]
    print(json.dumps({"samples": count, "wall": spent[0], "cpu": spent[1]}), flush=True)


def main(way: str, folder: str, *arguments: str) -> None:
    os.chdir(folder)
    preparing = {"import": import_keras, "calibrate": calibrated, "quantize": quantize}
    if way in preparing:
        preparing[way](*arguments)
    else:
        measure(way)
    sys.stdout.flush()
    # TensorFlow has been seen to abort when it is taken down.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
