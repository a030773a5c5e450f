"""What a build noted of the `.eap` it left, so that the next one can tell that nothing is to be written.

In: what an `.eap` will hold, or a stamp that lies in an output folder. Out: a key for those bytes, a `WrittenEap`. The
stamp is a small JSON file: the key, the name of the `.eap` and its digest. The `.eap` itself is not opened here; the
caller gives its digest, usually from a memo that looks at file times.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.cas.digest import parse_digest
from dlpubuild.package.stamp import stamp_path
from dlpubuild.package.tar import TarFile, TarLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlpubuild.cas.digest import Digest
    from dlpubuild.package.eap.members import EapContent
    from dlpubuild.package.tar import TarEntry

# Part of every key. Raise it with any change of the bytes that the same entries lead to.
EAP_WRITER_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenEap:
    """An `.eap` on disk. `key` is the `eap_key` of what it holds."""

    key: str
    path: Path
    digest: Digest

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        return self.digest.size_bytes


def eap_key(content: EapContent, *, epoch_s: int) -> str:
    """Return the sha256 (lower-case hex) that names the bytes of the `.eap` that holds `content`.

    Everything that decides them is in it: the entries with their modes and digests, and the time they all have.
    """
    document = {
        "writer": EAP_WRITER_VERSION,
        "epoch": epoch_s,
        "file": content.file_name,
        "entries": [_row(entry) for entry in content.entries],
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def eap_base(base_name: str) -> str:
    """Return the name under which the stamp and temporary files of the `.eap` of package `base_name` go."""
    return f"{base_name}.eap"


def encode_eap_stamp(eap: WrittenEap) -> bytes:
    """Return the stamp of an `.eap`."""
    document = {"schema": 1, "key": eap.key, "file": eap.path.name, "digest": str(eap.digest)}
    return json.dumps(document, sort_keys=True, indent=1).encode() + b"\n"


def stamped_eap(stamp: Path) -> WrittenEap | None:
    """Return the `.eap` that the stamp at `stamp` tells of, None where there is no stamp or it was damaged."""
    try:
        document = json.loads(stamp.read_bytes())
        name = document["file"]
        if document["schema"] != 1 or not isinstance(name, str) or Path(name).name != name:
            return None
        return WrittenEap(
            key=str(document["key"]), path=stamp.parent / name, digest=parse_digest(str(document["digest"]))
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def current_eap(
    content: EapContent, out_dir: Path, base_name: str, digest_of: Callable[[Path], Digest], *, epoch_s: int
) -> WrittenEap | None:
    """Return the `.eap` in `out_dir` if it is the one that `content` leads to, byte for byte; else None.

    Args:
        content: what is to be packed.
        out_dir: the output folder; it need not exist.
        base_name: the package's name.
        digest_of: gives the digest of a file, and raises OSError where it cannot be read.
        epoch_s: the time of every entry.
    """
    return eap_of_key(eap_key(content, epoch_s=epoch_s), out_dir, base_name, digest_of)


def eap_of_key(key: str, out_dir: Path, base_name: str, digest_of: Callable[[Path], Digest]) -> WrittenEap | None:
    """Return the `.eap` in `out_dir` if it is the one that `key` names and nobody changed it; else None."""
    stamped = stamped_eap(stamp_path(out_dir, eap_base(base_name)))
    if stamped is None or stamped.key != key:
        return None
    try:
        return stamped if digest_of(stamped.path) == stamped.digest else None
    except OSError:
        return None


def _row(entry: TarEntry) -> list[str | int]:
    if isinstance(entry, TarFile):
        return [entry.path, entry.mode, str(entry.member.digest)]
    if isinstance(entry, TarLink):
        return [entry.path, "->", entry.target]
    return [entry.path, entry.mode, "folder"]
