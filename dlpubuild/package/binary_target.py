"""What a package says of a target's `.bin`: by the record of the step that compiled it, or by the manifest.

In: a project, a target, and the record of the compiling step where one ran. Out: a `ModelDescription`, and who
compiled it. A `.bin` that the project brings says nothing of itself, so there the manifest's word is taken. The file is
not read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, StepFailedError
from dlpubuild.package.described_binary import BinaryTensor, describe_binary
from dlpubuild.package.spec import CompilerFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.store import Store
    from dlpubuild.package.description import ModelDescription
    from dlpubuild.plan.model import Binary
    from dlpubuild.project.model import Project
    from dlpubuild.targets.model import Target

_IMAGE_RANK = 4
_CHANNELS = (1, 3)
_UNKNOWN = "unknown"


def binary_description(project: Project, target: Target, record: Digest | None, store: Store) -> ModelDescription:
    """Return what a package says of the `.bin` of a target.

    Raises:
        GateError: a size is not fixed.
        StepFailedError: the record is not what the step is to write.
        BlobMissingError: it is not in the store, or was damaged there.
    """
    if record is None:
        inputs, outputs = _declared(project)
    else:
        document = _read(record, store)
        try:
            inputs = [_recorded(each) for each in document["tensors"]["inputs"]]
            # Sizes that the source does not say are not made up.
            outputs = [each for each in map(_recorded, document["tensors"]["outputs"]) if _is_fixed(each)]
        except (KeyError, TypeError, ValueError) as error:
            raise _bad_record(f"it lacks or garbles {error}") from error
    return describe_binary(inputs, outputs, input_is_inferred=target.soc.input_is_inferred)


def binary_compiler(binary: Binary, record: Digest, store: Store) -> CompilerFacts:
    """Return who compiled a `.bin`; a toolchain that says no version is told by the digest of its files.

    Raises:
        StepFailedError: the record is not what the step is to write.
        BlobMissingError: it is not in the store, or was damaged there.
    """
    tools = _read(record, store).get("tools")
    if not isinstance(tools, dict) or len(tools) != 1:
        raise _bad_record("it does not name one compiler under tools")
    ((name, version),) = tools.items()
    pin = binary.toolchain
    if version == _UNKNOWN and (pin.image is None or pin.folder is not None):
        version = f"sha256 {pin.lock_sha256[:16]}"
    return CompilerFacts(name=str(name), version=str(version), archive_sha256=None)


def _declared(project: Project) -> tuple[list[BinaryTensor], list[BinaryTensor]]:
    inputs = []
    for each in project.inputs:
        scales = {1 / value for value in each.std or (1.0,)}
        # A byte stands for one value; where the manifest says more than that, nothing is said here.
        plain = len(scales) == 1 and not any(each.mean or ())
        shape = tuple(each.shape or ())
        inputs.append(
            BinaryTensor(name=each.name, shape=shape, layout=_layout(shape), scale=scales.pop() if plain else None)
        )
    outputs = [
        BinaryTensor(name=each.name, shape=tuple(each.shape))
        for each in project.manifest.model.outputs
        if each.shape is not None
    ]
    return inputs, outputs


def _layout(shape: Sequence[int]) -> Any:
    """Channels last, where only the last dimension can be channels."""
    is_last = len(shape) == _IMAGE_RANK and shape[3] in _CHANNELS and shape[1] not in _CHANNELS
    return "NHWC" if is_last else "NCHW"


def _read(record: Digest, store: Store) -> dict[str, Any]:
    try:
        document = json.loads(store.read(record))
    except (ValueError, RecursionError) as error:
        raise _bad_record(f"it is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise _bad_record("it is no JSON object")
    return document


def _recorded(table: Mapping[str, Any]) -> BinaryTensor:
    layout = table.get("layout", "NCHW")
    if layout not in ("NHWC", "NCHW"):
        raise ValueError(f"the layout {layout!r}")
    scale = table.get("scale")
    return BinaryTensor(
        name=str(table["name"]),
        shape=tuple(int(size) for size in table["shape"]),
        layout=layout,
        scale=None if scale is None else float(scale),
    )


def _is_fixed(tensor: BinaryTensor) -> bool:
    return bool(tensor.shape) and all(size > 0 for size in tensor.shape)


def _bad_record(what: str) -> StepFailedError:
    return StepFailedError(
        ErrorCode.STEP_OUTPUT,
        f"the record of the compiling step is not what it is to be: {what}",
        hint="write it with stepio.write_step_json, as docs/templates.md describes",
    )
