"""A plan as a value.

In: nothing. Out: `Plan`, a DAG of `Step`s in stable order: dependencies first, otherwise in the order in which the
targets and their templates name them. A step that several targets ask for stands there once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.project.model import SourceFile
    from dlpubuild.targets.model import Target
    from dlpubuild.toolchains.pins import ToolchainPin


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class OutputOf:
    """One output file of a step; `step` is the step's key."""

    step: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectModel:
    """The project's own model file, taken as it is."""

    file: SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesInput:
    """Files of the project staged at or below `at` (`in/model`, `in/data`)."""

    at: str
    files: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeInput:
    """A file that was made in memory, staged at `at`; `content` is all of it, so it is a small one."""

    at: str
    content: bytes
    is_executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputInput:
    """An output of an earlier step staged at `at`."""

    at: str
    output: OutputOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One script run in one toolchain.

    `key` names the step in this plan: a digest over all it is made of, dependencies included, so that equal work
    asked for by two targets has one key. It is not the cache key: that is the action's digest. `scripts` are
    staged in `src/`, the first is run. `timeout_s` is in seconds. `hands_over` is true where the script can lay its
    work out for running a closed toolchain by hand.
    """

    key: str
    id: str
    name: str
    title: str
    scripts: tuple[Path, ...]
    params: Mapping[str, Any]
    toolchain: ToolchainPin
    inputs: tuple[FilesInput | MadeInput | OutputInput, ...]
    outputs: tuple[str, ...]
    timeout_s: int
    targets: tuple[str, ...]
    hands_over: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the steps whose outputs this one takes, sorted."""
        return tuple(sorted({each.output.step for each in self.inputs if isinstance(each, OutputInput)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What a compiler made a result from, and the key of the step that ran it, whose record says what it mapped.

    `toolchain` is what that step runs in.
    """

    source: OutputOf | ProjectModel
    step: str
    toolchain: ToolchainPin


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """What a result which only the camera can read was made from, and the key of the step that made it.

    `toolchain` is what that step runs in.
    """

    step: str
    toolchain: ToolchainPin
    source: OutputOf | ProjectModel | None = None

    @property
    def readable_source(self) -> OutputOf | ProjectModel | None:
        """What it was made from, where that is a `.tflite`."""
        made = self.source
        if made is None:
            return None
        name = made.path if isinstance(made, OutputOf) else made.file.name
        return made if name.endswith(".tflite") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTarget:
    """A target and what its package is made from: a step's output, or the model that the project brings.

    `compiled` is set where that is the output of a compiler; `binary` instead where only the camera can read it.
    `toolchain` is what converted the model: the one of the step that made what a compiler took, else of the one that
    made the result; None where no step did. `checked` is the key of the step whose record says what an integer model
    makes of a few samples, `application` the `.eap` where a step packs it. `verified` is what a step measured on the
    validation data, None where the manifest asks for none, or nothing of this target runs in a toolchain.
    """

    target: Target
    result: OutputOf | ProjectModel
    steps: tuple[str, ...]
    compiled: Compiled | None = None
    binary: Binary | None = None
    toolchain: ToolchainPin | None = None
    checked: str | None = None
    verified: OutputOf | None = None
    application: OutputOf | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps in stable topological order, and the targets in manifest order."""

    steps: tuple[Step, ...]
    targets: tuple[PlannedTarget, ...]

    def step(self, key: str) -> Step:
        """Return the step with this key.

        Raises:
            KeyError: there is none.
        """
        for step in self.steps:
            if step.key == key:
                return step
        raise KeyError(key)
