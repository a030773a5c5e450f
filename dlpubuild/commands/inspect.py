"""`dlpubuild inspect`: what is in a model file or a package."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from dlpubuild.commands import options


def inspect(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A .tflite or .onnx file, a bundle (.tar.gz or its folder), or an .eap."),
    ],
    as_json: options.JsonOption = False,
) -> None:
    """Show what is in a model or in a package.

    Inputs and outputs, quantization, operators, size, and multiply-accumulates, as they are in the file: nothing is
    believed that is not in the tensors themselves. Of a package, the model in it is shown. Of an ONNX model: inputs,
    outputs, opset and operators.

    \b
    Examples:
      dlpubuild inspect dist/digits-1.0.0-artpec8/model/model.tflite
      dlpubuild inspect dist/digits-1.0.0-artpec8.tar.gz --json
    """  # noqa: D301 - click wants the character itself
    if file.suffix.lower() == ".onnx":
        _inspect_onnx(file, as_json=as_json)
        return
    from dlpubuild.package.contents import read_packaged_model  # noqa: PLC0415
    from dlpubuild.report.inspect import inspect_json, inspect_text  # noqa: PLC0415
    from dlpubuild.tflite.facts import summarise  # noqa: PLC0415

    model = read_packaged_model(file)
    facts = summarise(model)
    if as_json:
        sys.stdout.write(json.dumps(inspect_json(model, facts), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(inspect_text(str(file), model, facts))


def _inspect_onnx(file: Path, *, as_json: bool) -> None:
    from dlpubuild.errors import ErrorCode, UsageError  # noqa: PLC0415
    from dlpubuild.project.onnx_signature import read_onnx  # noqa: PLC0415
    from dlpubuild.project.signature import UnreadableModelError  # noqa: PLC0415
    from dlpubuild.report.inspect_onnx import onnx_json, onnx_text  # noqa: PLC0415

    try:
        facts, size_bytes = read_onnx(file), file.stat().st_size
    except UnreadableModelError as error:
        raise UsageError(ErrorCode.MODEL_UNREADABLE, f"{file}: {error}") from error
    except OSError as error:
        raise UsageError(ErrorCode.INPUT_UNREADABLE, f"{file} cannot be read: {error.strerror or error}") from error
    if as_json:
        sys.stdout.write(json.dumps(onnx_json(size_bytes, facts), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(onnx_text(str(file), size_bytes, facts))
