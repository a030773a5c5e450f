"""One walk over a TOML text that notes at which offset each key and each value starts.

In: a text whose lines end with LF. Out: a `Scanner` whose `keys` and `values` map TOML paths to offsets. Values
are stepped over, not interpreted, so a text that is not TOML is not always noticed: that is `tomllib`'s part.
"""

from __future__ import annotations

import re
import tomllib

from dlpubuild.manifest.tomlpath import join_path

MAX_DEPTH = 16
"""Deepest nesting of tables and arrays that is read; a manifest needs five levels."""

_KEY = re.compile(r'[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*+"|\'[^\'\n]*\'')
_BLANK = re.compile(r"[ \t]*")
_TRIVIA = re.compile(r"(?:[ \t\n]|#[^\n]*)*+")
_SCALAR = re.compile(
    # Up to two quotes may stand right before the closing three.
    r'"""(?:[^"\\]|\\[\s\S]|""?(?!"))*+"""(?:"{0,2})'
    r"|'''(?:[^']|''?(?!'))*+'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*'"
    # Numbers, booleans, dates; a date and its time may be parted by one space.
    r"|[^\s,\[\]{}#\"'=]+(?:[ ][0-9]{2}:[^\s,\[\]{}#\"'=]+)?"
)


class StuckError(Exception):
    """The walk cannot go on at `offset`: the text is not TOML, or nested too deep."""

    def __init__(self, offset: int, *, too_deep: bool = False) -> None:
        super().__init__(offset)
        self.offset = offset
        self.too_deep = too_deep


class Scanner:
    """One walk over a TOML text.

    Attributes:
        keys: TOML path to the offset where its key starts; `""` is the text itself. Grows during the walk.
        values: TOML path to the offset where its value starts.
        duplicate: the first path that is given twice, the offset of its first key and that of its second.
    """

    def __init__(self, text: str) -> None:
        self.keys = {"": 0}
        self.values = {"": 0}
        self._text = text
        self._at = 0
        self._table = ""
        self._depth = 0
        self._array_sizes: dict[str, int] = {}
        self._declared: dict[str, int] = {}
        self.duplicate: tuple[str, int, int] | None = None

    def scan(self) -> None:
        """Walk to the end of the text.

        Raises:
            StuckError: the walk cannot go on.
        """
        self._skip(_TRIVIA)
        while self._at < len(self._text):
            if self._sees("["):
                self._header()
            else:
                self._pair(self._table, self._depth)
            self._skip(_TRIVIA)

    def _header(self) -> None:
        """Enter the table of `[a.b]`, or a new element of `[[a.b]]`."""
        start = self._at
        is_array = self._sees("[[")
        self._at += 2 if is_array else 1
        *parents, (name, offset) = self._dotted_key(0)
        self._expect("]]" if is_array else "]")
        path = ""
        for parent, parent_offset in parents:
            path = self._imply(path, parent, parent_offset)
            if path in self._array_sizes:
                path = join_path(path, self._array_sizes[path] - 1)
        path = join_path(path, name)
        self._table = self._next_element(path, offset, start) if is_array else path
        if not is_array:
            self._declare(path, offset, start)
        self._depth = len(parents) + (2 if is_array else 1)

    def _next_element(self, array: str, name: int, start: int) -> str:
        index = self._array_sizes.get(array, 0)
        if index == 0:
            self._declare(array, name, start)
        self._array_sizes[array] = index + 1
        element = join_path(array, index)
        self.keys[element] = self.values[element] = start
        return element

    def _pair(self, table: str, depth: int) -> None:
        *parents, (name, offset) = self._dotted_key(depth)
        self._expect("=")
        self._skip(_BLANK)
        path = table
        for parent, parent_offset in parents:
            path = self._imply(path, parent, parent_offset)
            self._refuse_again(path, parent_offset)
        path = join_path(path, name)
        self._declare(path, offset, self._at)
        self._value(path, depth + len(parents) + 1)

    def _imply(self, table: str, name: str, offset: int) -> str:
        path = join_path(table, name)
        self.keys.setdefault(path, offset)
        self.values.setdefault(path, offset)
        return path

    def _declare(self, path: str, key: int, value: int) -> None:
        self._refuse_again(path, key)
        self._declared.setdefault(path, key)
        self.keys[path], self.values[path] = key, value

    def _refuse_again(self, path: str, offset: int) -> None:
        if self.duplicate is None and path in self._declared:
            self.duplicate = (path, self._declared[path], offset)

    def _dotted_key(self, depth: int) -> list[tuple[str, int]]:
        """Read `a."b".c`; return each name with its offset."""
        names: list[tuple[str, int]] = []
        while True:
            self._skip(_BLANK)
            offset = self._at
            names.append((_unquote(self._take(_KEY)), offset))
            if depth + len(names) > MAX_DEPTH:
                raise StuckError(offset, too_deep=True)
            self._skip(_BLANK)
            if not self._sees("."):
                return names
            self._at += 1

    def _value(self, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise StuckError(self._at, too_deep=True)
        if self._sees("["):
            self._array(path, depth)
        elif self._sees("{"):
            self._inline_table(path, depth)
        else:
            self._take(_SCALAR)

    def _array(self, path: str, depth: int) -> None:
        self._at += 1
        index = 0
        while not self._closed("]"):
            element = join_path(path, index)
            self.keys[element] = self.values[element] = self._at
            self._value(element, depth + 1)
            self._separator("]")
            index += 1

    def _inline_table(self, path: str, depth: int) -> None:
        self._at += 1
        while not self._closed("}"):
            self._pair(path, depth)
            self._separator("}")

    def _closed(self, bracket: str) -> bool:
        self._skip(_TRIVIA)
        if not self._sees(bracket):
            return False
        self._at += 1
        return True

    def _separator(self, bracket: str) -> None:
        self._skip(_TRIVIA)
        if not self._sees(bracket):
            self._expect(",")

    def _sees(self, token: str) -> bool:
        return self._text.startswith(token, self._at)

    def _expect(self, token: str) -> None:
        if not self._sees(token):
            raise StuckError(self._at)
        self._at += len(token)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise StuckError(self._at)
        self._at = match.end()
        return match[0]


def _unquote(key: str) -> str:
    """Return the name that a key stands for; escapes are those of the running Python's TOML version."""
    if key[0] not in "\"'":
        return key
    if key[0] == "'" or "\\" not in key:
        return key[1:-1]
    try:
        return next(iter(tomllib.loads(f"{key}=0")))
    except tomllib.TOMLDecodeError:
        return key[1:-1]  # tomllib will refuse the whole text, too
