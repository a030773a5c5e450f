"""What the metadata of a `.tflite` file says, in words.

In: the metadata of a `TfliteModel`. Out: for each entry its size and, as far as it is known how to read it, what it
says. Nothing of it is believed anywhere: facts of a model come from its tensors and operators. An entry that cannot be
read has an empty text; none of them is an error.

Known are `min_runtime_version` (text, padded with NUL), `CONVERSION_METADATA` (a flatbuffer,
tensorflow/compiler/mlir/lite/schema/conversion_metadata.fbs) and `TFLITE_METADATA` (a flatbuffer,
tflite_support/metadata/metadata_schema.fbs); others are shown where they are short text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dlpubuild.tflite.flatbuffer import INT32, FlatBuffer, NotAModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dlpubuild.tflite.model import TfliteModel

RUNTIME_KEY: Final = "min_runtime_version"
CONVERSION_KEY: Final = "CONVERSION_METADATA"
DESCRIPTION_KEY: Final = "TFLITE_METADATA"
_SHOWN: Final = 200
# ModelType, from 0 without a gap.
_SOURCES: Final = (
    "", "a SavedModel", "a Keras model", "concrete functions", "a GraphDef", "a session", "JAX", "PyTorch",
)  # fmt: skip
# ModelOptimizationMode.
_OPTIMIZATIONS: Final[Mapping[int, str]] = {
    1001: "float16 weights",
    1002: "dynamic-range quantization",
    1003: "full-integer quantization after training",
    1004: "quantization to 16x8 after training",
    2000: "quantization-aware training",
    3001: "random sparsity",
    3002: "block sparsity",
    3003: "structured sparsity",
}


class MetadataEntry(NamedTuple):
    """An entry: its name, how many bytes it has, and what it says, empty where that is not known."""

    name: str
    size_bytes: int
    text: str


def metadata_entries(model: TfliteModel) -> tuple[MetadataEntry, ...]:
    """Return the metadata of a model by name."""
    return tuple(MetadataEntry(name, len(data), _text(name, data)) for name, data in model.metadata.items())


def _text(name: str, data: bytes) -> str:
    try:
        return _DECODERS.get(name, _plain)(data)
    except NotAModelError:
        return ""


def _plain(data: bytes) -> str:
    text = data[: _SHOWN + 1].rstrip(b"\0").decode("ascii", errors="replace")
    return text if len(data) <= _SHOWN and text.isprintable() and text.isascii() else ""


def _runtime(data: bytes) -> str:
    return data[:_SHOWN].partition(b"\0")[0].decode("ascii", errors="replace")


def _conversion(data: bytes) -> str:
    root = FlatBuffer(data).root()
    parts = []
    environment, options = root.table(0), root.table(1)
    if environment:
        version = environment.text(0)[:_SHOWN]
        parts.append(f"TensorFlow {version}" if version else "")
        source = environment.integer(2, INT32)
        parts.append(f"from {_SOURCES[source]}" if 0 < source < len(_SOURCES) else "")
    if options:
        modes = options.integers(0, INT32)[: len(_OPTIMIZATIONS)]
        parts += [_OPTIMIZATIONS.get(mode, f"optimization {mode}") for mode in modes]
        parts.append("custom operators allowed" if options.flag(1) else "")
        parts.append("TensorFlow's own operators allowed" if options.flag(2) or options.flag(3) else "")
    return ", ".join(part for part in parts if part)


def _description(data: bytes) -> str:
    root = FlatBuffer(data).root()
    fields = (("", 0), ("version ", 2), ("by ", 4), ("license ", 5), ("", 1))
    texts = ((prefix, root.text(number).strip()) for prefix, number in fields)
    return ", ".join(prefix + _shortened(text) for prefix, text in texts if text)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_DECODERS: Final[Mapping[str, Callable[[bytes], str]]] = {
    RUNTIME_KEY: _runtime,
    CONVERSION_KEY: _conversion,
    DESCRIPTION_KEY: _description,
}
