"""How accurate a built model is: what a verifying step measured, held against the manifest's gates.

In: a project, a planned target, and the digest of what the step left. Out: a `Verification`, and the few figures of it
that a package holds. Only that document is read, which is small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlpubuild.targets.accuracy_gate import AccuracyLimits, gate_outcomes, hold_against_gates
from dlpubuild.targets.verification import Verification, read_verification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.store import Store
    from dlpubuild.plan.model import PlannedTarget
    from dlpubuild.project.model import Project
    from dlpubuild.targets.model import Target

_NO_FLOAT = "there is no float model to compare with, so nothing is gated"
_NOTHING = "there is no float model to compare with, and the data has no classes: all that was found is that it runs"
_BEFORE_COMPILING = "what the compiler made runs on the SoC only: measured is the model that it was made from"
_NO_STEP = "accuracy is not measured: the template has no step that does"
_FLOAT_ONLY = f"{_BEFORE_COMPILING}, in float; what its own quantization costs is not known, so nothing is gated"


def measured(project: Project, planned: PlannedTarget, verified: Digest | None, store: Store) -> Verification | None:
    """Return what was measured of a target, with the outcome of each gate; None where nothing was.

    Raises:
        StepFailedError: `STEP_OUTPUT`: it is not what such a step is to write.
        BlobMissingError: it is not in the store, or was damaged there.
    """
    if verified is None:
        return None
    is_compiled, is_binary = planned.compiled is not None, planned.binary is not None
    return read_measured_accuracy(project, verified, store, is_compiled=is_compiled, is_binary=is_binary)


def read_measured_accuracy(
    project: Project, verified: Digest, store: Store, *, is_compiled: bool, is_binary: bool
) -> Verification:
    """Return what was measured of a model, with the outcome of each gate.

    Args:
        project: whose limits hold.
        verified: what the step left.
        store: where that lies.
        is_compiled: whether an integer model was compiled to what the camera loads.
        is_binary: whether a float model was, to what only the camera can read.

    Raises:
        StepFailedError: `STEP_OUTPUT`: it is not what such a step is to write.
        BlobMissingError: it is not in the store, or was damaged there.
    """
    document = read_verification(store.read(verified))
    limits = accuracy_limits(project)
    note = ""
    if is_binary:
        note = _FLOAT_ONLY
    elif is_compiled:
        note = _BEFORE_COMPILING
    if not document["compared_with_float"] and limits.metric != "none" and not is_binary:
        missing = _NO_FLOAT if document["labelled"] else _NOTHING
        note = f"{note}; {missing}" if note else missing
    return Verification(
        document=document,
        gates=gate_outcomes(document, limits),
        of_uncompiled=is_binary or is_compiled,
        note=note,
    )


def hold_against_accuracy(project: Project, target: Target, verification: Verification | None, *, file: str) -> None:
    """Raise where the model lost more than the manifest allows.

    Raises:
        AccuracyError: with all figures.
    """
    if verification is not None:
        place = project.manifest.locate("verify")
        hold_against_gates(verification, accuracy_limits(project), target, file=file, location=place)


def accuracy_notes(project: Project, verification: Verification | None) -> tuple[str, ...]:
    """Return what a person should know of how accuracy was measured, or why it was not."""
    if verification is None:
        return (_NO_STEP,) if project.verification is not None else ()
    return (f"accuracy: {verification.note}",) if verification.note else ()


def accuracy_limits(project: Project) -> AccuracyLimits:
    """Return what the manifest asks for; the project has validation data."""
    section, source = project.manifest.verify, project.verification
    if section is None or source is None:
        raise AssertionError("nothing is verified without [verify]")
    return AccuracyLimits(
        metric=source.metric,
        max_drop=section.max_drop,
        min_agreement=section.min_agreement,
        min_sqnr=section.min_sqnr,
    )


def packaged_figures(verification: Verification | None, *, is_binary: bool) -> Mapping[str, float] | None:
    """Return the figures that go into a package, by name; of several outputs each name begins with the output's.

    Where a float model was compiled to what only the camera can read, they are those of the float model.

    They are rounded further than what was measured: the last digits of a float model differ between processors, and a
    package must not.
    """
    if verification is None:
        return None
    document = verification.document
    figures: dict[str, float] = {"samples": document["samples"]}
    several = len(document["outputs"]) > 1
    for output in document["outputs"]:
        prefix = f"{output['name']}: " if several else ""
        figures |= {f"{prefix}{name}": value for name, value in _figures_of(output, is_binary=is_binary).items()}
    boxes = document["boxes"]
    if boxes is not None and boxes["matched"] is not None:
        figures["boxes-matched"] = round(boxes["matched"]["value"], 4)
    return figures


def _figures_of(output: Mapping[str, Any], *, is_binary: bool) -> Mapping[str, float]:
    found = {}
    for model, prefix in (("built", "float-" if is_binary else ""), ("float", "float-")):
        for name, share in (output[model] or {}).items():
            if name in ("top1", "top5") and share is not None:
                found[f"{prefix}{name}"] = round(share["value"], 4)
    if output["agreement"] is not None:
        found["agreement"] = round(output["agreement"]["value"], 4)
    if output["sqnr_db"] is not None:
        found["sqnr-db"] = round(output["sqnr_db"]["value"], 1)
    if output["mae"] is not None:
        found["mae"] = float(f"{output['mae']['value']:.2g}")
    return found
