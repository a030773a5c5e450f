"""What the manifest says of Axis' SDK, held against the targets and the application it shall pack.

In: the keys of `[package.acap]` that begin with `sdk-`, the targets, and the project's own application where it has
one. Out: faults, each at its key. Whether an engine has the image is not asked here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.wording import did_you_mean, nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlpubuild.manifest.model import AcapSection, SdkImages
    from dlpubuild.project.app_folder import AppFolder
    from dlpubuild.project.faults import Faults
    from dlpubuild.targets.model import Target

KEY = "package.acap"
# As tags of Axis' images name what they build for.
_IN_TAG = re.compile(r":[^/@]*-(?P<architecture>aarch64|armv7hf)(?:-|@|$)")
# What may not go to tar as a name, and names that it would understand otherwise.
_NO_NAME = re.compile(r"""[\s"'\\$`\x00-\x1f\x7f]|^-""")
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


def has_makefile(app: AppFolder | None) -> bool:
    """Return whether make finds something to do in the application."""
    return app is not None and any(app.file(name) is not None for name in _MAKEFILES)


def check_sdk(faults: Faults, targets: Sequence[Target], app: AppFolder | None) -> None:
    """Tell what is wrong with the keys of the SDK; nothing is looked at where no `.eap` is asked for."""
    package = faults.manifest.package
    acap = package.acap
    if "eap" not in package.formats:
        return
    if acap.sdk_image is None:
        for name, value in (("sdk-build", acap.sdk_build), ("sdk-add", acap.sdk_add)):
            if value is not None:
                hint = "name the image of the SDK, or remove this key: without it the tool packs the .eap itself"
                faults.add(ErrorCode.CONFLICT, f"{KEY}.{name}", "needs package.acap.sdk-image", hint)
        return
    _check_images(faults, acap.sdk_image, targets)
    if package.app is None:
        for name, value in (("sdk-build", acap.sdk_build), ("sdk-add", acap.sdk_add)):
            if value not in (None, "no-build"):
                message = "is for an application of your own: the one that measures has nothing to build or to add"
                faults.add(ErrorCode.CONFLICT, f"{KEY}.{name}", message, "name its folder with package.app")
    elif app is not None:
        _check_own(faults, acap, app)


def _check_images(faults: Faults, images: SdkImages, targets: Sequence[Target]) -> None:
    given = {"aarch64": images.aarch64, "armv7hf": images.armv7hf}
    told: set[str] = set()
    for target in targets:
        architecture = target.soc.architecture
        if given.get(architecture) is None and architecture not in told:
            told.add(architecture)
            message = f"has no image for {architecture}, which the application of {target.soc.title} needs"
            hint = f'add {architecture} = "<repository>@sha256:…"'
            faults.add(ErrorCode.MISSING_KEY, f"{KEY}.sdk-image", message, hint)
    for architecture, image in given.items():
        named = _IN_TAG.search(image or "")
        if named is not None and named["architecture"] != architecture:
            message = f"is an SDK for {named['architecture']}, as its tag says, and not for {architecture}"
            faults.add(ErrorCode.CONFLICT, f"{KEY}.sdk-image.{architecture}", message)


def _check_own(faults: Faults, acap: AcapSection, app: AppFolder) -> None:
    if acap.sdk_build == "make" and not has_makefile(app):
        message = f"make needs a Makefile, and there is none at the top of {app.name}"
        faults.add(ErrorCode.PATH_MISSING, f"{KEY}.sdk-build", message, 'write "no-build", or leave it out')
    builds = acap.sdk_build == "make" or (acap.sdk_build is None and has_makefile(app))
    for position, name in enumerate(acap.sdk_add or ()):
        for code, message, hint in _added_faults(name, app, builds=builds):
            faults.add(code, f"{KEY}.sdk-add[{position}]", message, hint)


def _added_faults(name: str, app: AppFolder, *, builds: bool) -> Iterator[tuple[ErrorCode, str, str]]:
    parts = name.split("/")
    if name.startswith("/") or {"", ".", ".."} & set(parts):
        yield ErrorCode.PATH_OUTSIDE, f'"{name}" is no path below the application', "write it like settings/a.json"
    elif _NO_NAME.search(name):
        yield (
            ErrorCode.PATH_KIND,
            f'acap-build cannot be told "{name}": it holds a blank, a quotation mark, "$" or "`", or starts with "-"',
            "rename it",
        )
    # What make has yet to make cannot be there.
    elif not builds and name not in (known := _paths(app)):
        guess = did_you_mean(nearest_name(name, sorted(known), cutoff=0.6))
        yield ErrorCode.PATH_MISSING, f'there is no "{name}" in {app.name}{guess}', ""


def _paths(app: AppFolder) -> frozenset[str]:
    return frozenset([*(each.path for each in app.files), *(each.path for each in app.links), *app.folders])
