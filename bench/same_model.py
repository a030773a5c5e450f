"""Whether two `.tflite` files hold the same operators on tensors of the same types, shapes, scales and zero points.

Runs in the Python that dlpubuild is installed in: `same_model.py OURS THEIRS`; exit code 1 where they differ, with the
first differences on standard error. It shows that both sides of a ratio did the same work; weights are compared by size
only, since their bytes are the business of the tests. Names and metadata may differ.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dlpubuild.tflite.read import read_file

_SHOWN = 5


def essence(path: Path) -> list[tuple[object, ...]]:
    """Return the operators in order, each with what its operands are."""
    graph = read_file(path).main
    found: list[tuple[object, ...]] = []
    for operator in graph.operators:
        operands = [graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
        described = tuple((each.dtype, each.shape, each.constant_bytes, each.quantization) for each in operands)
        found.append((operator.label, operator.version, tuple(sorted(operator.options.items())), described))
    return found


def main(ours: Path, theirs: Path) -> int:
    mine, other = essence(ours), essence(theirs)
    differences = [f"  {a}\n  {b}" for a, b in zip(mine, other, strict=False) if a != b]
    if len(mine) == len(other) and not differences:
        return 0
    print(f"{ours} has {len(mine)} operators, {theirs} has {len(other)}; first differences:", file=sys.stderr)
    print("\n".join(differences[:_SHOWN]), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
