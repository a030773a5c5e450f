"""A manifest becomes a project: every file it names is found and given a digest, every option settled.

In: a `Manifest`, the SoCs that are known, and a memo of file digests. Out: a `Project`, or a `ManifestError` that
tells every fault at once. Nothing is run, fetched or written here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.wording import did_you_mean, in_a_row, nearest_value
from dlpubuild.project.app import resolve_app
from dlpubuild.project.app_sdk import check_sdk
from dlpubuild.project.byte_inputs import check_byte_inputs
from dlpubuild.project.calibration import calibration_request, resolve_calibration
from dlpubuild.project.faults import Faults
from dlpubuild.project.inputs import check_outputs, settle_inputs
from dlpubuild.project.labels import KEY as LABELS_KEY
from dlpubuild.project.labels import label_count_message, parse_labels
from dlpubuild.project.layout import as_built, onnx_inputs
from dlpubuild.project.lint_rules import check_lint_rules
from dlpubuild.project.model import KnownSignature, KnownTensor, Project
from dlpubuild.project.model_source import resolve_model
from dlpubuild.project.paths import PathRefusedError, path_kind, project_paths
from dlpubuild.project.tf1 import check_tf1
from dlpubuild.project.verification import VerificationRequest, resolve_verification
from dlpubuild.project.ways_in import fit_targets, needs_calibration
from dlpubuild.targets.model import COMPILER_DEFAULTS, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.manifest.model import Manifest, TargetSection
    from dlpubuild.project.faults import Memo
    from dlpubuild.project.paths import ProjectPaths
    from dlpubuild.targets.model import CompilerOption, Soc


def resolve_project(
    manifest: Manifest,
    socs: Mapping[str, Soc],
    *,
    selected: Sequence[str],
    memo: Memo,
    every_image: bool = False,
) -> Project:
    """Return the project that `manifest` describes, with the targets named in `selected`, in manifest order.

    Its toolchains are not pinned: `dlpubuild.plan.toolchains` finds out which ones its steps use.

    Args:
        every_image: decode every calibration image, not only those picked (`dlpubuild check`).

    Raises:
        ManifestError: every fault found in the files and options, with its place in the manifest.
        DlpuError: a file changed while it was read.
    """
    faults = Faults(manifest)
    paths = project_paths(manifest.folder, manifest.project.allow_outside)
    sections = [section for section in manifest.targets if section.soc in selected]
    targets = [target for section in sections if (target := _target(faults, section, socs)) is not None]
    resolved = resolve_model(faults, paths, memo)
    signature = resolved[1] if resolved else KnownSignature()
    if resolved is not None:
        targets = fit_targets(faults, resolved[0], signature, targets)
    is_onnx = resolved is not None and resolved[0].format == "onnx"
    settled = settle_inputs(faults, signature, is_onnx=is_onnx)
    inputs = as_built(settled) if is_onnx else settled
    check_outputs(faults, signature)
    if resolved is not None:
        check_tf1(faults, resolved[0], inputs, targets)
        check_byte_inputs(faults, resolved[0], inputs, targets)
    labels = _labels(faults, paths, signature)
    license_text = _read(faults, paths, manifest.project.license_file, "project.license-file")
    app = resolve_app(faults, paths, memo)
    check_sdk(faults, targets, app)
    check_lint_rules(faults, socs)
    calibration = None
    calibrates = resolved is None or needs_calibration(resolved[0])
    if (calibrates and _needs_calibration(faults, targets)) or every_image:
        section = manifest.calibration
        if section is not None:
            request = calibration_request(section, inputs, paths, memo, every_image=every_image)
            calibration = resolve_calibration(faults, request)
    verification = None
    # What a compiler made runs on its SoC only.
    if manifest.verify is not None and (resolved is None or resolved[0].state != "compiled"):
        verification = resolve_verification(
            faults,
            VerificationRequest(
                section=manifest.verify,
                inputs=inputs,
                outputs=_built_outputs(manifest, signature),
                labels=labels,
                paths=paths,
                memo=memo,
                every_image=every_image,
            ),
        )
    faults.raise_if_any()
    if resolved is None:
        raise AssertionError("a model that was not resolved has a fault")
    return Project(
        manifest=manifest,
        folder=paths.folder,
        model=resolved[0],
        signature=signature,
        inputs=inputs,
        onnx_inputs=onnx_inputs(settled) if is_onnx else (),
        labels=labels,
        license_text=license_text,
        app=app,
        calibration=calibration,
        verification=verification,
        targets=tuple(targets),
    )


def notes_on(project: Project) -> tuple[str, ...]:
    """Return what a user should know though nothing is wrong: one sentence each."""
    notes = []
    manifest = project.manifest
    if manifest.verify is not None and project.verification is None:
        notes.append("[verify]: what is compiled already runs on its SoC only, so its accuracy cannot be measured here")
    if project.verification is not None and project.verification.left_out:
        left, images = project.verification.left_out, len(project.verification.samples.files)
        notes.append(f"[verify]: labels.csv names {images} of {images + left} images; the others are left out")
    for own, built in zip(project.onnx_inputs, project.inputs, strict=False):
        if own.layout == "nchw" and own.shape is not None:
            notes.append(
                f'input "{own.name}" is {list(own.shape)} (NCHW) in the ONNX model; a .tflite made of it takes '
                f"{list(built.shape or ())} (NHWC)"
            )
    if project.calibration is not None:
        wanted = manifest.calibration.samples if manifest.calibration else 0
        if project.calibration.samples < wanted:
            there = project.calibration.samples
            counted = "1 sample" if there == 1 else f"{there} samples"
            notes.append(f"calibration uses {counted}, all there are; {wanted} were asked for")
        plain = [each.name for each in project.inputs if each.mean is None and each.std is None]
        if project.calibration.kind == "images" and (plain or not project.inputs):
            which = f'input "{plain[0]}"' if plain else "the input"
            notes.append(
                f"{which} has neither mean nor std: pixels enter the model as 0..255; "
                "write both under [[model.input]] if it was trained on other values"
            )
    return tuple(notes)


def _target(faults: Faults, section: TargetSection, socs: Mapping[str, Soc]) -> Target | None:
    path = f"target.{section.soc}"
    soc = socs.get(section.soc)
    if soc is None:
        guess = did_you_mean(nearest_value(section.soc, socs))
        faults.add(ErrorCode.UNKNOWN_VALUE, path, f"unknown SoC; known: {', '.join(socs)}{guess}")
        return None
    if not soc.can_be_built:
        buildable = ", ".join(name for name, each in socs.items() if each.can_be_built)
        faults.add(
            ErrorCode.TARGET_UNAVAILABLE,
            path,
            f"{soc.title} is known, but this version cannot build for it: it lacks {soc.not_yet}",
            f"it builds for {buildable}; pick among them with --target, or remove this table",
        )
        return None
    quantization = section.quantization or soc.default_quantization
    io = section.io or soc.io_for(quantization)
    toolchain = section.toolchain or soc.default_toolchain
    _allowed(faults, f"{path}.quantization", quantization, soc.allowed_quantization, soc)
    _allowed(faults, f"{path}.io", io, soc.allowed_io, soc)
    _allowed(faults, f"{path}.toolchain", toolchain, soc.allowed_toolchain, soc)
    said = {
        "activations": section.activations,
        "coefficients": section.coefficients,
        "input-format": section.input_format,
        "parser": section.parser,
    }
    for key, value in said.items():
        if value is not None and key in soc.allowed_options:
            _allowed(faults, f"{path}.{key}", value, soc.allowed_options[key], soc)
    return Target(
        soc=soc,
        quantization=quantization,
        io=io,
        toolchain=toolchain,
        activations=section.activations or "auto",
        coefficients=section.coefficients or "auto",
        input_format=section.input_format or "auto",
        parser=section.parser or "auto",
        timeout_s=section.timeout or 0,
        compiler=_compiler_options(section),
        min_mapped=section.min_mapped,
    )


def _compiler_options(section: TargetSection) -> Mapping[str, CompilerOption]:
    """Return the options of a compiler with their defaults, by the names that step scripts have for them."""
    said: dict[str, CompilerOption | None] = {
        "min_runtime_version": section.min_runtime_version,
        "search_delegate": section.search_delegate,
        "delegate_search_step": section.delegate_search_step,
        "timeout_sec": section.timeout,
        "intermediate_tensors": section.intermediate_tensors,
    }
    options = dict(COMPILER_DEFAULTS)
    options.update((name, value) for name, value in said.items() if value is not None)
    return MappingProxyType(options)


def _allowed(faults: Faults, path: str, value: str, allowed: Sequence[str], soc: Soc) -> None:
    if value not in allowed:
        faults.add(
            ErrorCode.UNKNOWN_VALUE,
            path,
            f'"{value}" is not available for {soc.title} here; allowed: {in_a_row(allowed)}',
        )


def _labels(faults: Faults, paths: ProjectPaths, signature: KnownSignature) -> tuple[str, ...] | None:
    name = faults.manifest.model.labels
    data = _read(faults, paths, name, LABELS_KEY)
    if name is None or data is None:
        return None
    labels = parse_labels(faults, name, data)
    known = {tensor.name for tensor in signature.outputs}
    outputs = [tensor for tensor in _built_outputs(faults.manifest, signature) if tensor.name in known]
    if labels is not None and (message := label_count_message(labels, outputs)):
        faults.add(ErrorCode.LABEL_COUNT, LABELS_KEY, message)
    return labels


def _built_outputs(manifest: Manifest, signature: KnownSignature) -> list[KnownTensor]:
    """Return the outputs of what is built: those that the manifest names, else all that the model says it has."""
    known = {tensor.name: tensor for tensor in signature.outputs}
    if not manifest.model.outputs:
        return list(known.values())
    return [known.get(each.name, KnownTensor(name=each.name, shape=each.shape)) for each in manifest.model.outputs]


def _read(faults: Faults, paths: ProjectPaths, name: str | None, key: str) -> bytes | None:
    if name is None:
        return None
    try:
        path = paths.find(name)
        kind = path_kind(path)
        if kind == "file":
            return path.read_bytes()
        if kind is None:
            faults.add(ErrorCode.PATH_MISSING, key, f'"{name}" does not exist')
        else:
            faults.add(ErrorCode.PATH_KIND, key, f'"{name}" is not a file')
    except PathRefusedError as error:
        faults.add_refused(key, error)
    except OSError as error:
        faults.add(ErrorCode.PATH_KIND, key, f'"{name}" cannot be read: {error.strerror or error}')
    return None


def _needs_calibration(faults: Faults, targets: Sequence[Target]) -> bool:
    integer = [target for target in targets if target.is_integer or target.soc.needs_calibration]
    if integer and faults.manifest.calibration is None:
        # The schema asks for it per SoC; a project's own SoC is only known here.
        faults.add(ErrorCode.MISSING_KEY, f"target.{integer[0].name}", "a quantized model needs a [calibration] table")
    return bool(integer)
