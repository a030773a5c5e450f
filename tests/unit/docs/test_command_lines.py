"""Every command line in the documentation is one that the tool understands."""

from __future__ import annotations

import shlex

import pytest

from tests.unit.docs.command_lines import command_lines, require_complete, require_options, shell_lines
from tests.unit.docs.pages import Page, page, pages


@pytest.mark.parametrize("source", pages(), ids=lambda each: each.name)
def test_command_lines_in_blocks_parse(source: Page) -> None:
    for block in source.blocks:
        for line in shell_lines(block.kind, block.text):
            for arguments in command_lines(line):
                require_complete(arguments)


@pytest.mark.parametrize("source", pages(), ids=lambda each: each.name)
def test_commands_in_sentences_exist(source: Page) -> None:
    for span in source.code_spans:
        if span.startswith("dlpubuild ") and "COMMAND" not in span:
            require_options(shlex.split(span)[1:])


def test_the_readme_and_the_guide_show_how_each_main_command_is_used() -> None:
    used = {
        arguments[0]
        for name in ("README.md", "docs/guide.md")
        for block in page(name).blocks
        for line in shell_lines(block.kind, block.text)
        for arguments in command_lines(line)
    }
    assert used >= {"init", "check", "plan", "build", "inspect", "lock", "render", "toolchain"}


def test_a_command_line_is_found_wherever_a_shell_would_start_it() -> None:
    line = "A=1 dlpubuild plan --format dot | dot > x  # dlpubuild nothing"
    assert list(command_lines(line)) == [["plan", "--format", "dot"]]
    assert list(command_lines("PYTHON=$(dlpubuild toolchain list) /tmp/run")) == [["toolchain", "list"]]
    assert list(command_lines("cd dlpubuild && venv/bin/dlpubuild check")) == [["check"]]


@pytest.mark.parametrize("wrong", ["biuld", "build --job 1", "build --jobs many", "init", "cache empty", "plan extra"])
def test_a_wrong_command_line_is_noticed(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"there is no|init|jobs|extra"):
        require_complete(wrong.split())
