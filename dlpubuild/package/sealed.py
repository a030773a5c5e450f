"""A package that is held against its own checksums.

In: the path of a bundle's folder, of its archive, or of an `.eap`. Out: a `SealedPackage`, the models in it and what
its `model.json` says; or an error that names each file which is not what the package says it is. Nothing is unpacked
to disk. An `.eap` has no checksums in it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import zlib
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from dlpubuild.cas.digest import CHUNK_BYTES, digest_bytes
from dlpubuild.errors import DlpuError, ErrorCode, Location, OutOfDateError
from dlpubuild.manifest.wording import counted
from dlpubuild.package.contents import read_packaged_models
from dlpubuild.package.kinds import MAX_UNPACKED_BYTES, is_package, refuse_special
from dlpubuild.package.members import SUMS_NAME
from dlpubuild.package.model_json import MODEL_JSON
from dlpubuild.package.spec import MODEL_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import IO

_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_SOC = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MODEL_SUFFIXES = (".tflite", ".bin")
_MAX_KEPT_BYTES = 1 << 30
_MAX_TEXT_BYTES = 16 << 20
_MAX_FILES = 10_000
_MAX_ENTRIES = 20_000
_TOO_LARGE = f"it has more than {MAX_UNPACKED_BYTES >> 30} GiB"
_FAULTS_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPackage:
    """What is in a package: `models` by their paths, and `document`, its `model.json`, None of an `.eap`.

    `has_checksums` says whether there was something to hold its files against.
    """

    path: Path
    models: Mapping[str, bytes]
    document: Mapping[str, Any] | None
    has_checksums: bool

    @property
    def soc(self) -> str | None:
        """The SoC that it says it is for."""
        return None if self.document is None else str(self.document["soc"]["name"])

    @property
    def loaded(self) -> str:
        """The path of the model that the camera loads."""
        return next(iter(self.models)) if self.document is None else str(self.document["model"]["file"])

    @property
    def uncompiled(self) -> str | None:
        """The path of what that was compiled from, where the package has it."""
        uncompiled = None if self.document is None else self.document["model"]["uncompiled"]
        return None if uncompiled is None else str(uncompiled["file"])


def open_sealed(path: Path) -> SealedPackage:
    """Return the package at `path`, all of whose files are what its checksums say.

    Raises:
        OutOfDateError: `LOCK_MISMATCH`: a file is not what the package says, is missing, or is not named there.
        DlpuError: it cannot be read, or is no package.
    """
    if not path.exists():
        raise _no_package(path, "there is no such file")
    if not is_package(path):
        raise _no_package(path, "it is neither a bundle (.tar.gz or its folder) nor an .eap")
    refuse_special(path)
    if not path.is_dir() and path.name.endswith(".eap"):
        models = {each.member: each.content for each in read_packaged_models(path)}
        return SealedPackage(path=path, models=models, document=None, has_checksums=False)
    try:
        found = _Found.of(_folder(path) if path.is_dir() else _archive(path))
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise _no_package(path, f"it is not a readable {'folder' if path.is_dir() else 'archive'} ({error})") from error
    except OSError as error:
        raise _no_package(path, f"it cannot be read: {error.strerror or error}") from error
    if not {SUMS_NAME, MODEL_JSON} & found.sums.keys():
        raise _no_package(path, f"it has neither {SUMS_NAME} nor {MODEL_JSON}, so it is no bundle")
    faults = list(found.faults())
    if faults:
        listed = "".join(f"\n    {_plain(each)}" for each in faults[:_FAULTS_SHOWN])
        more = f"\n    and {counted(len(faults) - _FAULTS_SHOWN, 'more file')}" if len(faults) > _FAULTS_SHOWN else ""
        raise OutOfDateError(
            ErrorCode.LOCK_MISMATCH,
            f"the package is not what was built:{listed}{more}",
            location=Location(str(path)),
            hint="build it again, or get it anew from where it came from",
        )
    models = {name: found.kept[name] for name in sorted(found.kept) if name.endswith(_MODEL_SUFFIXES)}
    return SealedPackage(path=path, models=models, document=_document(path, found, models), has_checksums=True)


def _plain(text: str) -> str:
    """Names in a package of unknown origin, so that they cannot steer a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _no_package(path: Path, why: str) -> DlpuError:
    return DlpuError(
        ErrorCode.NOT_A_MODEL,
        why,
        location=Location(str(path)),
        hint="verify takes a bundle or an .eap that a build wrote",
    )


def _document(path: Path, found: _Found, models: Mapping[str, bytes]) -> Mapping[str, Any]:
    """Return `model.json`, as far as it is used here checked; the checksums hold, so a wrong one was built so."""
    try:
        document: dict[str, Any] = json.loads(found.kept[MODEL_JSON])
        model = document["model"]
        for each in (model, model["uncompiled"]):
            if each is not None and digest_bytes(models[each["file"]]).hash != each["sha256"]:
                raise ValueError(f"{each['file']} has another sha256 there")  # noqa: TRY301 - told with all others
        if not _SOC.fullmatch(document["soc"]["name"]):
            raise ValueError("its SoC is not named as one")  # noqa: TRY301 - as above
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DlpuError(
            ErrorCode.NOT_A_MODEL,
            f"its {MODEL_JSON} is not what a build writes: {_plain(str(error))}",
            location=Location(str(path)),
            hint="give a bundle that dlpubuild build made",
        ) from error
    return document


def _folder(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    # Of a folder that somebody named by mistake nothing is read.
    if not any((path / name).is_file() for name in (SUMS_NAME, MODEL_JSON)):
        return
    files = list(islice(path.rglob("*"), _MAX_ENTRIES + 1))
    if len(files) > _MAX_ENTRIES:
        raise ValueError(f"it has more than {_MAX_ENTRIES} entries")
    left = MAX_UNPACKED_BYTES
    for file in sorted(files):
        name = file.relative_to(path).as_posix()
        if file.is_symlink():
            yield name, None
        elif file.is_file():
            left -= file.stat().st_size
            if left < 0:
                raise ValueError(_TOO_LARGE)
            with file.open("rb") as stream:
                yield name, stream


def _archive(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if member.offset_data + member.size > MAX_UNPACKED_BYTES:
                raise ValueError(_TOO_LARGE)
            if not member.isdir():
                # All lies below one folder.
                name = member.name.partition("/")[2] or member.name
                stream = archive.extractfile(member) if member.isfile() else None
                yield name, stream


@dataclass(frozen=True, slots=True)
class _Found:
    """The files of a bundle: the sha256 of each, None of what is no file, and the content of those that are needed."""

    sums: Mapping[str, str | None]
    kept: Mapping[str, bytes]
    twice: tuple[str, ...]

    @classmethod
    def of(cls, files: Iterator[tuple[str, IO[bytes] | None]]) -> _Found:
        sums: dict[str, str | None] = {}
        kept: dict[str, bytes] = {}
        twice: list[str] = []
        for name, stream in files:
            if len(sums) > _MAX_FILES:
                raise ValueError(f"it has more than {_MAX_FILES} files")
            if name in sums:
                twice.append(name)
            limit = _limit(name)
            if stream is None:
                sums[name] = None
            elif limit is None:
                sha = hashlib.sha256()
                while chunk := stream.read(CHUNK_BYTES):
                    sha.update(chunk)
                sums[name] = sha.hexdigest()
            else:
                kept[name] = _read(name, stream, limit)
                sums[name] = digest_bytes(kept[name]).hash
        return cls(sums, kept, tuple(twice))

    def faults(self) -> Iterator[str]:
        if SUMS_NAME not in self.kept:
            yield f"{SUMS_NAME}: is missing, so nothing says what its files have to be"
            return
        listed: dict[str, str] = {}
        for line in self.kept[SUMS_NAME].decode("utf-8", "replace").splitlines():
            match = _SUM_LINE.fullmatch(line)
            if match is None:
                yield f"{SUMS_NAME}: has a line that is none of its kind"
                return
            listed[match[2]] = match[1]
        yield from (f"{name}: is there twice" for name in self.twice)
        for name in sorted(listed.keys() | self.sums.keys() - {SUMS_NAME}):
            if name not in self.sums:
                yield f"{name}: is missing"
            elif name not in listed:
                yield f"{name}: is not in {SUMS_NAME}"
            elif self.sums[name] != listed[name]:
                found = self.sums[name]
                told = (
                    "it is no plain file"
                    if found is None
                    else f"sha256 {found[:12]}..., expected {listed[name][:12]}..."
                )
                yield f"{name}: {told}"


def _limit(name: str) -> int | None:
    """Return how large a file may be whose content is needed; None of others."""
    if name in (SUMS_NAME, MODEL_JSON):
        return _MAX_TEXT_BYTES
    return _MAX_KEPT_BYTES if name.startswith(f"{MODEL_FOLDER}/") and name.endswith(_MODEL_SUFFIXES) else None


def _read(name: str, stream: IO[bytes], limit: int) -> bytes:
    parts, size = [], 0
    while chunk := stream.read(CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise ValueError(f"{name} has more than {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)
