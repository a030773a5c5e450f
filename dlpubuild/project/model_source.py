"""The trained network of a project: its format, its files, what it says of itself.

In: `[model] source`. Out: a `ModelSource` and a `KnownSignature`, or None after noting why not. Model files are hashed;
what they say of themselves is remembered by that digest.
"""

from __future__ import annotations

import json
import os
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.project.model import KnownSignature, KnownTensor, ModelSource, SourceFile
from dlpubuild.project.paths import PathRefusedError, path_kind, walk_files
from dlpubuild.project.signature import UnreadableModelError, is_hdf5, keras_signature, saved_model_signature

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dlpubuild.project.faults import Faults, Memo
    from dlpubuild.project.model import ResolvedFormat
    from dlpubuild.project.paths import ProjectPaths

_KEY = "model.source"
_SAVED_MODEL = "saved_model.pb"
# What TensorFlow reads of a SavedModel; anything else in the folder must not change a digest.
_SAVED_MODEL_PARTS = frozenset({_SAVED_MODEL, "fingerprint.pb", "variables", "assets", "assets.extra"})
_KERAS_SUFFIXES = frozenset({".keras", ".h5", ".hdf5"})
_LATER = MappingProxyType(
    {
        ".pb": "frozen graphs (.pb)",
        ".onnx": "ONNX models",
        ".tflite": "ready .tflite models",
        ".pt": "PyTorch files: export an ONNX model or a SavedModel;",
        ".pth": "PyTorch files: export an ONNX model or a SavedModel;",
    }
)
# Raise the number with any change of what a signature says.
_SIGNATURE = "signature-2"
_TODAY = "this version reads a SavedModel folder, .keras and .h5"


def resolve_model(faults: Faults, paths: ProjectPaths, memo: Memo) -> tuple[ModelSource, KnownSignature] | None:
    """Return the model's files and what it says of itself, or None after noting why not."""
    text = faults.manifest.model.source
    try:
        path = paths.find(text)
        kind = path_kind(path)
        if kind is None:
            faults.add(ErrorCode.PATH_MISSING, _KEY, f'"{text}" does not exist')
            return None
        found = model_format(path)
        if found is None:
            faults.add(ErrorCode.MODEL_FORMAT, _KEY, _refusal(path, text), _TODAY)
            return None
        wanted = faults.manifest.model.format
        if wanted not in ("auto", found):
            faults.add(ErrorCode.MODEL_FORMAT, "model.format", f'"{wanted}", but "{text}" is {found}')
            return None
        source = _model_source(found, path, text, paths, memo)
        return source, _signature(source, memo)
    except PathRefusedError as error:
        faults.add_refused(_KEY, error)
    except UnreadableModelError as error:
        faults.add(ErrorCode.MODEL_UNREADABLE, _KEY, f'"{text}" cannot be used: {error}')
    except OSError as error:
        faults.add(ErrorCode.MODEL_UNREADABLE, _KEY, f'"{text}" cannot be read: {error.strerror or error}')
    except DlpuError as error:
        faults.add_unreadable(_KEY, error)
    return None


def model_format(path: Path) -> ResolvedFormat | None:
    """Return the format of the model at `path`, or None where this version does not read it."""
    if path.is_dir():
        return "saved-model" if (path / _SAVED_MODEL).is_file() else None
    return "keras" if path.is_file() and path.suffix.lower() in _KERAS_SUFFIXES else None


def peek_signature(path: Path) -> KnownSignature:
    """Return what the model at `path` says of its inputs and outputs.

    Raises:
        UnreadableModelError: it is not the kind of model it is meant to be.
        OSError: it cannot be read.
    """
    if path.is_dir():
        return saved_model_signature((path / _SAVED_MODEL).read_bytes())
    return keras_signature(path)


def _refusal(path: Path, text: str) -> str:
    if path.is_dir():
        return f'"{text}" is a folder without {_SAVED_MODEL}, so not a SavedModel'
    later = _LATER.get(path.suffix.lower())
    if later:
        return f'"{text}": {later} cannot be built from yet'
    return f'"{text}" is not a model that can be recognised'


def _model_source(found: ResolvedFormat, path: Path, text: str, paths: ProjectPaths, memo: Memo) -> ModelSource:
    if found == "keras":
        # Keras goes by the name, so the name has to say what the file is.
        suffix = ".h5" if is_hdf5(path) else ".keras"
        (digest,) = memo.digest_files([path])
        file = SourceFile(staged="", path=path, name=text, digest=digest)
        return ModelSource(format=found, staged=f"in/model{suffix}", files=(file,))
    members = walk_files(path, paths, lambda name: name.partition("/")[0] in _SAVED_MODEL_PARTS)
    digests = memo.digest_files([file for _, file in members])
    return ModelSource(
        format=found,
        staged="in/model",
        files=tuple(
            SourceFile(staged=relative, path=file, name=os.path.join(text, relative), digest=digest)  # noqa: PTH118 - text for messages
            for (relative, file), digest in zip(members, digests, strict=True)
        ),
    )


def _signature(source: ModelSource, memo: Memo) -> KnownSignature:
    """Parsing a large SavedModel takes longer than all else of a build with nothing to do, so it is remembered."""
    entry = next(file for file in source.files if file.staged in ("", _SAVED_MODEL))
    known = memo.recall(_SIGNATURE, entry.digest.hash)
    if known is not None:
        table = json.loads(known)
        return KnownSignature(inputs=_from_json(table["inputs"]), outputs=_from_json(table["outputs"]))
    signature = peek_signature(entry.path if source.format == "keras" else entry.path.parent)
    table = {"inputs": _to_json(signature.inputs), "outputs": _to_json(signature.outputs)}
    memo.remember(_SIGNATURE, entry.digest.hash, json.dumps(table).encode())
    return signature


def _to_json(tensors: Sequence[KnownTensor]) -> list[tuple[str, tuple[int, ...] | None]]:
    return [(tensor.name, tensor.shape) for tensor in tensors]


def _from_json(rows: Sequence[tuple[str, list[int] | None]]) -> tuple[KnownTensor, ...]:
    return tuple(KnownTensor(name=name, shape=None if shape is None else tuple(shape)) for name, shape in rows)
