"""TOML paths, the names that problems and locations use: `model.input[0].shape`.

In: the keys and indices that lead to a value. Out: one string, in which a key that TOML would have to quote
is quoted. Nothing is parsed back.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def join_path(parent: str, key: str | int) -> str:
    """Return the path of `key` in `parent`: `a.b`, `a[0]`, or `a."b c"` where the key is not a bare one."""
    if isinstance(key, int):
        return f"{parent}[{key}]"
    name = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{parent}.{name}" if parent else name


def path_of(parts: Iterable[str | int]) -> str:
    """Return the path that `parts` lead to, for example `model.input[0].shape`."""
    path = ""
    for part in parts:
        path = join_path(path, part)
    return path
