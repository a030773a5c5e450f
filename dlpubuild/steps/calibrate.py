"""A float `.tflite` and samples become a `.tflite` that knows the range of every tensor.

In: `in/model.tflite` of import_model.py; images, or arrays in `.npy` or `.npz`. Out: `out/calibrated.tflite`, from
which quantize.py makes each integer variant. Samples are shared out to one process per core, because TensorFlow Lite's
calibrator holds Python's lock while it runs; ranges are minima and maxima, so the result is the same for any number of
processes (a test compares the bytes). Nothing is chosen here: the parameters list the samples.

How a pixel becomes a value: an image is decoded (first frame, alpha dropped, EXIF orientation ignored, as the decoders
of the training frameworks do), brought to 8 bits per channel, resized (bilinear, with anti-aliasing), put into the
model's channel order, and becomes `(pixel - mean) / std` in float32. Integer arrays hold pixels at the model's size and
in its channel order: only the last part applies. Float arrays are taken as they are.
"""

import json
import os
import subprocess
import sys
import threading
import zipfile

import numpy as np

import stepio

_CALIBRATOR_MODULE = "tensorflow/lite/python/optimize/_pywrap_tensorflow_lite_calibration_wrapper.so"
# Below this a further process costs more than it saves: it loads TensorFlow's libraries and the model anew.
_MIN_SAMPLES_PER_WORKER = 8
_MAX_WORKERS = 8
# Each process holds the model about three times and its activations; keep them all within a gigabyte or two.
_MODEL_BYTES_FOR_ALL_WORKERS = 256 << 20
_ARCHIVE_BYTES_FOR_ALL_WORKERS = 512 << 20
_NAMED_FAULTS = 10
_NHWC_RANK = 4
# The grey that letterboxed training pipelines pad with (YOLO).
_PADDING = 114


def main(params, workers=None):
    """Calibrate the model; see the module's first paragraph.

    Args:
        params: `model`; `inputs`, each with `name` and perhaps `shape`, `color`, `mean`, `std`, `resize`; `data`.
        workers: number of processes; by default as many as the machine and the work allow.
    """
    with open(params["model"], "rb") as stream:
        content = stream.read()
    schema = stepio.tflite_schema()
    graph = schema.Model.GetRootAsModel(content, 0)
    inputs = _inputs(schema, stepio.unpack(schema, content), params)
    count = _sample_count(params["data"])
    if workers is None:
        workers = _worker_count(graph, len(content), params["data"], count)
    work = {"model": params["model"], "inputs": inputs, "data": params["data"]}
    parts = _calibrate(work, workers)
    calibrated = _merged(schema, [part["calibrated"] for part in parts])
    if calibrated is None:
        parts = _calibrate(work, 1)
        calibrated = parts[0]["calibrated"]
    stepio.write_output("out/calibrated.tflite", calibrated)
    stepio.write_step_json(
        stepio.tool_versions("tensorflow-cpu", "tensorflow", "numpy", "pillow"),
        stepio.describe_tensors(schema, stepio.unpack(schema, calibrated)),
        {"samples": count, "inputs": _merged_ranges(inputs, parts)},
    )


def _calibrate(work, workers):
    """Return what `_calibrate_slice` returns for each of `workers` slices, or raise for samples that cannot be used."""
    count = _sample_count(work["data"])
    progress = stepio.Progress(count, "images" if work["data"]["kind"] == "images" else "samples")
    parts = _in_processes(work, workers, progress) if workers > 1 else [_calibrate_slice(work, 0, 1, progress.advance)]
    faults = sorted(fault for part in parts for fault in part["faults"])
    if faults:
        raise _sample_faults(faults, count, work["data"])
    return parts


def _worker_count(graph, model_bytes, data, count):
    """Return how many processes to share the samples out to: one where their order or the memory may matter."""
    first = graph.Subgraphs(0)
    stateful = any(first.Tensors(index).IsVariable() for index in range(first.TensorsLength()))
    # With control flow a process may never see a branch; merging expects the same tensors from each.
    if stateful or graph.SubgraphsLength() > 1:
        return 1
    limits = [len(os.sched_getaffinity(0)), _MAX_WORKERS, count // _MIN_SAMPLES_PER_WORKER]
    limits.append(_MODEL_BYTES_FOR_ALL_WORKERS // max(model_bytes, 1))
    if data["kind"] == "npz":
        limits.append(_ARCHIVE_BYTES_FOR_ALL_WORKERS // max(os.path.getsize(data["file"]), 1))
    return max(1, min(limits))


def _inputs(schema, model, params):
    """Return what is known of each input, in the order in which the calibrator takes them.

    Raises:
        StepError: `model-input` where a declared input is not the model's, or images cannot feed it.
    """
    tensors = stepio.describe_tensors(schema, model)["inputs"]
    names = [tensor["name"] for tensor in tensors]
    declared = {each["name"]: each for each in params["inputs"]}
    for name in declared:
        if name not in names:
            raise stepio.StepError(
                "model-input",
                'the model has no input "{}"; it has: {}{}'.format(
                    name, stepio.listed(names), stepio.suggestion(name, names)
                ),
                "correct [[model.input]] name",
            )
    images = params["data"]["kind"] == "images"
    if len(tensors) != 1 and params["data"]["kind"] != "npz":
        raise stepio.StepError(
            "model-input",
            "the model has {} inputs ({}); {} can feed one only".format(
                len(tensors), stepio.listed(names), "images" if images else "an .npy file"
            ),
            "calibrate with an .npz file that has one array per input name",
        )
    return [_input(tensor, declared.get(tensor["name"], {}), images) for tensor in tensors]


def _input(tensor, declared, images):
    name, shape = tensor["name"], tensor["shape"]
    color = declared.get("color", "rgb")
    channels = 1 if color == "gray" else 3
    if images and (len(shape) != _NHWC_RANK or shape[0] != 1 or shape[3] != channels):
        raise stepio.StepError(
            "model-input",
            'input "{}" has the shape {}; {} images need [1, height, width, {}]'.format(name, shape, color, channels),
            'set [[model.input]] color ("gray" for one channel), or calibrate with an .npy file',
        )
    result = {"name": name, "shape": shape, "dtype": tensor["dtype"], "color": color}
    result["resize"] = declared.get("resize", "stretch")
    for key, neutral in (("mean", 0), ("std", 1)):
        result[key] = _channel_values(tensor, key, declared.get(key), neutral)
    return result


def _channel_values(tensor, key, values, neutral):
    """Return `values`, or None where they change nothing."""
    if values is None or all(value == neutral for value in values):
        return None
    channels = tensor["shape"][-1] if tensor["shape"] else 1
    if len(values) not in (1, channels):
        raise stepio.StepError(
            "model-input",
            'input "{}" has {} channels, but {} has {} values'.format(tensor["name"], channels, key, len(values)),
            "give [[model.input]] {} one value per channel".format(key),
        )
    if key == "std" and 0 in values:
        raise stepio.StepError("model-input", 'input "{}" has a std of 0'.format(tensor["name"]))
    if tensor["dtype"] != "float32":
        raise stepio.StepError(
            "model-input",
            'input "{}" takes {} values as they are; it cannot have a {}'.format(tensor["name"], tensor["dtype"], key),
            "leave [[model.input]] {} out".format(key),
        )
    return values


def _sample_count(data):
    return len(data["files"] if data["kind"] == "images" else data["indices"])


class _Images:
    """Image files, one input."""

    def __init__(self, data, inputs):
        self._files = data["files"]
        self._input = inputs[0]

    def sample(self, position):
        """Return the values of every input for one sample, or raise ValueError with what is wrong with it."""
        return [_normalised(_decode(self._files[position], self._input), self._input)]


class _Arrays:
    """Rows of one array per input."""

    def __init__(self, data, inputs):
        self._indices = data["indices"]
        self._inputs = inputs
        self._arrays = _npy(data["file"]) if data["kind"] == "npy" else _npz(data["file"], inputs)
        for array, each in zip(self._arrays, inputs):
            _check_array(array, each, max(self._indices) + 1)

    def sample(self, position):
        """Return the values of every input for one sample, or raise ValueError with what is wrong with it."""
        row = self._indices[position]
        return [
            _normalised(np.ascontiguousarray(array[row]).reshape(each["shape"]), each)
            for array, each in zip(self._arrays, self._inputs)
        ]


def _npy(path):
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise stepio.StepError("calibration-unreadable", "the .npy file cannot be read: {}".format(error)) from error
    return [array]


def _npz(path, inputs):
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = [each["name"] for each in inputs]
            # A file with one array and a model with one input leave no doubt about what is meant.
            if len(names) == 1 and len(archive.files) == 1:
                names = archive.files
            missing = [name for name in names if name not in archive.files]
            if missing:
                raise stepio.StepError(
                    "calibration-unreadable",
                    "the .npz file has no array for input {}; it has: {}".format(
                        stepio.listed(missing), stepio.listed(sorted(archive.files))
                    ),
                    "name each array as the model names its input",
                )
            return [archive[name] for name in names]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise stepio.StepError("calibration-unreadable", "the .npz file cannot be read: {}".format(error)) from error


def _check_array(array, each, needed):
    shape = tuple(each["shape"])
    row = array.shape[1:]
    if len(array.shape) == 0 or len(array) < needed:
        raise stepio.StepError(
            "calibration-unreadable",
            'the array for input "{}" has the shape {}; {} samples are needed'.format(
                each["name"], list(array.shape), needed
            ),
        )
    if row not in (shape, shape[1:]):
        raise stepio.StepError(
            "calibration-unreadable",
            'the samples for input "{}" have the shape {}, the model takes {}'.format(
                each["name"], list(row), list(shape[1:])
            ),
            "store the samples at the model's size, the first dimension counting them",
        )
    if array.dtype.kind not in "biuf":
        raise stepio.StepError(
            "calibration-unreadable", 'the samples for input "{}" are of type {}'.format(each["name"], array.dtype)
        )


def _decode(path, model_input):
    """Return one image as uint8 [1, height, width, channels] in the model's channel order."""
    from PIL import Image

    height, width = model_input["shape"][1:3]
    try:
        with Image.open(path) as opened:
            image = _eight_bit(opened, "L" if model_input["color"] == "gray" else "RGB")
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error
    pixels = np.asarray(_resized(image, width, height, model_input["resize"]))
    if model_input["color"] == "bgr":
        pixels = pixels[:, :, ::-1]
    return pixels.reshape(model_input["shape"])


def _eight_bit(image, mode):
    """Return the image in `mode`; of 16-bit samples the high byte counts, as in the decoders of libpng."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("it has floating-point samples; save it with 8 or 16 bits per channel")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion cuts everything above 255 off.
        image = Image.fromarray((np.clip(np.asarray(image), 0, 65535) >> 8).astype(np.uint8))
    return image.convert(mode)


def _resized(image, width, height, resize):
    from PIL import Image

    if resize == "crop":
        scale = min(image.width / float(width), image.height / float(height))
        left, top = (image.width - width * scale) / 2, (image.height - height * scale) / 2
        box = (
            max(left, 0),
            max(top, 0),
            min(left + width * scale, image.width),
            min(top + height * scale, image.height),
        )
        return image.resize((width, height), Image.BILINEAR, box=box)
    if resize == "letterbox":
        scale = min(width / float(image.width), height / float(image.height))
        inner = (max(1, int(image.width * scale + 0.5)), max(1, int(image.height * scale + 0.5)))
        canvas = Image.new(image.mode, (width, height), _PADDING if image.mode == "L" else (_PADDING,) * 3)
        canvas.paste(image.resize(inner, Image.BILINEAR), ((width - inner[0]) // 2, (height - inner[1]) // 2))
        return canvas
    return image.resize((width, height), Image.BILINEAR)


def _normalised(values, model_input):
    """Return what the model is fed: float32 `(pixel - mean) / std` of integers, anything else as it is."""
    dtype = np.dtype(model_input["dtype"])
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("it has values that are not finite")
    if dtype != np.float32 or values.dtype.kind == "f":
        return values.astype(dtype)
    result = values.astype(np.float32)
    if model_input["mean"] is not None:
        result -= np.array(model_input["mean"], dtype=np.float32)
    if model_input["std"] is not None:
        result /= np.array(model_input["std"], dtype=np.float32)
    return result


def _sample_faults(faults, count, data):
    images = data["kind"] == "images"
    lines = ["{} of {} {} cannot be used:".format(len(faults), count, "images" if images else "samples")]
    for position, reason in faults[:_NAMED_FAULTS]:
        name = data["files"][position] if images else "sample {}".format(data["indices"][position])
        lines.append("  {}: {}".format(name, reason))
    if len(faults) > _NAMED_FAULTS:
        lines.append("  and {} more".format(len(faults) - _NAMED_FAULTS))
    return stepio.StepError("calibration-unreadable", "\n".join(lines), "replace or remove them")


def _calibrate_slice(work, first, step, advance):
    """Run the model on each `step`-th sample from `first` on.

    Returns:
        `faults`: a list of `[position, reason]`; `ranges`: per input the least and the greatest value fed, None where
        nothing was; `calibrated`: the model with ranges, or None where there are faults.
    """
    with open(work["model"], "rb") as stream:
        calibrator = _Calibrator(stream.read(), work["inputs"])
    source = (_Images if work["data"]["kind"] == "images" else _Arrays)(work["data"], work["inputs"])
    faults = []
    ranges = [None] * len(work["inputs"])
    for position in range(first, _sample_count(work["data"]), step):
        try:
            values = source.sample(position)
        except ValueError as error:
            faults.append([position, str(error)])
        else:
            if not faults:
                calibrator.feed(values)
            ranges = [_widened(known, each) for known, each in zip(ranges, values)]
        advance()
    return {"faults": faults, "ranges": ranges, "calibrated": None if faults else calibrator.result()}


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
        self._output = "out/calibrated.{}.partial".format(number)
        self._last = {}
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        job = {"work": work, "first": number, "step": workers, "output": self._output}
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
        if self._process.wait() != 0 or "faults" not in self._last:
            raise RuntimeError("a calibration process ended with code {}".format(self._process.returncode))
        part = dict(self._last)
        if not part["faults"]:
            with open(self._output, "rb") as stream:
                part["calibrated"] = stream.read()
            os.remove(self._output)
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
    calibrated = part.pop("calibrated")
    if calibrated is not None:
        with open(job["output"], "wb") as stream:
            stream.write(calibrated)
    tell(part)


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        _worker()
    else:
        stepio.run(main)
