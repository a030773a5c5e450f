"""`dlpubuild build`: from a manifest to packages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from dlpubuild.commands import options
from dlpubuild.commands.interrupts import interruptible
from dlpubuild.commands.wiring import open_memo, read_host
from dlpubuild.errors import DlpuError


def build(
    manifest: options.ManifestOption = options.DEFAULT,
    target: options.TargetOption = [],  # noqa: B006 - typer copies it
    jobs: options.JobsOption = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", "-k", help="After a failure, still build what does not depend on it.")
    ] = False,
    executor: options.ExecutorOption = "auto",
    memory: options.MemoryOption = None,
    cpus: options.CpusOption = None,
    pids: options.PidsOption = None,
    output: options.OutputOption = None,
    step: Annotated[
        str | None,
        typer.Option("--step", metavar="NAME", help="Stop after this step (a name that plan shows); no packages."),
    ] = None,
    report: Annotated[
        list[Path],
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write the report to this file, too: .html, .json or .md; may be given several times.",
        ),
    ] = [],  # noqa: B006 - typer copies it
    no_report: Annotated[bool, typer.Option("--no-report", help="Leave no report beside the packages.")] = False,
    offline: options.OfflineOption = False,
    locked: options.LockedOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show failures only.")] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Build the packages that the manifest asks for.

    Steps that have run before on the same inputs are not run again, in whatever folder or project that was. Where no
    container runs them, the toolchain is prepared when the first step needs it. Packages go to
    dist/<name>-<version>-<soc>.tar.gz and to a folder of that name, the report of this build to
    dist/<name>-<version>-report.html, with the same as .json and as a short .md. A build that failed, or was
    interrupted, leaves a report, too.

    \b
    Examples:
      dlpubuild build
      dlpubuild build --target artpec8 --target cpu
      dlpubuild build --keep-going --jobs 4 --output /tmp/packages
      dlpubuild build --executor docker --memory 4GiB
      dlpubuild build --offline --locked        # a release, again
      dlpubuild build --step calibrate          # as far as this step
      dlpubuild build --report build/model.html # the report there as well

    \b
    Exit codes: 0 done, 1 a step failed or a folder cannot be written, 2 the manifest is at fault, 3 nothing selected,
    4 not what was locked, 5 a built model is not what the SoC needs, 6 no container engine, or it was lost, 7 the
    toolchain or its image is missing or not what was pinned, 130 interrupted.
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.building import BuildRequest, run_build  # noqa: PLC0415 - `--help` needs none of it
    from dlpubuild.commands.execution import LimitOptions  # noqa: PLC0415
    from dlpubuild.commands.reporting import ReportRequest  # noqa: PLC0415
    from dlpubuild.report.build import build_json, build_text, not_begun_json  # noqa: PLC0415

    host = read_host()
    try:
        request = BuildRequest(
            manifest=manifest,
            targets=tuple(target),
            jobs=jobs or host.cores,
            keep_going=keep_going,
            output=output,
            step=step,
            offline=offline,
            locked=locked,
            quiet=quiet or as_json,
            executor=executor,
            limits=LimitOptions(memory=memory, cpus=cpus, pids=pids),
            report=ReportRequest(beside=not no_report, copies=tuple(report)),
        )
        with interruptible() as interrupts, open_memo(host) as memo:
            result = run_build(host, memo, request, interrupts)
    except DlpuError as error:
        if as_json:
            sys.stdout.write(json.dumps(not_begun_json(error), indent=2, sort_keys=True) + "\n")
        raise
    if as_json:
        sys.stdout.write(json.dumps(build_json(result), indent=2, sort_keys=True) + "\n")
    elif not quiet:
        sys.stdout.write(build_text(result, colored=host.colors_on(sys.stdout), width=host.width_of(sys.stdout)))
    result.raise_errors()
