"""`dlpubuild` command lines in shell text, and whether the tool would understand them.

In: the text of a fenced block or a code span. Out: argument lists; a `ValueError` where one does not parse.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import typer

from dlpubuild.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPERATORS = frozenset("();<>|&")
_HELP = frozenset({"--help", "-h"})


def shell_lines(kind: str, text: str) -> Iterator[str]:
    """Yield the logical lines of a block that a person would type; in a console block they follow a prompt."""
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        if kind == "console":
            if line.startswith("$ "):
                yield line[2:]
        elif kind == "sh":
            yield line


def command_lines(line: str) -> Iterator[list[str]]:
    """Yield the arguments of every `dlpubuild` that a shell would start in this line, those in `$(...)` included."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="".join(sorted(_OPERATORS)))
    lexer.whitespace_split = True
    arguments: list[str] | None = None
    at_command = True
    for word in lexer:
        if set(word) <= _OPERATORS:
            if arguments is not None:
                yield arguments
            arguments, at_command = None, True
        elif arguments is not None:
            arguments.append(word)
        elif at_command and word.rpartition("/")[2] == "dlpubuild":
            arguments = []
        elif not (at_command and "=" in word) and word != "$":
            at_command = False
    if arguments is not None:
        yield arguments


def command_of(arguments: list[str]) -> tuple[Any, list[str]]:
    """Return the command that is meant, in typer's classes, and what is left of the arguments.

    Raises:
        ValueError: there is no such command.
    """
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in command.commands:
            raise ValueError(f"there is no command {name!r} in {' '.join(arguments)!r}")
        command = command.commands[name]
    return command, rest


def require_options(arguments: list[str]) -> None:
    """Make sure that command and options exist; values and positional arguments may be left out.

    Raises:
        ValueError: one of them does not exist.
    """
    command, rest = command_of(arguments)
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | _HELP
    for word in rest:
        if word.startswith("-") and word.partition("=")[0] not in known:
            raise ValueError(f"there is no option {word!r} in {' '.join(arguments)!r}")


def require_complete(arguments: list[str]) -> None:
    """Make sure that the tool takes these arguments as they are.

    Raises:
        ValueError: it does not.
    """
    require_options(arguments)
    command, rest = command_of(arguments)
    if hasattr(command, "commands") or _HELP & set(rest):
        return
    try:
        command.make_context(command.name, rest)
    except Exception as error:
        raise ValueError(f"{' '.join(arguments)!r}: {error}") from error
