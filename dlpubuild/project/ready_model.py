"""What a model that needs no more TensorFlow says of itself: a `.tflite`, or what an SoC's own compiler made.

In: the path of the file. Out: a `ModelReading`. Of a `.tflite` tensors and operators are looked at, as the gate does;
of a `.bin` only its first bytes, because the format is not public.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError
from dlpubuild.project.model import KnownSignature, KnownTensor, ModelReading
from dlpubuild.project.signature import UnreadableModelError
from dlpubuild.tflite.facts import EDGETPU_OPERATOR, summarise
from dlpubuild.tflite.read import read_model

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dlpubuild.project.model import ModelState
    from dlpubuild.tflite.facts import ModelFacts
    from dlpubuild.tflite.model import Tensor, TfliteModel

_FAKE_QUANT = "FAKE_QUANT"
BIN_HEAD_BYTES = 16
# One CV25 file and two CV75 files were looked at: what matches is likely one, what does not may be one too.
_BIN_STARTS = (
    ("cv25", re.compile(rb"\x08\x00\x02\x02\x03\x00\x00\x00", re.DOTALL)),
    ("cv75", re.compile(rb"\x03\x00\x03\x00....\xef\xbe\xed\xfe", re.DOTALL)),
)
# What a person may have named .bin that is none: text, archives, and models of other formats.
_FOREIGN = (
    (re.compile(rb"....TFL3", re.DOTALL), "a .tflite file"),
    (re.compile(rb"PK\x03\x04"), "a zip archive"),
    (re.compile(rb"\x1f\x8b"), "a gzip archive"),
    (re.compile(rb"\x7fELF"), "a program"),
    (re.compile(rb"\x89HDF\r\n\x1a\n"), "an HDF5 file"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer; run `git lfs pull`"),
    (re.compile(rb"\s*<(?:!doctype|html)", re.IGNORECASE), "an HTML page"),
)


def read_tflite(path: Path) -> ModelReading:
    """Return signature, state and quantization of a `.tflite`.

    Raises:
        UnreadableModelError: not such a file, or damaged.
        OSError: it cannot be read.
    """
    try:
        model = read_model(path.read_bytes())
    except DlpuError as error:
        raise UnreadableModelError(f"{error.message}{f'; {error.hint}' if error.hint else ''}") from error
    facts = summarise(model)
    return ModelReading(
        signature=KnownSignature(inputs=_tensors(model, model.inputs), outputs=_tensors(model, model.outputs)),
        state=tflite_state(facts),
        quantization=facts.quantization,
    )


def tflite_state(facts: ModelFacts) -> ModelState:
    """Return how far a `.tflite` is on its way to an SoC."""
    if EDGETPU_OPERATOR in facts.custom_operators:
        return "compiled"
    if facts.quantization in ("per-tensor", "per-channel"):
        return "integer"
    if facts.quantization in ("float16", "dynamic"):
        return "weight-only"
    return "quantization-aware" if _FAKE_QUANT in facts.operators else "float"


def read_compiled_binary(path: Path) -> ModelReading:
    """Return that a `.bin` is compiled; of its tensors it says nothing that is known.

    Raises:
        UnreadableModelError: it plainly is something else.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(BIN_HEAD_BYTES)
    if not head:
        raise UnreadableModelError("the file is empty")
    for pattern, name in _FOREIGN:
        if pattern.match(head):
            raise UnreadableModelError(f"it is not what the Ambarella toolchain writes, but {name}")
    return ModelReading(signature=KnownSignature(), state="compiled")


def guess_bin_soc(head: bytes) -> str | None:
    """Return the SoC that a `.bin` with these first bytes is likely for, None where they tell nothing."""
    return next((soc for soc, pattern in _BIN_STARTS if pattern.match(head)), None)


def _tensors(model: TfliteModel, tensors: Iterable[Tensor]) -> tuple[KnownTensor, ...]:
    return tuple(
        KnownTensor(name=model.public_name(each), shape=each.shape_signature, dtype=each.dtype) for each in tensors
    )
