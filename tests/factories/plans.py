"""Plans of small steps, without a project behind them."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.plan.model import FilesInput, OutputInput, OutputOf, Plan, Step
from dlpubuild.project.model import SourceFile
from dlpubuild.toolchains.pins import ToolchainPin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OUTPUT = "out/made"


def make_pin(folder: Path, *, lock: bytes = b"", environment: Mapping[str, str] | None = None) -> ToolchainPin:
    """Return the pin of a toolchain `test` whose lock file is written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "test-lock.txt"
    path.write_bytes(lock)
    return ToolchainPin(
        name="test",
        title="a test",
        python="3.11",
        isa="x86-64",
        lock=path,
        lock_sha256=hashlib.sha256(lock).hexdigest(),
        environment={"PATH": "/opt/tc/bin:/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}
        if environment is None
        else environment,
    )


def make_step(
    name: str,
    folder: Path,
    *,
    needs: Sequence[str] = (),
    script: str | None = None,
    script_name: str = "",
    params: Mapping[str, Any] | None = None,
    files: Mapping[str, Path] | None = None,
    outputs: Sequence[str] = (OUTPUT,),
    timeout_s: int = 60,
    pin: ToolchainPin | None = None,
    key: str = "",
) -> Step:
    """Return a step whose script is written to `folder`.

    Args:
        needs: keys of steps whose `out/made` it takes, at `in/<key>`.
        script: the text of the script; unless given, one that is unlike that of any step of another name.
        script_name: the name of that file; unless given, after the step.
        files: files of the project by the path they are staged at.
        key: the step's key; its name, unless given.
    """
    path = folder / (script_name or f"{name.replace(':', '-')}.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {name}\n" if script is None else script)
    given = tuple(
        FilesInput(at=at, files=(SourceFile(staged="", path=file, name=file.name, digest=_digest(file)),))
        for at, file in (files or {}).items()
    )
    return Step(
        key=key or name,
        id=name.partition(":")[0],
        name=name,
        title=f"do {name}",
        scripts=(path,),
        params=MappingProxyType(dict(params or {})),
        toolchain=pin or make_pin(folder),
        inputs=(*given, *(OutputInput(at=f"in/{each}", output=OutputOf(step=each, path=OUTPUT)) for each in needs)),
        outputs=tuple(outputs),
        timeout_s=timeout_s,
        targets=("fake",),
    )


def make_plan(*steps: Step) -> Plan:
    """Return the plan of `steps`, which are in topological order."""
    return Plan(steps=steps, targets=())


def _digest(file: Path) -> Any:
    return digest_bytes(file.read_bytes())
