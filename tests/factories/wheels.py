"""A package index in a folder: one tiny wheel and the lock that names it."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import zipfile
from typing import TYPE_CHECKING

from dlpubuild.toolchains.pins import ToolchainPin

if TYPE_CHECKING:
    from pathlib import Path

NAME, VERSION = "tinything", "1.2.3"


def write_wheel(folder: Path) -> Path:
    """Write a wheel of one module, `tinything`, whose `ANSWER` is 42."""
    info = f"{NAME}-{VERSION}.dist-info"
    files = {
        f"{NAME}.py": b"ANSWER = 42\n",
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


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def pin_on(folder: Path, wheel: Path | None, *, python: str = "") -> ToolchainPin:
    """Return a pin whose lock, written to `folder`, asks for the content of `wheel`, or for other bytes."""
    sha256 = hashlib.sha256(wheel.read_bytes() if wheel else b"other bytes").hexdigest()
    lock, text = folder / "lock.txt", f"{NAME}=={VERSION} \\\n    --hash=sha256:{sha256}\n"
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
    )


def uv_environ(folder: Path, index: Path | None) -> dict[str, str]:
    """Return variables with which uv finds packages in the folder `index` and nowhere else."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "UV_CACHE_DIR": str(folder / "uv-cache")}
    return {**environ, "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(index)} if index else environ
