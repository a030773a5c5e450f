"""The trained network of a project: its format, its files, what it says of itself.

In: `[model] source`. Out: a `ModelSource` and a `KnownSignature`, or None after noting why not. Model files are hashed;
what they say of themselves is remembered by that digest.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.project.external_weights import with_external_weights
from dlpubuild.project.frozen_graph import read_frozen_graph
from dlpubuild.project.model import KnownSignature, KnownTensor, ModelReading, ModelSource, SourceFile
from dlpubuild.project.onnx_signature import read_onnx_model
from dlpubuild.project.paths import PathRefusedError, path_kind, walk_files
from dlpubuild.project.ready_model import read_compiled_binary, read_tflite
from dlpubuild.project.signature import UnreadableModelError, is_hdf5, read_keras, read_saved_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dlpubuild.manifest.model import ModelSection
    from dlpubuild.project.faults import Faults, Memo
    from dlpubuild.project.model import ResolvedFormat
    from dlpubuild.project.paths import ProjectPaths

_KEY = "model.source"
_SAVED_MODEL = "saved_model.pb"
# What TensorFlow reads of a SavedModel; anything else in the folder must not change a digest.
_SAVED_MODEL_PARTS = frozenset({_SAVED_MODEL, "fingerprint.pb", "variables", "assets", "assets.extra"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The names of inputs and outputs that the manifest gives; a format without names of its own goes by them."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Format:
    """A format of model files: its name, what it is staged as, and its reader.

    `goes_by_names` is true where what is read depends on the names that the manifest declares.
    """

    name: ResolvedFormat
    suffix: str
    read: Callable[[Path, Declared], ModelReading]
    goes_by_names: bool = False


def _read_frozen_graph(path: Path, declared: Declared) -> ModelReading:
    graph = read_frozen_graph(path.read_bytes(), inputs=declared.inputs, outputs=declared.outputs)
    return ModelReading(
        signature=graph.signature, state="quantization-aware" if graph.is_quantization_aware else "float"
    )


_SAVED_MODEL_FORMAT = _Format("saved-model", "", lambda path, _: read_saved_model((path / _SAVED_MODEL).read_bytes()))
_KERAS = _Format("keras", ".keras", lambda path, _: read_keras(path))
# By the end of the file's name: a format is one line here.
_FORMATS: Mapping[str, _Format] = MappingProxyType(
    {
        ".keras": _KERAS,
        ".h5": _KERAS,
        ".hdf5": _KERAS,
        ".pb": _Format("frozen-graph", ".pb", _read_frozen_graph, goes_by_names=True),
        ".tflite": _Format("tflite", ".tflite", lambda path, _: read_tflite(path)),
        ".onnx": _Format("onnx", ".onnx", lambda path, _: read_onnx_model(path)),
        ".bin": _Format("compiled", ".bin", lambda path, _: read_compiled_binary(path)),
    }
)
_LATER = MappingProxyType(
    {
        ".pt": "PyTorch files: export an ONNX model or a SavedModel;",
        ".pth": "PyTorch files: export an ONNX model or a SavedModel;",
    }
)
# Raise the number with any change of what a signature says.
_SIGNATURE = "signature-4"
READABLE = "a SavedModel folder, .keras, .h5, a frozen graph (.pb), .onnx, .tflite and .bin"
_TODAY = f"this version reads {READABLE}"


def resolve_model(faults: Faults, paths: ProjectPaths, memo: Memo) -> tuple[ModelSource, KnownSignature] | None:
    """Return the model's files and what it says of itself, or None after noting why not."""
    text = faults.manifest.model.source
    try:
        path = paths.find(text)
        kind = path_kind(path)
        if kind is None:
            faults.add(ErrorCode.PATH_MISSING, _KEY, f'"{text}" does not exist')
            return None
        found = _format_of(path)
        if found is None:
            faults.add(ErrorCode.MODEL_FORMAT, _KEY, _refusal(path, text), _TODAY)
            return None
        wanted = faults.manifest.model.format
        if wanted not in ("auto", found.name):
            faults.add(ErrorCode.MODEL_FORMAT, "model.format", f'"{wanted}", but "{text}" is {found.name}')
            return None
        return _resolved(found, path, text, paths, memo, declared_names(faults.manifest.model))
    except PathRefusedError as error:
        faults.add_refused(_KEY, error)
    except UnreadableModelError as error:
        faults.add(ErrorCode.MODEL_UNREADABLE, _KEY, f'"{text}" cannot be used: {error}')
    except OSError as error:
        faults.add(ErrorCode.MODEL_UNREADABLE, _KEY, f'"{text}" cannot be read: {error.strerror or error}')
    except DlpuError as error:
        faults.add_unreadable(_KEY, error)
    return None


def _resolved(
    found: _Format, path: Path, text: str, paths: ProjectPaths, memo: Memo, declared: Declared
) -> tuple[ModelSource, KnownSignature]:
    files, suffix = _model_files(found, path, text, paths, memo)
    reading = _reading(found, path, files, declared, memo)
    staged = f"in/model{suffix}"
    if reading.external:
        files, staged = with_external_weights(files[0], reading.external, paths, memo)
    source = ModelSource(
        format=found.name,
        staged=staged,
        files=files,
        state=reading.state,
        quantization=reading.quantization,
    )
    return source, reading.signature


def declared_names(model: ModelSection) -> Declared:
    """Return the names that `[model]` declares."""
    return Declared(
        inputs=tuple(each.name for each in model.inputs), outputs=tuple(each.name for each in model.outputs)
    )


def model_format(path: Path) -> ResolvedFormat | None:
    """Return the format of the model at `path`, or None where this version does not read it."""
    found = _format_of(path)
    return None if found is None else found.name


def peek_model(path: Path, declared: Declared | None = None) -> ModelReading:
    """Return what the model at `path` says of itself.

    Raises:
        UnreadableModelError: it is not the kind of model it is meant to be.
        OSError: it cannot be read.
    """
    found = _format_of(path)
    if found is None:
        raise UnreadableModelError("it is no model that can be recognised")
    return found.read(path, declared or Declared())


def _format_of(path: Path) -> _Format | None:
    if path.is_dir():
        return _SAVED_MODEL_FORMAT if (path / _SAVED_MODEL).is_file() else None
    return _FORMATS.get(path.suffix.lower()) if path.is_file() else None


def _refusal(path: Path, text: str) -> str:
    if path.is_dir():
        return f'"{text}" is a folder without {_SAVED_MODEL}, so not a SavedModel'
    later = _LATER.get(path.suffix.lower())
    if later:
        return f'"{text}": {later} cannot be built from yet'
    return f'"{text}" is not a model that can be recognised'


def _model_files(
    found: _Format, path: Path, text: str, paths: ProjectPaths, memo: Memo
) -> tuple[tuple[SourceFile, ...], str]:
    """Return the files of a model, and the end of the name that it is staged under."""
    if found is not _SAVED_MODEL_FORMAT:
        # Keras goes by the name, so the name has to say what the file is.
        suffix = ".h5" if found is _KERAS and is_hdf5(path) else found.suffix
        (digest,) = memo.digest_files([path])
        return (SourceFile(staged="", path=path, name=text, digest=digest),), suffix
    members = walk_files(path, paths, lambda name: name.partition("/")[0] in _SAVED_MODEL_PARTS)
    digests = memo.digest_files([file for _, file in members])
    files = tuple(
        SourceFile(staged=relative, path=file, name=os.path.join(text, relative), digest=digest)  # noqa: PTH118 - text for messages
        for (relative, file), digest in zip(members, digests, strict=True)
    )
    return files, found.suffix


def _reading(found: _Format, path: Path, files: Sequence[SourceFile], declared: Declared, memo: Memo) -> ModelReading:
    """Parsing a large model takes longer than all else of a build with nothing to do, so it is remembered."""
    key = next(file for file in files if file.staged in ("", _SAVED_MODEL)).digest.hash
    if found.goes_by_names:
        names = json.dumps([declared.inputs, declared.outputs])
        key = f"{key} {hashlib.sha256(names.encode()).hexdigest()}"
    known = memo.recall(f"{_SIGNATURE}-{found.name}", key)
    if known is not None:
        return _from_json(json.loads(known))
    reading = found.read(path, declared)
    memo.remember(f"{_SIGNATURE}-{found.name}", key, json.dumps(_to_json(reading)).encode())
    return reading


def _to_json(reading: ModelReading) -> dict[str, Any]:
    return {
        "inputs": [(each.name, each.shape, each.dtype) for each in reading.signature.inputs],
        "outputs": [(each.name, each.shape, each.dtype) for each in reading.signature.outputs],
        "state": reading.state,
        "quantization": reading.quantization,
        "external": reading.external,
    }


def _from_json(table: Mapping[str, Any]) -> ModelReading:
    inputs, outputs = (
        tuple(
            KnownTensor(name=name, shape=None if shape is None else tuple(shape), dtype=dtype)
            for name, shape, dtype in table[side]
        )
        for side in ("inputs", "outputs")
    )
    return ModelReading(
        signature=KnownSignature(inputs=inputs, outputs=outputs),
        state=table["state"],
        quantization=table["quantization"],
        external=tuple(table["external"]),
    )
