"""What was found out about a built model that did not become a package: a report shows it, so that one sees why.

In: a planned target, what its steps left, and where that lies. Out: what lint and verification say, as far as they can
be told. Nothing is judged here, and nothing fails: why there is no package has been told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError
from dlpubuild.package.accuracy import measured
from dlpubuild.package.linted import lint_built
from dlpubuild.project.lint_rules import settings_of

if TYPE_CHECKING:
    from dlpubuild.cas.store import Store
    from dlpubuild.package.compiled import BuiltModel
    from dlpubuild.plan.model import PlannedTarget
    from dlpubuild.project.faults import Memo
    from dlpubuild.project.model import Project
    from dlpubuild.targets.lint.model import LintReport
    from dlpubuild.targets.verification import Verification
    from dlpubuild.tflite.model import TfliteModel


def examined(
    project: Project, planned: PlannedTarget, built: BuiltModel, store: Store, memo: Memo
) -> tuple[LintReport | None, Verification | None]:
    """Return what lint and verification say of a built model; None for what cannot be told."""
    return _linted(project, planned, built, store, memo), _measured(project, planned, built, store)


def _linted(project: Project, planned: PlannedTarget, built: BuiltModel, store: Store, memo: Memo) -> LintReport | None:
    soc = planned.target.soc
    digest = built.described(soc.model_file)
    if digest is None:
        return None

    def model() -> TfliteModel:
        from dlpubuild.tflite.read import read_model  # noqa: PLC0415 - what was linted is not read again

        return read_model(store.read(digest))

    try:
        return lint_built(soc, digest, model, settings=settings_of(project.manifest), memo=memo)
    except DlpuError:
        return None


def _measured(project: Project, planned: PlannedTarget, built: BuiltModel, store: Store) -> Verification | None:
    try:
        return measured(project, planned, built.verified, store)
    except DlpuError:
        return None
