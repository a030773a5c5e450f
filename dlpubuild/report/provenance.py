"""What a build was made of, for its report: files of the project and toolchains, each by a digest.

In: a `Project` and the digests of what the manifest names. Out: JSON values. Nothing is read from disk but lock files
of toolchains, for the version of TensorFlow in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlpubuild.project.lock import files_digest
from dlpubuild.project.model import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlpubuild.project.app_folder import AppFolder
    from dlpubuild.project.model import Project
    from dlpubuild.toolchains.pins import ToolchainPin

# The package that a toolchain's results are told by.
_FRAMEWORKS = ("tensorflow-cpu", "tensorflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """Files of the project that serve one purpose; `kind` and `name` as the report's schema has them."""

    kind: str
    name: str
    files: Sequence[SourceFile]


def project_inputs(project: Project) -> tuple[InputFacts, ...]:
    """Return what of a project's inputs is known by digest without looking again: model, samples, application."""
    manifest = project.manifest
    found = [InputFacts(kind="model", name=manifest.model.source, files=project.model.files)]
    if project.calibration is not None and manifest.calibration is not None:
        data = project.calibration
        found.append(InputFacts(kind="calibration", name=manifest.calibration.data, files=data.files))
    if project.verification is not None and manifest.verify is not None:
        data = project.verification.samples
        found.append(InputFacts(kind="validation", name=manifest.verify.data, files=data.files))
    if project.app is not None:
        found.append(InputFacts(kind="application", name=project.app.name, files=_app_files(project.app)))
    return tuple(found)


def _app_files(app: AppFolder) -> list[SourceFile]:
    return [
        SourceFile(staged=each.path, path=each.source, name=f"{app.name}/{each.path}", digest=each.digest)
        for each in app.files
    ]


def provenance_json(
    inputs: Iterable[InputFacts], toolchains: Iterable[ToolchainPin], *, epoch_s: int
) -> dict[str, Any]:
    """Return the part of a report that says what the build was made of."""
    return {
        "inputs": [_input(each) for each in inputs if each.files],
        "toolchains": [_toolchain(pin) for pin in sorted(toolchains, key=lambda pin: pin.name)],
        "source_date_epoch": epoch_s,
    }


def _input(facts: InputFacts) -> dict[str, Any]:
    files = facts.files
    # Of one file what sha256sum says; of many the digest that a lock pins.
    sha256 = files[0].digest.hash if len(files) == 1 else files_digest(files).removeprefix("sha256:")
    return {
        "kind": facts.kind,
        "name": facts.name,
        "sha256": sha256,
        "bytes": sum(each.digest.size_bytes for each in files),
        "files": len(files),
    }


def _toolchain(pin: ToolchainPin) -> dict[str, Any]:
    is_own = pin.image is not None and pin.image.is_own
    packages = {} if is_own else pin.packages
    return {
        "name": pin.name,
        "lock_sha256": None if is_own and pin.folder is None else pin.lock_sha256,
        "image": None if pin.image is None else pin.image.name,
        "tensorflow": next((packages[name] for name in _FRAMEWORKS if name in packages), None),
    }
