"""Calibration samples as a model is fed with them.

In: images, or arrays in `.npy` or `.npz`, and what is declared of the model's inputs. Out: the values of every input,
for each sample. Nothing is chosen here: the parameters list the samples.

How a pixel becomes a value: an image is decoded (first frame, alpha dropped, EXIF orientation ignored, as the decoders
of the training frameworks do), brought to 8 bits per channel, resized (bilinear, with anti-aliasing), put into the
model's channel order, and becomes `(pixel - mean) / std` in float32. Integer arrays hold pixels at the model's size and
in its channel order: only the last part applies. Float arrays are taken as they are.
"""

import zipfile

import numpy as np

import stepio

_NAMED_FAULTS = 10
_NHWC_RANK = 4
# The grey that letterboxed training pipelines pad with (YOLO).
_PADDING = 114


def described_inputs(schema, model, params):
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


def sample_count(data):
    """Return how many samples the parameters list."""
    return len(data["files"] if data["kind"] == "images" else data["indices"])


def opened(data, inputs):
    """Return what gives the samples of `data` to `inputs`, as `described_inputs` returns them, one after another.

    Raises:
        StepError: `calibration-unreadable` where the arrays of a file do not fit the inputs.
    """
    return (Images if data["kind"] == "images" else Arrays)(data, inputs)


class Images:
    """Image files, one input."""

    def __init__(self, data, inputs):
        self._files = data["files"]
        self._input = inputs[0]

    def sample(self, position):
        """Return the values of every input for one sample, or raise ValueError with what is wrong with it."""
        return [_normalised(decode(self._files[position], self._input), self._input)]

    def rows(self, positions):
        """Return what `sample` returns for several at once, one more dimension first; raise ValueError as it does."""
        return [np.stack([self.sample(position)[0] for position in positions])]

    def dtype(self, _number):
        """Return of which type the values for the input are before they are normalised."""
        return np.dtype(np.uint8)


class Arrays:
    """Rows of one array per input."""

    def __init__(self, data, inputs):
        self._indices = data["indices"]
        self._inputs = inputs
        self._arrays = _npy(data["file"]) if data["kind"] == "npy" else _npz(data["file"], inputs, data.get("array"))
        for array, each in zip(self._arrays, inputs):
            _check_array(array, each, max(self._indices) + 1)

    def sample(self, position):
        """Return the values of every input for one sample, or raise ValueError with what is wrong with it."""
        row = self._indices[position]
        return [
            _normalised(np.ascontiguousarray(array[row]).reshape(each["shape"]), each)
            for array, each in zip(self._arrays, self._inputs)
        ]

    def rows(self, positions):
        """Return what `sample` returns for several at once, one more dimension first; raise ValueError as it does."""
        rows = [self._indices[position] for position in positions]
        return [
            _normalised(np.ascontiguousarray(array[rows]).reshape([len(rows), *each["shape"]]), each)
            for array, each in zip(self._arrays, self._inputs)
        ]

    def dtype(self, number):
        """Return of which type the values for input `number` are before they are normalised."""
        return self._arrays[number].dtype


def _npy(path):
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise stepio.StepError("calibration-unreadable", "the .npy file cannot be read: {}".format(error)) from error
    return [array]


def _npz(path, inputs, array):
    """Return the array of each input; that of the only one may be called otherwise: `array`."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = [each["name"] for each in inputs] if array is None else [array]
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


def decode(path, model_input):
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


def sample_faults(faults, count, data):
    """Return the error for samples that cannot be used; `faults` has `[position, reason]` for each."""
    images = data["kind"] == "images"
    lines = ["{} of {} {} cannot be used:".format(len(faults), count, "images" if images else "samples")]
    for position, reason in faults[:_NAMED_FAULTS]:
        name = data["files"][position] if images else "sample {}".format(data["indices"][position])
        lines.append("  {}: {}".format(name, reason))
    if len(faults) > _NAMED_FAULTS:
        lines.append("  and {} more".format(len(faults) - _NAMED_FAULTS))
    return stepio.StepError("calibration-unreadable", "\n".join(lines), "replace or remove them")
