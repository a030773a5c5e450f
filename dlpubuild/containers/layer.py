"""One layer of an image, with its files in order and their times the same.

In: a layer's tar archive. Out: another with the same files, and its digest, which depends on nothing but their paths,
contents, permissions, owners and extended attributes.
"""

from __future__ import annotations

import hashlib
import tarfile
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# 1980-01-01: the time in all our archives, and the first one that a zip file can express.
EPOCH_S = 315_532_800
_XATTR = "SCHILY.xattr."


def write_layer(layer: tarfile.TarFile, sink: IO[bytes]) -> tuple[str, int]:
    """Write the layer to `sink`, normalised; return the digest and the size of what was written.

    Args:
        layer: opened for reading at any place.
        sink: written from where it stands.

    Raises:
        ValueError: a hard link leads nowhere.
        tarfile.TarError: the layer is damaged.
    """
    hashing = _Hashing(sink)
    with tarfile.open(fileobj=cast("IO[bytes]", hashing), mode="w", format=tarfile.PAX_FORMAT) as normal:
        for member, content in _normal_members(layer):
            normal.addfile(member, None if content is None else layer.extractfile(content))
    return f"sha256:{hashing.hash.hexdigest()}", hashing.size


class _Hashing:
    """A file that is only written, and hashed on the way."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, content: bytes) -> int:
        self.hash.update(content)
        self.size += len(content)
        return self._sink.write(content)

    def tell(self) -> int:
        """Where the layer has got to; tarfile asks."""
        return self.size


def _normal_members(layer: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarInfo | None]]:
    """Yield each member as it is to be, with the member that holds its content.

    Of several names of one file the first in order gets the content, and the others link to it: which of them a builder
    meets first depends on the order of its folders.
    """
    # Where a name comes twice, the last one counts.
    members = {member.name.strip("/").removeprefix("./"): member for member in layer.getmembers()}
    names = sorted((name for name in members if name not in ("", ".")), key=lambda name: name.split("/"))
    first: dict[str, str] = {}
    for name in names:
        member = members[name]
        if member.isreg() or member.islnk():
            first.setdefault(_origin(members, name), name)
    for name in names:
        member = members[name]
        if not (member.isreg() or member.islnk()):
            yield _normal_member(member, name), None
            continue
        origin = _origin(members, name)
        content = members[origin]
        normal = _normal_member(content, name)
        if first[origin] == name:
            yield normal, content
        else:
            normal.type, normal.linkname, normal.size = tarfile.LNKTYPE, first[origin], 0
            yield normal, None


def _origin(members: Mapping[str, tarfile.TarInfo], name: str) -> str:
    """The name of the member that holds the content of this one."""
    seen = {name}
    while members[name].islnk():
        name = members[name].linkname.strip("/").removeprefix("./")
        if name in seen or name not in members:
            raise ValueError(f"{name} is a link to nothing")
        seen.add(name)
    return name


def _normal_member(member: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    normal = tarfile.TarInfo(name)
    normal.type = tarfile.REGTYPE if member.isreg() else member.type
    normal.mode = member.mode & 0o7777
    normal.uid, normal.gid = member.uid, member.gid
    normal.mtime = EPOCH_S
    normal.linkname = member.linkname if member.issym() else ""
    normal.size = member.size if member.isreg() else 0
    normal.devmajor, normal.devminor = member.devmajor, member.devminor
    normal.pax_headers = {key: value for key, value in sorted(member.pax_headers.items()) if key.startswith(_XATTR)}
    return normal
