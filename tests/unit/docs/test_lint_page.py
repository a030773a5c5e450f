"""docs/lint.md: every rule of the tool's own tables is in the section of its SoC."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dlpubuild.targets.gate import GateRule
from dlpubuild.targets.load import load_socs

ROOT = Path(__file__).resolve().parents[3]
# Those that every SoC has are described before.
SHARED = {"too-many-operators", *(rule.value for rule in GateRule)}
SECTIONS = {
    "artpec7": "ARTPEC-7: the rules",
    "artpec8": "ARTPEC-8: the rules",
    "artpec9": "ARTPEC-9: the rules",
    "cv25": "CV25 and CV75: the rules",
    "cv75": "CV25 and CV75: the rules",
    "cpu": "CPU: the rules",
}


@pytest.mark.parametrize("soc", SECTIONS)
def test_the_section_of_an_soc_names_each_of_its_rules(soc: str) -> None:
    table = load_socs([ROOT / "templates"], trusted=ROOT / "templates")[soc].lint
    assert table is not None
    page = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    (section,) = (part for part in page.split("\n## ") if part.startswith(SECTIONS[soc]))

    named = set(re.findall(r"`([a-z][a-z0-9]*(?:-[a-z0-9]+)*)`", section))

    assert {each.removeprefix(f"{soc}/") for each in table.rule_ids} - SHARED - named == set()
