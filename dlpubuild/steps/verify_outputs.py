"""One output of a built model beside that of the float model, over all samples.

In: the values of both for a few samples at a time. Out: the figures of the output. Sums are kept per sample and values
are not, so that memory does not grow with the size of an output. A sample with values that are not finite is left out
of sums and histograms, its prediction counts as wrong where one is not a number, and `notes` says how many there were.

kind     classes  the greatest of several values is the prediction, or the output is one integer, the prediction itself
         binary   one value: yes where it is above a threshold
         boxes    part of a detection
         values   all else: maps, embeddings, numbers; of a map of indices the share of places with the same one
"""

import numpy as np

import stepio
import verify_metrics as metrics

_TOP = 5
# Among fewer classes than this the fifth best says nothing.
_MIN_CLASSES_FOR_TOP = 6
_PROBABILITY_THRESHOLD = 0.5
_NO_PREDICTION = -1


class Output:
    """Figures of one output.

    Args:
        name: the public one.
        labels: the right class of each sample, None for a sample without; or None.
        compared: whether there is a float model.
        boxes: whether it is part of a detection. `unordered`: whether its rows come in an order of their own.
    """

    def __init__(self, name, labels, compared, boxes=False, unordered=False):
        self.name = name
        self._labels = labels
        self._compared = compared
        self._boxes = boxes
        self._unordered = unordered
        self.kind = None
        self._elements = 0
        self._is_index = False
        self._varies = False
        self._positions = []
        self._sums = {"signal": [], "noise": [], "error": [], "finite": [], "same": []}
        # Per model: the prediction (of binary outputs the value), and the rank of the right class.
        self._predicted = ([], [])
        self._rank = ([], [])
        self._broken = [0, 0]
        self._values = metrics.Histogram(2)
        self._errors = metrics.Histogram(1)

    def add(self, positions, floats, built):
        """Take the rows of the samples at `positions`.

        Args:
            floats: of the float model, None where there is none. `built`: of the built one. An array with a row per
                sample, or None where sizes differ.
        """
        if (
            built is None
            or (self._compared and floats is None)
            or (self.kind is not None and built[0].size != self._elements)
        ):
            self._varies = True
        if self._varies:
            return
        if self.kind is None:
            self._choose(built)
        if floats is not None and floats.size != built.size:
            raise stepio.StepError(
                "model-output",
                'output "{}" has {} values in the built model and {} in the float model'.format(
                    self.name, built[0].size, floats[0].size
                ),
                "give both models the same outputs",
            )
        self._positions.extend(positions)
        rows = [each if each is None else each.reshape(len(positions), -1) for each in (floats, built)]
        if self.kind in ("classes", "binary"):
            self._predict(positions, rows)
        if self._is_index and self.kind == "values" and floats is not None:
            self._sums["same"].append((rows[0] == rows[1]).sum(axis=1).astype(np.float64))
        if not self._is_index and not self._unordered:
            self._sum(*rows)

    def _choose(self, built):
        shape = built.shape[1:]
        self._elements = int(built[0].size)
        self._is_index = built.dtype.kind in "iub"
        self.kind = "values"
        if self._boxes:
            self.kind = "boxes"
        elif self._elements == 1:
            self.kind = "classes" if self._is_index else "binary"
        elif not self._is_index and self._elements == shape[-1]:
            self.kind = "classes"
        if self._labels is not None:
            self._check_labels()

    def _check_labels(self):
        if self.kind not in ("classes", "binary"):
            raise stepio.StepError(
                "validation-label",
                'there are labels for output "{}", which has no classes: its kind is "{}"'.format(self.name, self.kind),
                "label outputs that have one value per class, or one value",
            )
        classes = 2 if self.kind == "binary" else None if self._is_index else self._elements
        for position, label in enumerate(self._labels):
            if label is not None and not (label >= 0 and (classes is None or label < classes)):
                raise stepio.StepError(
                    "validation-label",
                    'sample {} has the label {} for output "{}", which has the classes {}'.format(
                        position, label, self.name, "0 to {}".format(classes - 1) if classes else "0 and above"
                    ),
                    "labels are numbers of classes, from 0; some models have a class for the background first",
                )

    def _predict(self, positions, rows):
        labels = None
        if self._labels is not None:
            labels = np.array([self._labels[at] if self._labels[at] is not None else -1 for at in positions])
        for number, values in enumerate(rows):
            if values is None:
                continue
            if self._elements == 1:
                self._predicted[number].append(values[:, 0])
                continue
            undefined = np.isnan(values).any(axis=1)
            self._predicted[number].append(np.where(undefined, _NO_PREDICTION, values.argmax(axis=1)))
            if labels is not None:
                self._rank[number].append(np.where(undefined, self._elements, _ranks(values, labels)))

    def _sum(self, floats, built):
        finite = np.isfinite(built).all(axis=1)
        self._broken[1] += int((~finite).sum())
        if floats is not None:
            finite_floats = np.isfinite(floats).all(axis=1)
            self._broken[0] += int((~finite_floats).sum())
            finite &= finite_floats
        self._sums["finite"].append(finite)
        if floats is None:
            self._values.add(np.zeros(0), built[finite])
            return
        floats, built = floats[finite], built[finite]
        wanted = floats.astype(np.float64)
        difference = built.astype(np.float64)
        difference -= wanted
        self._values.add(floats, built)
        self._errors.add(difference)
        # Not by BLAS, whose sums depend on the number of cores.
        self._sums["signal"].append(np.square(wanted).sum(axis=1))
        self._sums["noise"].append(np.square(difference).sum(axis=1))
        self._sums["error"].append(np.abs(difference).sum(axis=1))

    def result(self, notes):
        """Return the figures; what is to be said of them is added to `notes`."""
        compared = self._compared
        entry = {"name": self.name, "kind": self.kind or "values", "elements": self._elements}
        right = [None, None]
        entry.update(agreement=None, sqnr_db=None, mae=None, drop=None)
        if self._varies:
            notes.append('output "{}": its size differs from sample to sample; it is not measured'.format(self.name))
            entry["kind"], self._labels = "boxes" if self._boxes else "values", None
        elif self.kind in ("classes", "binary"):
            predicted = self._predictions(notes)
            entry["kind"] = self.kind
            if predicted is not None:
                right = self._right(predicted)
                if compared:
                    same = (predicted[0] == predicted[1]) & (predicted[0] != _NO_PREDICTION)
                    entry["agreement"] = metrics.share(int(same.sum()), len(same))
        for number, name in enumerate(("float", "built")):
            there = compared or name == "built"
            entry[name] = {"top1": _share(right[number]), "top5": self._top(number)} if there else None
        if compared:
            both = right[0] is not None
            entry["drop"] = {"top1": metrics.drop(right[0], right[1]) if both else None}
            entry.update(self._differences())
        self._note_broken(notes)
        edges, counts = self._values.result()
        entry["histogram"] = {"edges": edges, "float": counts[0] if compared else [], "built": counts[1]}
        edges, counts = self._errors.result()
        entry["errors"] = {"edges": edges, "counts": counts[0]}
        return entry

    def _differences(self):
        if self._sums["same"]:
            return {"agreement": self._same_places(np.concatenate(self._sums["same"]))}
        if not self._sums["signal"]:
            return {}
        signal, noise, error = (np.concatenate(self._sums[name]) for name in ("signal", "noise", "error"))
        counts = np.full(len(signal), float(self._elements))
        return metrics.bootstrapped({"sqnr_db": (metrics.sqnr_db, signal, noise), "mae": (metrics.mean, error, counts)})

    def _same_places(self, same):
        """Return the share of places with the same index; those of one sample are not independent of one another."""
        found = metrics.bootstrapped({"": (metrics.mean, same, np.full(len(same), float(self._elements)))})[""]
        return dict(found, count=int(same.sum()), of=len(same) * self._elements)

    def _predictions(self, notes):
        """Return per model what it says of each sample; None where the output turns out to say nothing."""
        found = [np.concatenate(rows) if rows else None for rows in self._predicted]
        if self.kind != "binary":
            return found
        leading = found[0] if self._compared else found[1]
        known = leading[np.isfinite(leading)]
        is_probability = bool(len(known)) and bool(((known >= 0) & (known <= 1)).all())
        if self._labels is None and not is_probability:
            self.kind = "values"
            notes.append(
                'output "{}": one value that is not always within 0 and 1, and no labels: it is compared as a number, '
                "not as a yes or no".format(self.name)
            )
            return None
        threshold = _PROBABILITY_THRESHOLD if is_probability else 0
        notes.append(
            'output "{}": yes above {}, since {}'.format(
                self.name,
                threshold,
                "all its values lie within 0 and 1" if is_probability else "its values do not all lie within 0 and 1",
            )
        )
        return [
            None
            if values is None
            else np.where(np.isnan(values), _NO_PREDICTION, (values > threshold).astype(np.int64))
            for values in found
        ]

    def _right(self, predicted):
        """Return per model whether each labelled sample is right; None without labels."""
        if self._labels is None:
            return [None, None]
        labels = np.array([-2 if self._labels[at] is None else self._labels[at] for at in self._positions])
        known = labels >= 0
        return [None if values is None else values[known] == labels[known] for values in predicted]

    def _top(self, number):
        if not self._rank[number] or self._elements < _MIN_CLASSES_FOR_TOP:
            return None
        known = np.array([self._labels[at] is not None for at in self._positions])
        ranks = np.concatenate(self._rank[number])[known]
        return metrics.share(int((ranks < _TOP).sum()), len(ranks))

    def _note_broken(self, notes):
        for number, role in enumerate(("the float model", "the built model")):
            if self._broken[number]:
                notes.append(
                    'output "{}": {} of {} samples have values that are not finite in {}; they are left out of SQNR, '
                    "mean absolute error and histograms".format(
                        self.name, self._broken[number], len(self._positions), role
                    )
                )


def _ranks(values, labels):
    """Return how many classes come before the right one; of equal values the first comes first, as with argmax."""
    right = np.take_along_axis(values, np.maximum(labels, 0)[:, np.newaxis], axis=1)
    before = np.arange(values.shape[1])[np.newaxis, :] < labels[:, np.newaxis]
    return ((values > right) | ((values == right) & before)).sum(axis=1)


def _share(right):
    return None if right is None else metrics.share(int(right.sum()), len(right))
