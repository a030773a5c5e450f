"""The outputs of a ready model come as they are: the manifest may name them, in the order that the file has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode
from tests.factories.edgetpu import chain
from tests.factories.small_projects import problems, resolve, write_project
from tests.factories.tflite_factory import encode

if TYPE_CHECKING:
    from pathlib import Path


def manifest(folder: Path, *names: str) -> Path:
    """A project with a ready model whose outputs are "person" and "car"."""
    spec = chain(["person", "car"])
    spec = replace(spec, graphs=(replace(spec.graphs[0], outputs=(1, 2)),))
    outputs = "".join(f'[[model.output]]\nname = "{name}"\n' for name in names)
    files = {"m.tflite": encode(spec)}
    return write_project(folder, "[target.artpec9]\n", source="m.tflite", model=outputs, files=files)


@pytest.mark.parametrize("names", [(), ("person", "car")])
def test_outputs_in_the_order_of_the_file_are_fine(tmp_path: Path, names: tuple[str, ...]) -> None:
    project = resolve(manifest(tmp_path, *names))
    assert [each.name for each in project.signature.outputs] == ["person", "car"]


def test_another_order_is_a_fault_that_tells_that_of_the_file(tmp_path: Path) -> None:
    (problem,) = problems(manifest(tmp_path, "car", "person"))
    assert (problem.code, problem.path) == (ErrorCode.CONFLICT, "model.output")
    assert '"person", "car"' in problem.message
