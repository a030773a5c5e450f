"""What the `README.md` of a package says of tensors whose rows are padded in memory, as those of CV25 are.

In: a `ModelDescription`. Out: lines of Markdown; none for a model whose tensors lie in memory without gaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.package.markdown import code_span

if TYPE_CHECKING:
    from dlpubuild.package.description import IoTensor, ModelDescription


def memory_lines(model: ModelDescription) -> list[str]:
    """Return a section on where elements lie, with an empty line before it."""
    rows = [
        _row(kind, index, tensor)
        for kind, tensors in (("input", model.inputs), ("output", model.outputs))
        for index, tensor in enumerate(tensors)
        if tensor.memory is not None
    ]
    if not rows:
        return []
    doubtful = any(each.memory is not None and each.memory.is_inferred for each in (*model.inputs, *model.outputs))
    return [
        "",
        "## Memory",
        "",
        "Tensors are planar (NCHW), and the rows of a plane begin at multiples of the pitch: element `i` of row `r` of",
        "plane `p` begins at byte `p * plane + r * pitch + i * (size of an element)`.",
        "",
        "| | name | planes | rows | bytes used of a row | pitch | plane | whole buffer |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        *_DOUBT * doubtful,
    ]


_DOUBT = [
    "",
    "`*`: inferred. It is not documented, but was concluded from Axis' examples; on the camera",
    "`larodGetTensorPitches()` tells.",
]


def _row(kind: str, index: int, tensor: IoTensor) -> str:
    memory = tensor.memory
    if memory is None:
        raise AssertionError("only tensors with padded rows have a row here")
    doubt = " `*`" if memory.is_inferred else ""
    return (
        f"| {kind} {index} | {code_span(tensor.name)} | {memory.planes} | {memory.rows} | {memory.row_bytes} "
        f"| {memory.pitch_bytes}{doubt} | {memory.plane_bytes}{doubt} | {memory.size_bytes}{doubt} |"
    )
