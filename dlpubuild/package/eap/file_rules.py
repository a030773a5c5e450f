"""What is wrong with the files of an application package: names that clash, and files that are missing or foreign.

In: an `Application` and the request it was made for. Out: every fault. Nothing is read from disk.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.wording import did_you_mean, nearest_name, quoted
from dlpubuild.package.eap.acap_manifest import (
    CONFIGURATION,
    MANIFEST,
    POST_INSTALL,
    PRE_UNINSTALL,
    SETUP,
)
from dlpubuild.package.eap.conf_files import CGI_CONF, PACKAGE_CONF, PARAM_CONF
from dlpubuild.package.eap.findings import Finding
from dlpubuild.package.model_json import LABELS
from dlpubuild.package.readme import LICENSE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlpubuild.package.eap.application import Application
    from dlpubuild.package.eap.request import EapRequest

# Names at the top of a package that mean something else, or are made on the camera.
_RESERVED = frozenset(
    {
        PACKAGE_CONF,
        PARAM_CONF,
        CGI_CONF,
        LICENSE,
        MANIFEST,
        "html",
        "declarations",
        "lib",
        "localdata",
        "model",
        "label",
    }
)
_INSTALLED = "/usr/local/packages/"
# acap-build hands the names at the top to tar, and lists them in package.conf with blanks between them.
_NO_TOP_NAME = re.compile(r"""[\s"'\\$`]|^-""")
_FILE_NAME_BYTES = 255


def file_findings(request: EapRequest, application: Application, *, other_devices: frozenset[str]) -> Iterator[Finding]:
    """Yield what is wrong; `other_devices` are the larod devices of other SoCs' DLPUs."""
    makes_files = request.sdk is not None and request.sdk.makes_files
    yield from _app_name(application, makes_files=makes_files)
    yield from _clashes(request, application)
    yield from _top_names(application)
    yield from _scripts(application)
    yield from _run_options(request, application, other_devices)
    yield from _architecture(request, application)


def file_name_findings(name: str) -> Iterator[Finding]:
    """Yield what is wrong with the name of an `.eap`."""
    if len(name.encode()) > _FILE_NAME_BYTES:
        message = f"the .eap would be called {quoted(name)}, which no file system takes: {len(name.encode())} bytes"
        yield Finding(ErrorCode.MANIFEST_SCHEMA, message, field=f"{SETUP}.friendlyName")


def _paths(application: Application) -> frozenset[str]:
    return frozenset(
        [*(each.path for each in application.files), *application.folders, *(each.path for each in application.links)]
    )


def _carried(request: EapRequest) -> tuple[str, ...]:
    """Where the model and the labels go."""
    package = request.package
    return (package.model_member, *([LABELS] if package.labels is not None else []))


def _app_name(application: Application, *, makes_files: bool) -> Iterator[Finding]:
    name, field = application.manifest.app_name, f"{SETUP}.appName"
    if not name:
        return
    if name in _RESERVED:
        message = f"{quoted(name)} cannot be the executable's name: it is that of something else in every package"
        yield Finding(ErrorCode.CONFLICT, message, field=field)
    elif not makes_files and name not in {each.path for each in application.files}:
        top = [path for path in _paths(application) if "/" not in path]
        guess = did_you_mean(nearest_name(name, sorted(top), cutoff=0.6))
        message = f"there is no executable {quoted(name)} at the top of the application{guess}"
        yield Finding(ErrorCode.PATH_MISSING, message, "build the application first", field=field)


def _clashes(request: EapRequest, application: Application) -> Iterator[Finding]:
    present = _paths(application)
    for path in _carried(request):
        if path in present:
            hint = "remove it there: the model and labels of this build take its place"
            yield Finding(ErrorCode.CONFLICT, "is in the application already", hint, file=path)
        folder = posixpath.dirname(path)
        is_executable = folder == application.manifest.app_name  # which `_app_name` tells
        if folder in present and folder not in application.folders and not is_executable:
            yield Finding(ErrorCode.CONFLICT, f"must be a folder, because {path} goes there", file=folder)
    if "localdata" in present:
        message = "is made on the camera; what is packed there would be lost or in the way"
        yield Finding(ErrorCode.CONFLICT, message, file="localdata")


def _top_names(application: Application) -> Iterator[Finding]:
    for path in sorted(_paths(application)):
        if "/" not in path and _NO_TOP_NAME.search(path):
            message = (
                'a name at the top of a package may hold no blank, quotation mark, "$" or "`", and not start with "-"'
            )
            yield Finding(ErrorCode.PATH_KIND, message, "rename it", file=path)


def _scripts(application: Application) -> Iterator[Finding]:
    manifest = application.manifest
    files = {each.path for each in application.files}
    for field, name in ((POST_INSTALL, manifest.post_install), (PRE_UNINSTALL, manifest.pre_uninstall)):
        if name is None:
            continue
        if "/" in name:
            yield Finding(ErrorCode.PATH_KIND, f"{quoted(name)} must lie at the top of the application", field=field)
        elif name not in files:
            yield Finding(ErrorCode.PATH_MISSING, f"there is no file {quoted(name)} in the application", field=field)
    page = manifest.setting_page
    if page and f"html/{page}" not in files | {each.path for each in application.links}:
        yield Finding(
            ErrorCode.PATH_MISSING, f"there is no html/{page} in the application", field=f"{CONFIGURATION}.settingPage"
        )


def _run_options(request: EapRequest, application: Application, other_devices: frozenset[str]) -> Iterator[Finding]:
    manifest, package, field = application.manifest, request.package, f"{SETUP}.runOptions"
    makes_files = request.sdk is not None and request.sdk.makes_files
    packed = _paths(application) | {*_carried(request)} | {posixpath.dirname(path) for path in _carried(request)}
    for word in (manifest.run_options or "").split():
        if word in other_devices and word != package.soc.larod_device:
            yield Finding(
                ErrorCode.CONFLICT,
                f"{quoted(word)} is not the larod device of {package.soc.title}: that is "
                f"{quoted(package.soc.larod_device)}",
                f"write a {MANIFEST}.{package.soc.name} for it",
                field=field,
            )
        if not word.startswith(_INSTALLED):
            continue
        name, _, path = word.removeprefix(_INSTALLED).partition("/")
        path = posixpath.normpath(path) if path else ""
        if name != manifest.app_name:
            message = f"{quoted(word)} is not in this application: it is installed in {_INSTALLED}{manifest.app_name}"
            yield Finding(ErrorCode.CONFLICT, message, field=field)
        elif path and path not in packed and not path.startswith("localdata") and not makes_files:
            guess = did_you_mean(nearest_name(path, sorted(packed), cutoff=0.6))
            yield Finding(ErrorCode.PATH_MISSING, f"{quoted(word)} is not packed{guess}", field=field)


def _architecture(request: EapRequest, application: Application) -> Iterator[Finding]:
    soc = request.package.soc
    named = application.manifest.architecture
    if named not in (None, "all", soc.architecture):
        message = f"{quoted(named)} is not the architecture of {soc.title}: that is {quoted(soc.architecture)}"
        hint = f"leave it out: it is filled in; or write a {MANIFEST}.{soc.name}"
        yield Finding(ErrorCode.CONFLICT, message, hint, field=f"{SETUP}.architecture")
    for each in request.app.files if request.app is not None else ():
        if each.machine not in (None, soc.architecture):
            message = f"is built for {each.machine}, but {soc.title} runs {soc.architecture}"
            yield Finding(ErrorCode.CONFLICT, message, "build it with the SDK for that architecture", file=each.path)
