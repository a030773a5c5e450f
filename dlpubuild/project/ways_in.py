"""Which SoC can start from which model: the way in of each target, or the fault that closes it.

In: a model whose state is known, and the targets as the manifest asks for them. Out: the targets with what the model
itself decides, and a fault where an SoC cannot start from it, with the way out. No file is opened here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, get_args

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.model import IoType
from dlpubuild.project.declared import check_declared
from dlpubuild.project.model import ModelSource
from dlpubuild.targets.model import Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.manifest.model import Manifest, Quantization
    from dlpubuild.project.faults import Faults
    from dlpubuild.project.model import KnownSignature, KnownTensor, ModelReading, ResolvedFormat
    from dlpubuild.targets.model import Soc

_EDGETPU_DEVICE = "google-edge-tpu-tflite"
_BIN = "model.bin"
_TFLITE = "model.tflite"
_INTEGER: Final = frozenset({"per-tensor", "per-channel", "int8"})
_IO_TYPES: Final[tuple[IoType, ...]] = get_args(IoType)
_FLOAT_FIRST = "give the float model it was made from"
# Formats in which TensorFlow 1 left such models, and still reads them.
_READ_BY_TF1: Final = frozenset({"frozen-graph", "saved-model"})
_WORDS: Final[Mapping[str | None, str]] = {
    "float16": "has float16 weights and computes in float",
    "dynamic": "has integer weights and float activations (dynamic range)",
}


def fit_targets(
    faults: Faults, model: ModelSource, signature: KnownSignature, targets: Sequence[Target]
) -> list[Target]:
    """Return the targets as the model lets them be, after noting a fault for each that cannot start from it."""
    check_declared(faults, model, signature)
    fitted = []
    for target in targets:
        refusal = _refusal(model, target)
        if refusal is not None:
            message, hint = refusal
            faults.add(ErrorCode.MODEL_FORMAT, f"target.{target.name}", message, hint)
        elif model.format == "tflite" and (
            model.is_ready or _is_taken_as_it_is(faults.manifest, model, signature, target)
        ):
            fitted.append(_as_it_is(faults, model, signature, target))
        else:
            fitted.append(target)
    return fitted


def why_not(reading: ModelReading, found: ResolvedFormat, soc: Soc, toolchain: str | None = None) -> str:
    """Return why `soc`, left to its defaults but for the toolchain, cannot start from a model; empty where it can."""
    model = ModelSource(format=found, staged="", files=(), state=reading.state, quantization=reading.quantization)
    quantization = soc.default_quantization
    target = Target(
        soc=soc,
        quantization=quantization,
        io=soc.io_for(quantization),
        toolchain=toolchain or soc.default_toolchain,
        activations="auto",
    )
    refusal = _refusal(model, target)
    if refusal is not None:
        return f"{refusal[0]}; {refusal[1]}"
    if (
        model.state == "integer"
        and model.quantization == "per-channel"
        and "per-channel" not in soc.allowed_quantization
    ):
        return f"{soc.title} needs one scale per tensor, and this .tflite has scales per channel; {_FLOAT_FIRST}"
    return ""


def is_as_declared(model: ModelSource, signature: KnownSignature, manifest: Manifest) -> bool:
    """Return whether a float `.tflite` is what the manifest wants of it already: sizes, inputs, outputs and order."""
    if model.format != "tflite" or any(-1 in (each.shape or ()) for each in signature.inputs):
        return False
    sides = ((manifest.model.inputs, signature.inputs), (manifest.model.outputs, signature.outputs))
    return all(
        [each.name for each in declared] == [each.name for each in known] for declared, known in sides if declared
    )


def needs_calibration(model: ModelSource) -> bool:
    """Return whether an integer model is made of this one by running it on data: not where its ranges are known."""
    return model.state == "float"


def _is_taken_as_it_is(manifest: Manifest, model: ModelSource, signature: KnownSignature, target: Target) -> bool:
    return (
        target.quantization == "none"
        and target.soc.model_file == _TFLITE
        and is_as_declared(model, signature, manifest)
    )


def _refusal(model: ModelSource, target: Target) -> tuple[str, str] | None:
    """Return why the target cannot start from the model, and what to do instead; None where it can."""
    match model.state:
        case "compiled":
            return _refused_compiled(model, target.soc)
        case "integer" if target.soc.model_file != _TFLITE:
            return f"{target.soc.title} starts from a float model, and this .tflite is quantized already", _FLOAT_FIRST
        case "weight-only" if target.soc.gate.integer_only or target.soc.model_file != _TFLITE:
            message = (
                f"{target.soc.title} cannot start from this .tflite: it {_WORDS[model.quantization]}, and its weights "
                "are rounded already, so it is no float model to quantize either"
            )
            return message, _FLOAT_FIRST
        case "quantization-aware":
            return _refused_training(model, target)
        case "float" if model.format == "tflite":
            return _refused_float(target)
        case _:
            return None


def _refused_compiled(model: ModelSource, soc: Soc) -> tuple[str, str] | None:
    if model.format == "compiled":
        message = f"{soc.title} cannot load a .bin: that is compiled for CV25 or CV75"
        return None if soc.model_file == _BIN else (message, _FLOAT_FIRST)
    message = f"{soc.title} cannot run this .tflite: it is compiled for the Edge TPU, which only ARTPEC-7 has"
    way_out = "give the .tflite it was compiled from, or the float model"
    return None if soc.larod_device == _EDGETPU_DEVICE else (message, way_out)


def _refused_training(model: ModelSource, target: Target) -> tuple[str, str] | None:
    if target.toolchain == "tf1":
        return None
    ways = []
    if model.format in _READ_BY_TF1 and "tf1" in target.soc.allowed_toolchain:
        ways.append('set toolchain = "tf1", which converts it with the ranges it was trained with')
    ways.append("give the float model: its calibration data decides the scales")
    message = (
        "the model was trained quantization-aware (FakeQuant operators or QuantizeWrapper layers); "
        f'toolchain "{target.toolchain}" would calibrate it anew and lose what its training fixed'
    )
    return message, "; or ".join(ways)


def _refused_float(target: Target) -> tuple[str, str] | None:
    if target.toolchain == "tf1":
        return 'a .tflite is not read by toolchain "tf1"', "leave toolchain out, or give the TensorFlow 1 model itself"
    if target.quantization in ("float16", "dynamic"):
        message = (
            f'quantization "{target.quantization}" cannot be made from a .tflite: TensorFlow makes weights smaller '
            "while it converts, and this file is converted already"
        )
        return message, f"{_FLOAT_FIRST} (SavedModel or Keras), or use none or int8"
    return None


def _as_it_is(faults: Faults, model: ModelSource, signature: KnownSignature, target: Target) -> Target:
    """Return the target with what a ready `.tflite` has; where the manifest says otherwise, the fault names both."""
    path = f"target.{target.name}"
    given = {key for key in ("quantization", "io") if f"{path}.{key}" in faults.manifest.locations}
    quantization = target.quantization
    if "quantization" not in given:
        quantization = _own_quantization(model, target.soc)
    elif model.state != "compiled" and not _agrees(target.quantization, model.quantization):
        faults.add(
            ErrorCode.CONFLICT,
            f"{path}.quantization",
            f'"{target.quantization}" is asked for, but the .tflite is "{model.quantization}"; '
            "a ready model is packaged as it is",
            f"remove this key, or {_FLOAT_FIRST}",
        )
    inputs, outputs = _io_type(signature.inputs), _io_type(signature.outputs)
    if "io" in given and {target.io} != {inputs or target.io, outputs or target.io}:
        faults.add(
            ErrorCode.CONFLICT,
            f"{path}.io",
            f'"{target.io}" is asked for, but the .tflite has {inputs} inputs and {outputs} outputs; '
            "a ready model is packaged as it is",
            f"remove this key, or {_FLOAT_FIRST}",
        )
    if model.state == "compiled" and target.min_mapped is not None:
        faults.add(
            ErrorCode.CONFLICT,
            f"{path}.min-mapped",
            "what a compiled .tflite runs on the CPU was decided by whoever compiled it, and is not in the file",
            "remove this key, or give the .tflite it was compiled from",
        )
    return replace(
        target,
        quantization=quantization,
        io=inputs or target.io,
        output_io=outputs or target.io,
        toolchain=target.soc.default_toolchain,
    )


def _own_quantization(model: ModelSource, soc: Soc) -> Quantization:
    """Return the file's own, or where the SoC does not take that, what the gate is to hold it against."""
    own = model.quantization
    if model.state == "compiled" or own is None or own not in soc.allowed_quantization:
        return soc.default_quantization
    return own


def _agrees(asked: str, found: str | None) -> bool:
    """The gate tells schemes of integer models apart, tensor by tensor."""
    return asked == found or {asked, found} <= _INTEGER


def _io_type(tensors: Sequence[KnownTensor]) -> IoType | None:
    """Return the type of the first real value; indices and flags have their own."""
    return next((kind for each in tensors for kind in _IO_TYPES if each.dtype == kind), None)
