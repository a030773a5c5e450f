"""The stand-in for Axis' SDK: as a folder for a step on this machine, and as an image for an engine."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

DOUBLE = Path(__file__).resolve().parents[1] / "doubles" / "acap_sdk"
IN_IMAGE = "opt/axis/acapsdk"
REPOSITORY = "dlpubuild-test/acap-sdk"
# The name that the real script has, what it says of the architecture, the compiler's prefix, and its ELF machine.
_ARCHITECTURES = {
    "aarch64": ("cortexa53-crypto-poky-linux", "aarch64", "aarch64", "\\267"),
    "armv7hf": ("cortexa9hf-neon-poky-linux-gnueabi", "arm", "armv7hf", "\\050"),
}


def sdk_files(architecture: str, sdk: str, **config: Any) -> Iterator[tuple[str, bytes, int]]:
    """Yield path below the SDK, content and mode of each file; `sdk` is where it will lie."""
    suffix, target, name, machine = _ARCHITECTURES[architecture]
    tools, programs = "axis-acap-manifest-tools/manifest-generator", "sysroots/x86_64-pokysdk-linux/usr/bin"

    def filled(source: str) -> bytes:
        text = (DOUBLE / source).read_text(encoding="utf-8")
        for mark, value in (("@SDK@", sdk), ("@ARCH@", target), ("@NAME@", name), ("@MACHINE@", machine)):
            text = text.replace(mark, value)
        return text.encode()

    yield f"environment-setup-{suffix}", filled("environment-setup"), 0o644
    yield f"{tools}/acap-build", (DOUBLE / "acap-build").read_bytes(), 0o755
    yield f"{tools}/acap-build.json", json.dumps(config).encode(), 0o644
    yield f"{programs}/{name}-poky-linux-gcc", filled("gcc"), 0o755


def put_sdk(folder: Path, architecture: str = "aarch64", **config: Any) -> Path:
    """Write the SDK for one architecture to `folder`, which may hold another; return the folder."""
    for path, content, mode in sdk_files(architecture, str(folder), **config):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(mode)
    return folder


def sdk_image(client: DockerClient, base: str, architecture: str = "aarch64", **config: Any) -> str:
    """Return the id of an image with the SDK on `base`, which has Python, GNU tar and gzip; made where it is missing.

    The base has no make, so this machine's is put in, which must be of the same distribution.
    """
    layer = _layer(architecture, config)
    tag = hashlib.sha256(f"{client.images.get(base).id} {hashlib.sha256(layer).hexdigest()}".encode()).hexdigest()[:16]
    found = client.images.list(name=f"{REPOSITORY}:{tag}")
    if found:
        return str(found[0].id)
    container = client.containers.create(base, ["true"])
    try:
        container.put_archive("/", layer)
        return str(container.commit(REPOSITORY, tag).id)
    finally:
        container.remove()


def _layer(architecture: str, config: dict[str, Any]) -> bytes:
    own = sdk_files(architecture, f"/{IN_IMAGE}", **config)
    files = [(f"{IN_IMAGE}/{path}", content, mode) for path, content, mode in own]
    make = shutil.which("make")
    if make is not None:
        files.append(("usr/bin/make", Path(make).read_bytes(), 0o755))
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content, mode in files:
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
        # As in the SDK's own images.
        link = tarfile.TarInfo("usr/bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, "python3"
        archive.addfile(link)
    return target.getvalue()
