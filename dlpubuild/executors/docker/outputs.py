"""What comes back from an engine as a tar archive, taken apart as if an enemy had packed it.

In: a stream with the folder `out/`, and the paths that the action declares. Out: those files, below a folder of ours,
under the names that the action gave them; no name of the archive is ever used as one. What is not declared is skipped,
whatever it is, as it is where a folder is looked into; but an archive that is wrong in itself is refused as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlpubuild.executors.docker.limits import size
from dlpubuild.executors.docker.tar_stream import Kind, Member, TarFaultError, TarStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_OWNER_READS, _OWNER_RUNS = 0o400, 0o100


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much a step may leave, declared or not: members, their bytes together, and what a name may be."""

    members: int = 250_000
    total_bytes: int = 16 << 30
    name_bytes: int = 4096
    depth: int = 256


@dataclass(slots=True, kw_only=True)
class OutputReader:
    """Takes an archive of the folder `root` (one name) and keeps the files `declared`, which lie below it, in `folder`.

    `check` is called now and then; what it raises ends the reading.
    """

    root: str
    declared: Sequence[str]
    folder: Path
    bounds: Bounds = field(default_factory=Bounds)
    check: Callable[[], None] = lambda: None

    def take(self, read: Callable[[int], bytes]) -> None:
        """Write the declared files; one that is not in the archive is not written.

        Raises:
            TarFaultError: an output is not a plain file, or the archive is wrong or goes beyond the bounds.
            OSError: `folder` cannot be written.
        """
        declared = frozenset(self.declared)
        ancestors = {"/".join(path.split("/")[:depth]) for path in declared for depth in range(1, path.count("/") + 1)}
        seen: set[str] = set()
        total_bytes = 0
        stream = TarStream(read)
        for member in stream.members():
            self.check()
            name = self._name(member)
            if name in seen:
                raise TarFaultError(name, "is there twice")
            seen.add(name)
            total_bytes += member.size_bytes
            if len(seen) > self.bounds.members:
                raise TarFaultError(name, f"is one of more than {self.bounds.members} files and folders")
            if total_bytes > self.bounds.total_bytes:
                raise TarFaultError(name, f"brings what the step left to more than {size(self.bounds.total_bytes)}")
            if member.kind is Kind.HARD_LINK and self._inside(member.link) in declared:
                raise TarFaultError(self._inside(member.link), f"has a second name, {name}")
            if name in ancestors and member.kind is not Kind.FOLDER:
                raise TarFaultError(name, f"is {member.kind.value}, not a folder")
            if name in declared:
                self._write(name, member, stream)

    def _name(self, member: Member) -> str:
        """The name without the slash at its end, if nothing in it leads out of the root."""
        name = member.name.removesuffix("/")
        parts = name.split("/")
        if name.startswith("/"):
            raise TarFaultError(name, "is an absolute name")
        if not {"", ".", ".."}.isdisjoint(parts) or "\0" in name or parts[0] != self.root:
            raise TarFaultError(name, f"is not a name below {self.root}/")
        if len(name.encode("utf-8", "surrogateescape")) > self.bounds.name_bytes or len(parts) > self.bounds.depth:
            raise TarFaultError(name, "is nested too deep, or has too long a name")
        return name

    def _inside(self, link: str) -> str:
        return link.removeprefix("./").removesuffix("/")

    def _write(self, name: str, member: Member, stream: TarStream) -> None:
        if member.kind is not Kind.FILE:
            raise TarFaultError(name, f"is {member.kind.value}, not a plain file")
        if not member.mode & _OWNER_READS:
            raise TarFaultError(name, f"cannot be read: its mode is {member.mode & 0o777:04o}")
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as writer:
            for chunk in stream.content():
                self.check()
                writer.write(chunk)
        target.chmod(0o755 if member.mode & _OWNER_RUNS else 0o644)
