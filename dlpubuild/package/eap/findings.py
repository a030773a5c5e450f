"""What is wrong with an application package, or worth knowing, before it is packed.

In: the rules' findings. Out: `Problem`s that stand where the user wrote the value: in `dlpu.toml` for the test
application, whose manifest is made from there, else in the application's own file. Nothing is judged here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import Location, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dlpubuild.errors import ErrorCode

MANIFEST = "manifest.json"
SECTION = "package.acap"
# Which key of `dlpu.toml` a field of the test application's manifest is made from; the longest that fits counts.
_SOURCES = {
    "schemaVersion": f"{SECTION}.schema",
    "resources.linux.user.groups": f"{SECTION}.groups",
    "acapPackageConf.setup.appName": f"{SECTION}.app-name",
    "acapPackageConf.setup.friendlyName": f"{SECTION}.friendly-name",
    "acapPackageConf.setup.vendor": "project.vendor",
    "acapPackageConf.setup.vendorId": f"{SECTION}.vendor-id",
    "acapPackageConf.setup.vendorUrl": f"{SECTION}.vendor-url",
    "acapPackageConf.setup.version": "project.version",
    "acapPackageConf.setup.compatibleOsVersions": f"{SECTION}.min-os",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them; `is_note` says that nothing is wrong.

    `field` is a path in `manifest.json`, `file` the file of the application that it is about, `key` a path in
    `dlpu.toml` where that says more than `field` does.
    """

    code: ErrorCode
    message: str
    hint: str = ""
    field: str = ""
    file: str = MANIFEST
    key: str = ""
    is_note: bool = False


def source_key(field: str) -> str:
    """Return the key of `dlpu.toml` that a field of the test application's manifest comes from."""
    probe = field
    while probe:
        if probe in _SOURCES:
            return _SOURCES[probe]
        probe = probe[: max(probe.rfind("."), probe.rfind("["), 0)]
    return SECTION


def to_problems(
    findings: Iterable[Finding], *, app: str | None, locate: Callable[[str], Location]
) -> tuple[Problem, ...]:
    """Return the faults among `findings`, each once.

    Args:
        findings: what the rules found, of one package or of several.
        app: how the user knows the folder of the own application; None for the test application.
        locate: returns the place of a TOML path.
    """
    problems = (_problem(each, app, locate) for each in findings if not each.is_note)
    return tuple(dict.fromkeys(problems))


def to_notes(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return the notes among `findings`, each once."""
    return tuple(dict.fromkeys(each.message for each in findings if each.is_note))


def _problem(finding: Finding, app: str | None, locate: Callable[[str], Location]) -> Problem:
    if app is not None and not finding.key:
        return Problem(
            code=finding.code,
            location=Location(f"{app}/{finding.file}" if finding.file else app),
            path=finding.field,
            message=finding.message,
            hint=finding.hint,
        )
    key = finding.key or source_key(finding.field)
    told = f" (manifest.json: {finding.field})" if finding.field else ""
    return Problem(
        code=finding.code, location=locate(key), path=key, message=f"{finding.message}{told}", hint=finding.hint
    )
