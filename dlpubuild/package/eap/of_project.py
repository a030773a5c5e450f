"""The application packages of a project: settled, looked at before a build, and written after it.

In: a project, and what its bundles are made of. Out: notes before the first step; a `WrittenEap` once a model is built.
An `.eap` that lies there already is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.errors import ManifestError
from dlpubuild.package.eap.check import check_eap, eap_notes, eap_problems, sound_content
from dlpubuild.package.eap.request import EapRequest, settle_acap, settle_measurement, settle_sdk
from dlpubuild.package.eap.stamp import current_eap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.store import Store
    from dlpubuild.package.eap.compressor import Gzip
    from dlpubuild.package.eap.stamp import WrittenEap
    from dlpubuild.package.spec import PackageRequest
    from dlpubuild.project.model import Project

# Every SoC has it, so that naming it is no mistake.
_EVERYBODYS = frozenset({"cpu-tflite"})


def eap_request(project: Project, package: PackageRequest) -> EapRequest:
    """Return what the `.eap` of a target is made of; `package` is what its bundle is made of."""
    options = project.manifest.package.acap
    return EapRequest(
        package=package,
        acap=settle_acap(options, package),
        app=project.app,
        measurement=settle_measurement(options),
        sdk=settle_sdk(options, project.app),
    )


def check_eaps(project: Project, packages: Sequence[PackageRequest], devices: Iterable[str]) -> tuple[str, ...]:
    """Look at the applications that a build would pack, and return what is worth knowing.

    Args:
        project: what is built.
        packages: one for each target; their models need not exist.
        devices: the larod devices of all SoCs that are known.

    Raises:
        ManifestError: every fault of any of them.
    """
    requests = [eap_request(project, package) for package in packages]
    others = frozenset(devices) - _EVERYBODYS
    checked = [check_eap(request, other_devices=others) for request in requests]
    problems = eap_problems(requests, checked, locate=project.manifest.locate)
    if problems:
        raise ManifestError(problems)
    return eap_notes(checked)


def sdk_packed_eap(
    project: Project,
    package: PackageRequest,
    made: Digest,
    store: Store,
    out_dir: Path,
    digest_of: Callable[[Path], Digest],
) -> tuple[WrittenEap, bool, tuple[str, ...]]:
    """Return the `.eap` that acap-build left, in `out_dir`; see `placed_eap`.

    Raises:
        ManifestError: every fault of the application.
        StepFailedError: what acap-build left is not what it has to be.
        BlobMissingError: it is not in the store, or was damaged there.
        OutputError: `out_dir` cannot be written.
    """
    from dlpubuild.package.eap.sdk_result import placed_eap  # noqa: PLC0415 - only where an SDK is named

    request = eap_request(project, package)
    content = sound_content(request, locate=project.manifest.locate)
    return placed_eap(request, content, made, store, out_dir, digest_of)


def packed_eap(
    project: Project, package: PackageRequest, out_dir: Path, digest_of: Callable[[Path], Digest], gzip: Gzip
) -> tuple[WrittenEap, bool]:
    """Return the `.eap` of `package` in `out_dir`, and whether it had to be written.

    Raises:
        ManifestError: every fault of the application.
        OutputError: `out_dir` cannot be written, or gzip failed.
        BlobMissingError: a file that is packed is gone.
        StoreError: it cannot be read or is not what its digest says.
    """
    content = sound_content(eap_request(project, package), locate=project.manifest.locate)
    base, epoch_s = package.base_name, package.epoch_s
    there = current_eap(content, out_dir, base, digest_of, epoch_s=epoch_s)
    if there is not None:
        return there, False
    from dlpubuild.package.eap.write import write_content  # noqa: PLC0415 - a build with nothing to do needs none of it

    return write_content(content, out_dir, base_name=base, epoch_s=epoch_s, gzip=gzip), True
