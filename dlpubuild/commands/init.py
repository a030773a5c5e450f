"""`dlpubuild init`: a manifest from a look at the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dlpubuild.commands import options


def init(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="SavedModel folder, or a .keras, .h5, .pb, .onnx, .tflite or .bin file."),
    ],
    manifest: options.ManifestOption = options.DEFAULT,
    target: options.TargetOption = [],  # noqa: B006 - typer copies it
    force: Annotated[bool, typer.Option("--force", help="Replace an existing manifest.")] = False,
) -> None:
    """Write a manifest by looking at the model.

    Names and shapes of its inputs and outputs are filled in. What cannot be seen in a model, such as how its images
    were normalised, is left as a comment with the usual values. The manifest is written to dlpu.toml in the current
    folder, the model's path relative to it. Without --target it asks for every SoC that can be built from this model.

    \b
    Examples:
      dlpubuild init model/my_model.keras
      dlpubuild init saved_model --target artpec8 --target cpu
      dlpubuild init downloaded_edgetpu.tflite
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.files import write_file  # noqa: PLC0415
    from dlpubuild.commands.wiring import read_socs  # noqa: PLC0415
    from dlpubuild.errors import ErrorCode, OutputError, UsageError  # noqa: PLC0415
    from dlpubuild.project.draft import draft_manifest  # noqa: PLC0415
    from dlpubuild.project.model_source import READABLE, model_format, peek_model  # noqa: PLC0415
    from dlpubuild.project.ready_model import BIN_HEAD_BYTES, guess_bin_soc  # noqa: PLC0415
    from dlpubuild.project.signature import UnreadableModelError  # noqa: PLC0415
    from dlpubuild.project.ways_in import why_not  # noqa: PLC0415

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
    found = model_format(model)
    if found is None:
        raise UsageError(
            ErrorCode.MODEL_FORMAT, f"{model} is not a model that this version reads", hint=f"it reads {READABLE}"
        )
    try:
        reading = peek_model(model)
    except UnreadableModelError as error:
        raise UsageError(ErrorCode.MODEL_UNREADABLE, f"{model} cannot be used: {error}") from error
    except OSError as error:
        raise UsageError(ErrorCode.MODEL_UNREADABLE, f"{model} cannot be read: {error.strerror}") from error
    # Ranges that TensorFlow 1 trained are only kept by its own converter.
    toolchain = "tf1" if reading.state == "quantization-aware" and found in ("frozen-graph", "saved-model") else None
    closed = {
        name: why_not(reading, found, socs[name], toolchain)
        or (
            "" if toolchain is None or toolchain in socs[name].allowed_toolchain else f"it has no toolchain {toolchain}"
        )
        for name in target or socs
        if target or socs[name].can_be_built
    }
    wanted = [name for name, reason in closed.items() if not reason]
    if found == "compiled" and not target:
        with model.open("rb") as stream:
            likely = guess_bin_soc(stream.read(BIN_HEAD_BYTES))
        wanted = [likely] if likely in wanted else wanted
    if not wanted or (target and len(wanted) < len(target)):
        name, reason = next((name, reason) for name, reason in closed.items() if reason)
        raise UsageError(ErrorCode.MODEL_FORMAT, f"{name} cannot be built from {model}: {reason}")
    try:
        data = draft_manifest(model, manifest.parent, reading, wanted, toolchain=toolchain).encode()
    except UnicodeEncodeError as error:
        raise UsageError(ErrorCode.PATH_KIND, f"{str(model)!a} is not UTF-8", hint="rename it") from error
    write_file(manifest, data)
    sys.stdout.write(
        f"{manifest}: written for {', '.join(wanted)}\n"
        f"next: {'put about 100 images into data/calibration, ' if reading.state == 'float' else ''}"
        "look over the comments, then run: dlpubuild check\n"
    )
