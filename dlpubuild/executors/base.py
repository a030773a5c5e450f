"""What an executor is: something with one method that runs one action.

In: a `BoundAction`, whose bytes are all named by digest. Out: an `ActionResult`, whose outputs are in the store.
Executors know neither manifests nor targets, and none knows another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dlpubuild.cas.action import Action, ActionResult, Command
    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.tree import InputTree


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundAction:
    """An action together with the content it needs.

    `digest` is that of the encoded action: the cache key. `content` holds what is not in the store: files of the
    project by their path, scripts and parameters by their bytes. Every other digest of `tree` is in the store.
    `mnemonic` names the action to a person.
    """

    digest: Digest
    action: Action
    command: Command
    tree: InputTree
    content: Mapping[Digest, Path | bytes]
    mnemonic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one run is observed and stopped.

    `log` receives everything the action writes, as it comes; its folder exists. `observe` is told each line of
    standard output. Once `cancelled` is set the executor stops what it runs and raises.
    """

    log: Path
    observe: Callable[[str], None]
    cancelled: threading.Event


class Executor(Protocol):
    """Runs actions."""

    @property
    def name(self) -> str:
        """The name `--executor` takes."""
        ...

    def run(self, bound: BoundAction, run: Run) -> ActionResult:
        """Run the action and return its result; every output is in the store.

        A command that fails gives a result with its exit code and no outputs.

        Raises:
            StepFailedError: it ran out of time or memory, or left something that is not a declared file.
            BlobMissingError: an input is missing from the store, or was damaged.
            DlpuError: a file of the project changed since its digest was taken, or cannot be read any more.
            ToolchainError: the toolchain is missing and cannot be had.
            EngineMissingError: the container engine refuses, or was lost.
            UsageError: the executor cannot give what the limits ask for.
            StoreError: the cache folder cannot be written.
            InterruptedBuildError: `run.cancelled` was set.
        """
        ...
