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
        typer.Argument(metavar="FILE", help="A .tflite or .bin file, a bundle (.tar.gz or its folder), or an .eap."),
    ],
    as_json: options.JsonOption = False,
) -> None:
    """Show what is in a model or in a package.

    Inputs and outputs, quantization, operators, size, and multiply-accumulates, as they are in the file: nothing is
    believed that is not in the tensors themselves. Of a package, the model in it is shown. The format of a .bin is not
    public: of that its size and digest are shown, and what its package says of it.

    \b
    Examples:
      dlpubuild inspect dist/digits-1.0.0-artpec8/model/model.tflite
      dlpubuild inspect dist/digits-1.0.0-artpec8.tar.gz --json
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.package.binary_contents import read_packaged_binary  # noqa: PLC0415
    from dlpubuild.package.contents import read_packaged_model  # noqa: PLC0415
    from dlpubuild.report.inspect import inspect_json, inspect_text  # noqa: PLC0415
    from dlpubuild.tflite.facts import summarise  # noqa: PLC0415

    binary = read_packaged_binary(file)
    if binary is not None:
        from dlpubuild.report.inspect_binary import binary_json, binary_text  # noqa: PLC0415

        if as_json:
            sys.stdout.write(json.dumps(binary_json(binary), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(binary_text(str(file), binary))
        return
    model = read_packaged_model(file)
    facts = summarise(model)
    if as_json:
        sys.stdout.write(json.dumps(inspect_json(model, facts), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(inspect_text(str(file), model, facts))
