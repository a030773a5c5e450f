"""A built model beside the float model on validation samples: every output, and the boxes of a detector.

In: both models and the samples. Out: what the document says of outputs and boxes. Outputs belong together by name, else
by position. Where a sample takes long enough, both models run at once, each in a thread of its own, while the next
samples are read and the last ones measured; the figures do not depend on it. Nothing is written here.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import stepio
import verify_boxes
import verify_outputs
import verify_run

# So many samples tell how long one takes; below this, threads that wait for Python's lock make it longer.
_TRIED = 4
_WORTH_THREADS_S = 0.001


class Comparison:
    """What a built model is held against.

    Args:
        feed: a verify_feed.Feed.
        floats: the float model, or None.
        labels: the right class of each sample (None where it is not known), by name of output.
        boxes: what the manifest says of boxes, or None.
    """

    def __init__(self, feed, floats, labels, boxes):
        self.feed = feed
        self.floats = floats
        self._labels = labels
        self._boxes = boxes

    def figures(self, built, positions, tell=False):
        """Return `outputs`, `boxes` and `notes` of the document, for the samples at `positions`.

        Args:
            built: the verify_run.Subject to measure.
            tell: whether to say how far it is.
        """
        feed, floats, labels, notes = self.feed, self.floats, self._labels, []
        pairs = _paired(floats, built)
        boxes = verify_boxes.detector(self._boxes, floats or built)
        if boxes is not None and floats is None:
            notes.append("boxes are compared with those of a float model, and there is none")
        parts = boxes.outputs if boxes is not None else []
        outputs = [
            verify_outputs.Output(
                name,
                labels.get(name),
                compared=floats is not None,
                boxes=number in parts,
                unordered=number in parts and boxes.unordered,
            )
            for number, (name, _, _) in enumerate(pairs)
        ]
        progress = stepio.Progress(len(positions), "images" if feed.data["kind"] == "images" else "samples")
        for some, of_floats, of_built in run_both(feed, floats, built, positions):
            for output, (_, ours, theirs) in zip(outputs, pairs):
                output.add(some, None if of_floats is None else of_floats[ours], of_built[theirs])
            if boxes is not None and floats is not None:
                boxes.add(
                    len(some), [of_floats[ours] for _, ours, _ in pairs], [of_built[theirs] for _, _, theirs in pairs]
                )
            for _ in some if tell else ():
                progress.advance()
        found = [output.result(notes) for output in outputs]
        figures = boxes.result(notes) if boxes is not None and floats is not None else None
        return {"outputs": found, "boxes": figures, "notes": notes}


def run_both(feed, floats, built, positions):
    """Yield positions of some samples, the outputs of the float model (None without one) and of the built one.

    The next samples are read, and the last ones measured by the caller, while these run. Where both are the same model,
    it runs once.
    """
    is_one = floats is not None and floats.content == built.content
    subjects = [built] if is_one or floats is None else [floats, built]
    running = [verify_run.Running(each, feed.inputs, delegates=True) for each in subjects]
    first = positions[:_TRIED]
    values = feed.values(first)
    started_s = time.monotonic()
    results = [each.outputs(values) for each in running]
    sample_s = (time.monotonic() - started_s) / len(first)
    yield _both(first, results, is_one)
    rest = verify_run.chunks(positions[_TRIED:], subjects)
    if len(running) > 1 and sample_s > _WORTH_THREADS_S and len(os.sched_getaffinity(0)) > 1:
        rest = _at_once(feed, running, rest)
    else:
        rest = _in_turn(feed, running, rest)
    for some, results in rest:
        yield _both(some, results, is_one)


def _in_turn(feed, running, chunks):
    for some in chunks:
        values = feed.values(some)
        yield some, [each.outputs(values) for each in running]


def _at_once(feed, running, chunks):
    # One thread per model: an interpreter runs one sample at a time.
    pools = [ThreadPoolExecutor(max_workers=1) for _ in running]
    waiting = None
    try:
        for some in chunks:
            values = feed.values(some)
            started = [pool.submit(each.outputs, values) for pool, each in zip(pools, running)]
            if waiting is not None:
                yield waiting[0], [each.result() for each in waiting[1]]
            waiting = (some, started)
        if waiting is not None:
            yield waiting[0], [each.result() for each in waiting[1]]
    finally:
        for pool in pools:
            pool.shutdown()


def _both(some, results, is_one):
    return some, results[0] if is_one or len(results) > 1 else None, results[-1]


def _paired(floats, built):
    """Return per output of the float model its name in the built one, and its number in either."""
    tensors = built.tensors["outputs"]
    if floats is None:
        return [(each["name"], None, number) for number, each in enumerate(tensors)]
    wanted = floats.tensors["outputs"]
    order = [verify_run.place(each["name"], number, tensors) for number, each in enumerate(wanted)]
    if sorted(order) != list(range(len(tensors))):
        raise stepio.StepError(
            "model-output",
            "the built model has the outputs {}, the float model {}".format(
                stepio.listed([each["name"] for each in tensors]), stepio.listed([each["name"] for each in wanted])
            ),
            "give both models the same outputs",
        )
    return [(tensors[at]["name"], number, at) for number, at in enumerate(order)]
