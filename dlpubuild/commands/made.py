"""What the steps of a build left, handed to whoever packages it.

In: a planned target and what became of its steps. Out: a `BuiltModel`, the digests of what a package is made from; a
model that is packaged as the project brings it is put into the store first, where packages are made from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.cas.faults import input_faults
from dlpubuild.engine.bind import STEP_RECORD, output_digest
from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.package.compiled import BuiltModel
from dlpubuild.plan.model import OutputOf, ProjectModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.store import Store
    from dlpubuild.engine.scheduler import StepOutcome
    from dlpubuild.plan.model import Plan, PlannedTarget


def built_model(planned: PlannedTarget, outcomes: Mapping[str, StepOutcome]) -> BuiltModel:
    """Return what the steps of a target left, all of which succeeded."""

    def digest(made: OutputOf | ProjectModel) -> Digest:
        return made_digest(made, outcomes)

    def record(step: str | None) -> Digest | None:
        return None if step is None else digest(OutputOf(step=step, path=STEP_RECORD))

    compiled, binary = planned.compiled, planned.binary
    return BuiltModel(
        model=digest(planned.result),
        source=None if compiled is None else digest(compiled.source),
        record=None if compiled is None else record(compiled.step),
        checked=record(planned.checked),
        verified=None if planned.verified is None else digest(planned.verified),
        binary_record=None if binary is None else record(binary.step),
        binary_source=None if binary is None or binary.readable_source is None else digest(binary.readable_source),
        application=None if planned.application is None else digest(planned.application),
    )


def made_digest(made: OutputOf | ProjectModel, outcomes: Mapping[str, StepOutcome]) -> Digest:
    """Return the digest of what a package is made from; the step that made it succeeded."""
    if isinstance(made, ProjectModel):
        return made.file.digest
    result = outcomes[made.step].result
    if result is None:
        raise AssertionError("a target whose steps all succeeded has a result")
    return output_digest(result, made.path)


def keep_own_model(plan: Plan, store: Store) -> None:
    """Put a model that is packaged as the project brings it where packages are made from.

    Raises:
        DlpuError: it cannot be read, or changed while it was read.
    """
    for planned in plan.targets:
        for each in _packaged_or_read(planned):
            if isinstance(each, ProjectModel) and not store.contains(each.file.digest):
                with input_faults(each.file.path):
                    stored = store.put_file(each.file.path)
                if stored != each.file.digest:
                    raise DlpuError(
                        ErrorCode.INPUT_CHANGED, f"{each.file.name} changed while it was read", hint="build again"
                    )


def _packaged_or_read(planned: PlannedTarget) -> Iterator[OutputOf | ProjectModel | None]:
    """Yield what of a target is read when it is packaged."""
    yield planned.result
    if planned.compiled is not None:
        yield planned.compiled.source
    if planned.binary is not None:
        yield planned.binary.readable_source
