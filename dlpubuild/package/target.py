"""One target's built model becomes its package: looked at, held against what the SoC needs, written.

In: a project, a planned target and the digests of what its steps made. Out: a `PackagedTarget`. A model that
passed once is remembered, and a package that is on disk already is left alone, so that a build with nothing to do
reads neither. Where a compiler made the model, what is looked at and described is the file it was made from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dlpubuild import __version__
from dlpubuild.errors import DlpuError
from dlpubuild.package.accuracy import accuracy_notes, hold_against_accuracy, measured, packaged_figures
from dlpubuild.package.binary_target import binary_description
from dlpubuild.package.checked import read_measured
from dlpubuild.package.compiled import BINARY_FILE, read_report
from dlpubuild.package.linted import lint_built
from dlpubuild.package.needs import check_labels, file_of, hold_against_needs, model_needs
from dlpubuild.package.request import built_request, unbuilt_request
from dlpubuild.package.spec import (
    BundleSpec,
    PackageRequest,
)
from dlpubuild.package.stamp import current_package
from dlpubuild.project.lint_rules import settings_of
from dlpubuild.targets.collapse import check_notes, hold_against_collapse
from dlpubuild.targets.lint.surprise import surprise_notes
from dlpubuild.targets.lint.verdict import hold_against_lint, lint_notes
from dlpubuild.targets.mapping import hold_against_share, mapping_notes
from dlpubuild.tflite.detection import DETECTION_OPERATOR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.store import Store
    from dlpubuild.package.compiled import BuiltModel
    from dlpubuild.package.description import ModelDescription
    from dlpubuild.package.eap.compressor import Gzip
    from dlpubuild.package.eap.stamp import WrittenEap
    from dlpubuild.package.spec import CompilerFacts
    from dlpubuild.package.stamp import WrittenPackage
    from dlpubuild.plan.model import PlannedTarget
    from dlpubuild.project.faults import Memo
    from dlpubuild.project.model import Project
    from dlpubuild.targets.lint.model import LintReport
    from dlpubuild.targets.mapping import MappingReport
    from dlpubuild.targets.model import Soc, Target
    from dlpubuild.targets.output_figures import OutputCheck
    from dlpubuild.targets.verification import Verification
    from dlpubuild.tflite.model import TfliteModel


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedTarget:
    """The packages of one target and what is in them.

    `io` is the type of inputs and outputs, both where they differ. `quantization` and `operators` are read from the
    model's file, before it was compiled. `package` is the bundle, `eap` the application; each is None where the
    manifest asks for none. `written` is False where all lay there already. `notes` are what a person should know of the
    model, a sentence each; `check` is what was measured of an integer model, `lint` what its operators are to the SoC,
    `verification` how it compares with the float model on the validation data. `compiler` made the model, if any did,
    and `mapping` is what it said; `binary` describes a model that only the camera can read.
    """

    soc: str
    package: WrittenPackage | None
    eap: WrittenEap | None = None
    written: bool
    model_bytes: int
    io: str
    quantization: str
    operators: Mapping[str, int]
    notes: tuple[str, ...] = ()
    check: OutputCheck | None = None
    lint: LintReport | None = None
    verification: Verification | None = None
    compiler: CompilerFacts | None = None
    mapping: MappingReport | None = None
    binary: ModelDescription | None = None


def package_target(
    project: Project,
    planned: PlannedTarget,
    built: BuiltModel,
    *,
    store: Store,
    memo: Memo,
    out_dir: Path,
    epoch_s: int,
    gzip: Gzip | None = None,
) -> PackagedTarget:
    """Return the packages of `planned` below `out_dir`, made of the model that its steps left.

    Args:
        gzip: what compresses an `.eap`; needed where the manifest asks for one that no step packs.

    Raises:
        GateError: the model is not what the SoC needs, an output of it stands still, too little of it runs on the
            accelerator, or lint finds what the manifest does not let pass.
        ManifestError: the labels do not fit the model's outputs.
        StepFailedError: the record of a compiling or quantizing step, or what acap-build packed, is not what it has to
            be.
        BlobMissingError: the model is not in the store, or was damaged there.
        OutputError: `out_dir` cannot be written.
    """
    target = planned.target
    report = None if built.record is None else read_report(built.record, store)
    check = None if built.checked is None else read_measured(built.checked, store)
    verification = measured(project, planned, built.verified, store)
    request = replace(
        built_request(project, planned, built, report, store, epoch_s),
        accuracy=packaged_figures(verification, is_binary=planned.binary is not None),
    )
    binary = None
    if target.soc.model_file == BINARY_FILE:
        binary = binary_description(project, target, built.binary_record, store)
    read = _Reader(store=store, digest=built.readable)
    key = _passed_key(project, target, built)
    if memo.recall("model-passed-1", key) is None:
        if binary is not None:
            check_labels(project, binary)
        else:
            hold_against_needs(project, target, read.model())
        if check is not None:
            hold_against_collapse(check, target, file=file_of(target))
        if report is not None:
            hold_against_share(report, target.min_mapped, soc=target.name, file=file_of(target))
        memo.remember("model-passed-1", key, b"")
    lint = _linted(project, target, built, read, memo)
    hold_against_accuracy(project, target, verification, file=file_of(target))
    formats = project.manifest.package.formats
    package, eap, is_new, is_eap_new = None, None, False, False
    if "bundle" in formats:
        found = current_package(request, out_dir, lambda path: _digest(memo, path))
        package, is_new = found or _write(request, binary or _described(read.model()), out_dir), found is None
    packing: tuple[str, ...] = ()
    if built.application is not None:
        eap, is_eap_new, packing = _sdk_packed_eap(project, request, built.application, store, out_dir, memo)
    elif "eap" in formats:
        eap, is_eap_new = _packed_eap(project, request, out_dir, memo, gzip)
    told = _told(read, memo) if binary is None else _told_of_binary(binary)
    return PackagedTarget(
        soc=target.name,
        package=package,
        eap=eap,
        written=is_new or is_eap_new,
        model_bytes=built.model.size_bytes,
        io=_io_told(target, binary, told["operators"]),
        quantization=told["quantization"],
        operators=told["operators"],
        notes=(
            *(check_notes(check) if check else ()),
            *(mapping_notes(report) if report else ()),
            *(surprise_notes(lint.placement, report) if report and lint and lint.placement else ()),
            *(lint_notes(lint, project.manifest.lint.fail_on) if lint else ()),
            *accuracy_notes(project, verification),
            *packing,
        ),
        check=check,
        lint=lint,
        verification=verification,
        compiler=request.compiler,
        mapping=report,
        binary=binary,
    )


def _linted(project: Project, target: Target, built: BuiltModel, read: _Reader, memo: Memo) -> LintReport | None:
    """Return what the SoC has against the model before it was compiled; None where only the camera can read that.

    Raises:
        GateError: it has more against it than the manifest lets pass.
    """
    digest = built.described(target.soc.model_file)
    if digest is None:
        return None
    source = read if digest == read.digest else _Reader(store=read.store, digest=digest)
    settings = settings_of(project.manifest)
    report = lint_built(target.soc, digest, source.model, settings=settings, memo=memo)
    hold_against_lint(report, settings.fail_on, file=file_of(target))
    return report


def check_packages(project: Project, socs: Mapping[str, Soc], *, epoch_s: int) -> tuple[str, ...]:
    """Look at the packages that a build would make, before it runs a step, and return what is worth knowing.

    Raises:
        ManifestError: an application cannot be packed; every fault.
    """
    if "eap" not in project.manifest.package.formats:
        return ()
    from dlpubuild.package.eap.of_project import check_eaps  # noqa: PLC0415 - only an .eap needs it

    requests = [unbuilt_request(project, target, epoch_s) for target in project.targets]
    return check_eaps(project, requests, [soc.larod_device for soc in socs.values()])


def _sdk_packed_eap(
    project: Project, request: PackageRequest, made: Digest, store: Store, out_dir: Path, memo: Memo
) -> tuple[WrittenEap, bool, tuple[str, ...]]:
    from dlpubuild.package.eap.of_project import sdk_packed_eap  # noqa: PLC0415 - only where an SDK is named

    return sdk_packed_eap(project, request, made, store, out_dir, lambda path: _digest(memo, path))


def _packed_eap(
    project: Project, request: PackageRequest, out_dir: Path, memo: Memo, gzip: Gzip | None
) -> tuple[WrittenEap, bool]:
    from dlpubuild.package.eap.of_project import packed_eap  # noqa: PLC0415 - only an .eap needs it

    if gzip is None:
        raise AssertionError("an .eap needs gzip")
    return packed_eap(project, request, out_dir, lambda path: _digest(memo, path), gzip)


def _told(read: _Reader, memo: Memo) -> dict[str, Any]:
    """What reports say of a model; remembered, so that a build with nothing to do does not read it."""
    key = f"{__version__} {read.digest}"
    known = memo.recall("model-told-1", key)
    if known is None:
        described = _described(read.model())
        known = json.dumps({"quantization": described.quantization, "operators": dict(described.operators)}).encode()
        memo.remember("model-told-1", key, known)
    told: dict[str, Any] = json.loads(known)
    return told


def _io_told(target: Target, binary: ModelDescription | None, operators: Mapping[str, int]) -> str:
    sides: tuple[str, str] = (target.io, target.output_io or target.io)
    if binary is not None and binary.inputs and binary.outputs:
        sides = (binary.inputs[0].dtype, binary.outputs[0].dtype)
    elif DETECTION_OPERATOR in operators and target.output_io is None:
        sides = (target.io, "float32")
    return "/".join(dict.fromkeys(sides))


def _told_of_binary(model: ModelDescription) -> dict[str, Any]:
    return {"quantization": model.quantization, "operators": dict(model.operators)}


def _described(model: TfliteModel) -> ModelDescription:
    from dlpubuild.package.description import describe_tflite  # noqa: PLC0415 - as in `_write`
    from dlpubuild.tflite.facts import summarise  # noqa: PLC0415

    return describe_tflite(model, summarise(model))


def _write(request: PackageRequest, model: ModelDescription, out_dir: Path) -> WrittenPackage:
    # A build that has nothing to write pays for none of this.
    from dlpubuild.package.bundle import write_bundle  # noqa: PLC0415

    return write_bundle(BundleSpec(request=request, model=model), out_dir)


@dataclass(slots=True)
class _Reader:
    """Reads a model at most once, and only where it is asked for."""

    store: Store
    digest: Digest
    known: TfliteModel | None = None

    def model(self) -> TfliteModel:
        if self.known is None:
            from dlpubuild.tflite.read import read_model  # noqa: PLC0415 - as in `_write`

            self.known = read_model(self.store.read(self.digest))
        return self.known


def _digest(memo: Memo, path: Path) -> Digest:
    """As `current_package` wants it: a file that is not there is an OSError."""
    path.stat()
    try:
        return memo.digest_files([path])[0]
    except DlpuError as error:
        raise OSError(error.message) from error


def _passed_key(project: Project, target: Target, built: BuiltModel) -> str:
    """All that decides whether a model passes, this version of the rules included."""
    labels = len(project.labels) if project.labels is not None else -1
    text = f"{__version__}\n{built}\n{model_needs(target)}\n{project.model.state}\n{target.min_mapped}\n{labels}"
    return hashlib.sha256(text.encode()).hexdigest()
