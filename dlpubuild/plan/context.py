"""What a step template may refer to.

In: a project and one of its targets. Out: plain values by name, as docs/templates.md lists them; nothing in them is of
one machine only. Nothing is looked up here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlpubuild.project.external_weights import onnx_file
from dlpubuild.project.ways_in import is_as_declared

if TYPE_CHECKING:
    from dlpubuild.manifest.model import BoxesSection, ModelInput
    from dlpubuild.project.layout import OnnxInput
    from dlpubuild.project.model import Project, SampleSource
    from dlpubuild.targets.model import Target

# Where templates stage the samples, since parameters name them there.
_CALIBRATION_AT, _VALIDATION_AT = "in/data", "in/validation"
# What a sample without a class has in its place.
_NO_LABEL = -1
# Runs the float model on so many samples for the errors of layers.
_LAYER_SAMPLES = 16


def template_context(project: Project, target: Target) -> dict[str, Any]:
    """Return what a step template may refer to; the same values are documented in docs/templates.md."""
    context: dict[str, Any] = {
        "target": {
            "soc": target.name,
            "quantization": target.quantization,
            "per_channel": target.weight_scheme == "per-channel",
            "io": target.io,
            "toolchain": target.toolchain,
            "activations": target.activations,
            "coefficients": target.coefficients,
            "input_format": target.input_format,
            "parser": target.parser,
            "timeout": target.timeout_s,
            "compiler": dict(target.compiler),
        },
        "model": {
            "format": project.model.format,
            "state": project.model.state,
            "staged": project.model.staged,
            "as_is": project.model.is_ready or is_as_declared(project.model, project.signature, project.manifest),
            "inputs": [_input_shape(each) for each in project.inputs],
            "onnx_file": onnx_file(project.model),
            "onnx_inputs": [_onnx_input(each) for each in project.onnx_inputs],
            "normalised": [_normalisation(each) for each in project.inputs],
            "outputs": [each.name for each in project.manifest.model.outputs],
        },
    }
    if project.calibration is not None and project.manifest.calibration is not None:
        resize = project.manifest.calibration.resize
        context["calibration"] = {
            "inputs": [_preprocessing(each, resize) for each in project.inputs],
            "data": _samples(project.calibration, _CALIBRATION_AT),
        }
    context["verification"] = _verification(project)
    return context


def _verification(project: Project) -> dict[str, Any] | None:
    """Return what a step needs to measure on the validation data, None where there is none."""
    section, source = project.manifest.verify, project.verification
    if section is None or source is None:
        return None
    # Images are fitted to the input as for calibration.
    resize = project.manifest.calibration.resize if project.manifest.calibration is not None else "stretch"
    data = _samples(source.samples, _VALIDATION_AT)
    boxes = section.boxes
    return {
        "data": data | ({"array": source.array} if source.array else {}),
        # TOML has no null.
        "labels": {
            output: [_NO_LABEL if each is None else each for each in classes]
            for output, classes in source.labels.items()
        },
        "inputs": [_preprocessing(each, resize) for each in project.inputs],
        "boxes": {} if boxes is None else _boxes(boxes),
        "layer_samples": _LAYER_SAMPLES if section.layers else 0,
    }


def _boxes(section: BoxesSection) -> dict[str, Any]:
    layout = {} if section.layout is None else {"layout": section.layout}
    return {
        **layout,
        "score_threshold": section.score,
        "iou_threshold": section.iou,
        "nms_iou": section.nms_iou,
    }


def _input_shape(each: ModelInput) -> dict[str, Any]:
    return {"name": each.name} | ({"shape": list(each.shape)} if each.shape is not None else {})


def _onnx_input(each: OnnxInput) -> dict[str, Any]:
    shape = {"shape": list(each.shape)} if each.shape is not None else {}
    return {"name": each.name, "layout": each.layout} | shape


def _preprocessing(each: ModelInput, resize: str) -> dict[str, Any]:
    return {**_normalisation(each), "color": each.color, "resize": resize}


def _normalisation(each: ModelInput) -> dict[str, Any]:
    result = _input_shape(each)
    if each.mean is not None:
        result["mean"] = list(each.mean)
    if each.std is not None:
        result["std"] = list(each.std)
    return result


def _samples(data: SampleSource, at: str) -> dict[str, Any]:
    if data.kind == "images":
        return {"kind": "images", "files": [f"{at}/{file.staged}" for file in data.files]}
    return {"kind": data.kind, "file": f"{at}/{data.files[0].staged}", "indices": list(data.indices)}
