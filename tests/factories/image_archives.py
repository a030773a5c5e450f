"""Archives of images as different builders write them: times, order, layout and compression vary, content does not."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member of a layer; `link` makes it a hard link, `target` a symbolic one."""

    name: str
    content: bytes | None = b""
    mode: int = 0o644
    uid: int = 0
    link: str = ""
    target: str = ""
    pax: Mapping[str, str] = field(default_factory=dict)


def layer_bytes(entries: Iterable[Entry], *, mtime: float, owner: str = "") -> bytes:
    """Return a layer with these members, in this order."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.mtime, member.mode, member.uid, member.uname = mtime, entry.mode, entry.uid, owner
            member.pax_headers = dict(entry.pax)
            if entry.link:
                member.type, member.linkname = tarfile.LNKTYPE, entry.link
            elif entry.target:
                member.type, member.linkname = tarfile.SYMTYPE, entry.target
            elif entry.content is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(entry.content)
            archive.addfile(member, io.BytesIO(entry.content) if member.isreg() and entry.content else None)
    return sink.getvalue()


def config_of(layers: Sequence[bytes], **more: Any) -> dict[str, Any]:
    """Return a configuration as BuildKit writes it."""
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/opt/tc/bin:/usr/bin:/bin"],
            "User": "65532:65532",
            "Cmd": ["python"],
            "Labels": {"org.dlpubuild.image": "tf2"},
            "OnBuild": None,
        },
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
        **more,
    }


def docker_archive(path: Path, config: Mapping[str, Any], layers: Sequence[bytes], *, images: int = 1) -> Path:
    """Write what `docker save` of engines before 25 writes: one folder per layer; equal ones are links."""
    with tarfile.open(path, "w") as archive:
        text = json.dumps(config).encode()
        _add(archive, "config.json", text)
        names: dict[bytes, str] = {}
        members = []
        for number, layer in enumerate(layers):
            name = f"{number}/layer.tar"
            if layer in names:
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, f"../{names[layer]}"
                archive.addfile(link)
            else:
                names[layer] = name
                _add(archive, name, layer)
            members.append(name)
        described = [{"Config": "config.json", "RepoTags": ["built:1"], "Layers": members}] * images
        _add(archive, "manifest.json", json.dumps(described).encode())
    return path


def oci_archive(
    path: Path, config: Mapping[str, Any], layers: Sequence[bytes], *, compressed: bool, attested: bool = False
) -> Path:
    """Write an OCI layout; with an attestation, as newer builders add one, below a nested index."""
    with tarfile.open(path, "w") as archive:
        blobs = [gzip.compress(layer, mtime=7) if compressed else layer for layer in layers]
        descriptors = [{"digest": _add_blob(archive, blob), "size": len(blob)} for blob in blobs]
        text = json.dumps(config).encode()
        manifest = {"config": {"digest": _add_blob(archive, text), "size": len(text)}, "layers": descriptors}
        entries: list[dict[str, Any]] = [{"digest": _add_blob(archive, json.dumps(manifest).encode())}]
        if attested:
            entries[0]["platform"] = {"os": "linux", "architecture": "amd64"}
            entries.append({"digest": f"sha256:{'0' * 64}", "platform": {"os": "unknown", "architecture": "unknown"}})
            media_type = "application/vnd.oci.image.index.v1+json"
            inner = _add_blob(archive, json.dumps({"mediaType": media_type, "manifests": entries}).encode())
            entries = [{"digest": inner, "mediaType": media_type}]
        _add(archive, "index.json", json.dumps({"manifests": entries}).encode())
    return path


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _add_blob(archive: tarfile.TarFile, content: bytes) -> str:
    digest = _digest(content)
    _add(archive, f"blobs/{digest.replace(':', '/')}", content)
    return digest


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
