"""The outcome of a build as a value, as text and as JSON."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlpubuild.engine.scheduler import State
from dlpubuild.errors import BuildFailedError, StepFailedError
from dlpubuild.report.accuracy import accuracy_cell, verification_json
from dlpubuild.report.text import Paint, columns, display_width, seconds_text, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.engine.scheduler import StepOutcome
    from dlpubuild.errors import DlpuError
    from dlpubuild.package.report_files import WrittenReport
    from dlpubuild.package.target import PackagedTarget
    from dlpubuild.plan.model import Plan
    from dlpubuild.targets.lint.model import LintReport
    from dlpubuild.targets.verification import Verification

_OPERATORS_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """One target: its package, or why there is none.

    `seconds` sums up its steps, shared ones included, whenever they ran; `ran` says whether any ran now, `steps` how
    many there are: none where the project's model is packaged as it is. Neither package nor error: a step that it needs
    was skipped because another failed. `lint` and `verification` are there as far as they went, also of a target that
    failed because of them.
    """

    soc: str
    package: PackagedTarget | None = None
    error: DlpuError | None = None
    failed_step: str = ""
    io: str = ""
    seconds: float = 0.0
    ran: bool = False
    steps: int | None = None
    lint: LintReport | None = None
    verification: Verification | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """A finished build.

    `command` is the command line that asks for it. `until_step` names the step it was to stop after, if any. `report`
    is what was written of it; `report_error` says why it could not be.
    """

    plan: Plan
    outcomes: Mapping[str, StepOutcome]
    targets: tuple[TargetResult, ...]
    command: tuple[str, ...]
    seconds: float
    until_step: str | None = None
    report: WrittenReport | None = None
    report_error: DlpuError | None = None

    @property
    def errors(self) -> tuple[DlpuError, ...]:
        """Every distinct error, those of steps first, in plan order; that of the report comes last."""
        steps = [self.outcomes[step.key].error for step in self.plan.steps if step.key in self.outcomes]
        targets = [target.error for target in self.targets]
        found = [error for error in (*steps, *targets, self.report_error) if error is not None]
        return tuple({id(error): error for error in found}.values())

    @property
    def did_nothing(self) -> bool:
        """True where every step was cached and every package lay there already."""
        return all(outcome.state is State.CACHED for outcome in self.outcomes.values()) and all(
            target.package is not None and not target.package.written for target in self.targets
        )

    def raise_errors(self) -> None:
        """Raise what went wrong, if anything did.

        Raises:
            BuildFailedError: carries every error.
        """
        if self.errors:
            raise BuildFailedError(self.errors, self.command)


def build_text(result: BuildResult, *, colored: bool, width: int | None = None) -> str:
    """Return the table of packages and one closing line.

    Args:
        width: columns of the terminal; where the table is wider, operators are only counted and packages named
            without their folder. None where the text goes elsewhere.
    """
    paint = Paint(colored)
    table = _table(result, paint, brief=False)
    if width is not None and any(display_width(line) > width for line in table.splitlines()):
        table = _table(result, paint, brief=True)
    report = "" if result.report is None else f"report: {_short(result.report.path('html'))}\n"
    return f"{table}{_closing(result, paint)}\n{report}"


def _table(result: BuildResult, paint: Paint, *, brief: bool) -> str:
    if not result.targets:
        return ""
    rows = [_row(target, paint, brief=brief) for target in result.targets]
    names = ["target", "quantization", "I/O", "model", "operators", "time", "steps", "package"]
    if any(target.verification is not None for target in result.targets):
        rows = [
            (*row[:5], accuracy_cell(target.verification), *row[5:])
            for row, target in zip(rows, result.targets, strict=True)
        ]
        names.insert(5, "accuracy")
    return columns(rows, header=[paint.strong(name) for name in names], right=frozenset({3, len(names) - 3})) + "\n"


def _row(target: TargetResult, paint: Paint, *, brief: bool) -> tuple[str, ...]:
    if target.package is None:
        state = paint.bad("failed") if target.error is not None else paint.dim("skipped")
        return (target.soc, "-", "-", "-", "-", "-", state, "-")
    package = target.package
    return (
        target.soc,
        package.quantization,
        target.io,
        size_text(package.model_bytes),
        str(sum(package.operators.values())) if brief else _operators(package.operators),
        seconds_text(target.seconds),
        paint.good("ran") if target.ran else paint.dim("none" if target.steps == 0 else "cached"),
        _files(package, brief=brief),
    )


def _files(package: PackagedTarget, *, brief: bool) -> str:
    """The bundle's archive and the .eap, each with its size."""
    files: list[tuple[Path, int]] = []
    if package.package is not None:
        files.append((package.package.archive, package.package.size_bytes))
    if package.eap is not None:
        files.append((package.eap.path, package.eap.size_bytes))
    unchanged = "" if package.written else ", unchanged"
    return ", ".join(f"{path.name if brief else _short(path)} ({size_text(size)}{unchanged})" for path, size in files)


def _operators(operators: Mapping[str, int]) -> str:
    if not operators:
        return "-"
    most = sorted(operators.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} {count}" for name, count in most[:_OPERATORS_SHOWN])
    more = ", ..." if len(most) > _OPERATORS_SHOWN else ""
    return f"{sum(operators.values())}: {shown}{more}"


def _short(path: Path) -> str:
    """The path as one would type it from here."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("../..") else str(path)


def _closing(result: BuildResult, paint: Paint) -> str:
    ran = sum(outcome.state is State.RAN for outcome in result.outcomes.values())
    cached = sum(outcome.state is State.CACHED for outcome in result.outcomes.values())
    packages = _count(len(result.targets), "package")
    time_text = seconds_text(result.seconds)
    if result.errors:
        built = sum(target.package is not None for target in result.targets)
        return paint.bad(f"failed: {built} of {len(result.targets)} targets built in {time_text}")
    if result.until_step is not None:
        return f"step {result.until_step} is done: {ran} ran, {cached} cached, {time_text}"
    if result.did_nothing:
        return f"nothing had to run: {_count(cached, 'step')} cached, {packages} unchanged, {time_text}"
    return f"{packages} built: {_count(ran, 'step')} ran, {cached} cached, {time_text}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def build_json(result: BuildResult) -> dict[str, Any]:
    """Return the outcome as JSON values; digests are sha256 in hex."""
    return {
        "schema": 1,
        "ok": not result.errors,
        "seconds": round(result.seconds, 3),
        "steps": [
            {
                "name": step.name,
                "targets": list(step.targets),
                "state": str(result.outcomes[step.key].state),
                "seconds": round(result.outcomes[step.key].seconds, 3),
            }
            for step in result.plan.steps
            if step.key in result.outcomes
        ],
        "targets": [_target_json(target) for target in result.targets],
        "report": None if result.report is None else _report_json(result.report),
        "errors": [error_json(error) for error in result.errors],
    }


def not_begun_json(error: DlpuError) -> dict[str, Any]:
    """Return the outcome of a build that never began."""
    nothing: dict[str, Any] = {"schema": 1, "ok": False, "seconds": 0.0, "steps": [], "targets": [], "report": None}
    return {**nothing, "errors": [error_json(error)]}


def _report_json(report: WrittenReport) -> dict[str, Any]:
    paths = {"json": report.path("json"), "html": report.path("html"), "markdown": report.path("md")}
    return {**{name: str(path) for name, path in paths.items()}, "written": report.written}


def _target_json(target: TargetResult) -> dict[str, Any]:
    if target.package is None:
        state = "failed" if target.error is not None else "skipped"
        failed = {"soc": target.soc, "state": state, "failed_step": target.failed_step or None}
        return failed if target.verification is None else failed | {"accuracy": verification_json(target.verification)}
    package = target.package
    return {
        "soc": target.soc,
        "state": "ran" if target.ran else "cached",
        **_bundle_json(package),
        **_eap_json(package),
        "written": package.written,
        "model_bytes": package.model_bytes,
        "quantization": package.quantization,
        "io": target.io,
        "operators": dict(package.operators),
        "outputs": _outputs_json(package),
        "lint": _lint_json(package),
        "accuracy": verification_json(package.verification),
        "notes": list(package.notes),
        "seconds": round(target.seconds, 3),
    }


def _outputs_json(package: PackagedTarget) -> list[dict[str, Any]]:
    """How near the outputs of an integer model are to the float model's on a few calibration samples."""
    check = package.check
    if check is None:
        return []
    measured = [(each.name, each.integer[check.scheme]) for each in check.outputs if check.scheme in each.integer]
    return [
        {
            "name": name,
            "samples": check.samples,
            "distinct": found.given.distinct,
            "sqnr_db": found.sqnr_db,
            "explained": found.explained,
            "agreement": found.agreement,
        }
        for name, found in measured
    ]


def _lint_json(package: PackagedTarget) -> dict[str, Any] | None:
    """How much lint found, and where operators run; None where the model could not be read."""
    lint = package.lint
    if lint is None:
        return None
    placement = lint.placement
    return {
        **{str(severity): count for severity, count in lint.counts.items()},
        "silenced": sum(each.count for each in lint.silenced),
        "placement": None
        if placement is None
        else {
            "dlpu": len(placement.on_dlpu),
            "cpu": len(placement.on_cpu),
            "parts": placement.parts,
            "switches": placement.switches,
        },
    }


def _bundle_json(package: PackagedTarget) -> dict[str, Any]:
    bundle = package.package
    if bundle is None:
        return {}
    return {
        "archive": str(bundle.archive),
        "archive_sha256": bundle.archive_digest.hash,
        "archive_bytes": bundle.size_bytes,
        "folder": str(bundle.folder),
    }


def _eap_json(package: PackagedTarget) -> dict[str, Any]:
    if package.eap is None:
        return {}
    eap = package.eap
    return {"eap": str(eap.path), "eap_sha256": eap.digest.hash, "eap_bytes": eap.size_bytes}


def error_json(error: DlpuError) -> dict[str, Any]:
    """Return an error as JSON values; for a failed step also its name and the path of its log."""
    told = {
        "code": str(error.code),
        "message": error.message,
        "hint": error.hint,
        "location": str(error.location) if error.location else "",
    }
    if isinstance(error, StepFailedError):
        told |= {"step": error.step, "log": error.log}
    return told
