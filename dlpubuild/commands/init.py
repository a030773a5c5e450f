"""`dlpubuild init`: a manifest from a look at the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dlpubuild.commands import options


def init(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="SavedModel folder, .keras or .h5 file.")],
    manifest: options.ManifestOption = options.DEFAULT,
    target: options.TargetOption = [],  # noqa: B006 - typer copies it
    force: Annotated[bool, typer.Option("--force", help="Replace an existing manifest.")] = False,
) -> None:
    """Write a manifest by looking at the model.

    Names and shapes of its inputs and outputs are filled in. What cannot be seen in a model, such as how its images
    were normalised, is left as a comment with the usual values. The manifest is written to dlpu.toml in the current
    folder, the model's path relative to it. Without --target it asks for every SoC that can be built.

    \b
    Examples:
      dlpubuild init model/my_model.keras
      dlpubuild init saved_model --target artpec8 --target cpu
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.files import write_file  # noqa: PLC0415
    from dlpubuild.commands.wiring import read_socs  # noqa: PLC0415
    from dlpubuild.errors import ErrorCode, OutputError, UsageError  # noqa: PLC0415
    from dlpubuild.project.draft import draft_manifest  # noqa: PLC0415
    from dlpubuild.project.model_source import model_format, peek_signature  # noqa: PLC0415
    from dlpubuild.project.signature import UnreadableModelError  # noqa: PLC0415

    if manifest.exists() and not force:
        raise OutputError(ErrorCode.OUTPUT, f"{manifest} exists already", hint="edit it, or replace it with --force")
    if not model.exists():
        raise UsageError(ErrorCode.PATH_MISSING, f"{model} does not exist")
    socs = read_socs(None, None)
    unknown = [name for name in target if name not in socs]
    if unknown:
        raise UsageError(
            ErrorCode.UNKNOWN_VALUE, f'--target: unknown SoC "{unknown[0]}"', hint=f"known: {', '.join(socs)}"
        )
    if model_format(model) is None:
        raise UsageError(
            ErrorCode.MODEL_FORMAT,
            f"{model} is not a model that this version reads",
            hint="it reads a SavedModel folder, .keras and .h5",
        )
    try:
        signature = peek_signature(model)
    except UnreadableModelError as error:
        raise UsageError(ErrorCode.MODEL_UNREADABLE, f"{model} cannot be used: {error}") from error
    except OSError as error:
        raise UsageError(ErrorCode.MODEL_UNREADABLE, f"{model} cannot be read: {error.strerror}") from error
    wanted = target or [name for name, soc in socs.items() if soc.can_be_built]
    try:
        data = draft_manifest(model, manifest.parent, signature, wanted).encode()
    except UnicodeEncodeError as error:
        raise UsageError(ErrorCode.PATH_KIND, f"{str(model)!a} is not UTF-8", hint="rename it") from error
    write_file(manifest, data)
    sys.stdout.write(
        f"{manifest}: written for {', '.join(wanted)}\n"
        "next: put about 100 images into data/calibration, look over the comments, then run: dlpubuild check\n"
    )
