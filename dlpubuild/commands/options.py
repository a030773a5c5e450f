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
        help="What runs the steps: docker (pinned container images), local (a hash-locked Python environment on this "
        "machine), or auto: docker where an engine answers and has the images, else local.",
        envvar="DLPU_EXECUTOR",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Memory of one step in a container, such as 4GiB; three quarters of the engine's when left out.",
        envvar="DLPU_MEMORY",
    ),
]
CpusOption = Annotated[
    float | None,
    typer.Option(
        "--cpus",
        metavar="N",
        min=0.01,
        help="Cores of one step in a container, fractions allowed; all when left out.",
        envvar="DLPU_CPUS",
    ),
]
PidsOption = Annotated[
    int | None,
    typer.Option(
        "--pids",
        metavar="N",
        min=16,
        help="Processes and threads of one step in a container; 4096 when left out.",
        envvar="DLPU_PIDS",
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
        help="Refuse to build unless model, data, toolchains, images and tool version are those of dlpu.lock.",
        envvar="DLPU_LOCKED",
    ),
]
