"""ONNX models whose weights lie in files beside them.

In: an `.onnx` file of the project, and the names of the files that it says its weights are in. Out: all of them as one
folder to stage. The files are found and hashed, never read otherwise.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from dlpubuild.project.model import SourceFile
from dlpubuild.project.paths import path_kind
from dlpubuild.project.signature import UnreadableModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlpubuild.project.faults import Memo
    from dlpubuild.project.model import ModelSource
    from dlpubuild.project.paths import ProjectPaths

# Where the folder is put for a step, and the model in it; docs/templates.md has both as `model.onnx_file`.
STAGED_FOLDER = "in/model"
STAGED_MODEL = "model.onnx"
_ONE_FILE = "save it as one file: onnx.save(onnx.load(PATH), NEW_PATH)"


def onnx_file(model: ModelSource) -> str:
    """Return where an ONNX model itself is staged, and so what a step is to read; empty for other formats."""
    if model.format != "onnx":
        return ""
    return model.staged if len(model.files) == 1 else f"{model.staged}/{STAGED_MODEL}"


def with_external_weights(
    model: SourceFile, names: Sequence[str], paths: ProjectPaths, memo: Memo
) -> tuple[tuple[SourceFile, ...], str]:
    """Return the model with the files of its weights, sorted by where they are staged, and what they are staged below.

    Raises:
        UnreadableModelError: a name that leads out of the model's folder, as ONNX itself refuses, or to nothing.
        PathRefusedError: a file lies outside the project.
        OSError: it cannot be looked at.
    """
    folder = os.path.dirname(model.name)  # noqa: PTH120 - text for messages, and for the rules of paths
    staged = []
    for name in names:
        relative = os.path.normpath(name)
        if "\0" in name or relative in ("", ".") or relative.startswith(("/", "..")):
            raise UnreadableModelError(f"it keeps weights in {name!r}, which is not below its own folder; {_ONE_FILE}")
        if relative == STAGED_MODEL:
            raise UnreadableModelError(f'it keeps weights in a file named "{relative}"; {_ONE_FILE}')
        text = os.path.join(folder, relative)  # noqa: PTH118
        path = paths.find(text)
        if path_kind(path) != "file":
            raise UnreadableModelError(
                f'its weights are in "{text}", which is not there; copy it beside the model, or {_ONE_FILE}'
            )
        staged.append((relative, path, text))
    digests = memo.digest_files([path for _, path, _ in staged])
    files = [replace(model, staged=STAGED_MODEL)] + [
        SourceFile(staged=relative, path=path, name=text, digest=digest)
        for (relative, path, text), digest in zip(staged, digests, strict=True)
    ]
    by_place = {file.staged: file for file in files}
    if any(place.startswith(f"{other}/") for place in by_place for other in by_place):
        raise UnreadableModelError(f"the files of its weights lie below one another; {_ONE_FILE}")
    return tuple(by_place[place] for place in sorted(by_place)), STAGED_FOLDER
