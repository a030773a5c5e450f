"""Validation samples in the real numbers that a model takes.

In: what samples.py reads, and what is declared of the model's inputs. Out: an array per input, a few samples at a time.
An integer model without a declared `mean` or `std` gets pixels as it stores them: as they are, or less 128 for int8.
What cannot be used is a fault of the validation data; nothing is left out in silence.
"""

import numpy as np

import samples
import stepio

_INT8_OFFSET = 128


class Feed:
    """The validation samples as one model takes them in real numbers.

    Args:
        subject: the model whose inputs the samples are for.
        params: `inputs` and `data`, as samples.py has them.
    """

    def __init__(self, schema, subject, params):
        model = subject.model
        if not samples.sample_count(params["data"]):
            raise stepio.StepError("validation-empty", "there are no validation samples", "correct [verify] data")
        graph = model.subgraphs[0]
        names = [each["name"] for each in subject.tensors["inputs"]]
        declared = {each["name"]: each for each in params["inputs"]}
        # Integers with a scale stand for real numbers, and these are what preprocessing makes.
        self._raw = {}
        for name, index, described in zip(names, graph.inputs, subject.tensors["inputs"]):
            if "scale" in described:
                graph.tensors[index].type = schema.TensorType.FLOAT32
                plain = all(declared.get(name, {}).get(key) is None for key in ("mean", "std"))
                self._raw[name] = described if plain else None
        try:
            self.inputs = samples.described_inputs(schema, model, params)
            self._source = samples.opened(params["data"], self.inputs)
        except stepio.StepError as error:
            raise _of_validation(error) from error
        self.data = params["data"]
        self.count = samples.sample_count(params["data"])

    def values(self, positions):
        """Return per input an array with a row for each of the samples at `positions`.

        Raises:
            StepError: `validation-unreadable` where some cannot be used.
        """
        try:
            arrays = self._source.rows(positions)
        except ValueError as error:
            # Whoever repairs one wants to know of all.
            faults = [[position, self._fault(position)] for position in range(self.count)]
            faults = [each for each in faults if each[1]] or [[positions[0], str(error)]]
            raise _of_validation(samples.sample_faults(faults, self.count, self.data)) from error
        return [self._unscaled(each, array) for each, array in zip(self.inputs, arrays)]

    def _fault(self, position):
        """Return what is wrong with a sample, nothing where it can be used."""
        try:
            self._source.sample(position)
        except ValueError as error:
            return str(error) or "it cannot be read"
        return ""

    def _unscaled(self, described, array):
        """Pixels for a quantized input of which no preprocessing is known are what it stores, not real numbers."""
        stored = self._raw.get(described["name"])
        dtype = self._source.dtype(self.inputs.index(described))
        if stored is None or dtype.kind == "f":
            return array
        offset = _INT8_OFFSET if stored["dtype"] == "int8" and dtype != np.int8 else 0
        return (array - np.float32(offset + stored["zero_point"])) * np.float32(stored["scale"])


def _of_validation(error):
    """Return a fault of samples.py, which speaks of calibration, as one of the validation data."""
    if error.code != "calibration-unreadable" and "calibrate" not in error.hint:
        return error
    code = "validation-unreadable" if error.code == "calibration-unreadable" else error.code
    return stepio.StepError(code, "validation data: {}".format(error), error.hint.replace("calibrate", "validate"))
