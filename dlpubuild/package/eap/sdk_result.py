"""The `.eap` that Axis' acap-build left: looked at, then put where packages go under the name that the tool gives it.

In: a request and the file that the step made. Out: a `WrittenEap`, and what is worth knowing. Of what acap-build packs
itself nothing is expected but that it is there; the model, the labels and the names in the manifest have to be those of
the build. An archive is not unpacked to disk.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import tarfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

from dlpubuild.cas.digest import digest_stream
from dlpubuild.errors import DlpuError, ErrorCode, StepFailedError
from dlpubuild.package.eap.acap_manifest import MANIFEST
from dlpubuild.package.eap.conf_files import PACKAGE_CONF, PARAM_CONF
from dlpubuild.package.eap.contents import read_eap
from dlpubuild.package.eap.stamp import EAP_WRITER_VERSION, eap_of_key
from dlpubuild.package.eap.write import place_eap
from dlpubuild.package.model_json import LABELS
from dlpubuild.package.readme import LICENSE
from dlpubuild.project.app_folder import ELF_HEADER_BYTES, elf_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.store import Store
    from dlpubuild.package.eap.contents import EapContents
    from dlpubuild.package.eap.members import EapContent
    from dlpubuild.package.eap.request import EapRequest
    from dlpubuild.package.eap.stamp import WrittenEap

_CHUNK_BYTES = 1 << 20
_SHOWN = 5


def placed_eap(
    request: EapRequest,
    content: EapContent,
    made: Digest,
    store: Store,
    out_dir: Path,
    digest_of: Callable[[Path], Digest],
) -> tuple[WrittenEap, bool, tuple[str, ...]]:
    """Return the `.eap` in `out_dir`, whether it had to be written, and notes of a sentence each.

    Args:
        request: what acap-build was to pack.
        content: what the tool itself would have packed.
        made: what acap-build left.
        store: has it.
        out_dir: the output folder; it need not exist.
        digest_of: gives the digest of a file, and raises OSError where it cannot be read.

    Raises:
        StepFailedError: `ACAP_BUILD`: it is not what it has to be.
        BlobMissingError: it is not in the store, or was damaged there.
        OutputError: `out_dir` cannot be written.
    """
    package = request.package
    key = _key(made, content.file_name)
    there = eap_of_key(key, out_dir, package.base_name, digest_of)
    if there is not None:
        return there, False, ()
    notes: list[str] = []

    def copied(target: Path) -> Digest:
        with store.open_verified(made) as source, target.open("xb") as stream:
            shutil.copyfileobj(source, stream, _CHUNK_BYTES)
            os.fsync(stream.fileno())
        notes.extend(_looked_at(request, content, target))
        return made

    eap = place_eap(key, out_dir / content.file_name, package.base_name, copied)
    return eap, True, tuple(notes)


def _key(digest: Digest, file_name: str) -> str:
    document = {"writer": EAP_WRITER_VERSION, "acap-build": str(digest), "file": file_name}
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _looked_at(request: EapRequest, content: EapContent, path: Path) -> tuple[str, ...]:
    soc = request.package.soc.name
    try:
        found = read_eap(path)
        with gzip.open(path) as stream:
            # Up to the checksum at the end, which no reader of the tar asks for.
            while stream.read(_CHUNK_BYTES):
                pass
    except DlpuError as error:
        raise _refused(soc, [f"it left something that is no .eap: {error.message}"]) from error
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(soc, [f"it left an .eap that is cut or damaged: {error}"]) from error
    faults = [*_missing(request, content, found), *_other_manifest(content, found)]
    if not faults:
        faults = list(_other_files(request, path))
    if faults:
        raise _refused(soc, faults)
    return tuple(f"acap-build {text}" for text in _odd(request, content, found))


def _missing(request: EapRequest, content: EapContent, found: EapContents) -> Iterator[str]:
    files = {each.path for each in found.entries if each.kind == "file"}
    name = content.names[0] if request.sdk is None or not request.sdk.makes_files else _app_name(found)
    expected = [name, PACKAGE_CONF, LICENSE, MANIFEST, request.package.model_member]
    expected += [LABELS] if request.package.labels is not None else []
    lacks = [each for each in expected if each not in files]
    if lacks:
        yield f"its .eap lacks {', '.join(lacks)}"
    outside = [each.path for each in found.entries if each.path.startswith("/") or ".." in each.path.split("/")]
    if outside:
        yield f"its .eap has names that leave the application: {', '.join(outside[:_SHOWN])}"


def _app_name(found: EapContents) -> str:
    return (found.manifest.app_name if found.manifest is not None else None) or ""


def _other_manifest(content: EapContent, found: EapContents) -> Iterator[str]:
    """The file's name is made of what the manifest says, so that has to be what was asked for."""
    from dlpubuild.package.eap.members import eap_file_name  # noqa: PLC0415 - a build with nothing to do needs none

    if found.manifest is None:
        yield f"its {MANIFEST} cannot be read"
        return
    name = eap_file_name(found.manifest, found.package_conf.get("APPTYPE", ""))
    if name != content.file_name:
        yield f'its {MANIFEST} is that of "{name}", not of "{content.file_name}"'


def _other_files(request: EapRequest, path: Path) -> Iterator[str]:
    package = request.package
    labels = None if package.labels is None else "".join(f"{label}\n" for label in package.labels).encode()
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            machine = elf_machine(stream.read(ELF_HEADER_BYTES))
            stream.seek(0)
            if machine not in (None, package.soc.architecture):
                yield f"the {name} in its .eap is built for {machine}, not for {package.soc.architecture}"
            if name == package.model_member and digest_stream(cast("BinaryIO", stream)) != package.model_digest:
                yield f"the {name} in its .eap is not the one that was built"
            elif name == LABELS and labels is not None and stream.read(len(labels) + 1) != labels:
                yield f"the {name} in its .eap is not the project's"


def _odd(request: EapRequest, content: EapContent, found: EapContents) -> Iterator[str]:
    """What differs from what is documented of acap-build; nobody but Axis can say whether that is wrong."""
    paths = [each.path for each in found.entries]
    if request.sdk is not None and request.sdk.add is None and not request.sdk.makes_files:
        expected = [each.path for each in content.entries]
        more, less = sorted(set(paths) - set(expected)), sorted(set(expected) - set(paths))
        if more:
            yield f"packed more than was expected: {_listed(more)}"
        if less:
            yield f"did not pack {_listed(less)}"
    first = [_app_name(found), PACKAGE_CONF, PARAM_CONF, LICENSE, MANIFEST]
    if [path for path in paths if path in first] != [path for path in first if path in paths]:
        yield f"packed in another order than is documented: {_listed(paths)}"


def _listed(paths: Sequence[str]) -> str:
    more = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _refused(soc: str, faults: Sequence[str]) -> StepFailedError:
    return StepFailedError(
        ErrorCode.ACAP_BUILD,
        f"{soc}: acap-build ended well, but {'; '.join(faults)}",
        hint="look at the step's log, and at what the application's Makefile does: it has to compile with $(CC), and "
        "to leave model and labels alone; or remove [package.acap.sdk-image], and the tool packs the .eap itself",
    )
