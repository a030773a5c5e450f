"""Bound actions around small Python scripts, and a folder that stands in for the environment they run in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.cas.action import Action, Command
from dlpubuild.cas.digest import Digest, digest_bytes
from dlpubuild.cas.tree import InputFile, build_input_tree
from dlpubuild.executors.base import BoundAction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENVIRONMENT = {"HOME": "/tmp", "LC_ALL": "C.UTF-8", "PATH": "/opt/tc/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
RESULT = "out/result"


def make_action(
    script: str,
    *,
    inputs: Mapping[str, bytes | Path] | None = None,
    stored: Mapping[str, Digest] | None = None,
    executable: Sequence[str] = (),
    outputs: Sequence[str] = (RESULT,),
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
    arguments: Sequence[str] = ("python", "src/step.py"),
) -> BoundAction:
    """Return the action `python src/step.py`, or the one that `arguments` name.

    Args:
        script: the text of `src/step.py`.
        inputs: more files, by their bytes or by a file that holds them.
        stored: files whose content is in the store.
        executable: paths of inputs with the executable bit.
    """
    content: dict[Digest, Path | bytes] = {}
    files: dict[str, InputFile] = {}
    for path, given in {"src/step.py": script.encode(), **(inputs or {})}.items():
        digest = digest_bytes(given.read_bytes() if isinstance(given, Path) else given)
        content[digest] = given
        files[path] = InputFile(digest, is_executable=path in executable)
    files |= {path: InputFile(digest) for path, digest in (stored or {}).items()}
    tree = build_input_tree(files)
    command = Command(
        arguments=tuple(arguments),
        environment=ENVIRONMENT if environment is None else environment,
        output_paths=tuple(outputs),
        platform={"OSFamily": "linux"},
    )
    action = Action(command=command.digest, input_root=tree.root, timeout_s=timeout_s, platform={"OSFamily": "linux"})
    return BoundAction(
        digest=action.digest, action=action, command=command, tree=tree, content=content, mnemonic="step test"
    )


def python_environment(folder: Path) -> Path:
    """Make `folder` an environment whose interpreter is this one, and return it."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder
