"""An image made the same by whatever built it: file times, order and dates that do not depend on the build.

In: an archive as `docker save` or an OCI exporter writes it, with one image. Out: an archive of the same files that
`docker load` takes, and the id the image then has. Two builds whose files have the same contents get the same id.
Never runs a program and never looks at what is in a file.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, cast

from dlpubuild.containers.layer import EPOCH_S, write_layer
from dlpubuild.containers.references import qualified
from dlpubuild.errors import ErrorCode, ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_CREATED = "1980-01-01T00:00:00Z"

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BLOCK = 512
_COPY_BYTES = 1 << 20
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_INDEX_TYPES = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
# What these mean is said by the OCI image specification; builders add others, with names and times of theirs.
_CONFIG_KEYS = ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "StopSignal", "User", "Volumes", "WorkingDir")


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalImage:
    """What the written archive holds: the digests of the configuration, which is the image's id, and of each layer."""

    id: str
    layers: tuple[str, ...]


def normalise_image(source: Path, target: Path, *, tags: Sequence[str]) -> NormalImage:
    """Write the image in the archive `source` to `target`, normalised and with these tags alone.

    Members of layers are sorted by path, their times are `EPOCH_S`, users keep their numbers and lose their names. The
    configuration keeps what a container is made from; its dates are `EPOCH_S`, its history is one entry per layer.

    Args:
        source: an archive with `manifest.json` (docker save) or `index.json` (OCI); its layers may be gzipped.
        target: a file that is written; what is left of it after an error is of no use.
        tags: names with tags, `repository:tag`.

    Raises:
        ToolchainError: `source` holds no image, more than one, or is damaged.
        OSError: `target` cannot be written.
    """
    try:
        with tarfile.open(source, "r:") as archive, target.open("w+b") as sink:
            config, layers = _find_image(archive)
            return _write_image(archive, sink, config, layers, tags)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, KeyError, ValueError, TypeError) as error:
        raise _unusable(f"{type(error).__name__}: {error}") from error


def _unusable(what: str) -> ToolchainError:
    return ToolchainError(
        ErrorCode.IMAGE_BUILD,
        f"the engine wrote an image that cannot be read ({what})",
        hint="is there room on its disk? `docker save` of any image must work",
    )


def _find_image(archive: tarfile.TarFile) -> tuple[dict[str, Any], list[str]]:
    """Return the configuration, and the name of each layer's member, lowest first."""
    names = set(archive.getnames())
    if "manifest.json" in names:
        images = _read_json(archive, "manifest.json")
        if len(images) != 1:
            raise _unusable(f"it holds {len(images)} images, and one was expected")
        return _read_json(archive, images[0]["Config"]), list(images[0]["Layers"])
    if "index.json" not in names:
        raise _unusable("it has neither manifest.json nor index.json")
    manifest = _find_manifest(archive, _read_json(archive, "index.json"))
    config = _read_json(archive, _blob(manifest["config"]["digest"]))
    return config, [_blob(layer["digest"]) for layer in manifest["layers"]]


def _find_manifest(archive: tarfile.TarFile, index: Mapping[str, Any]) -> dict[str, Any]:
    """The only manifest below an index; what builders attach to it (attestations) belongs to no platform."""
    found = []
    for entry in index["manifests"]:
        if entry.get("platform", {}).get("os") == "unknown":
            continue
        document = _read_json(archive, _blob(entry["digest"]))
        is_index = entry.get("mediaType", document.get("mediaType")) in _INDEX_TYPES
        found.append(_find_manifest(archive, document) if is_index else document)
    if len(found) != 1:
        raise _unusable(f"it holds {len(found)} images, and one was expected")
    return cast("dict[str, Any]", found[0])


def _blob(digest: str) -> str:
    algorithm, _, name = digest.partition(":")
    return f"blobs/{algorithm}/{name}"


def _read_json(archive: tarfile.TarFile, name: str) -> Any:
    stream = archive.extractfile(name)
    if stream is None:
        raise _unusable(f"{name} is no file")
    return json.loads(stream.read())


def _write_image(
    archive: tarfile.TarFile,
    sink: IO[bytes],
    config: Mapping[str, Any],
    layers: Sequence[str],
    tags: Sequence[str],
) -> NormalImage:
    written: dict[str, tuple[str, int]] = {}
    for name in dict.fromkeys(layers):
        with _opened_layer(archive, name) as layer:
            written[name] = _add_layer(sink, layer, known=[digest for digest, _ in written.values()])
    digests = tuple(written[name][0] for name in layers)
    content = _encode(_normal_config(config, digests))
    config_blob = _add_blob(sink, content)
    descriptors = [
        {"digest": digest, "mediaType": "application/vnd.oci.image.layer.v1.tar", "size": size}
        for digest, size in (written[name] for name in layers)
    ]
    manifest = {
        "config": {
            "digest": config_blob,
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "size": len(content),
        },
        "layers": descriptors,
        "mediaType": _MANIFEST_TYPE,
        "schemaVersion": 2,
    }
    _add_index(sink, _encode(manifest), tags)
    # Engines before 25 read this one and know nothing of the others.
    described = {"Config": _blob(config_blob), "Layers": [_blob(digest) for digest in digests], "RepoTags": list(tags)}
    _add_file(sink, "manifest.json", _encode([described]))
    sink.write(bytes(2 * _BLOCK))
    return NormalImage(id=config_blob, layers=digests)


def _add_index(sink: IO[bytes], manifest: bytes, tags: Sequence[str]) -> None:
    entry = {"digest": _add_blob(sink, manifest), "mediaType": _MANIFEST_TYPE, "size": len(manifest)}
    named = [
        {
            **entry,
            "annotations": {
                "io.containerd.image.name": qualified(tag),
                "org.opencontainers.image.ref.name": tag.rpartition(":")[2],
            },
        }
        for tag in tags
    ]
    index = {"manifests": named or [entry], "mediaType": "application/vnd.oci.image.index.v1+json", "schemaVersion": 2}
    _add_file(sink, "index.json", _encode(index))
    _add_file(sink, "oci-layout", _encode({"imageLayoutVersion": "1.0.0"}))


def _encode(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _normal_config(config: Mapping[str, Any], layers: Sequence[str]) -> dict[str, Any]:
    run = dict(config.get("config") or {})
    # Podman's builder signs with a label of its own, and BuildKit says where containers begin anyway.
    run["Labels"] = {
        name: text for name, text in (run.get("Labels") or {}).items() if not name.startswith("io.buildah.")
    }
    if run.get("WorkingDir") == "/":
        del run["WorkingDir"]
    kept = {name: config[name] for name in ("architecture", "os", "variant") if config.get(name)}
    title = run["Labels"].get("org.dlpubuild.image", "image")
    return {
        **kept,
        "config": {name: run[name] for name in _CONFIG_KEYS if run.get(name)},
        "created": _CREATED,
        # What the builder writes there is worded by each version of it in its own way.
        "history": [{"created": _CREATED, "created_by": f"dlpubuild image build {title}"} for _ in layers],
        "rootfs": {"diff_ids": list(layers), "type": "layers"},
    }


@contextmanager
def _opened_layer(archive: tarfile.TarFile, name: str) -> Iterator[tarfile.TarFile]:
    stream = archive.extractfile(name)
    if stream is None:
        raise _unusable(f"{name} is no file")
    with stream, TemporaryFile() as plain:
        begin = stream.read(len(_ZSTD))
        stream.seek(0)
        if begin == _ZSTD:
            raise _unusable("its layers are compressed with zstd: set the builder to gzip or to no compression")
        if begin.startswith(_GZIP):
            with gzip.open(stream) as unpacked:
                shutil.copyfileobj(unpacked, plain, _COPY_BYTES)
            plain.seek(0)
        with tarfile.open(fileobj=plain if begin.startswith(_GZIP) else stream, mode="r:") as layer:
            yield layer


def _add_layer(sink: IO[bytes], layer: tarfile.TarFile, known: Sequence[str]) -> tuple[str, int]:
    """Add the layer, normalised, as a blob unless it is a known one; return its digest and size."""
    # Neither name nor size is known before: the header is written last.
    begin = sink.tell()
    sink.write(bytes(_BLOCK))
    digest, size = write_layer(layer, sink)
    if digest in known:
        sink.seek(begin)
        sink.truncate()
        return digest, size
    sink.write(bytes(-size % _BLOCK))
    end = sink.tell()
    sink.seek(begin)
    sink.write(_header(_blob(digest), size))
    sink.seek(end)
    return digest, size


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, EPOCH_S
    # The one format with sizes of more than 8 GiB in a single block.
    return member.tobuf(tarfile.GNU_FORMAT)


def _add_blob(sink: IO[bytes], content: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    _add_file(sink, _blob(digest), content)
    return digest


def _add_file(sink: IO[bytes], name: str, content: bytes) -> None:
    sink.write(_header(name, len(content)))
    sink.write(content)
    sink.write(bytes(-len(content) % _BLOCK))
