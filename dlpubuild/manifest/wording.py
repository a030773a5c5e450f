"""Values and guesses as they appear in messages.

In: a value out of a TOML document, or a word that is not known. Out: short text: the value as TOML writes it,
its kind with an article, the nearest known word.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN_CHARACTERS = 60


def quoted(value: Any) -> str:
    """Return `value` as TOML writes it, shortened; tables and arrays are named rather than written out."""
    if isinstance(value, str):
        shown = value if len(value) <= _SHOWN_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]}…"
        return json.dumps(shown, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return str(value)


def kind(value: Any) -> str:
    """Return what `value` is, with the value itself where that helps: `the string "yes"`, `a table`."""
    if isinstance(value, dict | list | bool):
        return quoted(value)
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if isinstance(value, int | float):
        return f"the number {quoted(value)}"
    return f"the date or time {quoted(value)}"


def in_a_row(names: Iterable[str]) -> str:
    """Return the names in quotes, with commas between them, in the order they come."""
    return ", ".join(json.dumps(name, ensure_ascii=False) for name in names)


def counted(count: int, noun: str) -> str:
    """Return `1 value`, `2 values`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def nearest_value(word: str, known: Iterable[str]) -> str:
    """Return the nearest of a few values: with few to choose from, a farther one is still a good guess."""
    return nearest_name(word, known, cutoff=0.5)


def nearest_name(word: str, known: Iterable[str], *, cutoff: float) -> str:
    """Return the one of `known` that `word` most probably stands for, or `""` where none is near.

    Upper and lower case, and hyphen and underscore, count as equal. `cutoff` is difflib's: 1.0 takes equal
    words only, 0.0 any.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only a faulty manifest pays for it

    spelled = {name.lower(): name for name in known}
    matches = get_close_matches(word.lower().replace("_", "-"), spelled, n=1, cutoff=cutoff)
    return spelled[matches[0]] if matches else ""


def did_you_mean(guess: str) -> str:
    """Return the clause that ends a message; nothing where there is no guess."""
    return f'; did you mean "{guess}"?' if guess else ""


_SENTENCES = {
    "const": "{found} is not {limit}: {rule}",
    "exclusiveMinimum": "{found} is too small: it must be above {limit}",
    "maxItems": "has {values}, and at most {limit} are allowed",
    "maxLength": "has {size} characters, and at most {limit} are allowed",
    "maximum": "{found} is too large: at most {limit}",
    "minItems": "has {values}, and at least {limit} are needed",
    "minLength": "is empty",
    "minProperties": "{rule}",
    "minimum": "{found} is too small: at least {limit}",
    "not": "{rule}",
    "pattern": "{found} cannot be used: {rule}",
}
_TYPE_NAMES = {
    "array": "an array",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "a table",
    "string": 'a string in "quotes"',
}


def value_message(keyword: str, value: Any, limit: Any, rule: str) -> str:
    """Return what is wrong with a value.

    Args:
        keyword: the keyword of JSON Schema that the value violates.
        value: what was found.
        limit: the keyword's own value, such as the list of an `enum`.
        rule: the schema's `errorMessage`, which says what a `pattern` or a condition is about.

    Raises:
        KeyError: there are no words for the keyword; the schema must not use it.
    """
    if keyword == "type":
        return f"expected {_TYPE_NAMES[limit]}, found {kind(value)}"
    if keyword == "enum":
        return f"{quoted(value)} is not one of {in_a_row(limit)}{did_you_mean(nearest_value(str(value), limit))}"
    if keyword == "uniqueItems":
        repeated = next((item for index, item in enumerate(value) if item in value[:index]), value)
        return f"{quoted(repeated)} is given twice"
    size = len(value) if isinstance(value, str | list) else 0
    return _SENTENCES[keyword].format(
        found=quoted(value), limit=quoted(limit), rule=rule, size=size, values=counted(size, "value")
    )
