"""The inputs of a project: what the manifest says of them held against what the model says of itself.

In: a manifest, and what is known of the model before it is converted. Out: `ModelInput`s with every shape that is
known, and a fault for each thing that does not fit. Nothing is guessed: what neither side says is left to the import.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.model import ModelInput
from dlpubuild.manifest.wording import counted, did_you_mean, in_a_row, nearest_value
from dlpubuild.project.layout import channels_of, layout_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlpubuild.project.faults import Faults
    from dlpubuild.project.model import KnownSignature, KnownTensor

_CHANNELS = {"rgb": 3, "bgr": 3, "gray": 1}


def settle_inputs(faults: Faults, signature: KnownSignature, *, is_onnx: bool = False) -> tuple[ModelInput, ...]:
    """Return the manifest's inputs, or the model's where it has none; shapes it leaves out come from the model.

    An image of one channel is gray, unless the manifest says otherwise. Shapes are those of the model file: an ONNX
    model may have the channels first.
    """
    known = {tensor.name: tensor for tensor in signature.inputs}
    declared = faults.manifest.model.inputs
    if not declared:
        return tuple(_from_model(faults, tensor, is_onnx=is_onnx) for tensor in signature.inputs)
    settled = tuple(_settled(faults, position, each, known, is_onnx=is_onnx) for position, each in enumerate(declared))
    names = {each.name for each in declared}
    missing = [name for name in known if name not in names]
    # A name that the model does not have was reported, and is most probably one of these, misspelt.
    if missing and names <= known.keys():
        faults.add(
            ErrorCode.MISSING_KEY,
            "model.input",
            f"the model also has {counted(len(missing), 'input')} not described here: {in_a_row(missing)}",
            "add a [[model.input]] for each",
        )
    return settled


def check_outputs(faults: Faults, signature: KnownSignature) -> None:
    """Note outputs of the manifest that the model does not have, as far as it says."""
    known = [tensor.name for tensor in signature.outputs]
    for position, declared in enumerate(faults.manifest.model.outputs if known else ()):
        if declared.name not in known:
            _unknown_name(faults, f"model.output[{position}].name", "output", declared.name, known)


def _unknown_name(faults: Faults, path: str, what: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    guess = did_you_mean(nearest_value(name, names))
    faults.add(ErrorCode.UNKNOWN_VALUE, path, f'the model has no {what} "{name}"; it has {in_a_row(names)}{guess}')


def _from_model(faults: Faults, tensor: KnownTensor, *, is_onnx: bool) -> ModelInput:
    shape = _model_shape(faults, "model.input", tensor)
    channels = channels_of(shape, layout_of(shape, None, is_onnx=is_onnx))
    return ModelInput(name=tensor.name, shape=shape, color="gray" if channels == 1 else "rgb")


def _settled(
    faults: Faults, position: int, declared: ModelInput, known: dict[str, KnownTensor], *, is_onnx: bool
) -> ModelInput:
    path = f"model.input[{position}]"
    tensor = known.get(declared.name)
    shape = declared.shape
    if tensor is None:
        if known:
            _unknown_name(faults, f"{path}.name", "input", declared.name, known)
    elif shape is None:
        shape = _model_shape(faults, path, tensor)
    elif tensor.shape is not None and not _fits(shape, tensor.shape):
        faults.add(
            ErrorCode.MODEL_SHAPE,
            f"{path}.shape",
            f"{list(shape)} does not fit the model, whose input has {_shown(tensor.shape)}",
        )
    if declared.layout == "nchw" and not is_onnx:
        faults.add(
            ErrorCode.CONFLICT, f"{path}.layout", "only an ONNX model can have its channels first", "leave it out"
        )
    settled = replace(declared, shape=shape)
    channels = channels_of(shape, layout_of(shape, declared.layout, is_onnx=is_onnx))
    if f"{path}.color" not in faults.manifest.locations and channels == 1:
        settled = replace(settled, color="gray")
    if declared.shape is None or is_onnx:
        _check_channels(faults, path, settled, channels)
    return settled


def _check_channels(faults: Faults, path: str, settled: ModelInput, channels: int | None) -> None:
    """The manifest's own rules compare with a shape that is written there, and of ONNX take either end for channels."""
    if channels is None:
        return
    if channels != _CHANNELS[settled.color] and f"{path}.color" in faults.manifest.locations:
        faults.add(
            ErrorCode.CONFLICT,
            f"{path}.color",
            f'"{settled.color}" has {counted(_CHANNELS[settled.color], "channel")}, the model\'s input {channels}',
        )
        return
    for key, values in (("mean", settled.mean), ("std", settled.std)):
        if values is not None and len(values) != channels:
            message = f"has {counted(len(values), 'value')} for {counted(channels, 'channel')} of the model's input"
            faults.add(ErrorCode.CONFLICT, f"{path}.{key}", message)


def _model_shape(faults: Faults, path: str, tensor: KnownTensor) -> tuple[int, ...] | None:
    """Return the model's own shape with batch 1, or None where it is not known or had to be refused."""
    shape = tensor.shape
    if shape is None:
        return None
    if tensor.is_dynamic:
        faults.add(
            ErrorCode.MODEL_SHAPE,
            path,
            f'input "{tensor.name}" has dynamic dimensions: {_shown(shape)}',
            f'fix them: [[model.input]] name = "{tensor.name}", shape = {list(tensor.usual_shape())}',
        )
        return None
    if shape and shape[0] not in (-1, 1):
        faults.add(
            ErrorCode.MODEL_SHAPE,
            path,
            f'input "{tensor.name}" has the shape {_shown(shape)}; its first dimension is the batch, 1 on every DLPU',
            "export the model with a batch of 1, or a dynamic one",
        )
        return None
    return (1, *shape[1:]) if shape else None


def _fits(declared: Sequence[int], model: Sequence[int]) -> bool:
    return len(declared) == len(model) and all(m in (-1, d) for d, m in zip(declared, model, strict=True))


def _shown(shape: Sequence[int]) -> str:
    return "[" + ", ".join("?" if size < 0 else str(size) for size in shape) + "]"
