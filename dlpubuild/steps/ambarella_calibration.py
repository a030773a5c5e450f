"""Calibration data as the Ambarella toolchain takes it: binaries of uint8 planes, and a list of them for each input.

In: images, or arrays of bytes. Out: files in a folder, the paths of the lists, the command lines that make the rest:
`gen_image_list.py` turns images into binaries, as Axis documents it. Of arrays the binaries are written here, planes
one behind the other. Nothing is run.
"""

import os
import shutil
from typing import NamedTuple, Optional, Tuple

import stepio
from array_file import open_npy, open_npz

IMAGES, BINARIES, LIST = "representative_images", "dra_image_bin", "dra_bin_list.txt"
_IMAGE_RANK = 4
# 0 is documented; 1 is what third parties use.
_COLORS = {"rgb": "0", "bgr": "1"}
_CHANNELS = 3


class Command(NamedTuple):
    """One command line: `program` and its `arguments`, what it has to leave, and where its output goes, if anywhere.

    `lines` is how many lines `makes` has, where it is a list.
    """

    program: str
    arguments: Tuple[str, ...]
    makes: str
    lines: Optional[int] = None
    output: Optional[str] = None


def from_images(files, source, declared, folder, notes):
    """Stage images; return the list of binaries of each input, and the commands that make them.

    Args:
        files: paths of images.
        source: the model.
        declared: what the manifest says of inputs, by name.
        folder: where everything is run.
        notes: what a person should know is added to it.

    Raises:
        stepio.StepError: images cannot feed the model.
    """
    tensor = source.inputs[0]
    color = declared.get(tensor.name, {}).get("color", "rgb")
    if len(source.inputs) != 1:
        names = [each.name for each in source.inputs]
        raise stepio.StepError(
            "model-input",
            "the model has {} inputs ({}); images can feed one only".format(len(names), stepio.listed(names)),
            "calibrate with an .npz file that has one uint8 array per input name",
        )
    if len(tensor.shape) != _IMAGE_RANK or tensor.shape[1] != _CHANNELS or color not in _COLORS:
        hint = "calibrate with an .npy file of uint8 pixels"
        if len(tensor.shape) == _IMAGE_RANK and tensor.shape[3] == _CHANNELS:
            hint = "it is interleaved (NHWC): export it planar, with tf2onnx by --inputs-as-nchw"
        raise stepio.StepError(
            "model-input",
            'input "{}" is {}, color {}; gen_image_list.py makes planar color images: [1, 3, height, width]'.format(
                tensor.name, list(tensor.shape), color
            ),
            hint,
        )
    if declared.get(tensor.name, {}).get("resize", "stretch") != "stretch":
        notes.append(
            'gen_image_list.py has no documented option for resize = "{}": it brings images to {} x {} in its own '
            "way".format(declared[tensor.name]["resize"], tensor.shape[3], tensor.shape[2])
        )
    if color == "bgr":
        notes.append("color bgr is `-c 1`, which is not documented by Axis: third parties use it so")
    suffixes = sorted({os.path.splitext(path)[1] for path in files})
    os.mkdir(os.path.join(folder, IMAGES))
    os.mkdir(os.path.join(folder, BINARIES))
    joined = "{}/{}".format(BINARIES, LIST)
    commands, parts = [], []
    for suffix in suffixes:
        own = [path for path in files if os.path.splitext(path)[1] == suffix]
        # One suffix is the documented case; for others each has a folder and a list of its own.
        kind = "" if len(suffixes) == 1 else suffix[1:]
        images = IMAGES + ("/" + kind if kind else "")
        os.makedirs(os.path.join(folder, images), exist_ok=True)
        for path in own:
            shutil.copyfile(path, os.path.join(folder, images, os.path.basename(path)))
        made = joined if not kind else "{}/dra_bin_list_{}.txt".format(BINARIES, kind)
        arguments = [
            "-f",
            "./" + images,
            "-o",
            "img_list{}.txt".format("_" + kind if kind else ""),
            "-ns",
            "-e",
            suffix,
        ]
        arguments += ["-c", _COLORS[color], "-d", "0,0", "-r", "{},{}".format(*tensor.shape[2:])]
        arguments += ["-bf", BINARIES, "-bo", made]
        commands.append(Command("gen_image_list.py", tuple(arguments), made, lines=len(own)))
        parts.append(made)
    if len(parts) > 1:
        commands.append(Command("cat", tuple(parts), joined, lines=len(files), output=joined))
    return [joined], commands


def from_arrays(data, source, folder):
    """Write samples as planes of bytes, and the lists of them; return the list of each input, and no commands.

    Args:
        data: `kind`, `file`, and `indices` of the rows.
        source: the model.
        folder: where everything is run.

    Raises:
        stepio.StepError: the file cannot be read, or does not fit the model.
    """
    os.mkdir(os.path.join(folder, BINARIES))
    lists = []
    for position, (tensor, rows) in enumerate(zip(source.inputs, _arrays(data, source))):
        place = BINARIES if len(source.inputs) == 1 else "{}/input{}".format(BINARIES, position)
        os.makedirs(os.path.join(folder, place), exist_ok=True)
        lines = []
        try:
            for number, index in enumerate(data["indices"]):
                name = "{}/{:05d}.bin".format(place, number)
                with open(os.path.join(folder, name), "wb") as stream:
                    stream.write(_planes(rows, index, tensor))
                lines.append(name)
        except ValueError as error:
            raise _unusable(tensor, error) from error
        path = "{}/{}".format(place, LIST)
        stepio.write_output(os.path.join(folder, path), "".join(line + "\n" for line in lines).encode("ascii"))
        lists.append(path)
    return lists, []


def _arrays(data, source):
    if data["kind"] == "npy":
        try:
            return [open_npy(data["file"])]
        except ValueError as error:
            raise _unusable(source.inputs[0], error) from error
    try:
        arrays = open_npz(data["file"])
    except ValueError as error:
        raise stepio.StepError("calibration-unreadable", "the .npz file cannot be used: {}".format(error)) from error
    names = [tensor.name for tensor in source.inputs]
    if len(names) == 1 and len(arrays) == 1:
        names = list(arrays)
    chosen = []
    for tensor, name in zip(source.inputs, names):
        if name not in arrays:
            raise stepio.StepError(
                "calibration-unreadable",
                "the .npz file has no array for input {}; it has: {}".format(
                    stepio.listed([name]), stepio.listed(sorted(arrays))
                ),
                "name each array as the model names its input",
            )
        if isinstance(arrays[name], ValueError):
            raise _unusable(tensor, arrays[name])
        chosen.append(arrays[name])
    return chosen


def _unusable(tensor, error):
    return stepio.StepError(
        "calibration-unreadable",
        'the samples for input "{}" cannot be used: {}'.format(tensor.name, error),
        "store pixels as uint8, planes or interleaved, at the model's size: what the documented options of the parser "
        "take is bytes",
    )


def _planes(rows, index, tensor):
    """Return one sample as planes (CHW)."""
    shape = rows.shape[1:] if len(rows.shape) == len(tensor.shape) and rows.shape[0] == 1 else rows.shape
    content, wanted = rows.row(index), tensor.shape[1:]
    if len(wanted) == _IMAGE_RANK - 1:
        interleaved = (wanted[1], wanted[2], wanted[0])
        if shape == interleaved and (shape != wanted or tensor.layout == "NHWC"):
            return b"".join(content[channel :: wanted[0]] for channel in range(wanted[0]))
    if shape != wanted:
        raise ValueError("a sample has the shape {}, the model takes {}".format(list(shape), list(wanted)))
    return content
