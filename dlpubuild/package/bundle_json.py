"""What a bundle says of itself: its `model.json`, beside the models in it.

In: the path of a bundle's folder or archive. Out: a `Bundle`. The document is held against its schema, and the model
against the digest in it, for the package may come from anywhere. Nothing is unpacked to disk.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlpubuild.cas.digest import Digest, digest_bytes, digest_stream
from dlpubuild.errors import DlpuError, ErrorCode, Location
from dlpubuild.package.contents import read_packaged_models
from dlpubuild.package.eap.contents import SUFFIX as EAP_SUFFIX
from dlpubuild.package.kinds import MAX_UNPACKED_BYTES, refuse_special
from dlpubuild.package.model_json import MODEL_JSON
from dlpubuild.resources import schema_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ARCHIVES = (".tar.gz", ".tgz")
_MAX_JSON_BYTES = 16 << 20
_MAX_MEMBERS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle: its name, its archive's digest (None of a folder), `model.json`, each model by its place in it."""

    name: str
    archive: Digest | None
    document: Mapping[str, Any]
    models: Mapping[str, bytes]


def is_bundle(path: Path) -> bool:
    """Return whether `path` is named as a package is, or is the folder of a bundle."""
    return path.name.endswith((*_ARCHIVES, EAP_SUFFIX)) or (path / MODEL_JSON).is_file()


def read_bundle(path: Path) -> Bundle:
    """Return what a bundle holds.

    Raises:
        DlpuError: it cannot be read, is an `.eap`, which has no `model.json`, or does not hold what that says.
    """
    if path.name.endswith(EAP_SUFFIX):
        raise _refused(path, f"an {EAP_SUFFIX} has no {MODEL_JSON}; name the bundle (.tar.gz) of the same model")
    refuse_special(path)
    try:
        content = _told(path) if path.is_dir() else _member(path)
        archive = None
        if not path.is_dir():
            with path.open("rb") as stream:
                archive = digest_stream(stream)
    except OSError as error:
        raise _refused(path, f"it cannot be read: {error.strerror or error}") from error
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise _refused(path, f"it is not a readable archive ({error})") from error
    document = _document(path, content)
    models = {each.member: each.content for each in read_packaged_models(path)}
    model = document["model"]
    for told in (model, model["uncompiled"]):
        if told is not None and digest_bytes(models.get(told["file"], b"")).hash != told["sha256"]:
            raise _refused(path, f"{told['file']} is not the file that its {MODEL_JSON} names")
    return Bundle(name=path.name, archive=archive, document=document, models=models)


def _told(path: Path) -> bytes:
    with (path / MODEL_JSON).open("rb") as stream:
        content = stream.read(_MAX_JSON_BYTES + 1)
    if len(content) > _MAX_JSON_BYTES:
        raise _refused(path, f"its {MODEL_JSON} has more than {_MAX_JSON_BYTES >> 20} MiB")
    return content


def _member(path: Path) -> bytes:
    with tarfile.open(path, "r:gz") as archive:
        for number, member in enumerate(archive):
            if number >= _MAX_MEMBERS:
                break
            if member.offset_data + member.size > MAX_UNPACKED_BYTES:
                raise _refused(path, f"it unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB")
            if member.isfile() and member.name.partition("/")[2] == MODEL_JSON:
                if member.size > _MAX_JSON_BYTES:
                    raise _refused(path, f"its {MODEL_JSON} claims to be {member.size} bytes long")
                stream = archive.extractfile(member)
                return stream.read() if stream is not None else b""
    raise _refused(path, f"the archive has no {MODEL_JSON}")


def _document(path: Path, content: bytes) -> dict[str, Any]:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import

    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"its {MODEL_JSON} is not JSON: {error}") from error
    validator = Draft202012Validator(json.loads(schema_path("model").read_text(encoding="utf-8")))
    for fault in validator.iter_errors(document):
        place = ".".join(str(part) for part in fault.absolute_path)
        raise _refused(path, f"its {MODEL_JSON} is not as it has to be: {place}: {fault.message[:200]}")
    found: dict[str, Any] = document
    return found


def _refused(path: Path, why: str) -> DlpuError:
    return DlpuError(
        ErrorCode.NOT_A_MODEL,
        why,
        location=Location(str(path)),
        hint="a report can be made from a bundle that a build wrote",
    )
