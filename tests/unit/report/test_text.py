"""Small pieces of terminal text."""

from __future__ import annotations

import pytest

from dlpubuild.report.text import (
    Paint,
    columns,
    display_width,
    fitted,
    printable,
    seconds_text,
    shortened,
    size_text,
    wrapped,
)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (23_962, "23.4 KiB"),
        (1_048_523, "1023.9 KiB"),
        (1_048_570, "1.0 MiB"),
        (4_089_446, "3.9 MiB"),
        (1 << 30, "1.0 GiB"),
        ((1 << 40) - 1, "1.0 TiB"),
        (5 << 40, "5.0 TiB"),
        (5000 << 40, "5000.0 TiB"),
    ],
)
def test_a_size_is_told_in_the_largest_unit_that_fits(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (60, "1 min 00 s"),
        (185.2, "3 min 05 s"),
        (3599.7, "60 min 00 s"),
    ],
)
def test_a_duration_is_told_in_seconds_or_minutes(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("åäö", 3), ("a\u030a", 1), ("模型", 4), ("\x1b[1;31mred\x1b[0m", 3), ("é😀", 3)],
)
def test_the_width_of_text_is_that_on_a_terminal(text: str, width: int) -> None:
    assert display_width(text) == width


def test_columns_are_aligned_whatever_is_in_them() -> None:
    assert columns([("模型", "1"), ("a", "22")], header=("name", "n"), right=frozenset({1})) == (
        "name   n\n模型   1\na     22"
    )


def test_no_line_ends_in_spaces() -> None:
    assert columns([("a", ""), ("long name", "x")]) == "a\nlong name  x"


def test_no_rows_are_no_text() -> None:
    assert columns([]) == ""


def test_color_is_left_out_where_it_is_not_wanted() -> None:
    for name in ("good", "bad", "warn", "dim", "strong"):
        assert getattr(Paint(False), name)("x") == "x"
        colored = getattr(Paint(True), name)("x")
        assert colored.startswith("\x1b[")
        assert colored.endswith("mx\x1b[0m")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("image", "image"),
        ("bild åäö 模型 😀", "bild åäö 模型 😀"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\u202egnp", "\\u202egnp"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_would_steer_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_columns_are_shortened_in_the_order_asked_for_until_they_fit() -> None:
    rows = [("a" * 40, "b" * 40)]
    assert fitted(rows, shrink=(1, 0), width=60) == "a" * 40 + "  " + "b" * 8 + "…" + "b" * 9
    assert max(map(len, fitted(rows, shrink=(1, 0), width=30).splitlines())) == 30
    assert fitted(rows, shrink=(1, 0)) == columns(rows)


def test_a_text_is_cut_in_its_middle() -> None:
    assert shortened("abcdefghij", 7) == "abc…hij"
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert display_width(shortened("名前" * 20, 12)) <= 12


def test_long_lines_go_on_below_their_label() -> None:
    assert wrapped([("label", "one two three four"), ("x", "")], 19) == [
        ("label", "one two"),
        ("", "three four"),
        ("x", ""),
    ]
