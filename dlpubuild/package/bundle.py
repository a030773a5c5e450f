"""The bundle: the folder and the `.tar.gz` that a build leaves for one SoC.

In: a `BundleSpec`. Out: its members, as a pure function, and a `WrittenPackage` once they are on disk. The same
spec gives the same bytes on every machine. Further files of a package (a bill of materials) are further
members; further formats are written from the same members.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from dlpubuild.package import output_folder
from dlpubuild.package.acap_fragment import FRAGMENT, manifest_fragment
from dlpubuild.package.archive import write_tar_gz
from dlpubuild.package.members import Member, made_member, read_chunks, with_checksums
from dlpubuild.package.model_json import LABELS, MODEL_JSON, model_json
from dlpubuild.package.params_header import PARAMS_HEADER, params_header
from dlpubuild.package.readme import LICENSE, README, license_file, readme
from dlpubuild.package.spec import bundle_key
from dlpubuild.package.stamp import (
    ARCHIVE_SUFFIX,
    WrittenPackage,
    encode_stamp,
    stamp_path,
    written_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.package.spec import BundleSpec


def bundle_members(spec: BundleSpec) -> tuple[Member, ...]:
    """Return the files of the bundle in order, `SHA256SUMS` among them; nothing is read or written.

    Raises:
        GateError: the preprocessing does not fit the model's inputs.
    """
    request = spec.request
    members = [
        Member(path=request.model_member, content=request.model_path, digest=request.model_digest),
        made_member(PARAMS_HEADER, params_header(spec)),
        made_member(MODEL_JSON, model_json(spec)),
        made_member(FRAGMENT, manifest_fragment(request)),
        made_member(LICENSE, license_file(request)),
        made_member(README, readme(spec)),
    ]
    if request.compiled is not None:
        source = request.compiled
        members.append(Member(path=request.uncompiled_member, content=source.source_path, digest=source.source_digest))
    if request.labels is not None:
        members.append(made_member(LABELS, "".join(f"{label}\n" for label in request.labels).encode()))
    return with_checksums(members)


def write_bundle(spec: BundleSpec, out_dir: Path) -> WrittenPackage:
    """Write the folder and the archive of `spec` to `out_dir`, each under a temporary name first.

    What was there before is replaced, if a build made it. The model is streamed and checked against its digest.

    Raises:
        GateError: the preprocessing does not fit the model's inputs.
        OutputError: `out_dir` cannot be written, or something there was not made by a build.
        BlobMissingError: the model's file is gone.
        StoreError: it cannot be read or is not what its digest says.
    """
    members = bundle_members(spec)
    base = spec.request.base_name
    with output_folder.writable(out_dir), _discarding(out_dir, base):
        output_folder.require_replaceable(out_dir / base)
        new = output_folder.temporary(out_dir, base, output_folder.NEW)
        archive = output_folder.temporary(out_dir, base, output_folder.ARCHIVE)
        written = _write_folder(new, members)
        archive_digest = _write_archive(archive, base, written, mtime_s=spec.request.epoch_s)
        package = WrittenPackage(
            key=bundle_key(spec.request),
            folder=out_dir / base,
            archive=out_dir / f"{base}{ARCHIVE_SUFFIX}",
            archive_digest=archive_digest,
            files=written_files(members),
        )
        output_folder.replace_folder(out_dir, base)
        output_folder.replace_file(archive, package.archive)
        _write_stamp(package, out_dir, base)
        output_folder.flush_folder(out_dir)
    return package


@contextmanager
def _discarding(out_dir: Path, base: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # Ctrl-C included: what is half-written must not stay.
        output_folder.discard(out_dir, base)
        raise


def _write_folder(folder: Path, members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Write `members` below the new `folder` and return them as they lie there."""
    folder.mkdir()
    placed = []
    for member in members:
        path = folder / member.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with _flushed(path) as target:
            for chunk in read_chunks(member):
                target.write(chunk)
        if member.executable:
            path.chmod(path.stat().st_mode | 0o111)
        # From here on our own copy is read: the store may drop its blob meanwhile.
        placed.append(member if isinstance(member.content, bytes) else replace(member, content=path))
    for changed in sorted({folder, *((folder / member.path).parent for member in members)}):
        output_folder.flush_folder(changed)
    return tuple(placed)


def _write_archive(archive: Path, top: str, members: tuple[Member, ...], *, mtime_s: int) -> Digest:
    with _flushed(archive) as target:
        return write_tar_gz(target, top, members, mtime_s=mtime_s)


def _write_stamp(package: WrittenPackage, out_dir: Path, base: str) -> None:
    temporary = output_folder.temporary(out_dir, base, output_folder.STAMP)
    with _flushed(temporary) as target:
        target.write(encode_stamp(package))
    output_folder.replace_file(temporary, stamp_path(out_dir, base))


@contextmanager
def _flushed(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for writing; once it is left, its content survives a power failure."""
    with path.open("wb") as target:
        yield target
        target.flush()
        os.fsync(target.fileno())
