"""A `.bin` for CV25 inside a bundle, and what the bundle says of it.

In: the path of a bundle's folder or archive. Out: size, digest and first bytes of the `.bin`, and the `model.json`
beside it; the format of the file is not public. Nothing is unpacked to disk.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.package.contents import no_model
from dlpubuild.package.kinds import MAX_MODEL_BYTES
from dlpubuild.package.model_json import MODEL_JSON

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.cas.digest import Digest

_MODEL = "model/model.bin"
_HEAD_BYTES = 16
_MAX_JSON_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedBinary:
    """A `.bin`: its digest, what it begins with, and the `model.json` of its package, None where there is none."""

    digest: Digest
    head: bytes
    document: Mapping[str, Any] | None


def read_packaged_binary(path: Path) -> PackagedBinary | None:
    """Return the `.bin` in the bundle at `path`; None where that is something else.

    Raises:
        DlpuError: it cannot be read.
    """
    try:
        if path.is_dir():
            model, document = path / _MODEL, path / MODEL_JSON
            if not model.is_file():
                return None
            text = document.read_bytes() if document.is_file() else None
            return _binary(path, model.read_bytes(), text)
    except OSError as error:
        raise no_model(path, f"it cannot be read: {error.strerror or error}") from error
    return _in_archive(path) if path.is_file() and path.name.endswith((".tar.gz", ".tgz")) else None


def _in_archive(path: Path) -> PackagedBinary | None:
    model, document = None, None
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.partition("/")[2]
                limit = {_MODEL: MAX_MODEL_BYTES, MODEL_JSON: _MAX_JSON_BYTES}.get(name)
                if limit is None or not member.isfile():
                    continue
                if member.size > limit:
                    raise no_model(path, f"{name} claims to be {member.size} bytes long")
                stream = archive.extractfile(member)
                content = stream.read() if stream is not None else b""
                model, document = (content, document) if name == _MODEL else (model, content)
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError):
        # Who reads the .tflite in it tells.
        return None
    return None if model is None else _binary(path, model, document)


def _binary(path: Path, content: bytes, text: bytes | None) -> PackagedBinary:
    try:
        document = None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise no_model(path, f"its {MODEL_JSON} is not JSON: {error}") from error
    if document is not None and not isinstance(document, dict):
        raise no_model(path, f"its {MODEL_JSON} is no JSON object")
    return PackagedBinary(digest=digest_bytes(content), head=content[:_HEAD_BYTES], document=document)
