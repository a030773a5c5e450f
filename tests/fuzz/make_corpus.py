"""Writing the first files of tests/corpus/tflite anew: `python -m tests.fuzz.make_corpus`.

In: the factories. Out: a file for each case, and `index.toml`, which says what each is and whether it is a model. What
fuzzing finds is added to the folder and to the index by hand, and stays when this runs again.
"""

from __future__ import annotations

import struct
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.factories.mutations import HUGE, ODD_NAMES, sound_specs
from tests.factories.tflite_factory import (
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    OptionsSpec,
    encode,
    integer_model,
    with_graph,
    with_tensor,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parents[1] / "corpus" / "tflite"
_NAN = float("nan")


def cases() -> Iterator[tuple[str, str, bytes]]:
    """Yield name, what it is, and the bytes."""
    yield from _sound()
    yield from _contradictory()
    yield from _broken()


def _sound() -> Iterator[tuple[str, str, bytes]]:
    names = ("integer-per-channel", "float16", "dynamic-range", "dynamic-batch", "compiled", "data-outside")
    for name, spec in zip(names, sound_specs(), strict=True):
        yield f"sound-{name}", "a model with nothing wrong, which mutations begin with", encode(spec)


def _tensor(**changes: object) -> bytes:
    spec = integer_model()
    return encode(replace(with_tensor(spec, 1, replace(spec.graphs[0].tensors[1], **changes)), signatures=()))  # type: ignore[arg-type] # by name


def _operators(*operators: OperatorSpec) -> bytes:
    return encode(replace(with_graph(integer_model(), operators=operators), signatures=()))


def _contradictory() -> Iterator[tuple[str, str, bytes]]:
    add = OperatorSpec(name="ADD", inputs=(0, 3), outputs=(3,))
    options = OptionsSpec(union_type=93, fields=((0, "int32", 7), (1, "int32", -1)))
    empty = GraphSpec(tensors=(), operators=(), inputs=(), outputs=())
    spec = integer_model()
    yield "name-control", "a name that clears a terminal and sets its title", _tensor(name=ODD_NAMES[1])
    yield "name-html", "a name that closes a table cell and begins a script", _tensor(name=ODD_NAMES[2])
    yield "name-template", "a name that a template engine would compute", _tensor(name=ODD_NAMES[3])
    yield "name-direction", "a name that turns the direction of writing", _tensor(name=ODD_NAMES[4])
    yield "name-long", "a name of 5,000 letters", _tensor(name=ODD_NAMES[5])
    yield "name-absent", "a tensor without a name", _tensor(name="")
    yield "shape-huge", "16 dimensions of 2^31 - 1, whose product has 150 digits", _tensor(shape=(HUGE,) * 16)
    yield "shape-negative", "negative sizes, the least one among them", _tensor(shape=(-1, -(2**31), 3, 3))
    yield "shape-zero", "a size of 0", _tensor(shape=(0, 3, 3, 3))
    yield "shape-signature-longer", "a signature of another rank than the shape", _tensor(shape_signature=(-1,) * 9)
    yield "constant-short", "a constant of fewer bytes than its shape needs", _tensor(data=b"x")
    yield "scales-nan", "scales that are no numbers, infinite, negative", _tensor(scales=(_NAN, float("inf"), -1.0))
    yield (
        "scales-many",
        "more scales than channels, along an axis that is not there",
        _tensor(scales=(0.5,) * 40, axis=HUGE),
    )
    yield "zero-points-few", "eight scales and two zero points", _tensor(scales=(0.5,) * 8, zero_points=(1, 2))
    yield "zero-point-huge", "a zero point that no type holds", _tensor(scales=(0.5,), zero_points=(2**63 - 1,))
    yield (
        "operators-circle",
        "operators that wait for each other",
        _operators(add, replace(add, inputs=(3,), outputs=(0,))),
    )
    yield (
        "operator-empty",
        "an operator without inputs and outputs",
        _operators(OperatorSpec(name="CONV_2D", inputs=(), outputs=())),
    )
    yield "operator-absent-inputs", "only absent optional inputs", _operators(replace(add, inputs=(-1, -1, -1)))
    yield "operator-version", "a version that no TensorFlow has", _operators(replace(add, version=HUGE))
    yield (
        "operator-options",
        "options of a loop into subgraphs that are not there",
        _operators(replace(add, options=options)),
    )
    yield "operator-unknown", "an operator code of a newer schema", _unknown_code()
    yield "graph-empty", "a graph with nothing in it", encode(ModelSpec(graphs=(empty,)))
    yield (
        "graphs-several",
        "three graphs, of which one is empty",
        encode(replace(spec, graphs=(*spec.graphs, empty, *spec.graphs))),
    )
    yield (
        "metadata-cut",
        "metadata that should be flatbuffers and are not",
        encode(
            replace(
                spec,
                metadata={
                    "CONVERSION_METADATA": b"\xff" * 40,
                    "TFLITE_METADATA": b"",
                    "min_runtime_version": b"\x1b[2J",
                },
            )
        ),
    )
    yield (
        "metadata-name",
        "metadata with a name that steers a terminal",
        encode(replace(spec, metadata={ODD_NAMES[1]: b"x"}, description=ODD_NAMES[2])),
    )


def _unknown_code() -> bytes:
    data = encode(_gelu())
    # GELU, 150, stands in the 32-bit field; the old field says 127, which is less than what is put there.
    assert data.count(struct.pack("<i", 150)) == 1
    return data.replace(struct.pack("<i", 150), struct.pack("<i", 5000))


def _gelu() -> ModelSpec:
    spec = integer_model()
    operator = OperatorSpec(name="GELU", inputs=(3,), outputs=(6,))
    return with_graph(spec, operators=(spec.graphs[0].operators[0], operator))


def _broken() -> Iterator[tuple[str, str, bytes]]:
    sound = encode(integer_model())
    yield "empty", "no byte at all", b""
    yield "seven-bytes", "fewer bytes than a header", sound[:7]
    yield "header-only", "the identifier and nothing behind it", sound[:8]
    yield "truncated", "the first half of a model", sound[: len(sound) // 2]
    yield "truncated-by-one", "a model without its last 40 bytes", sound[:-40]
    yield "random", "noise behind the identifier", sound[:8] + bytes((7 * i * i + 3 * i) % 251 for i in range(400))
    yield "root-outside", "a root beyond the end of the file", struct.pack("<I", 0x7FFFFFFF) + sound[4:]
    yield "root-in-header", "a root that is the header itself", struct.pack("<I", 4) + sound[4:]
    yield "all-ones", "nothing but ones behind the identifier", sound[:8] + b"\xff" * 200
    yield "schema-version", "a schema version that is not in use", encode(replace(integer_model(), version=4))
    yield "no-graph", "a model without a graph", encode(ModelSpec(graphs=()))
    yield (
        "tensor-outside",
        "an operator on a tensor that is not there",
        _operators(OperatorSpec(name="ADD", inputs=(0, 99), outputs=(3,))),
    )
    yield "rank-17", "a tensor of 17 dimensions", _tensor(shape=(1,) * 17)
    yield (
        "custom-outside",
        "custom options behind the end of the file",
        encode(replace(sound_specs()[4], data_outside=True))[:-150],
    )


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    index = FOLDER / "index.toml"
    kept = tomllib.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    for name, what, data in cases():
        (FOLDER / f"{name}.tflite").write_bytes(data)
        kept[name] = what
    lines = ["# What each file is; made by tests/fuzz/make_corpus.py, or found by tests/fuzz/fuzz_tflite.py.\n"]
    lines += [f'{name} = "{what}"\n' for name, what in sorted(kept.items())]
    index.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
