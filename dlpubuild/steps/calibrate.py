"""A float `.tflite` and samples become a `.tflite` that knows the range of every tensor.

In: `in/model.tflite` of import_model.py; images, or arrays in `.npy` or `.npz`, as samples.py reads them. Out:
`out/calibrated.tflite`, from which quantize.py makes each integer variant, and `out/probe.npz`, a few samples and what
the float model makes of them, which it measures the integer model against. Samples are shared out to one process per
core, because TensorFlow Lite's calibrator holds Python's lock while it runs; ranges are minima and maxima, so the
result is the same for any number of processes (a test compares the bytes).
"""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np

import probe
import samples
import stepio

_CALIBRATOR_MODULE = "tensorflow/lite/python/optimize/_pywrap_tensorflow_lite_calibration_wrapper.so"
# Below this a further process costs more than it saves: it loads TensorFlow's libraries and the model anew.
_MIN_SAMPLES_PER_WORKER = 8
_CRASHES = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGFPE)
_MAX_WORKERS = 8
# Each process holds the model about three times and its activations; keep them all within a gigabyte or two.
_MODEL_BYTES_FOR_ALL_WORKERS = 256 << 20
_ARCHIVE_BYTES_FOR_ALL_WORKERS = 512 << 20


def main(params, workers=None):
    """Calibrate the model; see the module's first paragraph.

    Args:
        params: `model`; `inputs`, each with `name` and perhaps `shape`, `color`, `mean`, `std`, `resize`; `data`.
        workers: number of processes; by default as many as the machine and the work allow.
    """
    schema = stepio.tflite_schema()
    calibrated, parts, inputs = calibrated_model(schema, params, workers)
    stepio.write_output("out/calibrated.tflite", calibrated)
    stepio.write_output("out/probe.npz", probe.pack(probe.merged([part["probe"] for part in parts])))
    stepio.write_step_json(
        stepio.tool_versions("tensorflow-cpu", "tensorflow", "numpy", "pillow"),
        stepio.describe_tensors(schema, stepio.unpack(schema, calibrated)),
        {"samples": samples.sample_count(params["data"]), "inputs": _merged_ranges(inputs, parts)},
    )


def calibrated_model(schema, params, workers=None, probes=True):
    """Return the bytes of the calibrated model, what each process left, and the described inputs; as `main` is told.

    Args:
        probes: whether the float model is run on some samples, too.
    """
    with open(params["model"], "rb") as stream:
        content = stream.read()
    graph = schema.Model.GetRootAsModel(content, 0)
    model = stepio.unpack(schema, content)
    inputs = samples.described_inputs(schema, model, params)
    count = samples.sample_count(params["data"])
    if workers is None:
        workers = _worker_count(graph, len(content), params["data"], count)
    work = {"model": params["model"], "inputs": inputs, "data": params["data"]}
    # TensorFlow Lite's calibrator crashes on some (2.19.1: fused LSTMs, loops): that shall end another process.
    work["apart"] = _has_state_or_branches(graph)
    work["probed"] = probe.positions(count, stepio.describe_tensors(schema, model)) if probes else []
    parts = _calibrate(work, workers)
    calibrated = _merged(schema, [part["calibrated"] for part in parts])
    if calibrated is None:
        parts = _calibrate(work, 1)
        calibrated = parts[0]["calibrated"]
    return calibrated, parts, inputs


def _calibrate(work, workers):
    """Return what `_calibrate_slice` returns for each of `workers` slices, or raise for samples that cannot be used."""
    count = samples.sample_count(work["data"])
    progress = stepio.Progress(count, "images" if work["data"]["kind"] == "images" else "samples")
    if workers > 1 or work["apart"]:
        parts = _in_processes(work, workers, progress)
    else:
        parts = [_calibrate_slice(work, 0, 1, progress.advance)]
    faults = sorted(fault for part in parts for fault in part["faults"])
    if faults:
        raise samples.sample_faults(faults, count, work["data"])
    return parts


def _worker_count(graph, model_bytes, data, count):
    """Return how many processes to share the samples out to: one where their order or the memory may matter."""
    # With control flow a process may never see a branch; merging expects the same tensors from each.
    if _has_state_or_branches(graph):
        return 1
    limits = [len(os.sched_getaffinity(0)), _MAX_WORKERS, count // _MIN_SAMPLES_PER_WORKER]
    limits.append(_MODEL_BYTES_FOR_ALL_WORKERS // max(model_bytes, 1))
    if data["kind"] == "npz":
        limits.append(_ARCHIVE_BYTES_FOR_ALL_WORKERS // max(os.path.getsize(data["file"]), 1))
    return max(1, min(limits))


def _has_state_or_branches(graph):
    first = graph.Subgraphs(0)
    stateful = any(first.Tensors(index).IsVariable() for index in range(first.TensorsLength()))
    return stateful or graph.SubgraphsLength() > 1


def _calibrate_slice(work, first, step, advance):
    """Run the model on each `step`-th sample from `first` on.

    Returns:
        `faults`: a list of `[position, reason]`; `ranges`: per input the least and the greatest value fed, None where
        nothing was; `calibrated`: the model with ranges, or None where there are faults; `probe`: arrays by name.
    """
    with open(work["model"], "rb") as stream:
        content = stream.read()
    calibrator = _Calibrator(content, work["inputs"])
    recorder = probe.Recorder(content, work["probed"])
    source = samples.opened(work["data"], work["inputs"])
    faults = []
    ranges = [None] * len(work["inputs"])
    for position in range(first, samples.sample_count(work["data"]), step):
        try:
            values = source.sample(position)
        except ValueError as error:
            faults.append([position, str(error)])
        else:
            if not faults:
                calibrator.feed(values)
                recorder.take(position, values)
            ranges = [_widened(known, each) for known, each in zip(ranges, values)]
        advance()
    part = {"faults": faults, "ranges": ranges, "calibrated": None, "probe": {}}
    if not faults:
        part.update(calibrated=calibrator.result(), probe=recorder.result())
    return part


class _Calibrator:
    """What tensorflow.lite.python.optimize.calibrator.Calibrator does for the public converter."""

    def __init__(self, content, inputs):
        native = stepio.load_from_toolchain(_CALIBRATOR_MODULE)
        if native is None:
            # Another TensorFlow than the pinned one keeps its modules elsewhere; its own Python finds them.
            from tensorflow.lite.python.optimize import _pywrap_tensorflow_lite_calibration_wrapper as native
        try:
            # The wrapper reads these bytes as long as it lives and does not own them.
            self._content = native.AddIntermediateTensors(content)
            self._wrapper = native.CalibrationWrapper(self._content, [], [])
            self._wrapper.Prepare([each["shape"] for each in inputs])
        except (RuntimeError, ValueError) as error:
            raise _calibrator_fault(error) from error

    def feed(self, values):
        try:
            self._wrapper.FeedTensor(values)
        except (RuntimeError, ValueError) as error:
            raise _calibrator_fault(error) from error

    def result(self):
        try:
            return self._wrapper.Calibrate()
        except (RuntimeError, ValueError) as error:
            raise _calibrator_fault(error) from error


def _calibrator_fault(error):
    return stepio.StepError(
        "conversion",
        "the model cannot be calibrated: {}".format(str(error).strip()),
        "all that TensorFlow says is in the log of the step",
    )


def _widened(known, values):
    low, high = float(values.min()), float(values.max())
    return [low, high] if known is None else [min(known[0], low), max(known[1], high)]


def _merged_ranges(inputs, parts):
    merged = {}
    for number, each in enumerate(inputs):
        ranges = [part["ranges"][number] for part in parts if part["ranges"][number] is not None]
        merged[each["name"]] = {"min": min(low for low, _ in ranges), "max": max(high for _, high in ranges)}
    return merged


def _merged(schema, parts):
    """Return the first of several calibrated models with the widest ranges of all written over its own.

    None where they do not have the same ranges: a tensor that was NaN for every sample of one process has none there.
    """
    merged = bytearray(parts[0])
    ranges = _ranges(schema, merged)
    for part in parts[1:]:
        others = _ranges(schema, part)
        if sorted(others) != sorted(ranges):
            return None
        for index, (low, high) in ranges.items():
            np.minimum(low, others[index][0], out=low)
            np.maximum(high, others[index][1], out=high)
    return bytes(merged)


def _ranges(schema, content):
    """Return minima and maxima by tensor, for those that have them, as arrays over the bytes of the file."""
    graph = schema.Model.GetRootAsModel(content, 0).Subgraphs(0)
    ranges = {}
    for index in range(graph.TensorsLength()):
        quantization = graph.Tensors(index).Quantization()
        if quantization is not None and quantization.MinLength() and quantization.MaxLength():
            ranges[index] = (quantization.MinAsNumpy(), quantization.MaxAsNumpy())
    return ranges


def _in_processes(work, workers, progress):
    """Calibrate each slice in a process of its own; return what `_calibrate_slice` returns for each."""
    lock = threading.Lock()

    def advance():
        with lock:
            progress.advance()

    running = []
    try:
        running.extend(_Worker(work, number, workers, advance) for number in range(workers))
        return [worker.result() for worker in running]
    finally:
        for worker in running:
            worker.stop()


class _Worker:
    """This script once more, with its work on stdin and its news as JSON lines on stdout."""

    def __init__(self, work, number, workers, advance):
        self._outputs = ["out/{}.{}.partial".format(name, number) for name in ("calibrated", "probe")]
        self._last = {}
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        job = {"work": work, "first": number, "step": workers, "outputs": self._outputs}
        self._process.stdin.write(json.dumps(job).encode("utf-8"))
        self._process.stdin.close()
        self._reader = threading.Thread(target=self._read, args=(advance,), daemon=True)
        self._reader.start()

    def _read(self, advance):
        for line in self._process.stdout:
            news = json.loads(line.decode("utf-8"))
            if news.get("sample"):
                advance()
            else:
                self._last = news

    def result(self):
        self._reader.join()
        if "error" in self._last:
            raise stepio.StepError(**self._last["error"])
        if self._process.wait() in _CRASHES:
            raise stepio.StepError(
                "conversion",
                "TensorFlow Lite crashed ({}) while it calibrated the model".format(
                    signal.Signals(-self._process.returncode).name
                ),
                "recurrent layers are the usual cause: give them unroll=True, and save the model again",
            )
        if self._process.returncode != 0 or "faults" not in self._last:
            raise RuntimeError("a calibration process ended with code {}".format(self._process.returncode))
        part = dict(self._last)
        if not part["faults"]:
            calibrated, probed = self._outputs
            with open(calibrated, "rb") as stream:
                part["calibrated"] = stream.read()
            part["probe"] = probe.unpack(probed)
            os.remove(calibrated)
            os.remove(probed)
        return part

    def stop(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _worker():
    job = json.load(sys.stdin)

    def tell(news):
        sys.stdout.write(json.dumps(news) + "\n")
        sys.stdout.flush()

    try:
        part = _calibrate_slice(job["work"], job["first"], job["step"], lambda: tell({"sample": True}))
    except stepio.StepError as error:
        tell({"error": {"code": error.code, "message": str(error), "hint": error.hint}})
        return
    calibrated, probed = part.pop("calibrated"), part.pop("probe")
    if calibrated is not None:
        for path, left in zip(job["outputs"], (calibrated, probe.pack(probed))):
            with open(path, "wb") as stream:
                stream.write(left)
    tell(part)


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        _worker()
    else:
        stepio.run(main)
