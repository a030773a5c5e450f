"""A folder with the stand-ins for Ambarella's tools, set up for one test, and models that they take."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DOUBLES = Path(__file__).resolve().parents[1] / "doubles" / "ambarella"
PROGRAMS = ("gen_image_list.py", "onnxparser.py", "tfparser.py", "vas", "cavalry_gen")
VERSION = "2.7.1"


def put_toolchain(
    folder: Path, *, version: str | None = VERSION, environment: bool = True, bin_folder: str = "bin", **config: Any
) -> Path:
    """Make `folder` a toolchain that does what `config` says (see ambarella_files.py), and return it.

    Args:
        folder: replaced where it is there.
        version: of its version file; None for a toolchain without one.
        environment: whether it has the scripts that set its environment.
        bin_folder: where below it the programs are.
    """
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(DOUBLES / "bin", folder / bin_folder, ignore=shutil.ignore_patterns("__pycache__"))
    if environment:
        shutil.copytree(DOUBLES / "env", folder / "env")
    if version is not None:
        (folder / "version.txt").write_text(f"{version}\n")
    if config:
        (folder / bin_folder).parent.joinpath("ambarella.json").write_text(json.dumps(config))
    return folder


def onnx_model(
    *,
    inputs: Mapping[str, tuple[int, ...]] | None = None,
    outputs: Mapping[str, tuple[int, ...]] | None = None,
    operator: str = "Relu",
    dtype: int = 1,
    external: bool = False,
) -> bytes:
    """Return an ONNX file with these inputs and outputs; -1 is a size with a name. No runtime would run it."""
    inputs = {"images": (1, 3, 32, 40)} if inputs is None else inputs
    outputs = {"output0": (1, 10)} if outputs is None else outputs
    node = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in outputs)
    weight = _text(8, "weight") + _number(2, 1) + _number(1, 1)
    weight += _number(14, 1) if external else _bytes(9, struct.pack("<f", 1.0))
    graph = _bytes(1, node + _text(4, operator)) + _text(2, "graph") + _bytes(5, weight)
    graph += b"".join(_bytes(11, _value(name, shape, dtype)) for name, shape in inputs.items())
    graph += b"".join(_bytes(12, _value(name, shape, 1)) for name, shape in outputs.items())
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, 17))


def _value(name: str, shape: tuple[int, ...], dtype: int) -> bytes:
    dims = b"".join(_bytes(1, _number(1, size) if size > 0 else _text(2, "N")) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, dtype) + _bytes(2, dims)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
