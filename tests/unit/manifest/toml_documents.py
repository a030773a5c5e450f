"""Random TOML texts that know where they put each key and value.

The writer makes every choice TOML leaves open: table headers, dotted keys or inline tables, all four kinds of
strings, comments, blanks and line breaks wherever they may stand, empty tables and arrays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from dlpubuild.manifest.tomlpath import join_path

KEYS = st.one_of(
    st.sampled_from(
        ["name", "a-b", "a_b", "1", "true", "input", "a.b", "a[0]", "", "é", "'", '"', "\\", "#", "=", "🙂"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=4),
)
TEXTS = st.one_of(
    st.sampled_from(["", "a", "#", "[x]", "a = 1\n[b]\n", '"', "'", '"""', "''", "\\", "\ttab", "{", "\n", "é\u2028"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8),
)
# Numbers and dates stand for themselves; the writer puts them down as they are.
RAW = st.sampled_from(
    [
        *("0", "-1", "1_000", "0xBEEF", "1e6", "-0.5", "inf", "-nan", "true"),
        *("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00.5-07:00"),
    ]
)


@dataclass(frozen=True)
class Raw:
    text: str


def values(depth: int = 3) -> st.SearchStrategy[Any]:
    scalar = st.one_of(TEXTS, RAW.map(Raw))
    if depth == 0:
        return scalar
    inner = values(depth - 1)
    return st.one_of(scalar, st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3))


DOCUMENTS = st.dictionaries(KEYS, values(), max_size=5)


@dataclass
class Written:
    """A text, and the offsets of its keys and values by path; `random` is what `st.randoms` gives."""

    random: Any
    text: str = ""
    keys: dict[str, int] = field(default_factory=lambda: {"": 0})
    values: dict[str, int] = field(default_factory=lambda: {"": 0})

    def document(self, table: dict[str, Any]) -> Written:
        self._trivia()
        self._table(table, "", "")
        return self

    def _table(self, table: dict[str, Any], path: str, header: str) -> None:
        """Write the body of a table: first its key/value pairs, then the tables with headers of their own."""
        apart = {key for key, value in table.items() if _may_have_headers(value) and self.random.random() < 0.6}
        for keys, value in self._statements({key: item for key, item in table.items() if key not in apart}):
            self._statement(keys, value, path)
            self._end_of_line()
        for key, value in table.items():
            if key in apart:
                self._headers(key, value, path, header)

    def _statements(self, table: dict[str, Any]) -> list[tuple[list[str], Any]]:
        """Return dotted keys with their values; some tables are taken apart into several of them."""
        found: list[tuple[list[str], Any]] = []
        for key, value in table.items():
            if isinstance(value, dict) and value and self.random.random() < 0.4:
                found += [([key, *keys], item) for keys, item in self._statements(value)]
            else:
                found.append(([key], value))
        return found

    def _statement(self, keys: list[str], value: Any, path: str) -> None:
        for index, key in enumerate(keys):
            path = join_path(path, key)
            self.keys.setdefault(path, len(self.text))
            self.values.setdefault(path, len(self.text))
            dot_or_equals = "." if index + 1 < len(keys) else "="
            self.text += f"{self._key(key)}{self._blank()}{dot_or_equals}{self._blank()}"
        self.values[path] = len(self.text)
        self._value(value, path)

    def _headers(self, key: str, value: Any, parent: str, header: str) -> None:
        path = join_path(parent, key)
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            start = len(self.text)
            self.text += "[[" if isinstance(value, list) else "["
            self.text += f"{self._blank()}{header}"
            name = len(self.text)
            spelled = self._key(key)
            self.text += f"{spelled}{self._blank()}" + ("]]" if isinstance(value, list) else "]")
            if index == 0:
                self.keys[path], self.values[path] = name, start
            element = path
            if isinstance(value, list):
                element = join_path(path, index)
                self.keys[element] = self.values[element] = start
            self._end_of_line()
            self._table(item, element, f"{header}{spelled}{self._blank()}.{self._blank()}")

    def _value(self, value: Any, path: str) -> None:
        if isinstance(value, Raw):
            self.text += value.text
        elif isinstance(value, str):
            self.text += self._string(value)
        elif isinstance(value, list):
            self._array(value, path)
        else:
            self._inline_table(value, path)

    def _array(self, items: list[Any], path: str) -> None:
        self.text += "["
        self._trivia()
        for index, item in enumerate(items):
            element = join_path(path, index)
            self.keys[element] = self.values[element] = len(self.text)
            self._value(item, element)
            self._trivia()
            if index + 1 < len(items) or self.random.random() < 0.3:
                self.text += ","
                self._trivia()
        self.text += "]"

    def _inline_table(self, table: dict[str, Any], path: str) -> None:
        self.text += "{" + self._blank()
        for index, (keys, value) in enumerate(self._statements(table)):
            if index:
                self.text += f",{self._blank()}"
            self._statement(keys, value, path)
            self.text += self._blank()
        self.text += "}"

    def _key(self, key: str) -> str:
        quoted = [json.dumps(key, ensure_ascii=self.random.random() < 0.5)]
        if max(map(ord, key), default=0) > 0xFFFF:  # JSON writes these as surrogate pairs, which TOML does not know
            quoted = [json.dumps(key, ensure_ascii=False)]
        if "'" not in key:
            quoted.append(f"'{key}'")
        if join_path("", key) == key:
            quoted = [*quoted, key, key, key]
        return self._one_of(quoted)

    def _string(self, value: str) -> str:
        escaped = json.dumps(value, ensure_ascii=False)
        forms = [escaped, f'"""\n{escaped[1:-1]}"""', f'"""{escaped[1:-1]}\\\n   """']
        if "\n" not in value and "'" not in value:
            forms.append(f"'{value}'")
        if "'''" not in value and not value.startswith("\n"):
            forms.append(f"'''{value}'''")
        if "\\" not in value and '"""' not in value and not value.startswith("\n"):
            forms.append(f'"""{value}"""')
        return self._one_of(forms)

    def _one_of(self, texts: list[str]) -> str:
        chosen: str = self.random.choice(texts)
        return chosen

    def _blank(self) -> str:
        return self._one_of(["", "", " ", "\t "])

    def _trivia(self) -> None:
        self.text += self._one_of(["", "", " ", "\n", '\n  # a = [ "\n', "#]}\n\t"])

    def _end_of_line(self) -> None:
        self.text += self._one_of(["\n", "\n\n", "  # a comment, é [x] = '\n", "\n\t# more\n  "])


def _may_have_headers(value: Any) -> bool:
    if isinstance(value, dict):
        return True
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
