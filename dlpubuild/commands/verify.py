"""`dlpubuild verify`: a package held against its checksums, and its model against the project's validation data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from dlpubuild.commands import options
from dlpubuild.commands.interrupts import interruptible
from dlpubuild.commands.wiring import open_memo, read_host


def verify(
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="A bundle (.tar.gz or its folder), or an .eap.")],
    manifest: options.ManifestOption = options.DEFAULT,
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", metavar="SOC", help="What it was built for, where the package does not say it."),
    ] = None,
    jobs: options.JobsOption = None,
    executor: options.ExecutorOption = "auto",
    memory: options.MemoryOption = None,
    cpus: options.CpusOption = None,
    pids: options.PidsOption = None,
    offline: options.OfflineOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Measure how accurate the model of a package is.

    First every file of the package is held against its checksums; an .eap has none. Then the model in it runs on the
    validation data of the manifest's [verify], in the toolchain and beside the float model of the project, and the
    figures are held against its limits. Where the package has the model that the project builds, and that was measured
    before, nothing runs again. A model that was compiled for an Edge TPU, or for CV25 or CV75, runs on its SoC only:
    what is measured then is the model that it was compiled from.

    \b
    Examples:
      dlpubuild verify dist/digits-1.0.0-artpec8.tar.gz
      dlpubuild verify --manifest ../digits/dlpu.toml --json digits-1.0.0-artpec8
      dlpubuild verify --target artpec9 digits_1_0_0_aarch64.eap

    \b
    Exit codes: 0 all limits are kept, 1 a step failed, 2 the manifest is at fault or has no [verify], 3 it has no such
    target, 4 a file of the package is not what its checksums say, 5 accuracy is below a limit, 6 no container engine,
    7 the toolchain is missing.
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.execution import LimitOptions  # noqa: PLC0415 - `--help` needs none of it
    from dlpubuild.commands.verifying import VerifyRequest, run_verify  # noqa: PLC0415
    from dlpubuild.report.verified import verified_json, verified_text  # noqa: PLC0415

    host = read_host()
    request = VerifyRequest(
        package=package,
        manifest=manifest,
        target=target,
        jobs=jobs or host.cores,
        offline=offline,
        quiet=quiet or as_json,
        executor=executor,
        limits=LimitOptions(memory=memory, cpus=cpus, pids=pids),
    )
    with interruptible() as interrupts, open_memo(host) as memo:
        result = run_verify(host, memo, request, interrupts)
    if as_json:
        sys.stdout.write(json.dumps(verified_json(result), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(verified_text(result, colored=host.colors_on(sys.stdout)))
    if result.error is not None:
        raise result.error
