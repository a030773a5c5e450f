"""What Axis' rules say of the values in an application's `manifest.json`.

In: an `AcapManifest`. Out: every fault. Files are looked at by `file_rules`. Sources: Axis' table of manifest schemas
with what each version brought, and the page on upgrading a manifest to schema 2. The schemas themselves are not
public: where a pattern was not to be seen only what is known to be wrong is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.wording import did_you_mean, in_a_row, nearest_value, quoted
from dlpubuild.package.eap.acap_manifest import CONFIGURATION, GROUPS, OS_VERSIONS, SETUP
from dlpubuild.package.eap.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlpubuild.package.eap.acap_manifest import AcapManifest, OsRange

Version = tuple[int, int, int]

_TWO: Version = (2, 0, 0)
_KNOWN_MAJORS = (1, 2)
# What needs which schema.
_LETTER_FIRST: Version = (1, 7, 1)
_VENDOR_PUNCTUATION: Version = (1, 4, 0)
_ANY_VENDOR: Version = (1, 7, 4)
_RESPAWN_ON_FAILURE: Version = (1, 8, 0)
_FOLDER_ACCESS: Version = (1, 5, 0)

_APP_NAME_CHARACTERS = 26
_FRIENDLY_NAME_CHARACTERS = 256
_LINE_BREAK = re.compile(r"[\r\n]")
_APP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_VENDOR = re.compile(r"[A-Za-z0-9 _-]+")
_VENDOR_WITH_PUNCTUATION = re.compile(r"[A-Za-z0-9 _(),.!?&'-]+")
_VENDOR_ID = re.compile(r"[A-Fa-f0-9]{10}")
_SEMVER = re.compile(
    r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z.-]+)?"
)
_OS_VERSION = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,3}")
_GROUP = re.compile(r"[a-z_][a-z0-9_-]*")
_URL = re.compile(r"[!#%&()*+,./0-9:;=?@A-Z\[\]_a-z~-]+")
_RUN_MODES = ("respawn", "once", "never")
_ACCESS = ("admin", "operator", "viewer")
_HTTP_KINDS = ("transferCgi", "fastCgi", "directory")
_GROUPS_OF_TWO = (
    "admin", "audiod", "gpu", "hidraw", "operator", "pipewire", "ptzadm", "sdk", "storage", "video", "viewer",
)  # fmt: skip


def manifest_findings(manifest: AcapManifest) -> tuple[Finding, ...]:
    """Return what is wrong with the values of `manifest`, in the order of Axis' description."""
    schema = manifest.schema
    if manifest.schema_text is None:
        return (_missing("schemaVersion"), *_setup(manifest, _ANY_VENDOR))
    if schema is None or schema[0] not in _KNOWN_MAJORS:
        message = f"{quoted(manifest.schema_text)} is no version of a manifest schema that is known: 1.x.y or 2.x.y"
        return (Finding(ErrorCode.UNKNOWN_VALUE, message, field="schemaVersion"),)
    return (*_setup(manifest, schema), *_resources(manifest, schema), *_configuration(manifest, schema))


def _setup(manifest: AcapManifest, schema: Version) -> Iterator[Finding]:
    yield from _app_name(manifest, schema)
    yield from _friendly_name(manifest)
    yield from _vendor(manifest, schema)
    yield from _vendor_id(manifest, schema)
    yield from _version(manifest)
    yield from _run_mode(manifest, schema)
    yield from _user(manifest, schema)
    if manifest.vendor_url is not None and not _URL.fullmatch(manifest.vendor_url):
        yield _wrong(f"{SETUP}.vendorUrl", f"{quoted(manifest.vendor_url)} is not a URL")
    if schema >= _TWO:
        yield from _os_versions(manifest)
        if manifest.embedded_sdk is not None:
            yield _removed(f"{SETUP}.embeddedSdkVersion")


def _app_name(manifest: AcapManifest, schema: Version) -> Iterator[Finding]:
    name, field = manifest.app_name, f"{SETUP}.appName"
    if not name:
        yield _missing(field)
        return
    if not _APP_NAME.fullmatch(name):
        allowed = "letters, digits, underscores and hyphens"
        yield _wrong(field, f"{quoted(name)} cannot be the name of an executable in a package: use {allowed}")
    elif schema >= _LETTER_FIRST and not name[0].isalpha():
        yield _wrong(field, f"{quoted(name)} does not start with a letter")
    if len(name) > _APP_NAME_CHARACTERS:
        yield _wrong(field, f"{quoted(name)} has {len(name)} characters; {_APP_NAME_CHARACTERS} are allowed")
    elif schema >= _LETTER_FIRST and len(name) == 1:
        yield _wrong(field, f"{quoted(name)} is too short: two characters are needed")


def _friendly_name(manifest: AcapManifest) -> Iterator[Finding]:
    name, field = manifest.friendly_name, f"{SETUP}.friendlyName"
    if name is None:
        return
    if not name.strip():
        yield _wrong(field, "is empty")
    elif "/" in name or _LINE_BREAK.search(name) or name.startswith(("-", ".")):
        # It is part of the file's name; a "/" broke the packing until ACAP Native SDK 12.11.
        rule = 'no "/", no line break, no "-" or "." at its start'
        yield _wrong(field, f"{quoted(name)} cannot be part of a file name: {rule}")
    if len(name) > _FRIENDLY_NAME_CHARACTERS:
        yield _wrong(field, f"has {len(name)} characters; {_FRIENDLY_NAME_CHARACTERS} are allowed")


def _vendor(manifest: AcapManifest, schema: Version) -> Iterator[Finding]:
    vendor, field = manifest.vendor, f"{SETUP}.vendor"
    if not vendor:
        yield _missing(field)
    elif schema >= _ANY_VENDOR:
        if _LINE_BREAK.search(vendor):
            yield _wrong(field, f"{quoted(vendor)} holds a line break")
    else:
        has_marks = schema >= _VENDOR_PUNCTUATION
        if not (_VENDOR_WITH_PUNCTUATION if has_marks else _VENDOR).fullmatch(vendor):
            marks = ", and the marks ( ) , . ! ? & '" if has_marks else ""
            yield _wrong(
                field,
                f"{quoted(vendor)} holds what schema {_text(schema)} does not take: it takes ASCII letters, digits, "
                f"blanks, underscores, hyphens{marks}",
                "write it with those, or use schema 2, which takes any character",
            )


def _vendor_id(manifest: AcapManifest, schema: Version) -> Iterator[Finding]:
    vendor_id, field = manifest.vendor_id, f"{SETUP}.vendorId"
    if schema < _TWO:
        return
    if vendor_id is None:
        yield _missing(field, "it is the ID that Axis gave you; schema 1.7 does without")
    elif not _VENDOR_ID.fullmatch(vendor_id):
        yield _wrong(
            field,
            f"{quoted(vendor_id)} is no vendor ID of schema 2: ten hexadecimal digits",
            "ask Axis for one, or use schema 1.7, which does without",
        )


def _version(manifest: AcapManifest) -> Iterator[Finding]:
    field = f"{SETUP}.version"
    if not manifest.version:
        yield _missing(field)
    elif not _SEMVER.fullmatch(manifest.version):
        yield _wrong(field, f"{quoted(manifest.version)} is not MAJOR.MINOR.PATCH")


def _run_mode(manifest: AcapManifest, schema: Version) -> Iterator[Finding]:
    modes = (*_RUN_MODES, "respawnOnFailure") if schema >= _RESPAWN_ON_FAILURE else _RUN_MODES
    mode, field = manifest.run_mode, f"{SETUP}.runMode"
    if mode is None:
        yield _missing(field)
    elif mode not in modes:
        yield _not_one_of(field, mode, modes)


def _user(manifest: AcapManifest, schema: Version) -> Iterator[Finding]:
    field = f"{SETUP}.user"
    for name, value in (("username", manifest.user_name), ("group", manifest.user_group)):
        other = manifest.user_group if name == "username" else manifest.user_name
        if value is None and other is not None:
            yield _missing(f"{field}.{name}")
    if schema >= _TWO and manifest.user_name not in (None, "sdk"):
        yield _not_one_of(f"{field}.username", manifest.user_name or "", ("sdk",))
    if manifest.user_name is not None and manifest.groups is not None:
        message = f"is a static user, and {GROUPS} asks for a dynamic one: only one of them is possible"
        yield Finding(ErrorCode.CONFLICT, message, field=field)


def _os_versions(manifest: AcapManifest) -> Iterator[Finding]:
    if not manifest.os_versions:
        yield _missing(OS_VERSIONS, "schema 2 wants the range of AXIS OS versions that the application is made for")
        return
    for position, each in enumerate(manifest.os_versions):
        place = f"{OS_VERSIONS}[{position}]"
        yield from _os_range(place, each)


def _os_range(place: str, each: OsRange) -> Iterator[Finding]:
    numbers = []
    for name, version in (("min", each.minimum), ("max", each.maximum)):
        if version is None:
            yield _missing(f"{place}.{name}", 'Axis\' own tool fills in what its SDK is for; write it, as "12.10"')
        elif not _OS_VERSION.fullmatch(version):
            yield _wrong(f"{place}.{name}", f'{quoted(version)} is no AXIS OS version, such as "12.10"')
        else:
            numbers.append(tuple(int(part) for part in version.split(".")))
    if len(numbers) == 2:  # noqa: PLR2004 - both
        low, high = numbers
        # "13" as the end includes every 13.x.
        if low[: len(high)] > high:
            found = f"{quoted(each.minimum)} is above max, {quoted(each.maximum)}"
            yield Finding(ErrorCode.CONFLICT, found, field=f"{place}.min")


def _resources(manifest: AcapManifest, schema: Version) -> Iterator[Finding]:
    for position, group in enumerate(manifest.groups or ()):
        place = f"{GROUPS}[{position}]"
        if schema >= _TWO and group not in _GROUPS_OF_TWO:
            yield _not_one_of(place, group, _GROUPS_OF_TWO)
        elif not _GROUP.fullmatch(group):
            yield _wrong(place, f"{quoted(group)} is no name of a group")
        elif group in (manifest.groups or ())[:position]:
            yield _wrong(place, f"{quoted(group)} is given twice")
    wanted = manifest.deep_learning_processor
    if wanted is None:
        return
    field = "resources.deepLearningProcessor"
    for name in ("enabled", "required"):
        if not isinstance(wanted.get(name), bool):
            yield _wrong(f"{field}.{name}", "must be true or false")


def _configuration(manifest: AcapManifest, schema: Version) -> Iterator[Finding]:
    if manifest.has_containers and schema >= _TWO:
        yield _removed(f"{CONFIGURATION}.containers")
    for position, each in enumerate(manifest.http_config or ()):
        place = f"{CONFIGURATION}.httpConfig[{position}]"
        kinds = _HTTP_KINDS if schema >= _FOLDER_ACCESS else _HTTP_KINDS[:2]
        if each.kind and each.kind not in kinds:
            yield _not_one_of(f"{place}.type", each.kind, kinds)
        if each.access and each.access not in _ACCESS:
            yield _not_one_of(f"{place}.access", each.access, _ACCESS)
    if manifest.license_method not in (None, "none", "axis", "custom"):
        found = manifest.license_method or ""
        yield _not_one_of("acapPackageConf.copyProtection.method", found, ("none", "axis", "custom"))


def _missing(field: str, hint: str = "") -> Finding:
    return Finding(ErrorCode.MISSING_KEY, f"{field.rpartition('.')[2]} is missing", hint, field=field)


def _wrong(field: str, message: str, hint: str = "") -> Finding:
    return Finding(ErrorCode.MANIFEST_SCHEMA, message, hint, field=field)


def _removed(field: str) -> Finding:
    return Finding(ErrorCode.MANIFEST_SCHEMA, "is not part of schema 2", "remove it", field=field)


def _not_one_of(field: str, value: str, allowed: tuple[str, ...]) -> Finding:
    guess = did_you_mean(nearest_value(value, allowed))
    return Finding(ErrorCode.UNKNOWN_VALUE, f"{quoted(value)} is not one of {in_a_row(allowed)}{guess}", field=field)


def _text(schema: Version) -> str:
    return ".".join(str(part) for part in schema)
