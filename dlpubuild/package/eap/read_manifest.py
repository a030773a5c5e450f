"""The `manifest.json` of an ACAP application, read.

In: JSON text, or a document. Out: an `AcapManifest`, and every value of a wrong type. `rules` says what values of the
right type may be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from dlpubuild.errors import ErrorCode
from dlpubuild.package.eap.acap_manifest import (
    CONFIGURATION,
    GROUPS,
    OS_VERSIONS,
    POST_INSTALL,
    PRE_UNINSTALL,
    SETUP,
    AcapManifest,
    HttpConfig,
    OsRange,
    Parameter,
)
from dlpubuild.package.eap.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
_JSON_TYPES = {str: "a string", dict: "an object", list: "an array", bool: "true or false", int: "a number"}


def parse_manifest(data: bytes) -> tuple[AcapManifest | None, tuple[Finding, ...]]:
    """Return what the manifest in `data` says, None where it is no JSON object, and every value of a wrong type."""
    try:
        document = json.loads(data)
    except json.JSONDecodeError as error:
        found = f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        return None, (Finding(ErrorCode.MANIFEST_SYNTAX, found),)
    except (UnicodeDecodeError, RecursionError) as error:
        return None, (Finding(ErrorCode.MANIFEST_ENCODING, f"is not JSON: {error}"),)
    if not isinstance(document, dict):
        return None, (Finding(ErrorCode.MANIFEST_SCHEMA, f"is {_type_of(document)}, not a JSON object"),)
    return read_document(document)


def read_document(document: Mapping[str, Any]) -> tuple[AcapManifest, tuple[Finding, ...]]:
    """Return what `document` says, and every value of a wrong type."""
    reader = _Reader(document, [])
    manifest = AcapManifest(
        document=document,
        schema_text=reader.text("schemaVersion"),
        app_name=reader.text(f"{SETUP}.appName"),
        app_id=reader.text(f"{SETUP}.appId"),
        friendly_name=reader.text(f"{SETUP}.friendlyName"),
        vendor=reader.text(f"{SETUP}.vendor"),
        vendor_id=reader.text(f"{SETUP}.vendorId"),
        vendor_url=reader.text(f"{SETUP}.vendorUrl"),
        version=reader.text(f"{SETUP}.version"),
        run_mode=reader.text(f"{SETUP}.runMode"),
        run_options=reader.text(f"{SETUP}.runOptions"),
        architecture=reader.text(f"{SETUP}.architecture"),
        embedded_sdk=reader.text(f"{SETUP}.embeddedSdkVersion"),
        user_name=reader.text(f"{SETUP}.user.username"),
        user_group=reader.text(f"{SETUP}.user.group"),
        groups=reader.texts(GROUPS),
        os_versions=reader.entries(OS_VERSIONS, _os_range),
        deep_learning_processor=reader.value("resources.deepLearningProcessor", dict),
        post_install=reader.text(POST_INSTALL),
        pre_uninstall=reader.text(PRE_UNINSTALL),
        setting_page=reader.text(f"{CONFIGURATION}.settingPage"),
        http_config=reader.entries(f"{CONFIGURATION}.httpConfig", _http_config),
        parameters=reader.entries(f"{CONFIGURATION}.paramConfig", _parameter),
        has_containers=reader.value(f"{CONFIGURATION}.containers", dict) is not None,
        license_method=reader.text("acapPackageConf.copyProtection.method"),
        license_options=reader.text("acapPackageConf.copyProtection.customOptions"),
    )
    return manifest, tuple(reader.found)


def _os_range(entry: _Reader) -> OsRange:
    return OsRange(minimum=entry.text("min"), maximum=entry.text("max"))


def _http_config(entry: _Reader) -> HttpConfig:
    kind = entry.required("type")
    name = entry.text("name") if kind == "directory" else entry.required("name")
    return HttpConfig(kind=kind, name=(name or "").lstrip("/"), access=entry.required("access"))


def _parameter(entry: _Reader) -> Parameter:
    return Parameter(name=entry.required("name"), default=entry.required("default"), kind=entry.required("type"))


def _type_of(value: object) -> str:
    return _JSON_TYPES.get(type(value), "null" if value is None else "a number")


@dataclass(frozen=True, slots=True)
class _Reader:
    """A JSON object that is read, and what was found wrong so far; `prefix` is where it lies in the whole."""

    document: Mapping[str, Any]
    found: list[Finding]
    prefix: str = ""

    def text(self, path: str) -> str | None:
        return self.value(path, str)

    def required(self, path: str) -> str:
        text = self.text(path)
        if text is None and path not in self.document:
            self._fault(path, "is missing", ErrorCode.MISSING_KEY)
        return text or ""

    def texts(self, path: str) -> tuple[str, ...] | None:
        values = self.value(path, list)
        if values is None:
            return None
        for position, value in enumerate(values):
            if not isinstance(value, str):
                self._fault(f"{path}[{position}]", f"is {_type_of(value)}, but must be a string")
        return tuple(value for value in values if isinstance(value, str))

    def entries(self, path: str, read: Callable[[_Reader], T]) -> tuple[T, ...] | None:
        values = self.value(path, list)
        if values is None:
            return None
        entries = []
        for position, value in enumerate(values):
            place = f"{path}[{position}]"
            if isinstance(value, dict):
                entries.append(read(_Reader(value, self.found, f"{self.prefix}{place}.")))
            else:
                self._fault(place, f"is {_type_of(value)}, but must be an object")
        return tuple(entries)

    def value(self, path: str, wanted: type[T]) -> T | None:
        """The value at `path` if it is of the wanted type; None, with a fault, if it is of another one."""
        here: Any = self.document
        walked: list[str] = []
        for name in path.split("."):
            if not isinstance(here, dict):
                # Told once for all that lies below.
                fault = Finding(
                    ErrorCode.MANIFEST_SCHEMA,
                    f"is {_type_of(here)}, but must be an object",
                    field=f"{self.prefix}{'.'.join(walked)}",
                )
                if fault not in self.found:
                    self.found.append(fault)
                return None
            if name not in here:
                return None
            here = here[name]
            walked.append(name)
        if not isinstance(here, wanted):
            self._fault(path, f"is {_type_of(here)}, but must be {_JSON_TYPES[wanted]}")
            return None
        return here

    def _fault(self, path: str, message: str, code: ErrorCode = ErrorCode.MANIFEST_SCHEMA) -> None:
        self.found.append(Finding(code, message, field=f"{self.prefix}{path}"))
