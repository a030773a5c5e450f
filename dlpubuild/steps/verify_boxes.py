"""Boxes that a detector finds: those of the built model beside those of the float model.

In: the outputs of both for each sample. Out: how many of the float model's boxes the built one finds, and how well.
Right boxes are not known here: labels for detection are not supported, so this is agreement, not accuracy.

layouts  ssd     the four outputs of TFLite_Detection_PostProcess: boxes [1, N, 4] as top, left, bottom, right; classes;
                 scores; how many count. Found by the operator, else in this order.
         yolov5  one output [1, N, 5 + C]: centre x, centre y, width, height, objectness, a score per class
         yolov8  one output [1, 4 + C, N]: the same without the objectness
Boxes below the score threshold do not count. Those of YOLO go through non-maximum suppression per class first. A box of
the float model matches one of the built model of the same class with the greatest IoU, if that is at least the
threshold; the best scores choose first, and each box is taken once.
"""

import numpy as np

import stepio
import verify_metrics as metrics

DEFAULTS = {"score_threshold": 0.3, "iou_threshold": 0.5, "nms_iou": 0.45}
_DETECTION_OPERATOR = "TFLite_Detection_PostProcess"
_SSD_OUTPUTS = 4
_BOX_RANK = 3
_COORDINATES = 4
# What common exports keep: of more boxes than this the weakest are let go.
_MAX_CANDIDATES = 1000
_MAX_BOXES = 300
_SLACK = 1.01


def detector(params, subject):
    """Return a `Boxes` where the model is a detector, else None.

    Args:
        params: what the manifest says of boxes, or None.
        subject: the verify_run.Subject whose outputs say it: the float model.

    Raises:
        StepError: `model-output` where the outputs are not those of the layout.
    """
    given = dict(params or {})
    order = _operator_outputs(subject.model)
    layout = given.get("layout") or ("ssd" if order is not None else None)
    if layout is None:
        return None
    settings = {key: float(given.get(key, neutral)) for key, neutral in DEFAULTS.items()}
    tensors = subject.tensors["outputs"]
    if layout == "ssd":
        if order is None and len(tensors) != _SSD_OUTPUTS:
            raise _layout_fault(layout, "the four outputs of {}".format(_DETECTION_OPERATOR), tensors)
        return Boxes(layout, order or list(range(_SSD_OUTPUTS)), settings)
    least = _COORDINATES + (2 if layout == "yolov5" else 1)
    axis = 2 if layout == "yolov5" else 1
    fitting = [n for n, each in enumerate(tensors) if len(each["shape"]) == _BOX_RANK and each["shape"][axis] >= least]
    if layout not in ("yolov5", "yolov8") or not fitting:
        wanted = "one output [1, N, 5 + classes]" if layout == "yolov5" else "one output [1, 4 + classes, N]"
        raise _layout_fault(layout, wanted, tensors)
    return Boxes(layout, fitting[:1], settings)


def _layout_fault(layout, wanted, tensors):
    found = ", ".join('"{}" {}'.format(each["name"], each["shape"]) for each in tensors)
    return stepio.StepError(
        "model-output",
        'the layout "{}" wants {}; the model has {}'.format(layout, wanted, found),
        "correct [verify.boxes] layout: ssd, yolov5 or yolov8; or leave it out",
    )


def _operator_outputs(model):
    """Return which output of the model is boxes, classes, scores and count; None where no operator says it."""
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].customCode
        if code and stepio.as_text(code) == _DETECTION_OPERATOR and len(operator.outputs) == _SSD_OUTPUTS:
            outputs = [int(at) for at in graph.outputs]
            if all(int(at) in outputs for at in operator.outputs):
                return [outputs.index(int(at)) for at in operator.outputs]
    return None


class Boxes:
    """Counts matches over all samples.

    Args:
        layout: one of those of the module's first paragraph.
        outputs: the numbers of the outputs that it reads, in the order of the layout.
        settings: as `DEFAULTS`.
    """

    def __init__(self, layout, outputs, settings):
        self.layout = layout
        self.outputs = outputs
        # The rows of its outputs are sorted by score: the same number is not the same box.
        self.unordered = layout == "ssd"
        self._settings = settings
        self._counts = [0, 0]
        self._ious = []
        self._score_errors = []
        self._odd_scores = False
        self._broken = 0
        self._shape = (0, 0)

    def add(self, count, floats, built):
        """Take all outputs of both models for `count` samples, each an array with a row per sample, or None."""
        rows = [[each[number] for number in self.outputs] for each in (floats, built)]
        if any(array is None for row in rows for array in row):
            self._broken += count
            return
        for sample in range(count):
            found = [self._found([array[sample] for array in row]) for row in rows]
            if any(each is None for each in found):
                self._broken += 1
                continue
            self._match(*found)

    def _match(self, ours, theirs):
        boxes, classes, scores = ours
        other_boxes, other_classes, other_scores = theirs
        self._counts[0] += len(boxes)
        self._counts[1] += len(other_boxes)
        if not len(boxes) or not len(other_boxes):
            return
        overlap = np.where(classes[:, np.newaxis] == other_classes[np.newaxis, :], iou(boxes, other_boxes), -1.0)
        for row in np.argsort(-scores, kind="stable"):
            best = int(overlap[row].argmax())
            if overlap[row, best] >= self._settings["iou_threshold"]:
                self._ious.append(float(overlap[row, best]))
                self._score_errors.append(abs(float(scores[row]) - float(other_scores[best])))
                overlap[:, best] = -1.0

    def _found(self, outputs):
        """Return boxes [k, 4] as two corners, classes and scores of one sample; None where they are not finite."""
        if not all(np.isfinite(each).all() for each in outputs):
            return None
        if self.layout == "ssd":
            boxes, classes, scores, count = (np.asarray(each, dtype=np.float64) for each in outputs)
            scores = scores.ravel()
            known = np.arange(len(scores)) < round(float(count.ravel()[0]))
            boxes, classes = boxes.reshape(-1, _COORDINATES), np.rint(classes.ravel()).astype(np.int64)
        else:
            boxes, classes, scores = self._of_yolo(np.asarray(outputs[0], dtype=np.float32))
            known = np.ones(len(scores), dtype=bool)
        if len(scores) and not (scores.min() >= 0 and scores.max() <= _SLACK):
            self._odd_scores = True
        kept = known & (scores >= self._settings["score_threshold"])
        boxes, classes, scores = boxes[kept].astype(np.float64), classes[kept], scores[kept].astype(np.float64)
        if self.layout == "ssd":
            return boxes, classes, scores
        kept = suppressed(boxes, classes, scores, self._settings["nms_iou"])
        return boxes[kept], classes[kept], scores[kept]

    def _of_yolo(self, output):
        rows = output.reshape(output.shape[-2:])
        self._shape = rows.shape
        if self.layout == "yolov8":
            rows = rows.T
        each_class = rows[:, _COORDINATES + (1 if self.layout == "yolov5" else 0) :]
        classes = each_class.argmax(axis=1)
        scores = np.take_along_axis(each_class, classes[:, np.newaxis], axis=1)[:, 0]
        if self.layout == "yolov5":
            scores = scores * rows[:, _COORDINATES]
        centre, half = rows[:, :2], rows[:, 2:_COORDINATES] / 2
        return np.concatenate([centre - half, centre + half], axis=1), classes, scores

    def result(self, notes):
        """Return the figures; what is to be said of them is added to `notes`."""
        notes.append("boxes are compared with those of the float model; right boxes are not known")
        if self._odd_scores:
            notes.append(
                'boxes: some scores are not within 0 and 1; the layout "{}" may not be the model\'s'.format(self.layout)
            )
        if self._broken:
            notes.append("boxes: {} samples have outputs that cannot be read; they do not count".format(self._broken))
        first, last = self._shape
        if first > last if self.layout == "yolov8" else last > first:
            other = "yolov5" if self.layout == "yolov8" else "yolov8"
            notes.append(
                'boxes: [1, {}, {}] read as "{}" has more values per box than boxes; perhaps the layout is "{}"'.format(
                    first, last, self.layout, other
                )
            )
        found = bool(self._ious)
        return {
            "layout": self.layout,
            "matched": metrics.share(len(self._ious), self._counts[0]),
            "float_boxes": self._counts[0],
            "built_boxes": self._counts[1],
            "mean_iou": metrics.rounded(sum(self._ious) / len(self._ious)) if found else None,
            "score_mae": metrics.rounded(sum(self._score_errors) / len(self._score_errors)) if found else None,
            "iou_threshold": metrics.rounded(self._settings["iou_threshold"]),
            "score_threshold": metrics.rounded(self._settings["score_threshold"]),
        }


def iou(first, second):
    """Return the intersection over union of each of n boxes with each of m, [n, m]; boxes are two corners."""
    low = np.maximum(first[:, np.newaxis, :2], second[np.newaxis, :, :2])
    high = np.minimum(first[:, np.newaxis, 2:], second[np.newaxis, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(np.maximum(each[:, 2:] - each[:, :2], 0), axis=1) for each in (first, second)]
    union = areas[0][:, np.newaxis] + areas[1][np.newaxis, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppressed(boxes, classes, scores, most_iou):
    """Return the numbers of the boxes that are left where of two of a class that overlap the better stays."""
    order = np.argsort(-scores, kind="stable")[:_MAX_CANDIDATES]
    kept = []
    while len(order) and len(kept) < _MAX_BOXES:
        best, order = order[0], order[1:]
        kept.append(int(best))
        overlap = iou(boxes[best : best + 1], boxes[order])[0]
        order = order[(overlap <= most_iou) | (classes[order] != classes[best])]
    return np.array(kept, dtype=np.int64)
