# ruff: noqa: INP001 - a script, not a package
"""Write the reference pages.

docs/manifest.md from the manifest's schema, docs/cli.md from `--help` of every command, and the table of model.json in
docs/bundle.md from that file's schema.

    python docs/generate.py            # write them
    python docs/generate.py --check    # exit with 1 where a page is not what would be written

In: `schemas/`, `templates/*/target.toml`, the command line. Out: Markdown that depends on nothing else:
not on the terminal, the user's settings or the machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dlpubuild.cli import app
from dlpubuild.manifest.schema import resolve_reference, schema_bytes
from dlpubuild.resources import schema_path, templates_dir
from dlpubuild.targets.load import load_socs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlpubuild.targets.model import Soc

DOCS = Path(__file__).resolve().parent
FIX = "make docs"
_HELP_COLUMNS = 92
_NOTICE = f"<!-- Written by docs/generate.py; change what it reads, then run: {FIX} -->\n"

_MANIFEST_OPENING = """\
# `dlpu.toml`

The manifest of a project: which model to build, for which SoCs, with which calibration data. This page lists every key.
[`dlpu.toml.example`](../dlpu.toml.example) shows them all in one file, with a comment each, and the
[guide](guide.md) says how to choose.

The schema behind this page is [`schemas/dlpu.schema.json`](../schemas/dlpu.schema.json). `dlpubuild schema` prints it.
An editor with a TOML language server (taplo, Even Better TOML) completes and explains the keys where the first line of
the file names the schema:

```toml
#:schema ./dlpu.schema.json
```

Rules for all keys:

- Unknown keys and values are faults. `dlpubuild check` tells all faults at once, each with file, line and column.
- A path is relative to the folder of the manifest. A path that leaves that folder (`..`, an absolute path, a symbolic
  link) is refused unless `allow-outside` lists it.
- A command-line option wins over an environment variable, that over the manifest, that over the SoC's default, that
  over the tool's. `dlpubuild config` prints each value and where it comes from.

The smallest manifest with an integer target:

```toml
schema = 1

[project]
name = "digits"
version = "1.0.0"

[model]
source = "model/digits.keras"

[calibration]
data = "data/calibration"

[target.artpec8]
```

## Not acted on yet

The manifest is meant to outlive versions of the tool, so it has keys for what is still to come:

| key | what this version does |
|---|---|
| `toolchain.<name>.path` but for `edgetpu` and `ambarella` | refused where a target uses it: exit code 2 |
"""

_CLI_OPENING = """\
# Commands

What `--help` prints for each command. [README](../README.md) has the tables of exit codes and environment variables.
"""


def pages() -> dict[Path, str]:
    """Return the text of each generated page by its path."""
    bundle = DOCS / "bundle.md"
    return {
        DOCS / "manifest.md": manifest_page(),
        DOCS / "cli.md": cli_page(),
        bundle: with_table(bundle.read_text("utf-8"), model_json_table()),
    }


def manifest_page() -> str:
    """Return the reference of dlpu.toml."""
    schema = json.loads(schema_bytes())
    socs = load_socs([templates_dir()], trusted=templates_dir())
    root = {name: part for name, part in schema["properties"].items() if "properties" not in _resolved(schema, part)}
    parts = [
        _NOTICE + _MANIFEST_OPENING,
        "## At the top of the file\n\n" + _keys(schema, root, schema["required"]),
        *_tables(schema, schema, "", socs),
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _tables(schema: Mapping[str, Any], table: Mapping[str, Any], header: str, socs: Mapping[str, Soc]) -> Iterator[str]:
    """Yield one section per table below `table`, in the order of the schema."""
    for name, reference in table["properties"].items():
        part = _resolved(schema, reference)
        path = f"{header}.{name}" if header else name
        items = part.get("items", {})
        if path == "toolchain":
            yield _toolchains(schema, part)
        elif path == "target":
            yield _section(schema, part, "[target]", path, socs)
            yield from _tables(schema, part, path, socs)
            own = schema["$defs"]["template-target"]
            yield _section(schema, own, "[target.<name>] of the project's own templates", path, socs)
        elif "patternProperties" in part:
            (named,) = part["patternProperties"].values()
            own = _resolved(schema, named) | {"description": part["description"]}
            yield _section(schema, own, f'[{path}."<soc>/<rule>"]', path, socs)
        elif "properties" in part:
            yield _section(schema, part, f"[{path}]", path, socs)
            yield from _tables(schema, part, path, socs)
        elif "properties" in items:
            yield _section(schema, items | {"description": part["description"]}, f"[[{path}]]", path, socs)


def _section(
    schema: Mapping[str, Any], table: Mapping[str, Any], header: str, path: str, socs: Mapping[str, Soc]
) -> str:
    name, _, rest = header.partition("] ")
    title = f"`{name}]` {rest}" if rest else f"`{header}`"
    lines = [f"## {title}", "", _text(table["description"])]
    soc = socs.get(path.removeprefix("target.")) if path.startswith("target.") else None
    if soc is not None:
        state = "Can be built." if soc.can_be_built else f"Not yet: this version lacks {soc.not_yet}."
        lines += ["", f"{state} larod device `{soc.larod_device}`, ACAP architecture `{soc.architecture}`."]
    own = {name: each for name, each in table["properties"].items() if not _is_table(schema, each)}
    if own:
        lines += ["", _keys(schema, own, table.get("required", ()))]
    return "\n".join(lines)


def _toolchains(schema: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """Return one section for all toolchains: they have the same keys."""
    parts = {name: _resolved(schema, part) for name, part in table["properties"].items()}
    lines = ["## `[toolchain.<name>]`", "", _text(table["description"]), "", "| name | what |", "|---|---|"]
    lines += [f"| `{name}` | {_text(part['description'])} |" for name, part in parts.items()]
    return "\n".join([*lines, "", _keys(schema, next(iter(parts.values()))["properties"], ())])


def _is_table(schema: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    part = _resolved(schema, reference)
    return "properties" in part or "properties" in part.get("items", {})


def _keys(schema: Mapping[str, Any], keys: Mapping[str, Any], required: object) -> str:
    lines = ["| key | type | default | what |", "|---|---|---|---|"]
    for name, reference in keys.items():
        part = _resolved(schema, reference)
        if name in (required if isinstance(required, list) else ()):
            default = "required"
        else:
            default = f"`{_toml(part['default'])}`" if "default" in part else "-"
        example = f" Example: `{_toml(part['examples'][0])}`." if part.get("examples") and "enum" not in part else ""
        lines.append(f"| `{name}` | {_type(schema, part)} | {default} | {_text(part['description'])}{_cell(example)} |")
    return "\n".join(lines)


def _type(schema: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    """Return the type of a key in a few words, with the values or limits that it has."""
    if "enum" in part:
        return ", ".join(f"`{_toml(value)}`" for value in part["enum"])
    if "const" in part:
        return f"`{_toml(part['const'])}`"
    if part["type"] == "array":
        items = _resolved(schema, part["items"])
        return f"array: {_type(schema, items)}" if "enum" in items else f"array of {items['type']}s"
    limits = [f"{word} {part[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in part]
    return " ".join([part["type"], *limits])


def _resolved(schema: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    return resolve_reference(dict(schema), dict(part))


def _text(description: str) -> str:
    return _cell(description).replace("<", "&lt;").replace("[[", "\\[\\[")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def with_table(page: str, table: str) -> str:
    """Return `page` with `table` between its two markers, whatever stood there before."""
    before, begin, rest = page.partition("<!-- begin -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    return f"{before}{begin}\n{table}\n{end}{after}"


def model_json_table() -> str:
    """Return one row for each field of model.json."""
    schema = json.loads(schema_path("model").read_text("utf-8"))
    rows = [f"| `{path}` | {_field_type(part)} | {_text(part['description'])} |" for path, part in _fields(schema, "")]
    return "\n".join(["| field | type | what |", "|---|---|---|", *rows, ""])


def _fields(table: Mapping[str, Any], above: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, part in table["properties"].items():
        path = f"{above}{name}"
        items = part.get("items", {})
        yield path, part
        if "properties" in part:
            yield from _fields(part, f"{path}.")
        elif "properties" in items:
            yield from _fields(items, f"{path}[].")
        elif "additionalProperties" in part:
            yield f"{path}.<name>", part["additionalProperties"] | {"description": "One of them."}


def _field_type(part: Mapping[str, Any]) -> str:
    if "enum" in part or "const" in part:
        return ", ".join(f"`{_toml(value)}`" for value in part.get("enum", [part.get("const")]))
    kinds = part.get("type", "string")
    if kinds == "array" and "properties" not in part["items"]:
        return f"array of {part['items']['type']}s"
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)


def cli_page() -> str:
    """Return the help of every command."""
    parts = [_NOTICE + _CLI_OPENING]
    for name, text in command_helps().items():
        parts.append(f"## `{name}`\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(parts)


def command_helps() -> dict[str, str]:
    """Return what `--help` prints, by command, in the order in which the tool lists them."""
    root = typer.main.get_command(app)
    return dict(_helps(root, "dlpubuild", None))


def _helps(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    context = command.context_class(
        command, info_name=name, parent=parent, terminal_width=_HELP_COLUMNS, **command.context_settings
    )
    yield context.command_path, command.get_help(context)
    for child_name, child in getattr(command, "commands", {}).items():
        yield from _helps(child, child_name, context)


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them with what lies there."""
    stale = {path: text for path, text in pages().items() if not path.is_file() or path.read_text("utf-8") != text}
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(DOCS.parent)} is not current; run: {FIX}\n")
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(DOCS.parent)}: written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
