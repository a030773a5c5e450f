"""The `manifest.json` of an ACAP application as a value: the document, and what is read from it, typed.

In: a manifest that was read. Out: one with what a build sets, and the file's bytes. Nothing is checked here. Source of
the fields: Axis' "Manifest schema v1.7.3" and "Upgrade a manifest" (developer.axis.com).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "manifest.json"
SETUP = "acapPackageConf.setup"
CONFIGURATION = "acapPackageConf.configuration"
POST_INSTALL = "acapPackageConf.installation.postInstallScript"
PRE_UNINSTALL = "acapPackageConf.uninstallation.preUninstallScript"
GROUPS = "resources.linux.user.groups"
OS_VERSIONS = f"{SETUP}.compatibleOsVersions"

# Since this version the manifest itself names the architecture.
_ARCHITECTURE_SINCE = (1, 3, 0)
_SCHEMA_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class OsRange:
    """An entry of `compatibleOsVersions`."""

    minimum: str | None
    maximum: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """An entry of `httpConfig`; one of type `directory` has no name."""

    kind: str
    name: str
    access: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An entry of `paramConfig`."""

    name: str
    default: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcapManifest:
    """What a package is made by; None where the manifest does not say it. `document` is all of it."""

    document: Mapping[str, Any]
    schema_text: str | None
    app_name: str | None
    app_id: str | None
    friendly_name: str | None
    vendor: str | None
    vendor_id: str | None
    vendor_url: str | None
    version: str | None
    run_mode: str | None
    run_options: str | None
    architecture: str | None
    embedded_sdk: str | None
    user_name: str | None
    user_group: str | None
    groups: tuple[str, ...] | None
    os_versions: tuple[OsRange, ...] | None
    deep_learning_processor: Mapping[str, Any] | None
    post_install: str | None
    pre_uninstall: str | None
    setting_page: str | None
    http_config: tuple[HttpConfig, ...] | None
    parameters: tuple[Parameter, ...] | None
    has_containers: bool
    license_method: str | None
    license_options: str | None

    @property
    def schema(self) -> tuple[int, int, int] | None:
        """The schema's version as numbers, None where it has another form."""
        match = _SCHEMA_VERSION.fullmatch(self.schema_text or "")
        return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def for_architecture(manifest: AcapManifest, architecture: str) -> AcapManifest:
    """Return `manifest` with `architecture` named where its schema wants that and it names none."""
    if manifest.architecture is not None or (manifest.schema or (0, 0, 0)) <= _ARCHITECTURE_SINCE:
        return manifest
    document = _with(manifest.document, f"{SETUP}.architecture", architecture)
    return replace(manifest, document=document, architecture=architecture)


def with_deep_learning_processor(manifest: AcapManifest) -> AcapManifest:
    """Return `manifest` asking for the DLPU: without one the installation fails."""
    wanted = {"enabled": True, "required": True}
    document = _with(manifest.document, "resources.deepLearningProcessor", wanted)
    return replace(manifest, document=document, deep_learning_processor=wanted)


def encode_manifest(document: Mapping[str, Any]) -> bytes:
    """Return the file as acap-build writes it: indented by 4, keys in their order, no line end behind it."""
    return json.dumps(document, indent=4, ensure_ascii=False).encode()


def _with(document: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of `document` with `value` at `path`; what is not an object on the way is left to the rules."""
    name, _, rest = path.partition(".")
    copy = dict(document)
    if not rest:
        copy[name] = value
    else:
        below = copy.get(name, {})
        copy[name] = _with(below, rest, value) if isinstance(below, dict) else below
    return copy
