"""What TOML says is remembered by its text, and is the same when it is."""

from __future__ import annotations

import tomllib

import pytest

from dlpubuild.commands.remembered_toml import remembering_toml
from dlpubuild.commands.wiring import open_memo, read_host
from dlpubuild.resources import templates_dir

TABLES = sorted(templates_dir().glob("*/target.toml"))


def test_the_tables_of_every_soc_are_the_same_again() -> None:
    with open_memo(read_host()) as memo:
        first, again = remembering_toml(memo), remembering_toml(memo)
        for path in TABLES:
            text = path.read_text(encoding="utf-8")
            assert first(text) == again(text) == tomllib.loads(text)
            assert str(again(text)) == str(tomllib.loads(text)), "the order of keys, and which numbers are whole"


def test_another_text_is_another_document() -> None:
    with open_memo(read_host()) as memo:
        parse = remembering_toml(memo)
        assert (parse("a = 1"), parse("a = 1.0"), parse("a = true")) == ({"a": 1}, {"a": 1.0}, {"a": True})


def test_a_date_stays_one_and_a_fault_a_fault() -> None:
    with open_memo(read_host()) as memo:
        parse = remembering_toml(memo)
        for _ in range(2):
            assert parse("a = 2026-01-01")["a"].year == 2026
            with pytest.raises(tomllib.TOMLDecodeError):
                parse("a = ")
