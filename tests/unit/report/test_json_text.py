"""JSON as it is written piece by piece."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.report.json_text import joined, json_chunks

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(st.dictionaries(st.text(), VALUES))
def test_it_is_json_and_says_the_same(document: dict[str, object]) -> None:
    assert json.loads("".join(json_chunks(document))) == document


def test_numbers_stand_on_one_line_and_keys_are_sorted() -> None:
    document: dict[str, object] = {"b": (1, 2.5), "a": iter([{"x": [], "n": None}]), "c": {}}
    assert "".join(json_chunks(document)) == (
        '{\n  "a": [\n    {\n      "n": null,\n      "x": []\n    }\n  ],\n  "b": [1, 2.5],\n  "c": {}\n}\n'
    )


def test_what_is_no_number_is_null() -> None:
    document = {"a": [float("nan"), 1.0, float("inf")], "b": -float("inf")}
    assert json.loads("".join(json_chunks(document))) == {"a": [None, 1.0, None], "b": None}


def test_iterators_within_iterators_are_lists() -> None:
    document = {"a": ({"b": iter([{"c": iter([n])}])} for n in range(2))}
    assert json.loads("".join(json_chunks(document))) == {"a": [{"b": [{"c": [0]}]}, {"b": [{"c": [1]}]}]}


def test_pieces_are_joined_to_larger_ones() -> None:
    assert list(joined(iter(["ab", "cd", "ef", "g"]), 4)) == ["abcd", "efg"]
