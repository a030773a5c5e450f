"""What an action's platform stands for on an engine: an image, and folders of this machine that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolchainMount:
    """A folder of this machine that a container sees, read-only, as `target`."""

    source: Path
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunImage:
    """The image that steps run in; `name` is its id, or `<repository>@sha256:…`, and the engine has it."""

    name: str
    mounts: tuple[ToolchainMount, ...] = ()
