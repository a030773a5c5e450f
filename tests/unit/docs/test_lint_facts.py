"""docs/templates.md shows a table of lint rules that works, and lists every fact that a rule may name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from dlpubuild.errors import ErrorCode
from dlpubuild.resources import templates_dir
from dlpubuild.targets.lint import facts
from dlpubuild.targets.lint.load import lint_table
from dlpubuild.targets.lint.rules import check_expressions
from dlpubuild.targets.load import check_document
from tests.unit.docs.pages import page

PAGE = page("docs/templates.md")


def facts_of_table(number: int) -> set[str]:
    """Return the names in the first column of one of the tables of facts."""
    table = PAGE.text.split("| fact | what |\n|---|---|\n")[number + 1].partition("\n\n")[0]
    return {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_the_table_is_one_and_its_expressions_compile() -> None:
    (block,) = [each for each in PAGE.blocks if each.title == "[lint] of target.toml"]
    table = tomllib.loads(block.text)["lint"]
    whole = tomllib.loads((templates_dir() / "cpu" / "target.toml").read_text(encoding="utf-8")) | {"lint": table}
    check_document(whole, "target", place=Path("target.toml"), code=ErrorCode.TEMPLATE)
    check_expressions(lint_table("devboard", Path("target.toml"), table, integer_only=True))


def test_every_fact_of_an_operator_is_listed() -> None:
    assert facts_of_table(0) == set(facts.FACTS["operator"])


def test_every_fact_of_a_tensor_is_listed() -> None:
    assert facts_of_table(1) == facts.PART_FACTS["t"]()


def test_every_fact_of_a_model_is_listed() -> None:
    assert facts_of_table(2) == facts.PART_FACTS["model"]()
