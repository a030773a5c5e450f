"""A step becomes an action, once the outputs that it needs exist.

In: a `Step` and the results of the steps before it. Out: a `BoundAction`. In its key: argv, environment, script
bytes, parameters, input bytes and names, toolchain, timeout, format version. Not in it: where the checkout lies,
who builds, on which host, when, how loud, how many jobs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dlpubuild.cas.action import Action, Command
from dlpubuild.cas.digest import Digest, digest_bytes
from dlpubuild.cas.faults import input_faults
from dlpubuild.cas.tree import InputFile, build_input_tree
from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.executors.base import BoundAction
from dlpubuild.plan.model import MadeInput, OutputInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.cas.action import ActionResult
    from dlpubuild.plan.model import Step

STEP_RECORD = "out/step.json"
_PARAMS = "src/params.json"


def bind_step(step: Step, results: Mapping[str, ActionResult]) -> BoundAction:
    """Return the action of `step`; `results` holds, by key, a result for each step in `step.needs`.

    Raises:
        DlpuError: a script cannot be read, or a path cannot be part of an action.
    """
    files: dict[str, InputFile] = {}
    content: dict[Digest, Path | bytes] = {}

    def add_bytes(path: str, data: bytes, *, is_executable: bool = False) -> None:
        digest = digest_bytes(data)
        files[path] = InputFile(digest=digest, is_executable=is_executable)
        content[digest] = data

    for script in step.scripts:
        with input_faults(script):
            add_bytes(f"src/{script.name}", script.read_bytes())
    add_bytes(_PARAMS, params_json(step))
    for each in step.inputs:
        if isinstance(each, OutputInput):
            files[each.at] = InputFile(digest=output_digest(results[each.output.step], each.output.path))
            continue
        if isinstance(each, MadeInput):
            add_bytes(each.at, each.content, is_executable=each.is_executable)
            continue
        for file in each.files:
            path = f"{each.at}/{file.staged}" if file.staged else each.at
            files[path] = InputFile(digest=file.digest, is_executable=file.is_executable)
            content[file.digest] = file.path
    platform = dict(step.toolchain.platform)
    try:
        tree = build_input_tree(files)
        command = Command(
            arguments=("python", f"src/{step.scripts[0].name}", _PARAMS),
            environment=step.toolchain.environment,
            output_paths=tuple(sorted((*step.outputs, STEP_RECORD))),
            platform=platform,
        )
    except ValueError as error:
        raise DlpuError(
            ErrorCode.PATH_KIND,
            f"step {step.name}: {error}",
            hint="rename the file, or correct the paths in the step template",
        ) from error
    action = Action(command=command.digest, input_root=tree.root, timeout_s=float(step.timeout_s), platform=platform)
    return BoundAction(
        digest=action.digest, action=action, command=command, tree=tree, content=content, mnemonic=f"step {step.name}"
    )


def params_json(step: Step) -> bytes:
    """Return the bytes of the step's `src/params.json`."""
    return (json.dumps(dict(step.params), sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def output_digest(result: ActionResult, path: str) -> Digest:
    """Return the digest of one output of a result.

    Raises:
        KeyError: it has no such output.
    """
    for output in result.output_files:
        if output.path == path:
            return output.digest
    raise KeyError(path)
