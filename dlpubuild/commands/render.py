"""`dlpubuild render`: the steps laid out for running by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dlpubuild.commands import options
from dlpubuild.commands.interrupts import interruptible
from dlpubuild.commands.wiring import open_memo, open_project, open_store, plan_project, read_host


def render(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder, or one rendered before.")],
    manifest: options.ManifestOption = options.DEFAULT,
    target: options.TargetOption = [],  # noqa: B006 - typer copies it
    step: Annotated[
        str | None, typer.Option("--step", metavar="NAME", help="Only this step and what it needs.")
    ] = None,
    hand_over: Annotated[
        bool,
        typer.Option(
            "--hand-over",
            help="Run what comes before a toolchain that is not public, and lay out the work for somebody who has it.",
        ),
    ] = False,
    executor: options.ExecutorOption = "auto",
    offline: options.OfflineOption = False,
) -> None:
    """Lay the steps out in a folder, to run by hand.

    Each step gets a folder with src/, in/, out/ and a script called run. Outputs of earlier steps that are cached
    are there already; others are taken from their step's folder when run is started.

    With --hand-over each target that needs a toolchain which is not public gets a folder with the model, the
    calibration data, and a script of the toolchain's command lines, which needs nothing of dlpubuild.

    \b
    Examples:
      dlpubuild render /tmp/steps
      dlpubuild render /tmp/steps --step quantize:artpec8
      dlpubuild render /tmp/for-cv25 --hand-over --target cv25
      PYTHON=$(dlpubuild toolchain prepare tf2 --print-python) /tmp/steps/import/run
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.selecting import plan_until  # noqa: PLC0415
    from dlpubuild.engine.export import export_steps  # noqa: PLC0415
    from dlpubuild.engine.status import plan_status  # noqa: PLC0415

    host = read_host()
    if hand_over:
        from dlpubuild.commands.handing_over import HandOverRequest, hand_over_work  # noqa: PLC0415

        request = HandOverRequest(
            manifest=manifest, targets=tuple(target), folder=folder, step=step, executor=executor, offline=offline
        )
        with interruptible() as interrupts, open_memo(host) as memo:
            made = hand_over_work(host, memo, request, interrupts)
        for each in made:
            sys.stdout.write(f"{each}\n")
        return
    with open_memo(host) as memo:
        planned = plan_project(open_project(host, memo, manifest, target), memo, epoch_s=host.epoch_s)
    if step is not None:
        planned = plan_until(planned, step)
    store = open_store(host)
    folders = export_steps(planned, plan_status(planned, store), store, folder)
    for each in folders:
        sys.stdout.write(f"{each}\n")
