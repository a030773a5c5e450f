"""TOML documents, remembered by their text.

In: texts. Out: what they say. Every command reads the tables of all SoCs, and parsing them takes longer than all that
it does with them.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from typing import TYPE_CHECKING, Any

from dlpubuild.cas.memo import MAX_FACT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlpubuild.cas.memo import Memo

_KIND = "toml-1"


def remembering_toml(memo: Memo) -> Callable[[str], dict[str, Any]]:
    """Return `tomllib.loads` that asks `memo` first; what it raises is not remembered."""

    def parse(text: str) -> dict[str, Any]:
        key = hashlib.sha256(text.encode()).hexdigest()
        known = memo.recall(_KIND, key)
        if known is not None:
            document: dict[str, Any] = json.loads(known)
            return document
        document = tomllib.loads(text)
        try:
            content = json.dumps(document).encode()
        except TypeError:
            return document  # it has a date, for which JSON has no type
        if len(content) <= MAX_FACT_BYTES:
            memo.remember(_KIND, key, content)
        return document

    return parse
