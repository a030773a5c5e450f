"""An ACAP application of the project's own, as a value: what its folder holds that goes into a package.

In: the folder and a memo of file digests. Out: an `AppFolder`, and every fault of its files: links that leave it,
names and kinds of files that no package can hold. Editors' backups, what belongs to version control, and what earlier
builds left is passed over, and named. Nothing is checked here of what the files say.
"""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dlpubuild.cas.digest import Digest

# What `tar --exclude-vcs` leaves out at any depth (GNU tar 1.34, "exclude.c").
_VERSION_CONTROL = frozenset(
    {
        *("CVS", ".cvsignore", "RCS", "SCCS", ".git", ".gitignore", ".gitattributes", ".gitmodules", ".svn"),
        *(".arch-ids", "{arch}", "=RELEASE-ID", "=meta-update", "=update"),
        *(".bzr", ".bzrignore", ".bzrtags", ".hg", ".hgignore", ".hgtags", "_darcs"),
    }
)
# Text files at the top that are read, not only packed. A manifest may be kept once per SoC: `manifest.json.artpec8`.
_READ = ("manifest.json", "package.conf", "param.conf", "cgi.conf")
_READ_AT_MOST_BYTES = 1 << 20
ELF_HEADER_BYTES = 20
# e_machine of ELF, as an ACAP application's architecture is called.
_MACHINES = {3: "x86", 40: "armv7hf", 62: "x86_64", 183: "aarch64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFile:
    """One file; `path` is relative to the folder. `machine` is set where it is an ELF file: what it was built for."""

    path: str
    source: Path
    digest: Digest
    executable: bool
    machine: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppLink:
    """A symbolic link that stays inside of the folder; `leads_to` is where, relative to the folder."""

    path: str
    target: str
    leads_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFault:
    """A file that cannot be packed; `path` is relative to the folder, empty for the folder itself."""

    code: ErrorCode
    path: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFolder:
    """What a folder holds, each sorted by path; `name` is how the user knows the folder.

    `texts` are the files at its top that have a meaning of their own, `left_out` what is not packed.
    """

    name: str
    files: tuple[AppFile, ...]
    folders: tuple[str, ...] = ()
    links: tuple[AppLink, ...] = ()
    texts: tuple[tuple[str, bytes], ...] = ()
    left_out: tuple[str, ...] = ()

    def text(self, name: str) -> bytes | None:
        """Return the content of one of the `texts`, or None."""
        return dict(self.texts).get(name)

    def file(self, path: str) -> AppFile | None:
        """Return the file at `path`, or None."""
        return next((each for each in self.files if each.path == path), None)


def read_app_folder(
    folder: Path, name: str, digest_files: Callable[[Sequence[Path]], Sequence[Digest]]
) -> tuple[AppFolder, tuple[AppFault, ...]]:
    """Return what is in `folder`, and what is wrong with it; each is told, the rest is still read.

    Args:
        folder: an existing folder.
        name: how the user knows it.
        digest_files: returns the digest of each file.

    Raises:
        DlpuError: a file cannot be read, or changed while it was read.
    """
    walk = _Walk(root=Path(os.path.realpath(folder)))
    walk.list_folder("")
    paths = sorted(walk.files)
    sources = [walk.root / path for path in paths]
    texts, machines = {}, {}
    for path, source in zip(paths, sources, strict=True):
        try:
            if _is_read(path):
                texts[path] = _text(source)
            machines[path] = _machine(source)
        except OSError as error:
            walk.fault(ErrorCode.PATH_KIND, path, f"cannot be read: {error.strerror or error}")
    readable = [path for path in paths if path in machines]
    digests = digest_files([walk.root / path for path in readable])
    found = AppFolder(
        name=name,
        files=tuple(
            AppFile(
                path=path,
                source=walk.root / path,
                digest=digest,
                executable=walk.files[path],
                machine=machines[path],
            )
            for path, digest in zip(readable, digests, strict=True)
        ),
        folders=tuple(sorted(walk.folders)),
        links=tuple(sorted(walk.sound_links(), key=lambda link: link.path)),
        texts=tuple(sorted(texts.items())),
        left_out=tuple(sorted(walk.left_out)),
    )
    return found, tuple(sorted(walk.faults, key=lambda fault: (fault.path, fault.message)))


def _is_read(path: str) -> bool:
    return path in _READ or (path.startswith("manifest.json.") and "/" not in path)


def _text(source: Path) -> bytes:
    with source.open("rb") as stream:
        return stream.read(_READ_AT_MOST_BYTES)


def _machine(source: Path) -> str | None:
    with source.open("rb") as stream:
        return elf_machine(stream.read(ELF_HEADER_BYTES))


def elf_machine(head: bytes) -> str | None:
    """Return what an ELF file that begins with `head` was built for, None where it is no ELF file."""
    if len(head) < ELF_HEADER_BYTES or not head.startswith(b"\x7fELF"):
        return None
    # EI_DATA: 1 is little-endian, 2 is big-endian.
    number = int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")  # noqa: PLR2004
    return _MACHINES.get(number, f"ELF machine {number}")


def _is_left_out(name: str, *, top: bool) -> bool:
    if name.endswith("~") or name in _VERSION_CONTROL:
        return True
    # At the top: hidden files are those of editors and tools, the others are what acap-build leaves there.
    return top and (name.startswith(".") or name == "package.conf.orig" or name.endswith(".eap"))


@dataclass(slots=True)
class _Walk:
    """A folder while it is read; `files` says of each whether it may be executed."""

    root: Path
    files: dict[str, bool] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    links: list[AppLink] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    faults: list[AppFault] = field(default_factory=list)

    def fault(self, code: ErrorCode, path: str, message: str, hint: str = "") -> None:
        self.faults.append(AppFault(code=code, path=path, message=message, hint=hint))

    def list_folder(self, prefix: str) -> None:
        try:
            with os.scandir(self.root / prefix) as listing:
                entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            self.fault(ErrorCode.PATH_KIND, prefix.rstrip("/"), f"cannot be listed: {error.strerror or error}")
            return
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if _is_left_out(entry.name, top=not prefix):
                self.left_out.append(os.fsencode(path).decode(errors="replace"))
            elif self._is_named_well(path, entry.name):
                self._take(entry, path)

    def _is_named_well(self, path: str, name: str) -> bool:
        shown = os.fsencode(path).decode(errors="replace")
        try:
            name.encode()
        except UnicodeEncodeError:
            self.fault(ErrorCode.PATH_KIND, shown, "the file name is not UTF-8", "rename it")
            return False
        if "\\" in name or any(ord(character) < ord(" ") or ord(character) == 0x7F for character in name):  # noqa: PLR2004 - DEL
            self.fault(
                ErrorCode.PATH_KIND, shown, "the file name holds a backslash or a control character", "rename it"
            )
            return False
        return True

    def _take(self, entry: os.DirEntry[str], path: str) -> None:
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            self._take_link(path)
        elif stat.S_ISDIR(mode):
            self.folders.append(path)
            self.list_folder(f"{path}/")
        elif stat.S_ISREG(mode):
            self.files[path] = bool(mode & stat.S_IXUSR)
        else:
            self.fault(
                ErrorCode.PATH_KIND, path, "is neither a file nor a folder nor a symbolic link", "move it elsewhere"
            )

    def _take_link(self, path: str) -> None:
        place = self.root / path
        target = os.readlink(place)  # noqa: PTH115 - the text itself, which a Path would tidy
        real = Path(os.path.realpath(place))
        # A target that leaves the folder and comes back by its name leads elsewhere once it is installed.
        written = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        leaves = target.startswith("/") or written == ".." or written.startswith("../")
        if leaves or not real.is_relative_to(self.root):
            self.fault(
                ErrorCode.PATH_OUTSIDE,
                path,
                f'is a symbolic link that leaves the application: it leads to "{target}"',
                "copy what it leads to into the application, or link to it by a relative path",
            )
            return
        if not os.path.lexists(real) or real == self.root:
            self.fault(ErrorCode.PATH_MISSING, path, f'is a symbolic link to "{target}", which leads nowhere', "")
            return
        self.links.append(AppLink(path=path, target=target, leads_to=real.relative_to(self.root).as_posix()))

    def sound_links(self) -> list[AppLink]:
        """The links whose target is packed, too; the others become faults."""
        packed = {*self.files, *self.folders}
        for link in self.links:
            if link.leads_to not in packed:
                self.fault(
                    ErrorCode.PATH_MISSING,
                    link.path,
                    f'is a symbolic link to "{link.leads_to}", which is not packed',
                    "remove the link, or rename what it leads to",
                )
        return [link for link in self.links if link.leads_to in packed]
