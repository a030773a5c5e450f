"""The report of a build: made from what it left, written beside the packages and wherever else it is asked for.

In: a finished build, or one that could not be finished. Out: files, and the `BuildResult` with them. What has to be
read for it is remembered, so that a build with nothing to do reads no model and makes no page. That a report cannot be
written fails a build that succeeded, and never hides why another failed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dlpubuild import __version__
from dlpubuild.cas.digest import Digest
from dlpubuild.cas.memo import MAX_FACT_BYTES
from dlpubuild.commands.made import built_model
from dlpubuild.engine.events import StepFailed, StepFinished
from dlpubuild.engine.scheduler import State, StepOutcome
from dlpubuild.errors import DlpuError, ErrorCode, OutputError, UsageError
from dlpubuild.package.report_files import SUFFIXES, current_report, report_base, write_report, write_whole
from dlpubuild.project.model import SourceFile
from dlpubuild.project.paths import PathRefusedError, project_paths
from dlpubuild.report.build import BuildResult, TargetResult
from dlpubuild.report.document import BuildFacts, content_key, report_document
from dlpubuild.report.provenance import InputFacts, project_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from dlpubuild.cas.memo import Memo
    from dlpubuild.cas.store import Store
    from dlpubuild.engine.events import Event, Observer
    from dlpubuild.package.compiled import BuiltModel
    from dlpubuild.plan.model import Plan
    from dlpubuild.project.model import Project
    from dlpubuild.project.paths import ProjectPaths
    from dlpubuild.targets.model import Soc

_NS = 1_000_000_000
_TABLE_KIND = "report-model-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """Where reports go: beside the packages, unless `beside` is False, and to `copies`, whose suffixes say the form."""

    beside: bool = True
    copies: tuple[Path, ...] = ()

    @property
    def is_wanted(self) -> bool:
        """Whether there is to be any."""
        return self.beside or bool(self.copies)


def check_copies(copies: Sequence[Path]) -> None:
    """Find out before the build that a report can be named so.

    Raises:
        UsageError: the suffix of a path says no form of a report.
    """
    for path in copies:
        if path.suffix.removeprefix(".") not in SUFFIXES:
            raise UsageError(
                ErrorCode.USAGE,
                f'--report: "{path}" does not say by its suffix what to write',
                hint="a report is a .html, a .json or a .md file",
            )


class Seen:
    """An observer that hands on what it is told, and remembers how steps ended: for a build that is cut short."""

    __slots__ = ("_ended", "_observe")

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self._ended: dict[str, StepOutcome] = {}

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, StepFinished):
            state = State.CACHED if event.cached else State.RAN
            self._ended[event.step] = StepOutcome(state=state, seconds=event.seconds)
        elif isinstance(event, StepFailed):
            self._ended[event.step] = StepOutcome(state=State.FAILED, error=event.error)
        self._observe(event)

    def outcomes(self, plan: Plan) -> dict[str, StepOutcome]:
        """Return how steps ended, by key."""
        return {step.key: self._ended[step.name] for step in plan.steps if step.name in self._ended}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """What reports of one build are made from, besides its result."""

    project: Project
    socs: Mapping[str, Soc]
    store: Store
    memo: Memo
    out_dir: Path
    executor: str
    epoch_s: int
    now_ns: Callable[[], int]
    request: ReportRequest

    def with_report(self, result: BuildResult) -> BuildResult:
        """Return the result with its report written, or with why that failed."""
        if not self.request.is_wanted or result.until_step is not None:
            return result
        try:
            return self._written(result)
        except DlpuError as error:
            return replace(result, report_error=error)
        except OSError as error:
            from dlpubuild.package.output_folder import cannot_write  # noqa: PLC0415 - seldom needed

            return replace(result, report_error=cannot_write(self.out_dir, error))

    def _written(self, result: BuildResult) -> BuildResult:
        facts = BuildFacts(
            result=result,
            project=self.project,
            socs=self.socs,
            built=_built(result),
            inputs=_inputs(self.project, self.memo),
            executor=self.executor,
            created_s=self.now_ns() // _NS,
            epoch_s=self.epoch_s,
        )
        # The digests of the models are in it, so that their tables add nothing to what tells reports apart.
        key = content_key(report_document(facts))
        section = self.project.manifest.project
        base = report_base(section.name, section.version)
        report = None
        if self.request.beside and result.did_nothing:
            report = current_report(self.out_dir, base, key, self._digest)
        if report is not None:
            contents = {suffix: report.path(suffix).read_bytes() for suffix in _suffixes(self.request.copies)}
        else:
            contents = self._rendered(facts)
            if self.request.beside:
                report = write_report(self.out_dir, base, key, contents)
        for path in self.request.copies:
            _copy(path, contents[_suffix(path)])
        return replace(result, report=report)

    def _digest(self, path: Path) -> Digest:
        try:
            return self.memo.digest_files([path])[0]
        except DlpuError as error:
            raise OSError(error.message) from error

    def _rendered(self, facts: BuildFacts) -> dict[str, bytes]:
        from dlpubuild.report.views import rendered  # noqa: PLC0415 - a build with nothing to do needs none of it

        described = (built.described(self.socs[soc].model_file) for soc, built in facts.built.items())
        tables = self._tables({digest for digest in described if digest is not None})
        document = report_document(replace(facts, tables=tables))
        # What is shown is what the file says, down to what UTF-8 cannot say.
        encoded = rendered(document, "json")
        document = json.loads(encoded)
        wanted = SUFFIXES if self.request.beside else _suffixes(self.request.copies)
        return {suffix: encoded if suffix == "json" else rendered(document, suffix) for suffix in wanted}

    def _tables(self, digests: Iterable[Digest]) -> dict[Digest, Mapping[str, Any]]:
        """What each model that can be read says of itself; remembered, for many reports tell of the same model."""
        keys = {digest: f"{__version__} {digest}" for digest in sorted(digests)}
        known = self.memo.recall_many(_TABLE_KIND, list(keys.values()))
        tables = {digest: json.loads(known[key]) for digest, key in keys.items() if key in known}
        for digest, key in keys.items():
            if digest not in tables and (table := self._table(digest)) is not None:
                tables[digest] = table
                encoded = json.dumps(table).encode()
                if len(encoded) <= MAX_FACT_BYTES:
                    self.memo.remember(_TABLE_KIND, key, encoded)
        return tables

    def _table(self, digest: Digest) -> dict[str, Any] | None:
        from dlpubuild.report.document_model import model_table  # noqa: PLC0415 - as in `_rendered`
        from dlpubuild.tflite.read import read_model  # noqa: PLC0415

        try:
            return model_table(read_model(self.store.read(digest)))
        except DlpuError:
            # No model, or damaged since: the target that it belongs to has failed, and its error says so.
            return None


def cut_short(plan: Plan, error: DlpuError) -> tuple[TargetResult, ...]:
    """Return how the targets of a build ended that `error` cut short: what may have been packaged is not told."""
    return tuple(TargetResult(soc=each.target.name, error=error) for each in plan.targets)


def _built(result: BuildResult) -> dict[str, BuiltModel]:
    """What the steps of each target left, where all of them succeeded."""
    return {
        planned.target.name: built_model(planned, result.outcomes)
        for planned in result.plan.targets
        if all(key in result.outcomes and result.outcomes[key].result is not None for key in planned.steps)
    }


def _inputs(project: Project, memo: Memo) -> tuple[InputFacts, ...]:
    """The project's files by what they are for; those that were read while the project was resolved are not kept."""
    manifest = project.manifest
    path = manifest.path.absolute()
    digest = Digest(manifest.sha256, path.stat().st_size)
    own = SourceFile(staged="", path=path, name=path.name, digest=digest)
    found = [InputFacts(kind="manifest", name=path.name, files=[own]), *project_inputs(project)]
    paths = project_paths(manifest.folder, manifest.project.allow_outside)
    for kind, name in (("labels", manifest.model.labels), ("license", manifest.project.license_file)):
        if name is not None:
            found.append(InputFacts(kind=kind, name=name, files=[_source_file(paths, name, memo)]))
    return tuple(found)


def _source_file(paths: ProjectPaths, name: str, memo: Memo) -> SourceFile:
    try:
        path = paths.find(name).absolute()
    except PathRefusedError as error:
        raise UsageError(error.code, f"{name} is gone since the build began: {error}", hint=error.hint) from error
    return SourceFile(staged="", path=path, name=name, digest=memo.digest_files([path])[0])


def _suffix(path: Path) -> str:
    return path.suffix.removeprefix(".")


def _suffixes(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_suffix(path) for path in paths))


def _copy(path: Path, content: bytes) -> None:
    """Write a report where the command line asks for it; a file that holds it already stays as it is."""
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise OutputError(
            ErrorCode.OUTPUT, f"the report cannot be written to {path}: {error.strerror or error}"
        ) from error
