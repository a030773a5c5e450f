"""What is in an `.eap`, read without unpacking it: of this tool or of any other.

In: the path of an `.eap`. Out: an `EapContents` with its entries, its manifest and its `package.conf`; one of its files
on demand. An archive may be hostile: sizes are looked at before anything is read, and nothing is written to disk.
"""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError, ErrorCode, Location
from dlpubuild.package.eap.acap_manifest import MANIFEST
from dlpubuild.package.eap.conf_files import PACKAGE_CONF, parse_package_conf
from dlpubuild.package.eap.read_manifest import parse_manifest
from dlpubuild.package.kinds import EAP, MAX_MODEL_BYTES, MAX_UNPACKED_BYTES, refuse_special

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.package.eap.acap_manifest import AcapManifest

SUFFIX = EAP
_MODEL_SUFFIXES = (".tflite", ".bin")
_MODEL_FOLDER = "model"
_MAX_TEXT_BYTES = 1 << 20
_MAX_ENTRIES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EapEntry:
    """One entry, as `tar tvzf` shows it: `kind` is `file`, `folder`, `link` or `other`."""

    path: str
    kind: str
    mode: int
    size_bytes: int
    mtime_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EapContents:
    """An `.eap`: its entries in order, and what its manifest and its `package.conf` say, where they can be read.

    `models` are the paths of what look like models: those in `model/` first, then by path.
    """

    path: Path
    entries: tuple[EapEntry, ...]
    manifest: AcapManifest | None
    package_conf: Mapping[str, str]

    @property
    def models(self) -> tuple[str, ...]:
        """Paths of the models in it."""
        found = [each.path for each in self.entries if each.kind == "file" and each.path.endswith(_MODEL_SUFFIXES)]
        return tuple(sorted(found, key=lambda path: (not path.startswith(f"{_MODEL_FOLDER}/"), path)))


def read_eap(path: Path) -> EapContents:
    """Return what is in the `.eap` at `path`.

    Raises:
        DlpuError: it cannot be read, or is no gzip'd tar.
    """
    refuse_special(path)
    entries: list[EapEntry] = []
    texts: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if len(entries) >= _MAX_ENTRIES:
                    raise _unreadable(path, f"it claims more than {_MAX_ENTRIES} entries")
                if member.offset_data + member.size > MAX_UNPACKED_BYTES:
                    raise _unreadable(path, f"it unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB")
                name = member.name.removeprefix("./")
                entries.append(_entry(member, name))
                if name in (MANIFEST, PACKAGE_CONF) and member.isfile() and member.size <= _MAX_TEXT_BYTES:
                    stream = archive.extractfile(member)
                    texts[name] = stream.read() if stream is not None else b""
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise _unreadable(path, f"it is not a readable archive ({error})") from error
    except OSError as error:
        raise _unreadable(path, f"it cannot be read: {error.strerror or error}") from error
    manifest = parse_manifest(texts[MANIFEST])[0] if MANIFEST in texts else None
    return EapContents(
        path=path,
        entries=tuple(entries),
        manifest=manifest,
        package_conf=parse_package_conf(texts.get(PACKAGE_CONF, b""))[0],
    )


def read_eap_file(path: Path, name: str) -> bytes:
    """Return the file `name` of the `.eap` at `path`.

    Raises:
        DlpuError: it cannot be read, has no such file, or one that is larger than any model.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if member.isfile() and member.name.removeprefix("./") == name:
                    if member.size > MAX_MODEL_BYTES:
                        raise _unreadable(path, f"{name} claims to be {member.size} bytes long")
                    stream = archive.extractfile(member)
                    return stream.read() if stream is not None else b""
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise _unreadable(path, f"it is not a readable archive ({error})") from error
    except OSError as error:
        raise _unreadable(path, f"it cannot be read: {error.strerror or error}") from error
    raise _unreadable(path, f"it has no {name}")


def _entry(member: tarfile.TarInfo, name: str) -> EapEntry:
    kinds = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link"}
    return EapEntry(
        path=name,
        kind=kinds.get(member.type, "other"),
        mode=member.mode & 0o7777,
        size_bytes=member.size,
        mtime_s=int(member.mtime),
    )


def _unreadable(path: Path, why: str) -> DlpuError:
    return DlpuError(
        ErrorCode.NOT_A_MODEL,
        why,
        location=Location(str(path)),
        hint="an .eap is a gzip'd tar that acap-build or a build wrote",
    )
