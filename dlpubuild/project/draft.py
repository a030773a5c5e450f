"""A first manifest, drafted from what a model says of itself.

In: a model's path, what was read in it, and the targets to ask for. Out: the text of a `dlpu.toml` that is valid and
that says, in comments, what only the one who trained the model can know.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, UsageError
from dlpubuild.project.layout import channels_of, layout_of
from dlpubuild.project.model import IMAGE_RANK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dlpubuild.project.model import KnownTensor, ModelReading

_NAME_LENGTH = 63
_RANKS = range(2, 9)  # what [[model.input]] shape can have
_COLOR_CHANNELS = (1, 3)
_MODEL_SUFFIX = re.compile(r"(_edgetpu)?\.(keras|h5|hdf5|pb|tflite|onnx|bin)$", re.IGNORECASE)
# What nobody can read in a compiled .bin.
_BINARY_TENSORS = (
    "",
    "# A compiled .bin does not say its tensors: write those it was compiled with.",
    "[[model.input]]",
    'name = "input"',
    "shape = [1, 3, 224, 224]       # planar, as the Ambarella toolchain has it",
    "",
    "[[model.output]]",
    'name = "output"',
    "shape = [1, 1000]",
)


def draft_manifest(
    model: Path, folder: Path, reading: ModelReading, socs: Sequence[str], *, toolchain: str | None = None
) -> str:
    """Return the manifest for `model` as seen from `folder`.

    Args:
        model: the model's path.
        folder: where the manifest will lie.
        reading: what was read in the model.
        socs: the targets to ask for.
        toolchain: what each of them has to name, None where its own will do.

    Raises:
        UsageError: the model's path is not UTF-8, so that no manifest can hold it.
    """
    source = os.path.relpath(model, folder)
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            ErrorCode.PATH_KIND, f"the path {os.fsencode(source)!r} is not UTF-8", hint="rename the model"
        ) from error
    signature = reading.signature
    is_onnx = model.suffix.lower() == ".onnx"
    outside = source == ".." or source.startswith("../")
    lines = [
        "# What each key means: dlpu.toml.example in the documentation, or `dlpubuild schema`.",
        "schema = 1",
        "",
        "[project]",
        f"name = {_text(project_name(model))}",
        'version = "0.1.0"',
        '# vendor = "Example AB"',
        '# license = "Apache-2.0"        # the license of the model, as an SPDX expression',
        *([f"allow-outside = [{_text(source)}]"] if outside else []),
        "",
        "[model]",
        f"source = {_text(source)}",
        '# labels = "labels.txt"         # one label per line',
        *[line for tensor in signature.inputs for line in _input(tensor, is_onnx=is_onnx)],
        *[line for tensor in signature.outputs for line in ("", "[[model.output]]", f"name = {_text(tensor.name)}")],
        *(_BINARY_TENSORS if reading.state == "compiled" and not signature.inputs else ()),
        "",
    ]
    if reading.state == "float":
        lines += ["[calibration]", _data(signature.inputs), "samples = 100", ""]
    if reading.state != "compiled":
        lines += [
            "# [verify]                     # measure accuracy, and fail where too much is lost: docs/verify.md",
            '# data = "data/validation"     # <class>/<image>, images with labels.csv, or an .npz file with x and y',
            "",
        ]
    for soc in socs:
        lines += [f"[target.{soc}]", *([f"toolchain = {_text(toolchain)}"] if toolchain else ()), ""]
    return "\n".join(lines)


def _data(inputs: Sequence[KnownTensor]) -> str:
    if not inputs or (len(inputs) == 1 and len(inputs[0].usual_shape()) == IMAGE_RANK):
        return 'data = "data/calibration"       # a folder of images that look like what the camera will see'
    return 'data = "data/calibration.npz"   # one array per input name, one row per sample'


def _input(tensor: KnownTensor, *, is_onnx: bool) -> list[str]:
    lines = ["", "[[model.input]]", f"name = {_text(tensor.name)}"]
    if tensor.shape is None:
        return [*lines, "# shape = [1, 224, 224, 3]     # the model does not say"]
    if len(tensor.shape) not in _RANKS:
        return lines
    shape = tensor.usual_shape()
    note = "     # dynamic in the model: write the size you want" if tensor.is_dynamic else ""
    lines.append(f"shape = {list(shape)}{note}")
    channels = channels_of(shape, layout_of(shape, None, is_onnx=is_onnx))
    if channels is not None and channels in _COLOR_CHANNELS:
        lines += _normalisation(channels)
    return lines


def _normalisation(channels: int) -> list[str]:
    """The usual ones; which of them the model was trained with is not in the file."""
    zero, full, half = [[value] * channels for value in (0.0, 255.0, 127.5)]
    lines = ['color = "gray"'] if channels == 1 else []
    lines += [
        "# How a pixel (0..255) becomes the value the model was trained on: x = (pixel - mean) / std. Pick one:",
        f"# mean = {zero}        # 0..1",
        f"# std = {full}",
        f"# mean = {half}  # -1..1",
        f"# std = {half}",
    ]
    if channels > 1:
        lines += ["# mean = [123.675, 116.28, 103.53]  # ImageNet statistics", "# std = [58.395, 57.12, 57.375]"]
    return [*lines, "# Without both, pixels enter as 0..255, right where the model scales them itself."]


def project_name(model: Path) -> str:
    """Return a name for the project that the schema accepts, from the model's file name.

    >>> from pathlib import Path
    >>> project_name(Path("My Model_v2.keras"))
    'my-model-v2'
    """
    # Of a SavedModel in the current folder, `.`, that folder's name.
    stem = _MODEL_SUFFIX.sub("", model.absolute().name)
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:_NAME_LENGTH].strip("-")
    return name or "model"


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, but for the one control character JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
