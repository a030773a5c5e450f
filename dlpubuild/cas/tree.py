"""Input trees: the files an action sees, as a Merkle tree of Remote Execution API v2 directories.

In: relative POSIX paths and the digest of each file. Out: the encoded `Directory` of every folder by digest,
and the digest of the root. A name, an executable bit or a byte of content that differs gives another root;
the order in which files are given does not. There are no symbolic links, owners, times or empty folders, and
nothing here reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlpubuild.cas.digest import Digest, digest_bytes
from dlpubuild.cas.paths import path_parts
from dlpubuild.cas.reapi import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of an input tree: its content and whether it may be run."""

    digest: Digest
    is_executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTree:
    """A checked tree of files.

    Attributes:
        files: relative POSIX path to file, in order of path.
        directories: digest to encoded `Directory`, for every folder, the root included.
        root: digest of the root's `Directory`; the `input_root` of an action.
    """

    files: Mapping[str, InputFile]
    directories: Mapping[Digest, bytes]
    root: Digest


@dataclass(slots=True)
class _Folder:
    files: dict[str, InputFile] = field(default_factory=dict)
    folders: dict[str, _Folder] = field(default_factory=dict)


def build_input_tree(files: Mapping[str, InputFile]) -> InputTree:
    """Return the tree of `files`, whose keys are relative POSIX paths.

    Children are sorted by name in code point order, which REAPI demands and which equals the order of the
    UTF-8 bytes. Takes some 25 ms for 10,000 files.

    Raises:
        ValueError: a path is absolute or leaves the root, has an empty part, a NUL or characters outside
            UTF-8, or is a file and a folder at once.
    """
    ordered = {path: files[path] for path in sorted(files)}
    directories: dict[Digest, bytes] = {}
    root = Digest("0" * 64, 0)
    digests: dict[int, Digest] = {}
    # Children come before their parents; recursion would fail on a path of a thousand parts.
    for folder in reversed(_folders_from_root(ordered)):
        data = _encode(folder, digests)
        root = digests[id(folder)] = digest_bytes(data)
        directories[root] = data
    return InputTree(files=ordered, directories=directories, root=root)


def _folders_from_root(files: Mapping[str, InputFile]) -> list[_Folder]:
    """Return every folder, each after its parent, the root first."""
    known = {"": _Folder()}
    for path, file in files.items():
        parts = path_parts(path)
        parent, _, name = path.rpartition("/")
        folder = known.get(parent)
        if folder is None:
            folder = _add_folder(known, parts[:-1])
        folder.files[name] = file
    for path in known:
        if path in files:
            raise ValueError(f"a file and a folder at once: {path!r}")
    return list(known.values())


def _add_folder(known: dict[str, _Folder], parts: list[str]) -> _Folder:
    folder = known[""]
    for depth, name in enumerate(parts, start=1):
        path = "/".join(parts[:depth])
        child = known.get(path)
        if child is None:
            child = known[path] = folder.folders[name] = _Folder()
        folder = child
    return folder


def _encode(folder: _Folder, digests: Mapping[int, Digest]) -> bytes:
    return DIRECTORY.encode(
        files=[
            {
                "name": name,
                "digest": {"hash": file.digest.hash, "size_bytes": file.digest.size_bytes},
                "is_executable": file.is_executable,
            }
            for name, file in sorted(folder.files.items(), key=lambda item: item[0])
        ],
        directories=[
            {
                "name": name,
                "digest": {
                    "hash": digests[id(child)].hash,
                    "size_bytes": digests[id(child)].size_bytes,
                },
            }
            for name, child in sorted(folder.folders.items(), key=lambda item: item[0])
        ],
    )
