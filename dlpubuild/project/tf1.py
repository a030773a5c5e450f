"""What TensorFlow 1.15 cannot do with a model, told before anything runs.

In: a model whose state is known, the inputs as they are settled, and the targets. Out: a fault for each target that
asks for toolchain tf1 where it would fail, or give a model that the SoC cannot use, with the ways out. No file is
opened here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dlpubuild.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlpubuild.manifest.model import ModelInput
    from dlpubuild.project.faults import Faults
    from dlpubuild.project.model import ModelSource
    from dlpubuild.targets.model import Target

NAME: Final = "tf1"
# What is packaged as it is, or refused as a file that nothing converts.
_CONVERTED: Final = frozenset({"tflite", "compiled"})
_AWARE: Final = "quantization-aware"
_LARGEST_PIXEL: Final = 255
_TF2: Final = 'set toolchain = "tf2"'


def check_tf1(faults: Faults, model: ModelSource, inputs: Sequence[ModelInput], targets: Sequence[Target]) -> None:
    """Note what is wrong with targets that ask for TensorFlow 1.15."""
    targets = [target for target in targets if target.toolchain == NAME and model.format not in _CONVERTED]
    for target in targets:
        path = f"target.{target.name}"
        unread = _unread(model)
        if unread:
            what, hint = unread
            faults.add(ErrorCode.CONFLICT, f"{path}.toolchain", f"TensorFlow 1.15 does not read {what}", hint)
        elif model.state == _AWARE:
            _check_io(faults, path, target)
        elif target.is_integer and target.weight_scheme == "per-tensor":
            faults.add(
                ErrorCode.CONFLICT,
                f"{path}.toolchain",
                f"{target.soc.title} needs one scale per tensor here, and TensorFlow 1.15 gives a scale per channel to "
                "convolutions that it quantizes after training; this model was not trained quantization-aware, so that "
                "is what it would do",
                f"{_TF2}, which quantizes per tensor by calibration data; or give a quantization-aware graph",
            )
    if model.state == _AWARE and any(target.is_integer for target in targets):
        _check_normalisation(faults, inputs)


def _unread(model: ModelSource) -> tuple[str, str] | None:
    """Return what it cannot read, and what to do; None where it may."""
    if model.format == "onnx":
        return "ONNX models", _TF2
    if model.format == "keras" and model.state == _AWARE:
        what = "Keras models with layers for quantization-aware training, which came with TensorFlow 2"
        return (
            what,
            "give the float model and calibration data; or train with tf.contrib.quantize, and freeze the graph",
        )
    # .h5 is staged under its own name whatever the file is called.
    return ("the .keras format, which came with TensorFlow 2.12", _TF2) if model.staged.endswith(".keras") else None


def _check_io(faults: Faults, path: str, target: Target) -> None:
    if target.is_integer and target.io != "uint8":
        faults.add(
            ErrorCode.CONFLICT,
            f"{path}.io",
            f'"{target.io}" cannot be had of a quantization-aware model: TensorFlow 1.15 makes uint8 of it, inputs and '
            "outputs included",
            'set io = "uint8", or leave it out',
        )


def _check_normalisation(faults: Faults, inputs: Sequence[ModelInput]) -> None:
    """TensorFlow 1 has one mean and one std for an input, and 0 has to be among its values."""
    for position, each in enumerate(inputs):
        # Where the manifest has no table for it, the input has neither.
        path = f"model.input[{position}]"
        mean, std = each.mean or (0.0,), each.std or (1.0,)
        for key, values in (("mean", mean), ("std", std)):
            if len(set(values)) > 1:
                faults.add(
                    ErrorCode.CONFLICT,
                    f"{path}.{key}",
                    f"TensorFlow 1.15 takes one {key} for all channels, because a quantized input has one scale and "
                    f"one zero point; found {', '.join(map(str, values))}",
                    f"train with the same {key} for all channels, or put the normalisation into the graph",
                )
        if not 0 <= mean[0] <= _LARGEST_PIXEL:
            faults.add(
                ErrorCode.CONFLICT,
                f"{path}.mean",
                f"{mean[0]} is no pixel, 0 to 255, so no stored value of a quantized input would stand for 0",
                "correct it: x = (pixel - mean) / std",
            )
