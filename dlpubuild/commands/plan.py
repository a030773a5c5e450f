"""`dlpubuild plan`: the steps of a build, and which of them are cached."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from dlpubuild.commands import options
from dlpubuild.commands.wiring import (
    load_project,
    names_of,
    open_memo,
    open_store,
    pinned,
    plan_project,
    read_host,
    read_manifest,
    read_socs,
    select_targets,
    toolchains_of,
)


class PlanFormat(StrEnum):
    """How a plan is printed."""

    TABLE = "table"
    JSON = "json"
    MERMAID = "mermaid"
    DOT = "dot"
    SHELL = "shell"


def plan(
    manifest: options.ManifestOption = options.DEFAULT,
    target: options.TargetOption = [],  # noqa: B006 - typer copies it
    output_format: Annotated[
        PlanFormat, typer.Option("--format", metavar="FORMAT", help="table, json, mermaid, dot or shell.")
    ] = PlanFormat.TABLE,
    executor: options.ExecutorOption = "auto",
) -> None:
    """Print the steps of a build, and which are cached.

    Steps that several targets share stand there once. Nothing is run. "after others" marks a step whose inputs an
    earlier step has yet to make.

    \b
    Examples:
      dlpubuild plan
      dlpubuild plan --format mermaid >> notes.md
      dlpubuild plan --format dot | dot -Tsvg > plan.svg
      dlpubuild plan --format shell > by-hand.sh
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.brought import looked_at  # noqa: PLC0415
    from dlpubuild.commands.execution import choose_execution  # noqa: PLC0415
    from dlpubuild.engine.status import plan_status  # noqa: PLC0415
    from dlpubuild.report.plan import FORMATS, plan_table  # noqa: PLC0415

    host = read_host()
    with open_memo(host) as memo:
        read = read_manifest(manifest, memo)
        socs = read_socs(read, memo)
        selected = select_targets(read, socs, target)
        project = load_project(memo, read, socs, selected)
        toolchains = toolchains_of(project, memo)
        execution = choose_execution(host, executor, read, names_of(toolchains))
        project = pinned(project, toolchains, looked_at(host, read, execution.pin_of))
        planned = plan_project(project, memo, epoch_s=host.epoch_s)
    statuses = plan_status(planned, open_store(host))
    if output_format is PlanFormat.TABLE:
        sys.stdout.write(plan_table(planned, statuses, colored=host.colors_on(sys.stdout)))
    else:
        sys.stdout.write(FORMATS[output_format](planned, statuses))
