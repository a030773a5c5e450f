"""The documentation leaves nothing out: commands, exit codes, variables, SoCs, findings."""

from __future__ import annotations

import re
from typing import Any

import typer

from dlpubuild.cli import app
from dlpubuild.errors import ExitCode
from dlpubuild.resources import templates_dir
from dlpubuild.targets.gate import GateRule
from dlpubuild.targets.load import load_socs
from tests.unit.docs.pages import ROOT, page, pages

# A name that code completes is none.
_VARIABLE = re.compile(r"\bDLPU_[A-Z]+(?:_[A-Z]+)*\b(?!\{)")


def first_cells(text: str, heading: str) -> list[str]:
    """Return the first cell of each row of the table whose first column has this heading."""
    rows = text.partition(f"\n| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip() for row in rows]


def leaf_commands(command: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    children = getattr(command, "commands", {})
    if not children:
        return [above]
    return [leaf for name, child in children.items() for leaf in leaf_commands(child, (*above, name))]


def test_the_readme_names_every_command() -> None:
    cells = "\n".join(first_cells(page("README.md").text, "command"))
    for first, *rest in leaf_commands(typer.main.get_command(app)):
        assert f"`dlpubuild {first}" in cells
        assert all(re.search(rf"(?:`| ){name}`", cells) for name in rest), (first, *rest)


def test_every_command_has_a_section_with_its_help() -> None:
    text = page("docs/cli.md").text
    for words in leaf_commands(typer.main.get_command(app)):
        assert f"## `dlpubuild {' '.join(words)}`\n\n```text\nUsage: dlpubuild {' '.join(words)}" in text


def test_no_summary_of_a_command_is_cut_off() -> None:
    text = page("docs/cli.md").text
    listed = re.findall(r"^  ([a-z]+)  +(\S.*)$", text, re.MULTILINE)
    assert len(listed) >= len(leaf_commands(typer.main.get_command(app)))
    assert [name for name, summary in listed if summary.endswith("...")] == []


def test_no_help_shows_a_mark_that_is_meant_for_typer() -> None:
    assert "\\b" not in page("docs/cli.md").text


def test_the_readme_explains_every_exit_code() -> None:
    codes = [int(cell) for cell in first_cells(page("README.md").text, "exit code")]
    assert codes == sorted(ExitCode)


def test_the_readme_explains_every_variable_that_the_tool_reads() -> None:
    read = {
        name
        for path in (ROOT / "dlpubuild").rglob("*.py")
        for name in _VARIABLE.findall(path.read_text(encoding="utf-8"))
    }
    explained = set(_VARIABLE.findall("\n".join(first_cells(page("README.md").text, "environment variable"))))
    assert explained == read


def test_no_page_speaks_of_a_variable_that_does_not_exist() -> None:
    known = {
        name
        for folder, pattern in (("dlpubuild", "*.py"), ("schemas", "*.json"), ("tests", "*.py"))
        for path in (ROOT / folder).rglob(pattern)
        for name in _VARIABLE.findall(path.read_text(encoding="utf-8"))
    }
    for each in pages():
        assert set(_VARIABLE.findall(each.text)) <= known, each.name


def test_the_readme_says_of_every_soc_whether_it_can_be_built() -> None:
    text = page("README.md").text
    socs = load_socs([templates_dir()], trusted=templates_dir())
    assert sorted(first_cells(text, "target")) == sorted(f"`{name}`" for name in socs)
    for name, soc in socs.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        said = row.split("|")[4].strip()
        assert said == ("builds" if soc.can_be_built else f"**not yet**: lacks {soc.not_yet}")
        if soc.can_be_built:
            default, *others = row.split("|")[3].strip().split(", ")
            assert default == soc.default_quantization
            assert sorted((default, *others)) == sorted(soc.allowed_quantization)


def test_troubleshooting_explains_every_finding_of_the_gate() -> None:
    explained = re.findall(r"`([a-z-]+)`", "\n".join(first_cells(page("docs/troubleshooting.md").text, "finding")))
    assert sorted(explained) == sorted(GateRule)


def test_troubleshooting_quotes_messages_that_exist() -> None:
    text = page("docs/troubleshooting.md").text
    bold = re.findall(r"^\*\*(.+?)\*\*", text, re.MULTILINE)
    quoted = re.findall(r"`([^`]+)`", "\n".join((*bold, *first_cells(text, "message"))))
    sources = [*(ROOT / "dlpubuild").rglob("*.py"), ROOT / "Makefile"]
    written = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    assert len(quoted) > 30
    assert [message for message in quoted if message not in written] == []


def test_contributing_names_every_make_target() -> None:
    made = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    explained = re.findall(r"make ([a-z-]+)", "\n".join(first_cells(page("CONTRIBUTING.md").text, "target")))
    assert sorted(explained) == sorted(set(made) - {"help"})
