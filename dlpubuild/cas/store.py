"""The store: blobs by digest and action results by the digest of their action, in one cache folder.

In: bytes, files and results. Out: digests, and later the same bytes. Nothing is taken on the word of its
name (`dlpubuild.cas.reading`), writing is atomic (`dlpubuild.cas.writing`), and `dlpubuild.cas.folder` says
where things lie. Never runs anything and never decides what to keep; `dlpubuild.cas.collect` does.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dlpubuild.cas.digest import Digest, digest_bytes
from dlpubuild.cas.faults import store_faults
from dlpubuild.cas.folder import CacheFolder
from dlpubuild.cas.lease import release_lease, sweep
from dlpubuild.cas.reading import copy_blob, open_blob, read_blob
from dlpubuild.cas.reapi import MessageDecodeError
from dlpubuild.cas.results import frame_result, unframe_result
from dlpubuild.cas.writing import copy_in, move_in, write_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dlpubuild.cas.action import ActionResult


class Store:
    """What one cache folder holds; safe to share between threads, and between processes by its files.

    Every method raises `StoreError` when the cache folder cannot be used: STORE_FULL when the disk is full,
    else STORE.
    """

    __slots__ = ("folder",)

    def __init__(self, root: Path, *, now_ns: Callable[[], int]) -> None:
        """Describe the store in the folder `root`; touches nothing.

        Args:
            root: the cache folder, made when something is written.
            now_ns: the clock, nanoseconds since the epoch; only ever the time of last use.
        """
        self.folder = CacheFolder(root, now_ns=now_ns)

    @property
    def root(self) -> Path:
        """The cache folder."""
        return self.folder.root

    @contextmanager
    def running_build(self) -> Iterator[None]:
        """Protect, until the block ends, whatever is put, used or returned as a result from now on."""
        with store_faults(self.root):
            sweep(self.folder.tmp)
            lease = self.folder.register_build()
        try:
            yield
        finally:
            release_lease(lease)

    def put_bytes(self, data: bytes) -> Digest:
        """Keep `data`, mark it as used, and return its digest."""
        digest = digest_bytes(data)
        write_entry(self.folder, self.folder.blob_path(digest), data)
        return digest

    def put_file(self, path: Path, *, move: bool = False) -> Digest:
        """Keep the content of the regular file `path`, mark it as used, and return its digest.

        The digest is that of the bytes that were kept, even if the file changes meanwhile.

        Args:
            path: the file; a symbolic link to one is followed, but not with `move`.
            move: the file is not needed any more. It is renamed into the store where that is possible (same
                file system, our own file, no other hard link), else copied and removed.

        Raises:
            DlpuError: the file cannot be read (INPUT_UNREADABLE).
        """
        return move_in(self.folder, path) if move else copy_in(self.folder, path)

    def contains(self, digest: Digest) -> bool:
        """Return whether the blob is there, with the right size; one of another size is removed.

        Does not mark it as used, and does not hash it: whoever reads it does.
        """
        with store_faults(self.root):
            size_bytes = _size(self.folder.blob_path(digest))
            return size_bytes is not None and self._has_right_size(digest, size_bytes)

    def use(self, digests: Iterable[Digest]) -> tuple[Digest, ...]:
        """Mark blobs as used now and return those that are missing, in the order given.

        Within `running_build`, no collector removes the others before the build ends.
        """
        wanted = tuple(digests)
        with store_faults(self.root):
            states = self.folder.mark_used([self.folder.blob_path(digest) for digest in wanted])
            return tuple(
                digest
                for digest, state in zip(wanted, states, strict=True)
                if state is None or not self._has_right_size(digest, state.st_size)
            )

    def read(self, digest: Digest) -> bytes:
        """Return the bytes of a blob.

        Raises:
            BlobMissingError: it is not there, or was damaged and has been removed.
        """
        return read_blob(self.folder, digest)

    def open_verified(self, digest: Digest) -> BinaryIO:
        """Return a blob open for reading, after checking all of it; for what is too big for `read`.

        Raises:
            BlobMissingError: as for `read`.
        """
        return open_blob(self.folder, digest)

    def copy_to(self, digest: Digest, target: Path, *, executable: bool = False, mode: int | None = None) -> None:
        """Copy a blob to `target`, which appears whole or not at all; its folder must exist.

        Args:
            digest: the blob.
            target: the new file; one that is there is replaced.
            executable: mode 0555 instead of 0444.
            mode: the exact mode, instead of either; the umask does not count.

        Raises:
            BlobMissingError: as for `read`.
            OutputError: `target` cannot be written.
        """
        default_mode = 0o555 if executable else 0o444
        copy_blob(self.folder, digest, target, mode=default_mode if mode is None else mode)

    def blob_path(self, digest: Digest) -> Path:
        """Return where the blob lies, if it is there; nothing is checked, and the file must not be changed.

        For a reader that hashes on its way and refuses what does not match; all others use `read`, `copy_to` or
        `open_verified`.
        """
        return Path(self.folder.blob_path(digest))

    def put_action_result(self, action: Digest, result: ActionResult) -> None:
        """Keep the result of `action`, which ended well; replaces an earlier one.

        Raises:
            ValueError: the action failed; failures are not cached.
        """
        if result.exit_code != 0:
            raise ValueError(f"a result with exit code {result.exit_code} is not cached")
        write_entry(self.folder, self.folder.result_path(action), frame_result(action.hash, result))

    def get_action_result(self, action: Digest, *, mark: bool = True) -> ActionResult | None:
        """Return the kept result of `action`, if it is of use.

        None if there is no result, if it cannot be decoded (it is removed), if the action failed, or if an
        output or a log is not there. Whether the outputs are all that the command declares is for the caller
        to check: the store does not know the command.

        Args:
            action: the digest of the action.
            mark: mark result and blobs as used now; without it nothing in the folder is changed.
        """
        path = self.folder.result_path(action)
        result = self._decode_result(path, action, remove_damaged=mark)
        if result is None or result.exit_code != 0:
            return None
        if not mark:
            return result if self._are_there(result.blobs) else None
        with store_faults(self.root):
            (state,) = self.folder.mark_used([path])
        return None if state is None or self.use(result.blobs) else result

    def _decode_result(self, path: str, action: Digest, *, remove_damaged: bool) -> ActionResult | None:
        with store_faults(self.root):
            try:
                data = Path(path).read_bytes()
            except FileNotFoundError:
                return None
        try:
            return unframe_result(action.hash, data)
        except MessageDecodeError:
            if remove_damaged:
                with store_faults(self.root):
                    self.folder.remove_if(path, lambda _: Path(path).read_bytes() == data)
            return None

    def _are_there(self, digests: Iterable[Digest]) -> bool:
        with store_faults(self.root):
            return all(_size(self.folder.blob_path(digest)) == digest.size_bytes for digest in digests)

    def _has_right_size(self, digest: Digest, size_bytes: int) -> bool:
        """Return whether the size is that of the digest; if not, the blob is damaged and is removed."""
        if size_bytes == digest.size_bytes:
            return True
        path = self.folder.blob_path(digest)
        self.folder.remove_if(path, lambda found: found.st_size != digest.size_bytes)
        return False


def _size(path: str) -> int | None:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return None
