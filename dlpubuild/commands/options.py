"""Options that several commands share, described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlpubuild.commands.wiring import DEFAULT_MANIFEST

ManifestOption = Annotated[
    Path,
    typer.Option("--manifest", "-f", metavar="FILE", help="The project's manifest.", envvar="DLPU_MANIFEST"),
]
DEFAULT = DEFAULT_MANIFEST

TargetOption = Annotated[
    list[str],
    typer.Option(
        "--target", "-t", metavar="SOC", help="Only this target; may be given several times. All when left out."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Where packages are written; dist beside the manifest when left out.",
        envvar="DLPU_OUTPUT_DIR",
    ),
]
ExecutorOption = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="NAME",
        help="What runs the steps: auto, or local (a hash-locked Python environment on this machine).",
        envvar="DLPU_EXECUTOR",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        help="Steps that run at once; one per core when left out.",
        envvar="DLPU_JOBS",
    ),
]
OfflineOption = Annotated[
    bool,
    typer.Option("--offline", help="Never use the network; fail where something is missing.", envvar="DLPU_OFFLINE"),
]
LockedOption = Annotated[
    bool,
    typer.Option(
        "--locked",
        help="Refuse to build unless model, data, toolchains and tool version are those of dlpu.lock.",
        envvar="DLPU_LOCKED",
    ),
]
