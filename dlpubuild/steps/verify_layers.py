"""Where an integer model loses its precision: each of its activation tensors beside the float model's of the same name.

In: both models, and a few validation samples. Out: per tensor the SQNR, the mean absolute error, the range that its
scale can hold and the share of it that the samples used, the worst first. The error of a tensor includes that of all
tensors before it: both models get the same sample and nothing else. Kernels are those that calibrate, without XNNPACK,
which keeps no tensors between its own. A tensor that only one model has, since operators were fused, is counted, not
shown. Samples come one at a time, and only sums are kept.
"""

import numpy as np

import stepio
import tflite_run
import verify_metrics as metrics
import verify_run

_INTEGERS = ("INT8", "UINT8", "INT16")


def measured(schema, feed, floats, built, most):
    """Return the list for the document, and what is to be said of it.

    Args:
        feed: a verify_feed.Feed for the float model.
        most: at most so many samples.
    """
    layers = _layers(schema, floats.model, built.model)
    if not layers:
        return [], "no activation tensor of the built model is an integer one that the float model has, too"
    ours = verify_run.Running(floats, feed.inputs, delegates=False, keep_all=True)
    theirs = verify_run.Running(built, feed.inputs, delegates=False, keep_all=True)
    positions = verify_run.spread(feed.count, most)
    for position in positions:
        values = feed.values([position])
        ours.outputs(values)
        theirs.outputs(values)
        for layer in layers:
            layer.add(ours.runner, theirs.runner)
    described = [layer.result() for layer in layers if layer.samples]
    described.sort(key=lambda each: (each["sqnr_db"], each["index"], each["tensor"]))
    return described, _note(schema, floats.model, built.model, described, len(positions))


class _Layer:
    """One activation tensor in both models."""

    def __init__(self, described, ours, theirs, scale, zero_point, limits):
        self.samples = 0
        self._described = described
        self._ours = ours
        self._theirs = theirs
        self._scale = scale
        self._zero_point = zero_point
        self._limits = limits
        self._seen = None
        self._elements = 0
        self._signal = self._noise = self._error = 0.0

    def add(self, ours, theirs):
        """Take what the last run of both left, where both have it and can be compared."""
        try:
            wanted, stored = ours.tensor(self._ours), theirs.tensor(self._theirs)
        except tflite_run.FAULTS:
            return
        if wanted.shape != stored.shape or not wanted.size or not np.isfinite(wanted).all():
            return
        low, high = int(stored.min()), int(stored.max())
        self._seen = (low, high) if self._seen is None else (min(low, self._seen[0]), max(high, self._seen[1]))
        wanted = wanted.astype(np.float64)
        difference = (stored.astype(np.float64) - self._zero_point) * self._scale
        difference -= wanted
        self._signal += float(np.square(wanted).sum())
        self._noise += float(np.square(difference).sum())
        self._error += float(np.abs(difference).sum())
        self._elements += wanted.size
        self.samples += 1

    def result(self):
        low, high = self._limits
        result = dict(self._described)
        result.update(
            sqnr_db=metrics.rounded(metrics.sqnr_db(self._signal, self._noise)),
            mae=metrics.rounded(self._error / self._elements),
            low=metrics.rounded((low - self._zero_point) * self._scale),
            high=metrics.rounded((high - self._zero_point) * self._scale),
            step=metrics.rounded(self._scale),
            used=metrics.rounded((self._seen[1] - self._seen[0]) / float(high - low)),
            elements=self._elements // self.samples,
        )
        return result


def _layers(schema, float_model, built_model):
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    known = _float_tensors(schema, float_model)
    layers = []
    for index, operator, at, tensor in _integer_tensors(schema, built_model):
        name = stepio.as_text(tensor.name)
        if name in known:
            quantization = tensor.quantization
            dtype = np.dtype(_dtype(schema, tensor).lower())
            described = {"index": index, "operator": _operator_name(names, built_model, operator), "tensor": name}
            limits = (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
            scale, zero_point = float(quantization.scale[0]), int(quantization.zeroPoint[0])
            layers.append(_Layer(described, known[name], at, scale, zero_point, limits))
    return layers


def _integer_tensors(schema, model):
    """Yield operator index, operator, tensor index and tensor for what operators give with one scale."""
    graph = model.subgraphs[0]
    for index, operator in enumerate(graph.operators):
        for at in operator.outputs if operator.outputs is not None else []:
            tensor = graph.tensors[at]
            quantization = tensor.quantization
            scaled = quantization is not None and quantization.scale is not None and len(quantization.scale) == 1
            if scaled and _dtype(schema, tensor) in _INTEGERS:
                yield index, operator, int(at), tensor


def _float_tensors(schema, model):
    """Return by name the index of each float tensor that an operator gives, or the model is given."""
    graph = model.subgraphs[0]
    given = [int(at) for at in graph.inputs]
    for operator in graph.operators:
        given.extend(int(at) for at in (operator.outputs if operator.outputs is not None else []))
    return {
        stepio.as_text(graph.tensors[at].name): at for at in given if _dtype(schema, graph.tensors[at]) == "FLOAT32"
    }


def _dtype(schema, tensor):
    types = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    return types.get(tensor.type, "")


def _operator_name(names, model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    if code.customCode:
        return stepio.as_text(code.customCode)
    return names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "UNKNOWN")


def _note(schema, float_model, built_model, described, samples):
    shown = {each["tensor"] for each in described}
    integers = {stepio.as_text(tensor.name) for _, _, _, tensor in _integer_tensors(schema, built_model)}
    # What a float model is given is no layer of it.
    inputs = {stepio.as_text(float_model.subgraphs[0].tensors[at].name) for at in float_model.subgraphs[0].inputs}
    floats = set(_float_tensors(schema, float_model)) - inputs
    sentences = ["measured on {} sample{}".format(samples, "" if samples == 1 else "s")]
    sentences.append("a tensor's error includes that of the tensors before it")
    if floats - shown:
        sentences.append(
            "{} of the float model's {} tensors are not in the built model, most often because operators "
            "were fused".format(len(floats - shown), len(floats))
        )
    if integers - shown:
        sentences.append(
            "{} of the built model's {} integer tensors are not in the float model".format(
                len(integers - shown), len(integers)
            )
        )
    return "; ".join(sentences)
