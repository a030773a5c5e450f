"""The stand-in for the Edge TPU compiler on a PATH, and models to compile with it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.factories.tflite_factory import GraphSpec, ModelSpec, OperatorSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

DOUBLE = Path(__file__).resolve().parents[1] / "doubles" / "edgetpu_compiler"
_SHAPE = (1, 8, 8, 4)


def put_compiler(folder: Path, *, python: Path | None = None, **config: Any) -> Path:
    """Write a program `edgetpu_compiler` into `folder`, a shell script around another as the real one is; return it.

    Args:
        folder: to put on the PATH.
        python: what runs the stand-in; this interpreter, unless given.
        config: what the stand-in is to do; its first lines say what there is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "edgetpu_compiler"
    program = shlex.join([str(python or sys.executable), str(DOUBLE)])
    setting = shlex.quote(json.dumps(config))
    path.write_text(f'#!/bin/sh\nEDGETPU_DOUBLE={setting} {program} "$@"\n')
    path.chmod(0o755)
    return path


def chain(names: Sequence[str], *, operator: str = "ADD", skip: bool = False) -> ModelSpec:
    """Return an int8 model of one operator after another, which write tensors of these names.

    With `skip` the first tensor that is written is also an operand of the last operator.
    """
    tensors = [TensorSpec(name=name, shape=_SHAPE, scales=(0.5,)) for name in ("input", *names)]
    operators = [
        OperatorSpec(name=operator, inputs=(number, number), outputs=(number + 1,), version=2)
        for number in range(len(names))
    ]
    if skip:
        last = len(names)
        operators[-1] = OperatorSpec(name=operator, inputs=(last - 1, 1), outputs=(last,), version=2)
    graph = GraphSpec(tensors=tuple(tensors), operators=tuple(operators), inputs=(0,), outputs=(len(names),))
    return ModelSpec(graphs=(graph,))
