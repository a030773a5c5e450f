"""Small projects on disk, resolved and planned: what the tests of project, plan, report and package start from.

In: TOML beside the least that a manifest needs, files by name. Out: a `Project`, or the faults that keep it from being
one. The toolchain is a stand-in with a fixed pin, so that a new lock file changes no expected plan.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode, ManifestError
from dlpubuild.manifest.load import load_manifest
from dlpubuild.plan.toolchains import pin_toolchains, toolchains_named
from dlpubuild.project.resolve import resolve_project
from dlpubuild.resources import templates_dir
from dlpubuild.targets.load import load_socs
from dlpubuild.toolchains.pins import ToolchainPin, load_pin
from tests.doubles.memo import MemoryMemo
from tests.factories.image_factory import image_bytes
from tests.factories.model_factory import classifier, keras_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dlpubuild.errors import Problem
    from dlpubuild.project.faults import Memo
    from dlpubuild.project.model import Project


def load_linux_pin(name: str) -> ToolchainPin:
    """Return a toolchain's pin for Linux on x86-64, whatever the tests run on."""
    return load_pin(name, machine="x86_64", system="linux")


CALIBRATION = '[calibration]\ndata = "data"\n'
PIN = ToolchainPin(
    name="tf2",
    title="a stand-in for TensorFlow",
    python="3.11",
    isa="x86-64",
    lock=Path("/dev/null"),
    lock_sha256="0123456789abcdef" * 4,
    environment=MappingProxyType({"PATH": "/opt/tc/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}),
)


def write_project(
    folder: Path,
    toml: str = "[target.cpu]\n",
    *,
    project: str = "",
    model: str = "",
    source: str = "model.keras",
    files: Mapping[str, bytes | str] | None = None,
) -> Path:
    """Write a project to `folder`, with a model and three images in `data`, and return its manifest.

    Args:
        toml: the tables behind `[project]` and `[model]`.
        project: more keys of `[project]`.
        model: more keys of `[model]`, and its `[[model.input]]` and `[[model.output]]`.
        files: further files, and others for `model.keras`, by path.
    """
    content: dict[str, bytes | str] = {"model.keras": keras_archive(classifier())}
    content |= {f"data/{name}.png": image_bytes(size=(8 + n, 8)) for n, name in enumerate(("one", "two", "three"))}
    for name, data in (content | dict(files or {})).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    manifest = folder / "dlpu.toml"
    manifest.write_text(
        f'schema = 1\n[project]\nname = "digits"\nversion = "1.0.0"\n{project}\n'
        f'[model]\nsource = "{source}"\n{model}\n{toml}',
        encoding="utf-8",
    )
    return manifest


def resolve(manifest: Path, *, memo: Memo | None = None, every_image: bool = False) -> Project:
    """Return the project of a manifest, all its targets selected."""
    return with_toolchains(resolve_unpinned(manifest, memo=memo, every_image=every_image))


def resolve_unpinned(manifest: Path, *, memo: Memo | None = None, every_image: bool = False) -> Project:
    """Return the project of a manifest without its toolchains."""
    loaded = load_manifest(manifest)
    folders = [templates_dir()]
    if loaded.project.templates is not None:
        folders.append(loaded.folder / loaded.project.templates)
    return resolve_project(
        loaded,
        load_socs(folders, trusted=templates_dir()),
        selected=[target.soc for target in loaded.targets],
        memo=memo or MemoryMemo(),
        every_image=every_image,
    )


def with_toolchains(project: Project, pin_of: Callable[[str], ToolchainPin] = load_linux_pin) -> Project:
    """Return the project with the toolchains of its targets; raises what is missing."""
    found = pin_toolchains(project, toolchains_named(project), pin_of)
    for error in found.missing.values():
        raise error
    return found.project


def pinned(project: Project) -> Project:
    """Return the project with the stand-in for its toolchain."""
    return replace(project, toolchains=MappingProxyType(dict.fromkeys(project.toolchains, PIN)))


def problems(manifest: Path, *, every_image: bool = False) -> tuple[Problem, ...]:
    """Return the faults of a project, in file order."""
    with pytest.raises(ManifestError) as caught:
        resolve(manifest, every_image=every_image)
    return caught.value.problems


def fault(manifest: Path, *, every_image: bool = False) -> tuple[ErrorCode, str, int]:
    """Return code, TOML path and line of the only fault of a project."""
    (problem,) = problems(manifest, every_image=every_image)
    return problem.code, problem.path, problem.location.line


def line_of(manifest: Path, text: str) -> int:
    """Return the number of the line of `manifest` that holds `text`."""
    lines = manifest.read_text(encoding="utf-8").split("\n")
    return next(number for number, line in enumerate(lines, start=1) if text in line)
