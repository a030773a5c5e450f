"""Values of constants are read as they are stored, and only where the file holds what it says."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from dlpubuild.tflite.constants import values
from dlpubuild.tflite.model import TfliteModel
from dlpubuild.tflite.read import read_model
from tests.factories.tflite_factory import GraphSpec, ModelSpec, OperatorSpec, TensorSpec, encode


def _model(tensor: TensorSpec, *, outside: bool = False) -> TfliteModel:
    graph = GraphSpec(
        tensors=(TensorSpec(name="x", shape=(1, 4)), tensor, TensorSpec(name="y", shape=(1, 4))),
        operators=(OperatorSpec(name="ADD", inputs=(0, 1), outputs=(2,)),),
        inputs=(0,),
        outputs=(2,),
    )
    return read_model(encode(ModelSpec(graphs=(graph,), data_outside=outside)))


@pytest.mark.parametrize("outside", [False, True])
def test_values_come_in_the_order_of_the_file(outside: bool) -> None:
    model = _model(
        TensorSpec(name="c", shape=(2, 2), dtype="int32", data=struct.pack("<4i", 1, -2, 3, 4)), outside=outside
    )
    assert values(model, model.main.tensors[1]) == (1, -2, 3, 4)


@pytest.mark.parametrize(
    ("dtype", "data", "expected"),
    [
        ("float32", struct.pack("<f", 0.5), (0.5,)),
        ("float16", struct.pack("<e", 0.25), (0.25,)),
        ("int64", struct.pack("<q", -(1 << 40)), (-(1 << 40),)),
        ("uint8", b"\xff", (255,)),
        ("int8", b"\xff", (-1,)),
        ("bool", b"\x01", (True,)),
    ],
)
def test_a_scalar_of_each_type(dtype: str, data: bytes, expected: tuple[float, ...]) -> None:
    model = _model(TensorSpec(name="c", shape=(), dtype=dtype, data=data))
    assert values(model, model.main.tensors[1]) == expected


def test_nothing_is_said_of_what_is_no_constant_or_does_not_fit() -> None:
    model = _model(TensorSpec(name="c", shape=(4,), dtype="int8", data=b"\x01\x02\x03\x04"))
    constant = model.main.tensors[1]
    assert values(model, constant) == (1, 2, 3, 4)
    assert values(model, model.main.tensors[0]) is None
    assert values(model, constant, limit=3) is None
    for shape in ((5,), (-1,), (1 << 31, 1 << 31, 1 << 31)):
        assert values(model, replace(constant, shape=shape)) is None
    assert values(model, replace(constant, dtype="int4")) is None
    assert values(model, replace(constant, dtype="unknown_99")) is None
