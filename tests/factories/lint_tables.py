"""Lint tables of made-up SoCs: TOML as it would stand under `[lint]` of a `target.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.resources import templates_dir
from dlpubuild.targets.lint.load import lint_table
from dlpubuild.targets.load import load_socs

if TYPE_CHECKING:
    from dlpubuild.targets.lint.table import LintTable
    from dlpubuild.targets.model import Soc

HEAD = """
processor = "Toy DLPU"
parts = "{parts}"
{more}
[sources]
ops = "https://example.com/ops"
tips = "a page that is in print"
[unlisted]
severity = "warning"
change = "use another"
source = "ops"
evidence = "documented"
[[operator]]
names = ["CONV_2D", "FULLY_CONNECTED", "ADD"]
source = "ops"
evidence = "measured"
"""
LIMIT = """
[[operator.limit]]
rule = "{rule}"
require = "{require}"
found = "{found}"
wanted = "another"
change = "change it"
"""
RULE = """
[[rule]]
rule = "{rule}"
on = "{on}"
require = "{require}"
found = "{found}"
wanted = "something else"
change = "change that"
severity = "{severity}"
source = "tips"
evidence = "inferred"
{more}
"""


def head(*, parts: str = "any", more: str = "") -> str:
    return HEAD.format(parts=parts, more=more)


def limit(require: str, *, rule: str = "a-limit", found: str = "this") -> str:
    return LIMIT.format(rule=rule, require=require, found=found)


def rule(
    require: str, *, on: str = "operator", name: str = "a-rule", found: str = "that", severity: str = "advice",
    more: str = "",
) -> str:  # fmt: skip
    return RULE.format(rule=name, on=on, require=require, found=found, severity=severity, more=more)


def table_of_toml(text: str, *, integer_only: bool = True) -> LintTable:
    return lint_table("toy", Path("toy/target.toml"), tomllib.loads(text), integer_only=integer_only)


def toy_soc(text: str) -> Soc:
    """Return an SoC that takes integer models, with the table that `text` spells out."""
    (like,) = [soc for name, soc in load_socs([templates_dir()], trusted=templates_dir()).items() if name == "artpec9"]
    return replace(like, name="toy", title="Toy", lint=table_of_toml(text))
