"""Models that are packaged, or compiled, as the project brings them, looked at before anything is built.

In: a planned project. Out: notes on what is worth knowing, or the fault that a build would end with. Nothing is run,
and no other file is read than the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.cas.faults import input_faults
from dlpubuild.package.needs import hold_against_needs
from dlpubuild.plan.model import ProjectModel
from dlpubuild.project.ready_model import BIN_HEAD_BYTES, guess_bin_soc
from dlpubuild.tflite.read import read_file
from dlpubuild.tflite.runtime import edgetpu_readable

if TYPE_CHECKING:
    from dlpubuild.plan.model import Plan
    from dlpubuild.project.model import Project

_EDGETPU_TOOLCHAIN = "edgetpu"


def check_ready_models(project: Project, plan: Plan) -> tuple[str, ...]:
    """Hold a ready `.tflite` against each SoC that takes it as it is, and return what is worth knowing.

    Raises:
        GateError: it is not what an SoC needs.
        ManifestError: the labels do not fit its outputs.
    """
    if project.model.format == "compiled":
        return _binary_notes(project)
    if project.model.format != "tflite":
        return ()
    notes = []
    for planned in plan.targets:
        made = planned.result if planned.compiled is None else planned.compiled.source
        if not isinstance(made, ProjectModel):
            continue
        model = read_file(made.file.path)
        hold_against_needs(project, planned.target, model)
        if planned.compiled is not None and planned.compiled.toolchain.name == _EDGETPU_TOOLCHAIN:
            notes += [
                f"{planned.target.name}: the Edge TPU compiler is expected to refuse the model: {finding}"
                for finding in edgetpu_readable(model)
            ]
    return tuple(notes)


def _binary_notes(project: Project) -> tuple[str, ...]:
    """A `.bin` for another SoC cannot be refused: too few such files are known to be sure."""
    (file,) = project.model.files
    with input_faults(file.path), file.path.open("rb") as stream:
        likely = guess_bin_soc(stream.read(BIN_HEAD_BYTES))
    return tuple(
        f"{target.name}: {file.name} begins as a model compiled for {likely}; few such files are known, so see "
        "for yourself"
        for target in project.targets
        if likely not in (None, target.name)
    )
