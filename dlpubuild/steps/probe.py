"""A few calibration samples and what the float model makes of them, in one file.

In: the samples that calibrate.py feeds. Out: `out/probe.npz`, from which quantize.py learns what each integer model
should have given. Of n samples every (n / 16)-th is taken, whatever their order. The file is an `.npz` in which no time
stands: `positions` says which samples; `input-0`, `input-1`, ... and `output-0`, ... are in the order of the model, one
row per sample. An output of which no row can stand for it is left out.
"""

import io
import sys
import zipfile

import numpy as np

import stepio
import tflite_run

# Enough to see an output move. Each costs a run of the float model, and one per integer model.
_MAX_SAMPLES = 16
_MAX_BYTES = 96 << 20
_MAX_SAMPLE_BYTES = 256 << 20
# One is no comparison.
_MIN_SAMPLES = 2
_FIRST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def positions(count, tensors):
    """Return which of `count` samples to take.

    Args:
        tensors: inputs and outputs as stepio.describe_tensors returns them; large ones leave room for fewer samples,
            and huge ones for none.
    """
    sample_bytes = sum(_size_bytes(each) for kind in ("inputs", "outputs") for each in tensors[kind])
    if sample_bytes > _MAX_SAMPLE_BYTES:
        return []
    wanted = min(count, _MAX_SAMPLES, max(_MIN_SAMPLES, _MAX_BYTES // max(1, sample_bytes)))
    return [number * count // wanted for number in range(wanted)]


def _size_bytes(tensor):
    size = np.dtype(tensor["dtype"]).itemsize if tensor["dtype"] in ("float32", "int32", "int64") else 1
    for each in tensor["shape"]:
        size *= max(1, each)
    return size


class Recorder:
    """Takes the samples that are wanted, and runs the float model on each.

    Args:
        content: the float model.
        wanted: positions of the samples.
    """

    def __init__(self, content, wanted):
        self._content = content
        self._wanted = frozenset(wanted)
        self._runner = None
        self._fault = None
        self._taken = []

    def take(self, position, values):
        """Record one sample where it is wanted; `values` has those of each input."""
        if position in self._wanted:
            self._taken.append((position, values, self._outputs(values)))

    def _outputs(self, values):
        """None where the model cannot be run: that is worth a line in the log, and no reason to fail."""
        if self._fault is not None:
            return None
        try:
            if self._runner is None:
                self._runner = tflite_run.Runner(self._content, delegates=False)
            return self._runner.run(values)
        except tflite_run.FAULTS as error:
            self._fault = str(error)
            # Not to stdout: calibrate.py's processes talk to one another there.
            sys.stderr.write("the float model cannot be run on a sample: {}\n".format(self._fault.strip()))
            return None

    def result(self):
        """Return arrays by name, as `pack` takes them; outputs may be missing."""
        arrays = {"positions": np.array([position for position, _, _ in self._taken], dtype=np.int64)}
        arrays.update(stacked("input", [values for _, values, _ in self._taken]))
        arrays.update(stacked("output", [outputs for _, _, outputs in self._taken]))
        return arrays


def stacked(kind, rows):
    """Return by name an array per tensor, of `rows` that have one each; none where its size differs between rows."""
    if not rows or any(row is None for row in rows):
        return {}
    stacked = {}
    for number in range(len(rows[0])):
        arrays = [np.asarray(row[number]) for row in rows]
        if len({array.shape for array in arrays}) == 1:
            stacked["{}-{}".format(kind, number)] = np.stack(arrays)
    return stacked


def merged(parts):
    """Return the arrays of several recorders as those of one; a part without samples changes nothing."""
    parts = [part for part in parts if len(part["positions"])]
    if not parts:
        return {"positions": np.array([], dtype=np.int64)}
    order = np.argsort(np.concatenate([part["positions"] for part in parts]))
    result = {}
    for name in sorted(parts[0]):
        arrays = [part.get(name) for part in parts]
        if all(array is not None for array in arrays) and len({array.shape[1:] for array in arrays}) == 1:
            result[name] = np.concatenate(arrays)[order]
    return result


def pack(arrays):
    """Return the bytes of an `.npz` with these arrays; unlike np.savez, always the same ones."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name + ".npy", _FIRST_ZIP_TIME), member.getvalue())
    return stream.getvalue()


def unpack(path):
    """Return the arrays in a file that `pack` wrote.

    Raises:
        StepError: `step-failed`: it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise stepio.StepError("step-failed", "the samples in {} cannot be read: {}".format(path, error)) from error
