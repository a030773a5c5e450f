"""The expressions of lint rules: Jinja, in its sandbox, over the facts of an operator, a tensor or a model.

In: the text of an expression or a template, and which facts it may name. Out: something that can be asked of an object
with those facts. Only the facts that it names are asked for. Compiling is done once per process and text, and Jinja is
imported when the first is compiled: a command that lints nothing pays for none of it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from dlpubuild.targets.lint.facts import FACTS, PART_FACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

    from dlpubuild.targets.lint.facts import FactKind

MAX_TEXT: Final = 300


class FaultyExpressionError(ValueError):
    """The text of an expression is wrong, whatever the model."""


class NotTellableError(Exception):
    """An expression has no value for this model: it compares what is not there, or divides by zero."""


class Expression:
    """A compiled expression or template and the facts that it names."""

    __slots__ = ("_evaluate", "_names")

    def __init__(self, names: tuple[str, ...], evaluate: Callable[[Mapping[str, Any]], Any]) -> None:
        self._names = names
        self._evaluate = evaluate

    def of(self, facts: object) -> Any:
        """Return what it is for `facts`, an object with an attribute for each fact.

        Raises:
            NotTellableError: it has no value there.
        """
        try:
            return self._evaluate({name: getattr(facts, name) for name in self._names})
        except Exception as error:  # an expression raises whatever its parts raise
            raise NotTellableError(str(error) or type(error).__name__) from error


@cache
def condition(text: str, kind: FactKind) -> Expression:
    """Return the compiled expression `text`, which is true or false.

    Raises:
        FaultyExpressionError: it is no expression, or names a fact that `kind` does not have.
    """
    from jinja2 import nodes  # noqa: PLC0415 - as in `_environment`
    from jinja2.environment import TemplateExpression  # noqa: PLC0415

    tree = _compiled(lambda: _parsed_expression(text), text)
    # As `Environment.compile_expression` does, which would parse it once more.
    whole = nodes.Template([nodes.Assign(nodes.Name("result", "store"), tree, lineno=1)], lineno=1)
    names = _names(whole, text, kind)
    template = _compiled(lambda: _environment().from_string(whole), text)
    compiled = TemplateExpression(template, undefined_to_none=False)
    return Expression(names, lambda facts: bool(compiled(facts)))


@cache
def phrase(text: str, kind: FactKind) -> Expression:
    """Return the compiled template `text`; what it renders to is cut after a few hundred characters.

    Raises:
        FaultyExpressionError: as `condition`.
    """
    environment = _environment()
    names = _names(_compiled(lambda: environment.parse(text), text), text, kind)
    template = _compiled(lambda: environment.from_string(text), text)
    return Expression(names, lambda facts: shortened(template.render(facts)))


def shortened(text: str) -> str:
    """Return `text` cut where it is longer than a person would read, with what is not printable as escapes."""
    cut = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in cut)


@cache
def _environment() -> SandboxedEnvironment:
    import jinja2  # noqa: PLC0415 - takes 40 ms, and only linting needs it
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    # Plain text; views escape it.
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.globals.clear()
    return environment


def _parsed_expression(text: str) -> nodes.Expr:
    import jinja2  # noqa: PLC0415 - as in `_environment`
    from jinja2.parser import Parser  # noqa: PLC0415

    environment = _environment()
    parser = Parser(environment, text, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        raise jinja2.TemplateSyntaxError(f"{parser.stream.current.value!r} is one too many", 1)
    tree.set_environment(environment)
    return tree


def _compiled(action: Callable[[], Any], text: str) -> Any:
    import jinja2  # noqa: PLC0415 - as in `_environment`

    try:
        return action()
    except jinja2.TemplateError as error:
        raise FaultyExpressionError(f"{text!r}: {error.message or error}") from error
    except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError) as error:
        # What Python itself refuses of what Jinja made of it.
        raise FaultyExpressionError(f"{text!r}: {str(error) or type(error).__name__}") from error


def _names(tree: nodes.Node, text: str, kind: FactKind) -> tuple[str, ...]:
    """Return the facts that an expression names, all of which there are."""
    from jinja2 import nodes  # noqa: PLC0415 - as in `_environment`

    found = list(tree.find_all(nodes.Name))
    own = {name.name for name in found if name.ctx != "load"}
    used = sorted({name.name for name in found if name.ctx == "load"} - own)
    for name in used:
        if name not in FACTS[kind]:
            raise FaultyExpressionError(f"{text!r}: there is no fact {name!r}; there are {', '.join(FACTS[kind])}")
    for getter in tree.find_all(nodes.Getattr):
        whose = getter.node.name if isinstance(getter.node, nodes.Name) else ""
        if whose in own or whose not in PART_FACTS:
            continue
        if getter.attr not in PART_FACTS[whose]():
            raise FaultyExpressionError(f"{text!r}: {whose} has no {getter.attr!r}")
    return tuple(used)
