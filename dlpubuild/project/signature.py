"""What a trained model says of its inputs and outputs without TensorFlow.

In: the files of a SavedModel or Keras model. Out: a `ModelReading`, with the names that the import gives them; parts
that the file does not tell are left out, never guessed. The import finds the rest, and the built `.tflite` is what
counts in the end.
"""

from __future__ import annotations

import json
import mmap
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Any

from dlpubuild.project.model import KnownSignature, KnownTensor, ModelReading
from dlpubuild.project.tensorflow_proto import graph_operators, is_quantization_aware, parse_saved_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

SERVING_SIGNATURE = "serving_default"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_SERVING_TAG = "serve"
_MAX_CONFIG_BYTES = 64 << 20
_CONFIG_START = b'{"class_name"'
# Source: quantize_wrapper.py and quantize_layer.py of the TensorFlow Model Optimization Toolkit.
_QUANTIZE_WRAPPERS = frozenset({"QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer"})
_EXPORT = "export it with model.export(FOLDER) or tf.saved_model.save(module, FOLDER, signatures=function)"


class UnreadableModelError(Exception):
    """The file is not the kind of model it is meant to be; the text says why."""


def read_saved_model(saved_model_pb: bytes) -> ModelReading:
    """Return the `serving_default` signature of a SavedModel; inputs and outputs by name, as TensorFlow sorts them.

    Raises:
        UnreadableModelError: not a SavedModel, or without that signature; the text names those it has.
    """
    try:
        message = parse_saved_model(saved_model_pb)
    except ValueError as error:
        raise UnreadableModelError("saved_model.pb is not a SavedModel (its protocol buffer does not parse)") from error
    graph = next((each for each in message.meta_graphs if _SERVING_TAG in each.meta_info_def.tags), None)
    if graph is None:
        raise UnreadableModelError(f'saved_model.pb holds no graph tagged "{_SERVING_TAG}"; {_EXPORT}')
    if SERVING_SIGNATURE not in graph.signature_def:
        names = ", ".join(sorted(name for name in graph.signature_def if not name.startswith("__"))) or "none"
        raise UnreadableModelError(
            f'the SavedModel has no signature "{SERVING_SIGNATURE}" (it has: {names}); {_EXPORT}'
        )
    signature = graph.signature_def[SERVING_SIGNATURE]
    is_aware = is_quantization_aware(graph_operators(graph.graph_def))
    return ModelReading(
        signature=KnownSignature(inputs=_tensors(signature.inputs), outputs=_tensors(signature.outputs)),
        state="quantization-aware" if is_aware else "float",
    )


def is_hdf5(path: Path) -> bool:
    """Return whether a file begins as an HDF5 file does; before version 2.12 Keras gave such files the name .keras too.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return stream.read(len(HDF5_MAGIC)) == HDF5_MAGIC


def read_keras(path: Path) -> ModelReading:
    """Return what a Keras file, a `.keras` archive or an HDF5 file, says of its inputs and outputs.

    Raises:
        UnreadableModelError: not such a file.
        OSError: it cannot be read.
    """
    config = _hdf5_config(path) if is_hdf5(path) else _archive_config(path)
    try:
        return ModelReading(
            signature=_config_signature(config),
            state="quantization-aware" if _has_wrapper(config) else "float",
        )
    except RecursionError as error:
        raise UnreadableModelError("its configuration is nested too deeply") from error


def _has_wrapper(value: object) -> bool:
    """Return whether a layer is wrapped as the TensorFlow Model Optimization Toolkit does it for training."""
    if isinstance(value, dict):
        name = value.get("class_name")
        is_wrapper = isinstance(name, str) and name in _QUANTIZE_WRAPPERS
        return is_wrapper or any(_has_wrapper(each) for each in value.values())
    return isinstance(value, list) and any(_has_wrapper(each) for each in value)


def _archive_config(path: Path) -> Mapping[str, Any]:
    """Source: keras/src/saving/saving_lib.py, `config.json` in a zip archive."""
    with path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive, archive.open("config.json") as member:
                config = json.loads(member.read(_MAX_CONFIG_BYTES))
        except KeyError as error:
            raise UnreadableModelError("it is a zip archive without config.json, so not a Keras model") from error
        except Exception as error:  # zipfile raises whatever the part that stumbled raises
            raise UnreadableModelError(f"it is neither a .keras archive nor an HDF5 file ({error})") from error
    if not isinstance(config, dict):
        raise UnreadableModelError("it is not a .keras archive (config.json is not an object)")
    return config


def _hdf5_config(path: Path) -> Mapping[str, Any]:
    """Return the configuration in an HDF5 file, empty where it is not found.

    Keras keeps it as one JSON string, the attribute `model_config`, which HDF5 stores in one piece in a global heap.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(_CONFIG_START)
        while start >= 0:
            end = data.find(b"\0", start, start + _MAX_CONFIG_BYTES)
            text = data[start : end if end > 0 else start + _MAX_CONFIG_BYTES].decode("utf-8", "replace")
            try:
                config, _ = json.JSONDecoder().raw_decode(text)
            except (ValueError, RecursionError):
                config = None
            if isinstance(config, dict) and isinstance(_member(config, "config", dict).get("layers"), list):
                return config
            # What begins within this text is a layer of the same configuration.
            start = data.find(_CONFIG_START, max(end, start + 1))
    return {}


def _config_signature(config: Mapping[str, Any]) -> KnownSignature:
    body = _member(config, "config", dict)
    layers: dict[str, Mapping[str, Any]] = {}
    for layer in _member(body, "layers", list):
        name = _member(layer, "config", dict).get("name") if isinstance(layer, dict) else None
        if isinstance(name, str):
            layers[name] = layer
    # A sequential model lists neither.
    inputs = [layer for _, layer in _references(body.get("input_layers"), None)] or [
        name for name, layer in layers.items() if layer.get("class_name") == "InputLayer"
    ]
    made = body.get("output_layers")
    outputs = list(_references(made, "" if isinstance(made, dict) else None)) or [(n, n) for n in list(layers)[-1:]]
    return KnownSignature(
        inputs=_checked(KnownTensor(name=n, shape=_input_shape(layers[n])) for n in inputs if n in layers),
        outputs=_checked(
            KnownTensor(name=public, shape=_output_shape(layers[layer]))
            for public, layer in _unique(outputs)
            if layer in layers
        ),
    )


def _references(reference: object, path: str | None) -> Iterator[tuple[str, str]]:
    """Yield (public name, layer) of each tensor, in the order in which Keras flattens them.

    Keras writes `["image", 0, 0]` for one tensor, and a list or an object of such for several. Below an object, `path`
    being the keys and positions so far, a tensor is called by its path; else, `path` being None, by its layer.
    """
    if isinstance(reference, dict):
        for key in sorted(reference):
            yield from _references(reference[key], None if path is None else f"{path}/{key}".strip("/"))
    elif isinstance(reference, list) and reference:
        if isinstance(reference[0], str):
            yield path or reference[0], reference[0]
        else:
            for position, part in enumerate(reference):
                yield from _references(part, None if path is None else f"{path}/{position}".strip("/"))


def _unique(outputs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield (public name, layer); a layer that is called again gets `_1` and so on behind its name."""
    seen: Counter[str] = Counter()
    for name, layer in outputs:
        yield f"{name}_{seen[name]}" if seen[name] else name, layer
        seen[name] += 1


def _input_shape(layer: Mapping[str, Any]) -> tuple[int, ...] | None:
    config = _member(layer, "config", dict)
    # Keras 2 has the longer name.
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    return _shape(shape) if isinstance(shape, list) else None


def _output_shape(layer: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Only what a layer states itself: the shape of anything else is left to the import."""
    units = _member(layer, "config", dict).get("units")
    built = _member(layer, "build_config", dict).get("input_shape")
    if layer.get("class_name") == "Dense" and isinstance(units, int) and isinstance(built, list) and built:
        return (*_shape(built[:-1]), units)
    return None


def _shape(sizes: list[Any]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) and size >= 0 else -1 for size in sizes)


def _member(table: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
    """Return the member `key`, or an empty one where it is not of this kind."""
    value = table.get(key)
    return value if isinstance(value, kind) else kind()


def _checked(tensors: Iterable[KnownTensor]) -> tuple[KnownTensor, ...]:
    """JSON can spell halves of characters, which no manifest and no action can hold."""
    found = tuple(tensors)
    for tensor in found:
        try:
            tensor.name.encode()
        except UnicodeEncodeError as error:
            raise UnreadableModelError(f"the name {tensor.name!r} in its configuration is not text") from error
    return found


def _tensors(table: Mapping[str, Any]) -> tuple[KnownTensor, ...]:
    tensors = []
    for name in sorted(table):
        shape = table[name].tensor_shape
        sizes = None if shape.unknown_rank else _shape([int(dim.size) for dim in shape.dim])
        tensors.append(KnownTensor(name=name, shape=sizes))
    return tuple(tensors)
