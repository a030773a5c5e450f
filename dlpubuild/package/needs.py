"""What a built model must be for its target: the SoC's gate, and the project's labels.

In: a project, a target, and a model that was read or described. Out: nothing, or an error that names every fault.
Nothing is read from disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.project.labels import check_label_count
from dlpubuild.project.model import KnownTensor
from dlpubuild.targets.gate import ModelNeeds, gate_findings, raise_for_findings
from dlpubuild.tflite.facts import EDGETPU_OPERATOR

if TYPE_CHECKING:
    from dlpubuild.package.description import ModelDescription
    from dlpubuild.project.model import Project
    from dlpubuild.targets.model import Target
    from dlpubuild.tflite.model import TfliteModel


def check_labels(project: Project, model: ModelDescription) -> None:
    """Hold the labels of the manifest against the outputs of a model that was described.

    Raises:
        ManifestError: their number is not that of any output's classes.
    """
    outputs = [KnownTensor(name=tensor.name, shape=tensor.shape) for tensor in model.outputs]
    check_label_count(project.manifest, project.labels, outputs)


def model_needs(target: Target, *, is_compiled: bool = False) -> ModelNeeds:
    """Return what a built model must be for `target`; `is_compiled` where the project brings what a compiler made."""
    return ModelNeeds(
        quantization=target.weight_scheme,
        input_type=target.io,
        output_type=target.output_io or target.io,
        integer_only=target.soc.gate.integer_only or target.is_integer,
        static_shapes=target.soc.gate.static_shapes,
        batch=target.soc.gate.batch,
        compiled_operator=EDGETPU_OPERATOR if is_compiled else None,
    )


def hold_against_needs(project: Project, target: Target, model: TfliteModel) -> None:
    """Check a built model against the SoC's needs and the project's labels.

    Raises:
        GateError: what is in the file is not what the SoC needs; every fault is named.
        ManifestError: the labels do not fit the model's outputs.
    """
    findings = gate_findings(model, model_needs(target, is_compiled=project.model.state == "compiled"))
    raise_for_findings(findings, soc=target.name, file=file_of(target))
    outputs = [KnownTensor(name=model.public_name(tensor), shape=tensor.shape) for tensor in model.outputs]
    check_label_count(project.manifest, project.labels, outputs)


def file_of(target: Target) -> str:
    """The built model as the user knows it."""
    return f"{target.name}/{target.soc.model_file}"
