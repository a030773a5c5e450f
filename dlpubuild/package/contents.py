"""The models inside a package.

In: the path of a bundle's folder, of its archive, or of an `.eap`. Out: the bytes of each model in it, the one that the
camera loads first. Nothing is unpacked to disk.
"""

from __future__ import annotations

import tarfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from dlpubuild.errors import DlpuError, ErrorCode, Location
from dlpubuild.package.eap import contents as eap
from dlpubuild.package.kinds import MAX_MODEL_BYTES, MAX_UNPACKED_BYTES, refuse_special
from dlpubuild.package.spec import MODEL_FOLDER, UNCOMPILED_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SUFFIXES = (".tflite", ".bin")
_MAX_MEMBERS = 100_000
_MAX_MODELS = 16


class PackagedModel(NamedTuple):
    """A model in a package: where it lies there, and its bytes."""

    member: str
    content: bytes


def read_packaged_models(path: Path) -> tuple[PackagedModel, ...]:
    """Return the models in a bundle's folder, a bundle's archive or an `.eap`; there is at least one.

    Raises:
        DlpuError: there is no such file, or no model in it.
    """
    refuse_special(path)
    if path.is_dir():
        found = _in_folder(path)
    elif path.name.endswith(eap.SUFFIX):
        contents = eap.read_eap(path)
        names = contents.models[:_MAX_MODELS]
        claimed = sum(each.size_bytes for each in contents.entries if each.path in names)
        if claimed > MAX_MODEL_BYTES:
            raise no_model(path, f"its models claim to be {claimed} bytes long")
        found = [PackagedModel(name, eap.read_eap_file(path, name)) for name in names]
    else:
        found = _in_archive(path)
    if not found:
        what = "folder" if path.is_dir() else "archive"
        raise no_model(path, f"the {what} has no {MODEL_FOLDER}/*.tflite and no {MODEL_FOLDER}/*.bin")
    return tuple(_sorted(found))


def _sorted(found: Iterable[PackagedModel]) -> list[PackagedModel]:
    return sorted(found, key=lambda each: (PurePosixPath(each.member).name == UNCOMPILED_FILE, each.member))


def _is_model(name: str) -> bool:
    return name.endswith(_SUFFIXES) and PurePosixPath(name).parent.name == MODEL_FOLDER


def _in_folder(path: Path) -> list[PackagedModel]:
    try:
        named = (each for each in (path / MODEL_FOLDER).glob("*") if each.name.endswith(_SUFFIXES))
        files = sorted(each for each in named if each.is_file())[:_MAX_MODELS]
        size = sum(each.stat().st_size for each in files)
        if size > MAX_MODEL_BYTES:
            raise no_model(path, f"its models are {size} bytes long")
        return [PackagedModel(f"{MODEL_FOLDER}/{each.name}", each.read_bytes()) for each in files]
    except OSError as error:
        raise no_model(path, f"it cannot be read: {error.strerror or error}") from error


def _in_archive(path: Path) -> list[PackagedModel]:
    found: list[PackagedModel] = []
    left = MAX_MODEL_BYTES
    try:
        with tarfile.open(path, "r:gz") as archive:
            for number, member in enumerate(archive):
                if number >= _MAX_MEMBERS or len(found) >= _MAX_MODELS:
                    break
                if not member.isfile() or not _is_model(member.name):
                    if member.offset_data + member.size > MAX_UNPACKED_BYTES:
                        raise no_model(path, f"it unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB")
                    continue
                left -= member.size
                if left < 0:
                    raise no_model(path, f"its models claim to be {MAX_MODEL_BYTES - left} bytes long")
                stream = archive.extractfile(member)
                if stream is not None:
                    name = f"{MODEL_FOLDER}/{PurePosixPath(member.name).name}"
                    found.append(PackagedModel(name, stream.read()))
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise no_model(path, f"it is not a readable archive ({error})") from error
    except OSError as error:
        raise no_model(path, f"it cannot be read: {error.strerror or error}") from error
    return found


def no_model(path: Path, why: str) -> DlpuError:
    """Return the error for a file at `path` that `inspect` cannot show."""
    return DlpuError(
        ErrorCode.NOT_A_MODEL,
        why,
        location=Location(str(path)),
        hint="inspect takes a model file, or a bundle or an .eap that a build wrote",
    )
