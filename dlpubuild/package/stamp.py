"""What a build left in its output folder, so that the next one can tell that nothing is to be written.

In: a request and the digests of the files that lie there. Out: the `WrittenPackage`, if those files are what
the request leads to. The stamp is a small JSON file beside the package: the request's key and the digest of
each file. It is the same wherever it is written. No file of a package is opened here; the caller gives
digests, usually from a memo that looks at file times.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.cas.digest import parse_digest
from dlpubuild.package.spec import bundle_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.package.members import Member
    from dlpubuild.package.spec import PackageRequest

ARCHIVE_SUFFIX = ".tar.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """One file of a package; `path` is relative to its folder."""

    path: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPackage:
    """A package on disk: the folder, the archive made of it, and what both hold, sorted by path.

    `key` is the `bundle_key` of the request it was made for.
    """

    key: str
    folder: Path
    archive: Path
    archive_digest: Digest
    files: tuple[WrittenFile, ...]

    @property
    def size_bytes(self) -> int:
        """The size of the archive."""
        return self.archive_digest.size_bytes


def written_files(members: Iterable[Member]) -> tuple[WrittenFile, ...]:
    """Return what `members` are once they are written, sorted by path."""
    files = (WrittenFile(path=member.path, digest=member.digest) for member in members)
    return tuple(sorted(files, key=lambda file: file.path))


def stamp_path(out_dir: Path, base: str) -> Path:
    """Return where the stamp of package `base` lies."""
    return out_dir / f".{base}.stamp.json"


def encode_stamp(package: WrittenPackage) -> bytes:
    """Return the stamp of a package."""
    document = {
        "schema": 1,
        "key": package.key,
        "archive": str(package.archive_digest),
        "files": {file.path: str(file.digest) for file in package.files},
    }
    return json.dumps(document, sort_keys=True, indent=1).encode() + b"\n"


def current_package(
    request: PackageRequest, out_dir: Path, digest_of: Callable[[Path], Digest]
) -> WrittenPackage | None:
    """Return the package in `out_dir` if it is what `request` leads to, byte for byte; else None.

    Args:
        request: what is to be packaged.
        out_dir: the output folder; it need not exist.
        digest_of: gives the digest of a file, and raises OSError where it cannot be read.
    """
    key = bundle_key(request)
    try:
        stamp = json.loads(stamp_path(out_dir, request.base_name).read_bytes())
        if stamp["schema"] != 1 or stamp["key"] != key:
            return None
        package = _stamped(stamp, request.base_name, out_dir)
        matches = digest_of(package.archive) == package.archive_digest and all(
            digest_of(package.folder / file.path) == file.digest for file in package.files
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        # No stamp, one that was damaged, or a file of the package that is gone: write it again.
        return None
    return package if matches else None


def _stamped(stamp: dict[str, object], base: str, out_dir: Path) -> WrittenPackage:
    files = stamp["files"]
    if not isinstance(files, dict):
        raise TypeError("files is no object")
    return WrittenPackage(
        key=str(stamp["key"]),
        folder=out_dir / base,
        archive=out_dir / f"{base}{ARCHIVE_SUFFIX}",
        archive_digest=parse_digest(str(stamp["archive"])),
        files=tuple(WrittenFile(path=path, digest=parse_digest(str(text))) for path, text in sorted(files.items())),
    )
