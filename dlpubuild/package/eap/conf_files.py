"""`package.conf`, `param.conf` and `cgi.conf`: what an AXIS OS without manifests reads, made from the manifest.

In: an `AcapManifest`. Out: the lines of each file, each with the manifest's field that its value is from, and what
cannot be written in them. Keys, their order, defaults and form are those of Axis' acap-build, as its counterpart in
AxisCommunications/acap-rs documents them. Nothing is read or written here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.wording import quoted
from dlpubuild.package.eap.acap_manifest import CONFIGURATION, POST_INSTALL, SETUP
from dlpubuild.package.eap.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dlpubuild.package.eap.acap_manifest import AcapManifest

PACKAGE_CONF, PARAM_CONF, CGI_CONF = "package.conf", "param.conf", "cgi.conf"
OTHER_FILES = "OTHERFILES"
# No manifest says these; those of an application that brings a package.conf are kept.
OUTSIDE_MANIFEST = ("MENUNAME", "LICENSENAME", "SETTINGSPAGETEXT", "PREUPGRADESCRIPT", "AUTOSTART")

_VERSION = re.compile(r"(?P<major>[0-9]+)\.(?P<minor>[0-9]+)\.(?P<patch>[0-9]+)")
_SCHEME = re.compile(r"^https?://")
# What does not come back as it was when a shell reads KEY="value", and KEY='value'.
_NOT_IN_DOUBLE = re.compile(r'["\\$`\x00-\x1f\x7f]')
_NOT_IN_SINGLE = re.compile(r"['\x00-\x1f\x7f]")
_NOT_IN_PARAM = re.compile(r'["\x00-\x1f\x7f]')
_LINE = re.compile(r"""(?P<key>[A-Z_]+)=(?:"(?P<double>[^"\\$`]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'\\$`]*))\s*""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfLine:
    """A line of `package.conf`; `field` is where in the manifest its value is from."""

    key: str
    value: str
    field: str

    @property
    def quote(self) -> str:
        """The quotation mark around the value: one that the link, which is HTML, does not hold."""
        return "'" if self.key == "VENDORHOMEPAGELINK" else '"'

    def __str__(self) -> str:
        return f"{self.key}={self.quote}{self.value}{self.quote}\n"


def version_parts(version: str | None) -> tuple[str, str, str]:
    """Return major, minor and patch of a version; acap-build's 1, 0 and 0 where it is none."""
    match = _VERSION.match(version or "")
    return (match["major"], match["minor"], match["patch"]) if match else ("1", "0", "0")


def package_conf_lines(
    manifest: AcapManifest, *, architecture: str, other_files: Sequence[str], kept: Mapping[str, str]
) -> tuple[ConfLine, ...]:
    """Return the lines of `package.conf` in order.

    Args:
        manifest: what the values are from.
        architecture: what is built for, where the manifest does not name it.
        other_files: names that were added to the package, as they are given to tar.
        kept: values of keys that no manifest has.
    """
    major, minor, patch = version_parts(manifest.version)
    app_name = manifest.app_name or ""
    rows: tuple[tuple[str, str | None, str], ...] = (
        ("PACKAGENAME", manifest.friendly_name or app_name, f"{SETUP}.friendlyName"),
        ("MENUNAME", kept.get("MENUNAME"), ""),
        ("APPTYPE", manifest.architecture or architecture, f"{SETUP}.architecture"),
        ("APPNAME", app_name, f"{SETUP}.appName"),
        ("APPID", manifest.app_id or "", f"{SETUP}.appId"),
        ("LICENSENAME", kept.get("LICENSENAME", "Available"), ""),
        ("LICENSEPAGE", manifest.license_method or "none", "acapPackageConf.copyProtection.method"),
        ("LICENSE_CHECK_ARGS", manifest.license_options, "acapPackageConf.copyProtection.customOptions"),
        ("VENDOR", manifest.vendor or "-", f"{SETUP}.vendor"),
        ("REQEMBDEVVERSION", manifest.embedded_sdk or "2.0", f"{SETUP}.embeddedSdkVersion"),
        ("APPMAJORVERSION", major, f"{SETUP}.version"),
        ("APPMINORVERSION", minor, f"{SETUP}.version"),
        ("APPMICROVERSION", patch, f"{SETUP}.version"),
        ("APPGRP", manifest.user_group or "sdk", f"{SETUP}.user.group"),
        ("APPUSR", manifest.user_name or "sdk", f"{SETUP}.user.username"),
        ("APPOPTS", manifest.run_options or "", f"{SETUP}.runOptions"),
        (OTHER_FILES, " ".join(other_files), ""),
        ("SETTINGSPAGEFILE", manifest.setting_page or "", f"{CONFIGURATION}.settingPage"),
        ("SETTINGSPAGETEXT", kept.get("SETTINGSPAGETEXT", ""), ""),
        ("VENDORHOMEPAGELINK", _link(manifest.vendor_url), f"{SETUP}.vendorUrl"),
        ("PREUPGRADESCRIPT", kept.get("PREUPGRADESCRIPT", ""), ""),
        ("POSTINSTALLSCRIPT", manifest.post_install or "", POST_INSTALL),
        ("STARTMODE", manifest.run_mode or "never", f"{SETUP}.runMode"),
        ("HTTPCGIPATHS", CGI_CONF if manifest.http_config else "", f"{CONFIGURATION}.httpConfig"),
        ("AUTOSTART", kept.get("AUTOSTART"), ""),
    )
    return tuple(ConfLine(key=key, value=value, field=field) for key, value, field in rows if value is not None)


def encode_lines(lines: Iterable[ConfLine]) -> bytes:
    """Return the file."""
    return "".join(str(line) for line in lines).encode()


def param_conf(manifest: AcapManifest) -> bytes:
    """Return `param.conf`, which is empty where the application has no parameters."""
    lines = (
        f'{each.name}="{each.default}" type="{each.kind}"\n' if each.kind else f"{each.name}={each.default}\n"
        for each in manifest.parameters or ()
    )
    return "".join(lines).encode()


def cgi_conf(manifest: AcapManifest) -> bytes | None:
    """Return `cgi.conf`, None where the manifest configures no web server; a `directory` has no line in it."""
    if manifest.http_config is None:
        return None
    lines = (
        f"{'administrator' if each.access == 'admin' else each.access} /{each.name}"
        f"{' fastCgi' if each.kind == 'fastCgi' else ''}\n"
        for each in manifest.http_config
        if each.kind != "directory"
    )
    return "".join(lines).encode()


def conf_findings(manifest: AcapManifest, architecture: str) -> Iterator[Finding]:
    """Yield what cannot be written to the files: they have no way to escape a character."""
    for line in package_conf_lines(manifest, architecture=architecture, other_files=(), kept={}):
        bad = (_NOT_IN_SINGLE if line.quote == "'" else _NOT_IN_DOUBLE).search(line.value)
        if bad is not None:
            yield _unwritable(bad[0], f"{PACKAGE_CONF} as {line.key}", line.field)
    for position, each in enumerate(manifest.parameters or ()):
        for name, value in (("name", each.name), ("default", each.default), ("type", each.kind)):
            bad = _NOT_IN_PARAM.search(value)
            if bad is not None:
                yield _unwritable(bad[0], PARAM_CONF, f"{CONFIGURATION}.paramConfig[{position}].{name}")
        if re.search(r"[\s=]", each.name) or not each.name:
            yield Finding(
                ErrorCode.MANIFEST_SCHEMA,
                f"{quoted(each.name)} is no name of a parameter",
                field=f"{CONFIGURATION}.paramConfig[{position}].name",
            )
    for position, config in enumerate(manifest.http_config or ()):
        if config.kind != "directory" and not re.fullmatch(r"[^\s\x00-\x1f\x7f]+", config.name):
            yield Finding(
                ErrorCode.MANIFEST_SCHEMA,
                f"{quoted(config.name)} is no path of a CGI: it is empty or holds a blank",
                field=f"{CONFIGURATION}.httpConfig[{position}].name",
            )


def parse_package_conf(data: bytes) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the values of a `package.conf`, and each line that is not `KEY="value"`; comments are passed over."""
    values: dict[str, str] = {}
    odd = []
    for line in data.decode(errors="replace").split("\n"):
        match = _LINE.fullmatch(line.lstrip())
        if match is not None:
            values[match["key"]] = match["double"] or match["single"] or match["bare"] or ""
        elif line.strip() and not line.lstrip().startswith("#"):
            odd.append(line)
    return values, tuple(odd)


def _link(url: str | None) -> str:
    if not url:
        return ""
    return f'<a href="{url}" target="_blank">{_SCHEME.sub("", url)}</a>'


def _unwritable(character: str, where: str, field: str) -> Finding:
    shown = quoted(character) if character.isprintable() else f"U+{ord(character):04X}"
    return Finding(ErrorCode.MANIFEST_SCHEMA, f"holds {shown}, which cannot be written to {where}", field=field)
