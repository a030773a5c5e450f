"""`dlpubuild schema`: the JSON Schemas."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def schema(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="dlpu, lock, model, report, report-compare, steps or target.", show_default=False
        ),
    ] = "dlpu",
) -> None:
    """Print the JSON Schema of dlpu.toml, or another.

    Editors with a TOML language server complete and document dlpu.toml with it: begin the file with
    "#:schema dlpu.schema.json".

    \b
    Examples:
      dlpubuild schema > dlpu.schema.json
      dlpubuild schema model            # model.json in packages
      dlpubuild schema report           # the report of a build as JSON
    """  # noqa: D301 - click wants the character itself
    from difflib import get_close_matches  # noqa: PLC0415

    from dlpubuild.errors import ErrorCode, UsageError  # noqa: PLC0415
    from dlpubuild.resources import schema_path, schemas_dir  # noqa: PLC0415

    names = sorted(path.name.removesuffix(".schema.json") for path in schemas_dir().glob("*.schema.json"))
    if name not in names:
        near = get_close_matches(name, names, n=1)
        guess = f'; did you mean "{near[0]}"?' if near else ""
        raise UsageError(ErrorCode.USAGE, f'there is no schema "{name}"{guess}', hint=f"schemas: {', '.join(names)}")
    sys.stdout.write(schema_path(name).read_text(encoding="utf-8"))
