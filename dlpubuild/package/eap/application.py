"""The application that carries the model: its manifest as it will be packed, and its own files.

In: an `EapRequest`. Out: an `Application`, the same value for the test application and for one of the user's, and what
is wrong with its manifest's form. Of an own application `manifest.json.<soc>` goes before `manifest.json`, as Axis'
examples keep one for each SoC. Nothing is read from disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.package.eap.acap_manifest import (
    MANIFEST,
    AcapManifest,
    for_architecture,
    with_deep_learning_processor,
)
from dlpubuild.package.eap.conf_files import (
    CGI_CONF,
    OUTSIDE_MANIFEST,
    PACKAGE_CONF,
    PARAM_CONF,
    parse_package_conf,
    version_parts,
)
from dlpubuild.package.eap.findings import SECTION, Finding
from dlpubuild.package.eap.measuring_app import entry_point, manifest_document
from dlpubuild.package.eap.read_manifest import parse_manifest, read_document
from dlpubuild.package.eap.request import NO_VENDOR_ID
from dlpubuild.package.members import Member, made_member
from dlpubuild.package.readme import LICENSE, license_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlpubuild.package.eap.request import EapRequest
    from dlpubuild.project.app_folder import AppFolder, AppLink

_TWO = (2, 0, 0)
# Made anew, read, or packed under another name.
_NOT_CARRIED = frozenset({MANIFEST, PACKAGE_CONF, PARAM_CONF, CGI_CONF})


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What is packed beside the model and the labels.

    `manifest` is final. `manifest_file` is the file it is from, as the user knows it. `files` hold neither the
    manifest nor the `.conf` files; `kept_conf` are values of a `package.conf` that no manifest has, and `param_conf`
    and `cgi_conf` files that are packed as they are, because the manifest says nothing of what is in them.
    """

    manifest: AcapManifest
    manifest_file: str
    files: tuple[Member, ...]
    folders: tuple[str, ...] = ()
    links: tuple[AppLink, ...] = ()
    kept_conf: Mapping[str, str]
    param_conf: Member | None = None
    cgi_conf: Member | None = None


def settle_application(request: EapRequest) -> tuple[Application | None, tuple[Finding, ...]]:
    """Return the application of `request`, None where it has no manifest that can be read, and what is wrong."""
    return _test_application(request) if request.app is None else _own_application(request, request.app)


def own_app_name(app: AppFolder, soc: str) -> str | None:
    """Return what an own application calls itself on the SoC named `soc`, None where its manifest does not say."""
    text = app.text(f"{MANIFEST}.{soc}") or app.text(MANIFEST)
    read = parse_manifest(text)[0] if text is not None else None
    return read.app_name if read is not None else None


def _test_application(request: EapRequest) -> tuple[Application, tuple[Finding, ...]]:
    package = request.package
    read, found = read_document(manifest_document(request))
    manifest = for_architecture(read, package.soc.architecture)
    script = entry_point(request)
    members = (
        Member(path=package.app_name, content=script, digest=made_member("script", script).digest, executable=True),
        made_member(LICENSE, license_file(package)),
    )
    notes = []
    if request.acap.schema == "1.7":
        notes += _unused_in_one(request)
    if request.measurement.rounds < 1:
        notes.append(Finding(ErrorCode.MANIFEST_SCHEMA, "at least one round is needed", key=f"{SECTION}.rounds"))
    application = Application(manifest=manifest, manifest_file=MANIFEST, files=members, kept_conf={})
    return application, (*found, *notes)


def _unused_in_one(request: EapRequest) -> list[Finding]:
    given = request.acap.given
    notes = []
    if request.acap.vendor_id == NO_VENDOR_ID:
        notes.append(
            'vendor-id "0" is no vendor ID: the .eap is made for schema 1.7, which has none; '
            "AXIS OS 13 will not install it"
        )
    elif request.acap.vendor_id is not None:
        notes.append("package.acap.vendor-id is not used: schema 1.7 has no vendor ID")
    notes += [
        f"package.acap.{name} is not used: schema 1.7 names no AXIS OS versions"
        for name in ("min-os", "max-os")
        if name in given
    ]
    return [Finding(ErrorCode.CONFLICT, text, is_note=True) for text in notes]


def _own_application(request: EapRequest, app: AppFolder) -> tuple[Application | None, tuple[Finding, ...]]:
    package = request.package
    own_name = f"{MANIFEST}.{package.soc.name}"
    name = own_name if app.text(own_name) is not None else MANIFEST
    found: list[Finding] = [*_unused_options(request), *_left_out(app, package.soc.name, name)]
    text = app.text(name)
    if text is None:
        hint = f"put it there, or {own_name} where each SoC has its own"
        message = "is missing: it makes the folder an ACAP application"
        return None, (*found, Finding(ErrorCode.PATH_MISSING, message, hint))
    read, wrong = parse_manifest(text)
    found += wrong
    if read is None:
        return None, tuple(found)
    manifest = for_architecture(read, package.soc.architecture)
    if _lacks_processor(request, read) and not wrong:
        manifest = with_deep_learning_processor(manifest)
        note = f"{app.name}/{name} does not ask for the DLPU: resources.deepLearningProcessor is added"
        found.append(Finding(ErrorCode.MISSING_KEY, note, is_note=True))
    if request.sdk is not None and app.text(PACKAGE_CONF) is not None:
        note = f"{app.name}/{PACKAGE_CONF} is not used: acap-build makes its own from {name}"
        found.append(Finding(ErrorCode.CONFLICT, note, is_note=True))
    kept, conf_found = _kept_conf(app, manifest)
    found += conf_found
    members = tuple(
        Member(path=each.path, content=each.source, digest=each.digest, executable=each.executable)
        for each in app.files
        if each.path not in _NOT_CARRIED and not _is_variant(each.path)
    )
    if app.file(LICENSE) is None:
        members += (made_member(LICENSE, license_file(package)),)
        found.append(
            Finding(ErrorCode.PATH_MISSING, f"{app.name} has no {LICENSE}: the model's is packed", is_note=True)
        )
    param_conf = _kept_file(app, PARAM_CONF, is_said=manifest.parameters is not None)
    cgi_conf = _kept_file(app, CGI_CONF, is_said=manifest.http_config is not None)
    application = Application(
        manifest=manifest,
        manifest_file=name,
        files=members,
        folders=app.folders,
        links=app.links,
        kept_conf=kept,
        param_conf=param_conf,
        cgi_conf=cgi_conf,
    )
    return application, tuple(found)


def _lacks_processor(request: EapRequest, manifest: AcapManifest) -> bool:
    """Whether the SoC's applications have to ask for the DLPU, as schema 2 can, and this one says nothing of it."""
    is_two = manifest.schema is not None and manifest.schema >= _TWO
    return request.package.soc.deep_learning_processor and is_two and manifest.deep_learning_processor is None


def _unused_options(request: EapRequest) -> Iterator[Finding]:
    for name in request.acap.given:
        if name != "app-name":
            yield Finding(
                ErrorCode.CONFLICT,
                "is not used: with package.app the application's own manifest.json says it",
                "remove it here",
                key=f"{SECTION}.{name}",
            )


def _left_out(app: AppFolder, soc: str, used: str) -> Iterator[Finding]:
    for path in app.left_out:
        yield Finding(ErrorCode.PATH_KIND, f"{app.name}/{path} is not packed", is_note=True)
    if used != MANIFEST and app.text(MANIFEST) is not None:
        yield Finding(ErrorCode.CONFLICT, f"{soc}: {app.name}/{used} is used, not {MANIFEST}", is_note=True)


def _is_variant(path: str) -> bool:
    return path.startswith(f"{MANIFEST}.") and "/" not in path


def _kept_file(app: AppFolder, name: str, *, is_said: bool) -> Member | None:
    """A file that the user wrote, where the manifest does not say what belongs into it."""
    file = app.file(name)
    if file is None or is_said:
        return None
    return Member(path=file.path, content=file.source, digest=file.digest)


def _kept_conf(app: AppFolder, manifest: AcapManifest) -> tuple[dict[str, str], list[Finding]]:
    """What a `package.conf` of the application's own adds to its manifest; it must not say anything else."""
    text = app.text(PACKAGE_CONF)
    if text is None:
        return {}, []
    values, odd = parse_package_conf(text)
    found = [
        Finding(ErrorCode.MANIFEST_SYNTAX, f'the line "{line}" is not of the form KEY="value"', file=PACKAGE_CONF)
        for line in odd
    ]
    major, minor, patch = version_parts(manifest.version)
    said = {
        "PACKAGENAME": manifest.friendly_name or manifest.app_name,
        "APPNAME": manifest.app_name,
        "APPID": manifest.app_id,
        "VENDOR": manifest.vendor,
        "APPMAJORVERSION": major,
        "APPMINORVERSION": minor,
        "APPMICROVERSION": patch,
        "APPOPTS": manifest.run_options,
        "STARTMODE": manifest.run_mode,
        "POSTINSTALLSCRIPT": manifest.post_install,
        "SETTINGSPAGEFILE": manifest.setting_page,
    }
    for key, value in said.items():
        other = values.get(key)
        if other and other != (value or ""):
            message = f'{key} is "{other}", but {MANIFEST} says "{value or ""}"'
            hint = f"remove {PACKAGE_CONF}: it is made from the manifest"
            found.append(Finding(ErrorCode.CONFLICT, message, hint, file=PACKAGE_CONF))
    return {key: values[key] for key in OUTSIDE_MANIFEST if key in values}, found
