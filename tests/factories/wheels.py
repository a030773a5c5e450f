"""A package index in a folder: one tiny wheel, one tiny source package, and the lock that names them."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

from dlpubuild.toolchains.pins import ToolchainPin

if TYPE_CHECKING:
    from pathlib import Path

NAME, VERSION = "tinything", "1.2.3"


# A source package that the tiny wheel's module builds: PEP 517 wants no more of a build tool than one function.
SOURCE, SOURCE_VERSION = "slowthing", "0.2.2"


def write_wheel(folder: Path) -> Path:
    """Write a wheel of one module, `tinything`, whose `ANSWER` is 42; it also builds `write_source`'s package."""
    info = f"{NAME}-{VERSION}.dist-info"
    files = {
        f"{NAME}.py": b"ANSWER = 42\n" + _BUILD_TOOL,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_record_hash(data)},{len(data)}\n" for path, data in files.items())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


def write_source(folder: Path) -> Path:
    """Write a source package of one module, `slowthing`, whose `ANSWER` is 43; `tinything` builds it."""
    metadata = f"Metadata-Version: 2.1\nName: {SOURCE}\nVersion: {SOURCE_VERSION}\n"
    project = '[build-system]\nrequires = ["tinything"]\nbuild-backend = "tinything"\n'
    path = folder / f"{SOURCE}-{SOURCE_VERSION}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in {"PKG-INFO": metadata, "pyproject.toml": project}.items():
            member = tarfile.TarInfo(f"{SOURCE}-{SOURCE_VERSION}/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


_BUILD_TOOL = b"""
import os, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, info = "slowthing-0.2.2-py3-none-any.whl", "slowthing-0.2.2.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        archive.writestr("slowthing.py", "ANSWER = %d" % (ANSWER + 1))
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: slowthing\\nVersion: 0.2.2\\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(info + "RECORD", "")
    return name
"""


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def pin_on(folder: Path, wheel: Path | None, *, python: str = "", source: Path | None = None) -> ToolchainPin:
    """Return a pin whose lock, written to `folder`, asks for the content of `wheel`, or for other bytes.

    `source` is what `write_source` wrote, and then in the lock, too.
    """
    sha256 = hashlib.sha256(wheel.read_bytes() if wheel else b"other bytes").hexdigest()
    lock, text = folder / "lock.txt", f"{NAME}=={VERSION} \\\n    --hash=sha256:{sha256}\n"
    if source is not None:
        sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
        text = f"{SOURCE}=={SOURCE_VERSION} \\\n    --hash=sha256:{sha256}\n{text}"
    if not lock.exists() or lock.read_text() != text:
        lock.write_text(text)
    return ToolchainPin(
        name="tiny",
        title="a tiny thing",
        python=python or f"{sys.version_info.major}.{sys.version_info.minor}",
        isa="x86-64",
        lock=lock,
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest(),
        environment={},
        source_only=(SOURCE,) if source is not None else (),
    )


def uv_environ(folder: Path, index: Path | None) -> dict[str, str]:
    """Return variables with which uv finds packages in the folder `index` and nowhere else."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "UV_CACHE_DIR": str(folder / "uv-cache")}
    return {**environ, "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(index)} if index else environ
