"""What a package is asked to hold: from the manifest and the SoC, and once it is built from the model.

In: a project, a target, and later what the steps left. Out: a `PackageRequest`. Nothing is written here.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.cas.digest import EMPTY_DIGEST
from dlpubuild.package.binary_target import binary_compiler
from dlpubuild.package.compiled import compiled_facts
from dlpubuild.package.spec import InputPreprocessing, PackageRequest, SocFacts, ToolchainFacts, default_app_name

if TYPE_CHECKING:
    from dlpubuild.cas.store import Store
    from dlpubuild.package.compiled import BuiltModel
    from dlpubuild.plan.model import PlannedTarget
    from dlpubuild.project.model import Project
    from dlpubuild.targets.mapping import MappingReport
    from dlpubuild.targets.model import Target
    from dlpubuild.toolchains.pins import ToolchainPin

# The package that a toolchain's results are told by.
_FRAMEWORKS = ("tensorflow-cpu", "tensorflow")


def built_request(
    project: Project,
    planned: PlannedTarget,
    built: BuiltModel,
    report: MappingReport | None,
    store: Store,
    epoch_s: int,
) -> PackageRequest:
    """All of a request, now that the model is built."""
    request = replace(
        unbuilt_request(project, planned.target, epoch_s),
        model_path=Path(store.folder.blob_path(built.model)),
        model_digest=built.model,
        toolchain=None if planned.toolchain is None else _toolchain(planned.toolchain),
    )
    if report is not None and planned.compiled is not None:
        return replace(request, compiled=compiled_facts(planned.compiled, built.readable, report, store))
    if planned.binary is not None and built.binary_record is not None:
        return replace(request, binary_compiler=binary_compiler(planned.binary, built.binary_record, store))
    return request


def _preprocessing(project: Project, target: Target) -> tuple[InputPreprocessing, ...]:
    """What the manifest says of each input, or what calibration did with images where it says nothing.

    Only this target counts: a package must not depend on which others are built beside it.
    """
    section, data = project.manifest.calibration, project.calibration
    saw_images = target.is_integer and data is not None and data.kind == "images"
    resize = section.resize if section is not None and saw_images else None
    declared = {each.name for each in project.manifest.model.inputs}
    return tuple(
        InputPreprocessing(
            name=each.name,
            color=each.color,
            mean=each.mean or (0.0,),
            std=each.std or (1.0,),
            resize=resize,
            layout=target.soc.input_layout,
        )
        for each in project.inputs
        if each.name in declared or saw_images
    )


def unbuilt_request(project: Project, target: Target, epoch_s: int) -> PackageRequest:
    """All of a request that is known before the model is built."""
    manifest = project.manifest
    section = manifest.project
    return PackageRequest(
        name=section.name,
        version=section.version,
        vendor=section.vendor,
        license=section.license,
        license_text=project.license_text,
        app_name=manifest.package.acap.app_name or _own_name(project, target) or default_app_name(section.name),
        soc=SocFacts(
            name=target.name,
            title=target.soc.title,
            larod_device=target.soc.larod_device,
            architecture=target.soc.architecture,
            deep_learning_processor=target.soc.deep_learning_processor,
        ),
        model_file=target.soc.model_file,
        model_path=Path(os.devnull),
        model_digest=EMPTY_DIGEST,
        preprocessing=_preprocessing(project, target),
        labels=project.labels,
        requested_quantization=target.quantization,
        toolchain=None,
        epoch_s=epoch_s,
    )


def _own_name(project: Project, target: Target) -> str | None:
    """What the project's own application calls itself on this SoC, where that can be read."""
    if project.app is None:
        return None
    from dlpubuild.package.eap.application import own_app_name  # noqa: PLC0415 - only an .eap needs it

    return own_app_name(project.app, target.name)


def _toolchain(pin: ToolchainPin) -> ToolchainFacts:
    if pin.image is not None and pin.image.is_own:
        return ToolchainFacts(name=pin.name, image=pin.image.reference)
    packages = pin.packages
    return ToolchainFacts(
        name=pin.name,
        tensorflow=next((packages[name] for name in _FRAMEWORKS if name in packages), None),
        lock_sha256=pin.lock_sha256,
    )
