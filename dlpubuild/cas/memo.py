"""The memo: digests of files that have not changed since they were last hashed, and other pure results.

In: paths of input files, or the key of a result. Out: digests equal to those of hashing every file now. A file
counts as unchanged if path, size, mtime, ctime and inode are those remembered; what changed within the
resolution of the clock before it was hashed is not remembered (git calls such files racily clean). A change
that restores all five, which takes a clock set back, is not seen. Losing the memo costs time and nothing
else. Never writes anything but its own file.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from dlpubuild.cas.digest import Digest
from dlpubuild.cas.faults import input_faults
from dlpubuild.cas.hashing import file_state, hash_files
from dlpubuild.cas.memo_database import MemoDatabase
from dlpubuild.cas.scan import scan_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dlpubuild.cas.hashing import FileState
    from dlpubuild.cas.memo_database import FileRow

MAX_FILES = 200_000
MAX_FACTS = 50_000
MAX_FACT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file below a folder: relative POSIX path, content, and whether its owner may run it."""

    path: str
    digest: Digest
    is_executable: bool


class Memo:
    """One memo file, `memo.sqlite3` in the cache folder; safe to share between threads.

    A context manager: leaving it closes the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        now_ns: Callable[[], int],
        max_files: int = MAX_FILES,
        max_facts: int = MAX_FACTS,
    ) -> None:
        """Describe the memo in the file `path`; touches nothing.

        Args:
            path: the SQLite file. In a folder that cannot be written nothing is remembered.
            now_ns: the clock, nanoseconds since the epoch.
            max_files: about how many digests are remembered; beyond, the oldest quarter goes.
            max_facts: the same for other results.
        """
        self._database = MemoDatabase(path, max_files=max_files, max_facts=max_facts)
        self._now_ns = now_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; using the memo again opens it again."""
        self._database.close()

    def clear(self) -> None:
        """Forget everything."""
        self._database.clear()

    def digest_files(self, paths: Sequence[Path]) -> list[Digest]:
        """Return the digests of files, in the order given; symbolic links are followed.

        Args:
            paths: absolute paths.

        Raises:
            DlpuError: a file cannot be read (INPUT_UNREADABLE) or changes while it is read (INPUT_CHANGED).
        """
        texts = [os.fspath(path) for path in paths]
        with input_faults("the inputs"):
            stated = [(text, os.stat(text)) for text in texts]  # noqa: PTH116  # text costs less
        return self.digest_stated(stated)

    def digest_stated(self, files: Sequence[tuple[str, os.stat_result]]) -> list[Digest]:
        """Return the digests of files whose status (links followed) is known, in the order given.

        Raises:
            DlpuError: as for `digest_files`.
        """
        return self._digest(files, self._database.files)

    def digest_tree(self, folder: Path, select: Callable[[str], bool] | None = None) -> tuple[TreeFile, ...]:
        """Return the files below `folder` with their digests, in code point order of relative path.

        Args:
            folder: the folder. Symbolic links below it count as what they point to.
            select: which files count, by relative POSIX path; all, hidden ones too, if not given.

        Raises:
            DlpuError: as for `digest_files`, and as for `dlpubuild.cas.scan.scan_folder`.
        """
        scanned = scan_folder(folder, select)
        below = os.fsencode(_check_absolute(os.fspath(folder)))
        digests = self._digest(
            [(file.location, file.status) for file in scanned], lambda _: self._database.files_below(below)
        )
        return tuple(
            TreeFile(file.path, digest, bool(file.status.st_mode & stat.S_IXUSR))
            for file, digest in zip(scanned, digests, strict=True)
        )

    def _digest(
        self,
        files: Sequence[tuple[str, os.stat_result]],
        remembered: Callable[[Sequence[bytes]], Mapping[bytes, FileRow]],
    ) -> list[Digest]:
        keys = [os.fsencode(_check_absolute(path)) for path, _ in files]
        rows = remembered(keys)
        digests: list[Digest | None] = [
            _remembered_digest(rows.get(key), file_state(status)) for key, (_, status) in zip(keys, files, strict=True)
        ]
        cold = [index for index, digest in enumerate(digests) if digest is None]
        hashed = hash_files([(files[index][0], files[index][1].st_size) for index in cold], now_ns=self._now_ns)
        fresh = dict(zip(cold, hashed, strict=True))
        self._database.keep_files(
            [(keys[index], (*file.state, file.digest.hash)) for index, file in fresh.items() if file.is_settled],
            added_ns=self._now_ns(),
        )
        return [digest or fresh[index].digest for index, digest in enumerate(digests)]

    def recall(self, kind: str, key: str) -> bytes | None:
        """Return the result remembered for `key`, None if there is none."""
        return self.recall_many(kind, (key,)).get(key)

    def recall_many(self, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the results remembered for those `keys` that have one, in one query."""
        return self._database.facts(kind, keys)

    def remember(self, kind: str, key: str, value: bytes) -> None:
        """Remember a result that depends on `kind` and `key` alone; replaces an earlier one.

        The key has to hold whatever the result depends on: digests of the content it was computed from. `kind`
        names the computation and its version, such as `manifest-1`.

        Raises:
            ValueError: the value is larger than `MAX_FACT_BYTES`; such a thing belongs into the store.
        """
        self.remember_many(kind, {key: value})

    def remember_many(self, kind: str, values: Mapping[str, bytes]) -> None:
        """Remember several results, in one transaction.

        Raises:
            ValueError: as for `remember`.
        """
        for key, value in values.items():
            if len(value) > MAX_FACT_BYTES:
                raise ValueError(f"{kind} {key}: {len(value)} bytes are more than a memo takes")
        self._database.keep_facts(kind, values.items(), added_ns=self._now_ns())


def _check_absolute(path: str) -> str:
    # Not normalised: two spellings of one file are two rows, which costs less than looking.
    if not path.startswith("/"):
        raise ValueError(f"the memo needs absolute paths: {path!r}")
    return path


def _remembered_digest(row: FileRow | None, state: FileState) -> Digest | None:
    if row is None or row[:4] != state:
        return None
    try:
        return Digest(row[4], state.size_bytes)
    except (TypeError, ValueError):  # a damaged row that SQLite did not notice
        return None
