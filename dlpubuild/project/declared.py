"""What the manifest has to say of inputs and outputs, and must not say, because of the kind of model.

In: a model as it was read, and the manifest. Out: a fault for each thing that is missing or cannot be had: a frozen
graph and a `.bin` leave things open, a ready `.tflite` leaves nothing to choose. No file is opened here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.wording import in_a_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlpubuild.manifest.model import ModelInput, ModelOutput
    from dlpubuild.project.faults import Faults
    from dlpubuild.project.model import KnownSignature, ModelSource

_SOURCE = "model.source"


def check_declared(faults: Faults, model: ModelSource, signature: KnownSignature) -> None:
    """Note what the manifest has to say, or must not say, because of the kind of model."""
    if model.format == "frozen-graph":
        _check_graph(faults, signature)
    elif model.format == "compiled":
        _check_binary(faults)
    elif model.is_ready:
        declared = [each.name for each in faults.manifest.model.outputs]
        left = [each.name for each in signature.outputs if declared and each.name not in declared]
        if left:
            faults.add(
                ErrorCode.CONFLICT,
                "model.output",
                f"a ready model is packaged as it is, and it also has the output {in_a_row(left)}",
                "name it as well, or give the float model it was made from",
            )
        else:
            _check_order(faults, signature)


def _check_order(faults: Faults, signature: KnownSignature) -> None:
    """Note where the manifest lists what a ready model has in another order than the model has it."""
    section = faults.manifest.model
    for key, declared, found in (
        ("input", [each.name for each in section.inputs], [each.name for each in signature.inputs]),
        ("output", [each.name for each in section.outputs], [each.name for each in signature.outputs]),
    ):
        if declared != found and sorted(declared) == sorted(found):
            faults.add(
                ErrorCode.CONFLICT,
                f"model.{key}",
                f"a ready model is packaged as it is, and its {key}s are in the order {in_a_row(found)}",
                "list them in that order, or give the float model it was made from",
            )


def _check_graph(faults: Faults, signature: KnownSignature) -> None:
    section = faults.manifest.model
    if not signature.inputs and not section.inputs:
        faults.add(
            ErrorCode.MISSING_KEY,
            _SOURCE,
            "the frozen graph has no placeholder that its outputs depend on, so its inputs are not known",
            "add a [[model.input]] with name and shape",
        )
    if not signature.outputs and not section.outputs:
        faults.add(
            ErrorCode.MISSING_KEY, _SOURCE, "the frozen graph does not say its outputs", "add a [[model.output]]"
        )
    shapes = {each.name: each.shape for each in section.inputs}
    for tensor in signature.inputs:
        # One that is not declared though others are was told already.
        if tensor.shape is None and shapes.get(tensor.name) is None and (tensor.name in shapes or not shapes):
            faults.add(
                ErrorCode.MISSING_KEY,
                "model.input",
                f'the frozen graph does not say the shape of "{tensor.name}"',
                f'write it: [[model.input]] name = "{tensor.name}", shape = {list(tensor.usual_shape())}',
            )


def _check_binary(faults: Faults) -> None:
    section = faults.manifest.model
    sides: tuple[tuple[str, Sequence[ModelInput | ModelOutput]], ...] = (
        ("input", section.inputs),
        ("output", section.outputs),
    )
    for key, tables in sides:
        if not tables:
            faults.add(
                ErrorCode.MISSING_KEY,
                _SOURCE,
                f"a .bin does not say its {key}s",
                f"add a [[model.{key}]] with name and shape for each",
            )
        for position, table in enumerate(tables):
            if table.shape is None:
                faults.add(
                    ErrorCode.MISSING_KEY,
                    f"model.{key}[{position}]",
                    f'a .bin does not say the shape of "{table.name}"',
                    "write it: shape = [1, …]",
                )
