"""An application package looked at before it is packed: every fault of its values and files at once.

In: an `EapRequest`. Out: findings, and the content where nothing is wrong. A build asks before its first step, so that
a name that Axis' tool would refuse does not cost minutes of converting; nothing is read from disk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, Location, ManifestError
from dlpubuild.manifest.wording import quoted
from dlpubuild.package.eap.acap_manifest import MANIFEST, SETUP
from dlpubuild.package.eap.application import settle_application
from dlpubuild.package.eap.conf_files import conf_findings
from dlpubuild.package.eap.file_rules import file_findings, file_name_findings
from dlpubuild.package.eap.findings import SECTION, Finding, to_notes, to_problems
from dlpubuild.package.eap.members import eap_content, eap_file_name
from dlpubuild.package.eap.rules import manifest_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dlpubuild.errors import Problem
    from dlpubuild.package.eap.members import EapContent
    from dlpubuild.package.eap.request import EapRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a look at a request gave: the `.eap`'s name where it has one, and its content where nothing is wrong."""

    findings: tuple[Finding, ...]
    file_name: str | None = None
    content: EapContent | None = None


def check_eap(request: EapRequest, *, other_devices: frozenset[str] = frozenset()) -> Checked:
    """Return what is wrong with `request`, and what its `.eap` would hold.

    `other_devices` are the larod devices of other SoCs' DLPUs: an own application that names one is refused.
    """
    application, found = settle_application(request)
    if application is None:
        return Checked(findings=found)
    manifest, architecture = application.manifest, request.package.soc.architecture
    file_name = eap_file_name(manifest, architecture)
    found = (
        *found,
        *manifest_findings(manifest),
        *conf_findings(manifest, architecture),
        *file_findings(request, application, other_devices=other_devices),
        *file_name_findings(file_name),
        *_other_app_name(request, manifest.app_name),
    )
    named = tuple(replace(each, file=application.manifest_file) if each.file == MANIFEST else each for each in found)
    is_sound = all(finding.is_note for finding in named)
    return Checked(findings=named, file_name=file_name, content=eap_content(request, application) if is_sound else None)


def sound_content(
    request: EapRequest, *, locate: Callable[[str], Location] = Location, other_devices: frozenset[str] = frozenset()
) -> EapContent:
    """Return what the `.eap` of `request` holds.

    Args:
        request: the package.
        locate: returns the place of a TOML path.
        other_devices: as for `check_eap`.

    Raises:
        ManifestError: every fault.
    """
    checked = check_eap(request, other_devices=other_devices)
    problems = eap_problems([request], [checked], locate=locate)
    if problems or checked.content is None:
        raise ManifestError(problems)
    return checked.content


def eap_problems(
    requests: Sequence[EapRequest], checked: Sequence[Checked], *, locate: Callable[[str], Location]
) -> tuple[Problem, ...]:
    """Return what is wrong with packages that are built together, each fault once, and names that two would have."""
    problems: list[Problem] = []
    names: dict[str, str] = {}
    for request, each in zip(requests, checked, strict=True):
        app = request.app.name if request.app is not None else None
        found = each.findings
        if each.file_name is not None:
            soc = request.package.soc
            first = names.setdefault(each.file_name, soc.title)
            if first != soc.title:
                found = (*found, _same_name(request, each.file_name, first))
        problems += to_problems(found, app=app, locate=locate)
    return tuple(dict.fromkeys(problems))


def eap_notes(checked: Sequence[Checked]) -> tuple[str, ...]:
    """Return what is worth knowing though nothing is wrong: one sentence each."""
    return to_notes(finding for each in checked for finding in each.findings)


def _same_name(request: EapRequest, file_name: str, first: str) -> Finding:
    soc = request.package.soc
    message = f"{first} and {soc.title} would both be packed as {quoted(file_name)}"
    if request.app is None:
        return Finding(
            ErrorCode.CONFLICT, message, 'put "{soc}" where the SoC shall stand', key=f"{SECTION}.friendly-name"
        )
    hint = f"give each a {MANIFEST}.<soc>, such as {MANIFEST}.{soc.name}, with another friendlyName"
    return Finding(ErrorCode.CONFLICT, message, hint, field=f"{SETUP}.friendlyName")


def _other_app_name(request: EapRequest, app_name: str | None) -> tuple[Finding, ...]:
    """With an own application, `[package.acap] app-name` may only repeat the name: paths in the bundle hold it."""
    given = request.package.app_name
    if request.app is None or "app-name" not in request.acap.given or app_name in (None, given):
        return ()
    message = f"{quoted(given)} is not the application's name: its {MANIFEST} says {quoted(app_name)}"
    return (Finding(ErrorCode.CONFLICT, message, "remove it here", key=f"{SECTION}.app-name"),)
