"""Boxes of two detectors on images, compared by formulas of its own; runs in the toolchain, knows nothing of the tool.

Arguments: a folder of images, then as often as wanted the layout, the float model and the built model. Prints a list of
figures as JSON.
"""

# mypy: ignore-errors
# ruff: noqa: T201 - what it prints is its answer

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy as np
import tensorflow as tf
from PIL import Image


def outputs(model, pixels):
    (source,) = model.get_input_details()
    values = np.asarray(pixels, np.float32) / np.float32(255)
    if source["dtype"] != np.float32:
        scale, zero = source["quantization"]
        values = np.clip(np.rint(values / scale + zero), 0, 255)
    model.set_tensor(source["index"], values.astype(source["dtype"])[None])
    model.invoke()
    found = {}
    for name, each in model.get_signature_runner().get_output_details().items():
        value, (scale, zero) = model.get_tensor(each["index"])[0].astype(np.float64), each["quantization"]
        found[name] = value if each["dtype"] == np.float32 else (value - zero) * scale
    return found


def overlap(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    sizes = [(each[2] - each[0]) * (each[3] - each[1]) for each in (one, other)]
    return both / (sum(sizes) - both) if both else 0.0


def boxes(layout, found):
    """Return (score, class, corners) of what is found, the best first."""
    if layout == "ssd":
        count = int(found["count"])
        rows = zip(found["scores"], found["classes"], found["boxes"], strict=True)
        listed = [(score, int(kind), box) for score, kind, box in list(rows)[:count] if score >= 0.3]
        return sorted(listed, key=lambda each: -each[0])
    ((_, rows),) = found.items()
    rows = rows if layout == "yolov5" else rows.T
    listed = []
    for row in rows:
        scores = row[5:] * row[4] if layout == "yolov5" else row[4:]
        x, y, width, height = row[:4]
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if scores.max() >= 0.3:
            listed.append((scores.max(), int(scores.argmax()), corners))
    kept = []
    for each in sorted(listed, key=lambda each: -each[0]):
        if all(each[1] != other[1] or overlap(each[2], other[2]) <= 0.45 for other in kept):
            kept.append(each)
    return kept


def compared(layout, paths, images):
    models = [tf.lite.Interpreter(model_path=path) for path in paths]
    for model in models:
        model.allocate_tensors()
    told = {"float_boxes": 0, "built_boxes": 0, "matched": 0, "mean_iou": 0.0, "score_mae": 0.0}
    for image in images:
        ours, theirs = (boxes(layout, outputs(model, image)) for model in models)
        told["float_boxes"] += len(ours)
        told["built_boxes"] += len(theirs)
        for score, kind, corners in ours:
            same = [each for each in theirs if each[1] == kind]
            best = max(same, key=lambda each: overlap(corners, each[2]), default=None)
            if best is not None and overlap(corners, best[2]) >= 0.5:
                theirs = [each for each in theirs if each is not best]
                told["matched"] += 1
                told["mean_iou"] += overlap(corners, best[2])
                told["score_mae"] += abs(score - best[0])
    for name in ("mean_iou", "score_mae"):
        told[name] /= max(told["matched"], 1)
    return told


folder, *work = sys.argv[1:]
pictures = [np.asarray(Image.open(path)) for path in sorted(Path(folder).iterdir())]
print(json.dumps([compared(work[at], work[at + 1 : at + 3], pictures) for at in range(0, len(work), 3)]))
