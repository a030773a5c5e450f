"""The memo's SQLite file: rows in, rows out, and no way to fail.

In: keys and rows. Out: the rows that are there. The memo saves time and decides nothing, so a file that is
locked, full or read-only gives no rows and takes none; a damaged one is set aside as `*.damaged` and made
anew. Never raises for any of that, and never looks at an input file. sqlite3 is imported on first use.
"""

from __future__ import annotations

import fcntl
from contextlib import closing, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")
FileRow = tuple[int, int, int, int, str]
"""Size in bytes, mtime_ns, ctime_ns, inode, sha256 in hex."""

_VERSION = 1
_SCHEMA = (
    "DROP TABLE IF EXISTS files",
    "DROP TABLE IF EXISTS facts",
    """
    CREATE TABLE files (
        path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
        sha256 TEXT, added_ns INTEGER
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE facts (
        kind TEXT, key TEXT, value BLOB, added_ns INTEGER, PRIMARY KEY (kind, key)
    ) WITHOUT ROWID
    """,
    f"PRAGMA user_version = {_VERSION}",
)
_BUSY_TIMEOUT_S = 0.2
_KEYS_PER_QUERY = 500  # SQLite before 3.32 takes 999 variables
# Primary result codes: SQL logic error (foreign tables), malformed image, not a database.
_DAMAGE = frozenset({1, 11, 26})


class MemoDatabase:
    """One memo file; safe to share between threads and between processes."""

    def __init__(self, path: Path, *, max_files: int, max_facts: int) -> None:
        """Describe the memo in the file `path`; touches nothing.

        Args:
            path: the SQLite file; its folder is made when needed.
            max_files: about how many file rows are kept; beyond, the oldest quarter goes.
            max_facts: the same for facts.
        """
        self.path = path
        self._limits = {"files": max_files, "facts": max_facts}
        self._lock = Lock()
        self._connected: sqlite3.Connection | None = None
        self._damage_seen = 0

    def close(self) -> None:
        """Close the file; using the object again opens it again."""
        with self._lock:
            self._disconnect()

    def files(self, paths: Sequence[bytes]) -> dict[bytes, FileRow]:
        """Return the rows of those `paths` that have one."""
        return self._run(lambda connection: dict(_select_files(connection, paths)), {})

    def files_below(self, folder: bytes) -> dict[bytes, FileRow]:
        """Return the rows of all files below `folder`; for many files quicker than asking for each."""
        query = f"{_SELECT_FILES} WHERE path > ? AND path < ?"
        # "0" is the character after "/".
        bounds = (folder + b"/", folder + b"0")
        return self._run(lambda found: {row[0]: row[1:] for row in found.execute(query, bounds)}, {})

    def keep_files(self, rows: Iterable[tuple[bytes, FileRow]], *, added_ns: int) -> None:
        """Add or replace rows, in one transaction."""
        values = [(path, *row, added_ns) for path, row in rows]
        self._insert("files", "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def facts(self, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those `keys` that have one."""
        return self._run(lambda connection: dict(_select_facts(connection, kind, keys)), {})

    def keep_facts(self, kind: str, facts: Iterable[tuple[str, bytes]], *, added_ns: int) -> None:
        """Add or replace values, in one transaction."""
        values = [(kind, key, value, added_ns) for key, value in facts]
        self._insert("facts", "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", values)

    def clear(self) -> None:
        """Forget everything."""

        def delete(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM files")
            connection.execute("DELETE FROM facts")

        self._run(delete, None)

    def _insert(self, table: str, statement: str, values: Sequence[tuple[object, ...]]) -> None:
        def insert(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                connection.executemany(statement, values)
                _prune(connection, table, self._limits[table])

        if values:
            self._run(insert, None)

    def _run(self, operation: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Return what `operation` gives, or `otherwise` if the file cannot serve."""
        import sqlite3  # noqa: PLC0415  # 8 ms, not needed by every command

        with self._lock:
            if self._damage_seen > 1:
                return otherwise
            try:
                return operation(self._connect())
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
                    self._damage_seen += 1
                    self._disconnect()
                    self._set_aside()
                return otherwise
            except OSError:
                return otherwise

    def _connect(self) -> sqlite3.Connection:
        if self._connected is None:
            self._connected = _open(self.path)
        return self._connected

    def _disconnect(self) -> None:
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def _set_aside(self) -> None:
        """Rename the damaged file, unless another process has put a good one in its place already."""
        with suppress(OSError), Path(f"{self.path}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_sound(self.path):
                self.path.replace(f"{self.path}.damaged")
                for suffix in ("-wal", "-shm"):
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)


_SELECT_FILES = "SELECT path, size, mtime_ns, ctime_ns, inode, sha256 FROM files"


def _select_files(connection: sqlite3.Connection, paths: Sequence[bytes]) -> Iterator[tuple[bytes, FileRow]]:
    for some in _slices(paths):
        marks = ",".join("?" * len(some))
        for row in connection.execute(f"{_SELECT_FILES} WHERE path IN ({marks})", some):
            yield row[0], row[1:]


def _select_facts(connection: sqlite3.Connection, kind: str, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for some in _slices(keys):
        marks = ",".join("?" * len(some))
        query = f"SELECT key, value FROM facts WHERE kind = ? AND key IN ({marks})"  # noqa: S608  # marks only
        yield from connection.execute(query, (kind, *some))


def _slices(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(keys), _KEYS_PER_QUERY):
        yield keys[first : first + _KEYS_PER_QUERY]


def _prune(connection: sqlite3.Connection, table: str, limit: int) -> None:
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608  # our own names
    if count > limit:
        # A quarter at once, so that a full table is not sorted on every write.
        connection.execute(
            f"DELETE FROM {table} WHERE added_ns <="  # noqa: S608  # our own names
            f" (SELECT added_ns FROM {table} ORDER BY added_ns LIMIT 1 OFFSET ?)",
            (count - limit * 3 // 4 - 1,),
        )


def _open(path: Path) -> sqlite3.Connection:
    """Open the memo and give it its tables if it has none, or those of another version."""
    import sqlite3  # noqa: PLC0415  # as above

    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        # WAL: readers and a writer do not wait for one another. NORMAL: no fsync per transaction; after a power
        # cut the last rows may be gone, the file is whole.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if _version(connection) != _VERSION:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                if _version(connection) != _VERSION:  # another process was quicker
                    for statement in _SCHEMA:
                        connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _is_sound(path: Path) -> bool:
    import sqlite3  # noqa: PLC0415  # as above

    try:
        with closing(_open(path)) as connection:
            (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            connection.execute(f"{_SELECT_FILES} LIMIT 1").fetchone()
            connection.execute("SELECT kind, key, value, added_ns FROM facts LIMIT 1").fetchone()
            return bool(finding == "ok")
    except sqlite3.DatabaseError:
        return False
