"""Where keys and values stand."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlpubuild.errors import Location
from dlpubuild.manifest.locate import LineIndex, SourceIndex, TooDeepError, index_source
from dlpubuild.manifest.scan import MAX_DEPTH
from dlpubuild.manifest.tomlpath import join_path, path_of
from tests.unit.manifest.toml_documents import DOCUMENTS, Written


def places(text: str) -> dict[str, str]:
    """Return `line:column` of key and value for each path, the file itself left out."""
    tomllib.loads(text)
    index = index_source(text, "f")
    assert index.keys.keys() == index.values.keys()
    return {
        path: f"{key.line}:{key.column} {index.values[path].line}:{index.values[path].column}"
        for path, key in index.keys.items()
        if path
    }


def paths_of(value: Any, path: str = "") -> set[str]:
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return {path}.union(*(paths_of(item, join_path(path, key)) for key, item in items))


def test_a_table_starts_at_its_header_and_its_key_inside_of_it() -> None:
    assert places("a = 1\n\n[b.c]\n  d = 2\n") == {"a": "1:1 1:5", "b": "3:2 3:2", "b.c": "3:4 3:1", "b.c.d": "4:3 4:7"}


def test_a_table_that_was_implied_moves_to_its_own_header() -> None:
    assert places("[b.c]\n[b]\n")["b"] == "2:2 2:1"


def test_arrays_of_tables_count_their_elements() -> None:
    found = places(
        "[[m.input]]\nname = 1\n[[m.input]]\nname = 2\n"
        "[m.input.more]\nx = 3\n[[m.input.deep]]\n[[m.input]]\n[[m.input.deep]]\n"
    )
    assert found["m.input"] == "1:5 1:1"
    assert found["m.input[1]"] == "3:1 3:1"
    assert found["m.input[1].name"] == "4:1 4:8"
    assert found["m.input[1].more.x"] == "6:1 6:5"
    assert found["m.input[1].deep[0]"] == "7:1 7:1"
    assert found["m.input[2].deep[0]"] == "9:1 9:1"


def test_dotted_and_quoted_keys() -> None:
    assert places("a . \"b c\".'d' = 1\na.e=2") == {
        "a": "1:1 1:1",
        'a."b c"': "1:5 1:5",
        'a."b c".d': "1:11 1:17",
        "a.e": "2:3 2:5",
    }
    assert places('"\\u00e9 x" = 1') == {'"é x"': "1:1 1:14"}
    assert places('"" = 1') == {'""': "1:1 1:6"}


def test_inline_tables_and_arrays_over_several_lines() -> None:
    assert places("a = [ # one ]\n  1,\n  {b = 2, c.d = 'x'},\n]") == {
        "a": "1:1 1:5",
        "a[0]": "2:3 2:3",
        "a[1]": "3:3 3:3",
        "a[1].b": "3:4 3:8",
        "a[1].c": "3:11 3:11",
        "a[1].c.d": "3:13 3:17",
    }


@pytest.mark.parametrize(
    "value",
    [
        '"""\n[x]\na = 1 # "" \\""" """',
        '"""x"""""',
        '""""""',
        "'''\n'' [x] # ''''",
        '"\\"#"',
        "'\\'",
        "1979-05-27 07:32:00",
        "[[1, 2], []]",
        "{}",
    ],
)
def test_what_looks_like_a_key_inside_of_a_value_is_none(value: str) -> None:
    text = f"a = {value}\nb = 1"
    assert places(text)["b"].startswith(f"{text.count(chr(10)) + 1}:1 ")


def test_columns_count_characters_not_bytes() -> None:
    assert places('"ö" = 1\nx = ["ä🙂", 2]')["x[1]"] == "2:12 2:12"


def test_a_path_that_is_not_in_the_file_is_at_its_nearest_parent() -> None:
    index = index_source("[a]\nb = [1]\n", "f")
    assert index.value_at("a.b[3].c") == Location("f", 2, 5)
    assert index.key_at("a.c") == Location("f", 1, 2)
    assert index.value_at("z.y") == Location("f", 1, 1)


def test_a_key_given_twice_is_found_with_both_places() -> None:
    duplicate = index_source("[a]\nb = 1\n[c]\n[a]\n", "f").duplicate
    assert duplicate is not None
    assert (duplicate.path, duplicate.first.line, duplicate.again.line) == ("a", 1, 4)


@pytest.mark.parametrize("opening", ["[", "{a=", "[{a="])
def test_nesting_has_a_limit(opening: str) -> None:
    with pytest.raises(TooDeepError) as caught:
        index_source("x = " + opening * 10_000, "f")
    assert caught.value.location.line == 1


def test_a_dotted_key_counts_as_nesting() -> None:
    index_source(".".join(["a"] * MAX_DEPTH) + " = 1", "f")
    with pytest.raises(TooDeepError):
        index_source(".".join(["a"] * (MAX_DEPTH + 1)) + " = 1", "f")


@given(st.text(st.sampled_from("a.=[]{}\"'\\,# \n1é"), max_size=40))
@settings(derandomize=True, database=None, deadline=None, max_examples=300)
def test_a_text_that_is_not_toml_ends_the_walk_without_an_error(text: str) -> None:
    assert isinstance(index_source(text, "f"), SourceIndex)


@given(DOCUMENTS, st.randoms(use_true_random=False))
@settings(
    derandomize=True, database=None, deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow]
)
def test_every_key_that_tomllib_sees_is_found_where_it_was_written(document: dict[str, Any], random: Any) -> None:
    written = Written(random).document(document)
    parsed = tomllib.loads(written.text)
    index = index_source(written.text, "f")
    lines = LineIndex(written.text, "f")
    assert set(index.keys) == paths_of(parsed)
    assert dict(index.keys) == {path: lines.location(offset) for path, offset in written.keys.items()}
    assert dict(index.values) == {path: lines.location(offset) for path, offset in written.values.items()}
    assert index.duplicate is None


def test_paths_quote_the_keys_that_toml_would_quote() -> None:
    assert path_of(["model", "input", 0, "shape"]) == "model.input[0].shape"
    assert path_of(["a", "b.c", "", "é"]) == 'a."b.c".""."é"'
