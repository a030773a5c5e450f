"""Step templates rendered: `templates/<soc>/steps.toml.j2` and a context become a checked TOML document.

In: an SoC and a context. Out: the document. Every `{{ value }}` is written as a TOML literal by the environment, so
text of the user's can never become structure; a name that is not defined fails. Nothing is run here: templates decide
nothing but which step runs with which parameters, and those a project brings reach no Python.
"""

from __future__ import annotations

import json
import math
import tomllib
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, Location, TemplateError
from dlpubuild.targets.load import STEPS_TEMPLATE, check_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.targets.model import Soc


def toml_literal(value: object) -> str:  # noqa: PLR0911 - one return per type
    """Return `value` as a TOML literal.

    >>> toml_literal({"a b": [1, 2.5, True, "c"]})
    '{ "a b" = [1, 2.5, true, "c"] }'

    Raises:
        TypeError: there is no TOML for it, for instance None.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return repr(value)
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for the one control character JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_literal(each) for each in value) + "]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{toml_literal(str(key))} = {toml_literal(each)}" for key, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    raise TypeError(f"no TOML literal for {type(value).__name__}")


def render_steps(soc: Soc, context: Mapping[str, Any], *, validate: bool) -> dict[str, Any]:
    """Return the steps document of `soc`, rendered with `context`.

    Args:
        validate: check the result against `schemas/steps.schema.json`; the tool's own templates are checked by its
            tests and need it not on each start.

    Raises:
        TemplateError: the template cannot be rendered, or what comes out is not TOML, or holds what JSON cannot.
        ManifestError: what comes out is not what the schema asks for.
    """
    text = _render(soc, context)
    template = soc.folder / STEPS_TEMPLATE
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        numbered = "\n".join(f"    {number:3} {line}" for number, line in enumerate(text.splitlines(), start=1))
        raise TemplateError(
            ErrorCode.TEMPLATE,
            f"what the template renders to is not TOML: {error}\n{numbered}",
            location=Location(str(template)),
        ) from error
    try:
        json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TemplateError(
            ErrorCode.TEMPLATE,
            f"a parameter cannot be written as JSON, which is what scripts read: {error}",
            hint="TOML dates, times, inf and nan have no place there: quote them",
            location=Location(str(template)),
        ) from error
    if validate:
        check_document(document, "steps", place=template, code=ErrorCode.TEMPLATE)
    return document


def _render(soc: Soc, context: Mapping[str, Any]) -> str:
    import jinja2  # noqa: PLC0415 - slow to import, and not needed where a plan is known
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader([str(folder) for folder in soc.search_path]),
        undefined=jinja2.StrictUndefined,
        finalize=_literal,
        autoescape=False,  # the output is TOML; `finalize` quotes every value
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.globals.clear()
    place = Location(str(soc.folder / STEPS_TEMPLATE))
    cause: Exception
    try:
        return environment.get_template(f"{soc.name}/{STEPS_TEMPLATE}").render(**context)
    except jinja2.TemplateNotFound as error:
        message, cause = f'there is no template "{error.name}"', error
    except jinja2.TemplateSyntaxError as error:
        message, cause = str(error.message), error
        place = Location(error.filename or place.file, error.lineno, 1)
    except Exception as error:  # noqa: BLE001 - a template raises whatever its expressions raise
        message, cause = str(error) or type(error).__name__, error
        place = _template_place(error) or place
    raise TemplateError(ErrorCode.TEMPLATE, f"the template cannot be rendered: {message}", location=place) from cause


def _literal(value: object) -> str:
    import jinja2  # noqa: PLC0415 - loaded already where this is called

    if isinstance(value, jinja2.Undefined):
        return str(value)  # raises, with the name that is not defined
    return toml_literal(value)


def _template_place(error: BaseException) -> Location | None:
    """Jinja rewrites tracebacks so that the innermost frame of template code has the template's file and line."""
    place = None
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.endswith(".j2"):
            place = Location(file, trace.tb_lineno, 1)
        trace = trace.tb_next
    return place
