"""The model inside a package, or a model file itself.

In: the path of a `.tflite`, of a bundle's folder, of its archive, or of an `.eap`. Out: the model. Nothing is unpacked
to disk.
"""

from __future__ import annotations

import tarfile
import zlib
from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError, ErrorCode, Location
from dlpubuild.package.eap import contents as eap
from dlpubuild.tflite.read import read_file, read_model

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.tflite.model import TfliteModel

_MODEL = "model/model.tflite"
# A model larger than this is not one that any camera loads; a hostile archive may claim anything.
_MAX_MODEL_BYTES = 1 << 30


def read_packaged_model(path: Path) -> TfliteModel:
    """Return the model of a `.tflite` file, a bundle's folder, or a bundle's archive.

    Raises:
        DlpuError: there is no such file, or no model in it.
    """
    if path.is_dir():
        if (path / _MODEL).is_file():
            return read_file(path / _MODEL)
        raise _no_model(path, f"the folder has no {_MODEL}")
    if path.name.endswith((".tar.gz", ".tgz")):
        return read_model(_member(path))
    if path.name.endswith(eap.SUFFIX):
        return read_model(eap.read_eap_file(path, _model_of(path)))
    return read_file(path)


def _model_of(path: Path) -> str:
    models = [name for name in eap.read_eap(path).models if name.endswith(".tflite")]
    if not models:
        raise _no_model(path, "the .eap has no .tflite")
    return models[0]


def _member(path: Path) -> bytes:
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(f"/{_MODEL}"):
                    if member.size > _MAX_MODEL_BYTES:
                        raise _no_model(path, f"its model claims to be {member.size} bytes long")
                    stream = archive.extractfile(member)
                    if stream is not None:
                        return stream.read()
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise _no_model(path, f"it is not a readable archive ({error})") from error
    except OSError as error:
        raise _no_model(path, f"it cannot be read: {error.strerror or error}") from error
    raise _no_model(path, f"the archive has no {_MODEL}")


def _no_model(path: Path, why: str) -> DlpuError:
    return DlpuError(
        ErrorCode.NOT_A_MODEL,
        why,
        location=Location(str(path)),
        hint="inspect takes a .tflite file, or a bundle or an .eap that a build wrote",
    )
