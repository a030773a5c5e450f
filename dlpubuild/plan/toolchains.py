"""Which toolchains a project's steps run in, and the project with those pinned.

In: a resolved `Project`, and what pins a toolchain by its name. Out: the names in each target's rendered steps, and the
project with a pin for each. A target whose toolchain is missing is set aside with the reason, so that others can be
built. Nothing is installed, fetched or run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, Location, TemplateError, ToolchainError
from dlpubuild.plan.context import template_context
from dlpubuild.plan.planner import render_checked
from dlpubuild.project.faults import Faults
from dlpubuild.targets.load import STEPS_TEMPLATE
from dlpubuild.toolchains.acap_sdk import sdk_toolchain
from dlpubuild.toolchains.pins import toolchain_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dlpubuild.manifest.model import Manifest
    from dlpubuild.project.model import Project
    from dlpubuild.targets.model import Soc, Target
    from dlpubuild.toolchains.pins import ToolchainPin


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedProject:
    """A project whose targets all have their toolchains, and why the others are not among them, by target."""

    project: Project
    missing: Mapping[str, ToolchainError]


def toolchains_named(
    project: Project, *, render: Callable[[Soc, Mapping[str, Any]], dict[str, Any]] = render_checked
) -> Mapping[str, tuple[str, ...]]:
    """Return, by target, the toolchains that its steps run in, in the order in which the steps name them.

    Where the project names an SDK to pack applications with, it is the last.

    Raises:
        TemplateError: a template cannot be rendered, or names a toolchain that there is not.
        ManifestError: what a template renders to is not what the steps schema asks for.
    """
    named = {}
    for target in project.targets:
        document = render(target.soc, template_context(project, target))
        names = tuple(dict.fromkeys(table["toolchain"] for table in document.get("step", ())))
        for name in names:
            if name not in toolchain_names():
                raise TemplateError(
                    ErrorCode.TEMPLATE,
                    f'a step wants toolchain "{name}", which there is not',
                    hint=f"known toolchains: {', '.join(toolchain_names())}",
                    location=Location(str(target.soc.folder / STEPS_TEMPLATE)),
                )
        sdk = sdk_of(project.manifest, target)
        named[target.name] = names if sdk is None else (*names, sdk)
    return MappingProxyType(named)


def sdk_of(manifest: Manifest, target: Target) -> str | None:
    """Return the SDK that packs the application of `target`, None where the tool does that itself."""
    package = manifest.package
    if "eap" not in package.formats or package.acap.sdk_image is None:
        return None
    return sdk_toolchain(target.soc.architecture)


def pin_toolchains(
    project: Project, named: Mapping[str, Sequence[str]], pin_of: Callable[[str], ToolchainPin]
) -> PinnedProject:
    """Return the project with the toolchains that `named` has for its targets.

    Args:
        pin_of: returns the pin of a toolchain by its name, or raises a ToolchainError.

    Raises:
        ManifestError: the manifest brings a toolchain in a way that the executor cannot use.
    """
    pins: dict[str, ToolchainPin] = {}
    refused: dict[str, ToolchainError] = {}
    missing: dict[str, ToolchainError] = {}
    for target in project.targets:
        for name in named[target.name]:
            if name not in pins and name not in refused:
                try:
                    pins[name] = pin_of(name)
                except ToolchainError as error:
                    declared = any(each.name == name for each in project.manifest.toolchains)
                    place = f"toolchain.{name}" if declared else f"target.{target.name}"
                    error.location = error.location or project.manifest.locate(place)
                    refused[name] = error
            if name in refused:
                missing.setdefault(target.name, refused[name])
    _refuse_unusable(project.manifest, pins)
    targets = tuple(target for target in project.targets if target.name not in missing)
    used = {name for target in targets for name in named[target.name]}
    kept = {name: pin for name, pin in pins.items() if name in used}
    return PinnedProject(
        project=replace(project, targets=targets, toolchains=MappingProxyType(kept)),
        missing=MappingProxyType(missing),
    )


def _refuse_unusable(manifest: Manifest, pins: Mapping[str, ToolchainPin]) -> None:
    faults = Faults(manifest)
    for section in manifest.toolchains:
        pin = pins.get(section.name)
        if pin is None:
            continue
        if section.path is not None and pin.own_programs is None and pin.folder is None:
            faults.add(
                ErrorCode.TOOLCHAIN,
                f"toolchain.{section.name}.path",
                "a toolchain installed in a folder needs the local executor",
                "use --executor local, or name a container image",
            )
        elif section.image is not None and pin.image is None:
            faults.add(
                ErrorCode.TOOLCHAIN,
                f"toolchain.{section.name}.image",
                "a container image needs a container engine, and this command uses none",
                "use --executor docker (dlpubuild doctor says which engine answers), or remove this table",
            )
    faults.raise_if_any()
