"""The oldest TensorFlow Lite that runs a model, and whether the Edge TPU compiler is expected to read it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dlpubuild.tflite.read import read_model
from dlpubuild.tflite.runtime import (
    OperatorRuntime,
    edgetpu_newest_readable,
    edgetpu_readable,
    min_runtime,
    runtime_table,
    version_key,
)
from dlpubuild.tflite.schema import OPERATOR_NAMES
from tests.factories.tflite_factory import GraphSpec, custom_model, encode, integer_model, with_graph
from tests.unit.tflite.shared_models import shared_model

if TYPE_CHECKING:
    from dlpubuild.tflite.model import TfliteModel


def with_versions(**versions: int) -> TfliteModel:
    """Return the integer network with other versions of some operators."""
    model = integer_model(io="uint8")
    operators = [replace(each, version=versions.get(each.name, each.version)) for each in model.graphs[0].operators]
    return read_model(encode(with_graph(model, operators=tuple(operators))))


def test_the_oldest_runtime_is_that_of_the_newest_operator() -> None:
    version, operators = min_runtime(with_versions(CONV_2D=5))

    assert version == "2.4.0"
    assert operators == (
        OperatorRuntime("CONV_2D", 5, "2.4.0"),
        OperatorRuntime("FULLY_CONNECTED", 4, "1.14.0"),
        OperatorRuntime("QUANTIZE", 1, "1.14.0"),
    )


def test_versions_are_compared_as_numbers() -> None:
    # FULLY_CONNECTED 10 came with 2.11.0, CONV_2D 6 with 2.9.0.
    assert min_runtime(with_versions(FULLY_CONNECTED=10, CONV_2D=6)).version == "2.11.0"


def test_an_operator_version_that_nobody_knows_does_not_count_and_is_told() -> None:
    found = min_runtime(with_versions(CONV_2D=99))

    assert found.version == "1.14.0"
    assert found.unknown == (OperatorRuntime("CONV_2D", 99, None),)


def test_custom_operators_do_not_count() -> None:
    assert [each.operator for each in min_runtime(read_model(encode(custom_model("MyOp")))).operators] == [
        "CONV_2D",
        "FULLY_CONNECTED",
    ]


def test_a_model_without_known_operators_has_no_oldest_runtime() -> None:
    empty = GraphSpec(tensors=integer_model().graphs[0].tensors[:1], operators=(), inputs=(0,), outputs=(0,))

    assert min_runtime(read_model(encode(replace(integer_model(), graphs=(empty,), signatures=())))) == (None, ())


def test_operators_of_all_subgraphs_count() -> None:
    model = integer_model()
    newer = with_graph(model, operators=(replace(model.graphs[0].operators[0], version=7),)).graphs[0]

    assert min_runtime(read_model(encode(replace(model, graphs=(*model.graphs, newer))))).version == "2.11.0"


@pytest.mark.parametrize(
    "name",
    [
        "deeplabv3_mnv2_dm05_pascal_quant",
        "keras_lstm_mnist_ptq",
        "mobilenet_v1_0.25_128_quant",
        "mobilenet_v2_1.0_224_quant",
        "movenet_single_pose_lightning_ptq",
        "tf2_mobilenet_v2_1.0_224_ptq",
    ],
)
def test_it_is_what_the_converter_of_a_published_model_wrote(name: str) -> None:
    model = shared_model(name)

    assert min_runtime(model).version == model.metadata["min_runtime_version"].rstrip(b"\0").decode()
    assert edgetpu_readable(model) == ()


# --- the Edge TPU compiler


def test_a_refusal_that_was_seen_is_told_apart_from_one_that_is_concluded() -> None:
    found = edgetpu_readable(with_versions(QUANTIZE=3, FULLY_CONNECTED=12))

    assert [(each.operator, each.version, each.runtime, each.count, each.is_documented) for each in found] == [
        ("FULLY_CONNECTED", 12, "2.17.0", 1, False),
        ("QUANTIZE", 3, "2.7.0", 2, True),
    ]
    concluded, seen = map(str, found)
    assert concluded.endswith(
        "came with TensorFlow 2.17.0; compiler 16.0 reads nothing of TensorFlow 2.7 and later, as far as is known"
    )
    assert seen == "QUANTIZE version 3 (2 times) came with TensorFlow 2.7.0; compiler 16.0 has been seen to refuse it"


@pytest.mark.parametrize(
    ("name", "version", "is_readable"),
    [
        ("CONV_2D", 5, True),
        ("CONV_2D", 6, False),
        ("CONV_2D", 99, False),
        ("QUANTIZE", 2, True),
        ("QUANTIZE", 3, False),
    ],
)
def test_the_line_is_drawn_at_tensorflow_2_7(name: str, version: int, is_readable: bool) -> None:
    assert (edgetpu_readable(with_versions(**{name: version})) == ()) is is_readable


def test_a_version_older_than_all_in_the_table_is_readable() -> None:
    # The table begins with version 2 of BROADCAST_TO.
    assert edgetpu_newest_readable()["BROADCAST_TO"] == 3


# --- the table


def test_the_table_has_every_row_of_its_source() -> None:
    table = runtime_table()

    assert len(table) == 441
    assert len({name for name, _ in table}) == 173
    assert max(table.values(), key=version_key) == "2.23.0"
    assert table["ADD", 1] == "1.5.0"
    assert table["STABLEHLO_CASE", 1] == "2.17.0"


def test_the_table_names_operators_as_the_schema_does() -> None:
    assert {name for name, _ in runtime_table()} <= set(OPERATOR_NAMES)


def test_newer_versions_never_have_older_runtimes() -> None:
    table = runtime_table()
    for (name, version), runtime in table.items():
        later = table.get((name, version + 1))
        assert later is None or version_key(later) >= version_key(runtime)
