"""What models say of themselves, and that nothing else than a model passes for one."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.project.model import KnownSignature
from dlpubuild.project.signature import UnreadableModelError, read_keras, read_saved_model
from tests.factories.model_factory import (
    classifier,
    dense_layer,
    functional,
    hdf5,
    input_layer,
    keras_archive,
    saved_model,
)

FUZZ = settings(derandomize=True, database=None, deadline=None, max_examples=200)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["config", "layers", "name", "class_name", "input_layers", "output_layers", "units", "x"]),
            inner,
        )
    ),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def of_config(place: Path, config: object) -> KnownSignature:
    path = place / "model.keras"
    path.write_bytes(keras_archive(config))
    return keras_signature(path)


def keras_signature(path: Path) -> KnownSignature:
    return read_keras(path).signature


def saved_model_signature(data: bytes) -> KnownSignature:
    return read_saved_model(data).signature


def shapes(signature: KnownSignature) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    return (
        [(tensor.name, tensor.shape) for tensor in signature.inputs],
        [(tensor.name, tensor.shape) for tensor in signature.outputs],
    )


# SavedModel


def test_a_saved_model_tells_its_serving_signature_by_name() -> None:
    data = saved_model({"image": (-1, 32, 32, 3), "angle": (1, 1)}, {"y": (-1, 10), "x": ()})
    assert shapes(saved_model_signature(data)) == (
        [("angle", (1, 1)), ("image", (-1, 32, 32, 3))],
        [("x", ()), ("y", (-1, 10))],
    )


def test_an_unknown_rank_stays_unknown_and_any_negative_size_is_dynamic() -> None:
    data = saved_model({"image": None, "other": (-7, 4)}, {"y": None})
    assert shapes(saved_model_signature(data)) == ([("image", None), ("other", (-1, 4))], [("y", None)])


def test_a_missing_signature_is_told_with_those_there_are() -> None:
    with pytest.raises(UnreadableModelError, match="my_function") as caught:
        saved_model_signature(saved_model({"x": (1,)}, {"y": (1,)}, signature="my_function"))
    assert "__saved_model_init_op" not in str(caught.value)


def test_the_graph_that_serves_is_looked_at() -> None:
    train = saved_model({"wrong": (1,)}, {"y": (1,)}, tag="train")
    serve = saved_model({"right": (1,)}, {"y": (1,)})
    assert saved_model_signature(train + serve).inputs[0].name == "right"
    with pytest.raises(UnreadableModelError, match="serve"):
        saved_model_signature(train)


@pytest.mark.parametrize("data", [b"", b"\x08\x01", b"\x12\x00"])
def test_a_saved_model_without_a_graph_is_none(data: bytes) -> None:
    with pytest.raises(UnreadableModelError, match="graph"):
        saved_model_signature(data)


@pytest.mark.parametrize("data", [b"\x12\x80", b"not a protocol buffer", b"\x12\x04\x2a\x02\x0a\xff", b"\xff" * 40])
def test_bytes_that_do_not_parse_are_no_saved_model(data: bytes) -> None:
    with pytest.raises(UnreadableModelError, match="parse"):
        saved_model_signature(data)


@FUZZ
@given(st.binary(max_size=120))
def test_any_bytes_are_a_saved_model_or_unreadable(data: bytes) -> None:
    with suppress(UnreadableModelError):
        saved_model_signature(data)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_damaged_saved_model_is_read_or_unreadable(changes: list[tuple[int, int]]) -> None:
    data = bytearray(saved_model({"image": (-1, 32, 32, 3)}, {"y": (-1, 10)}))
    for position, value in changes:
        data[position % len(data)] = value
    with suppress(UnreadableModelError):
        saved_model_signature(bytes(data))


# Keras


def test_a_functional_model_tells_inputs_and_outputs(place: Path) -> None:
    assert shapes(of_config(place, classifier(shape=(None, 32, 32, 3), classes=10))) == (
        [("image", (-1, 32, 32, 3))],
        [("probabilities", (-1, 10))],
    )


def test_a_sequential_model_tells_them_too(place: Path) -> None:
    layers = [input_layer("pixels", (None, 8, 8, 1)), {"class_name": "Flatten", "config": {"name": "f"}}]
    config = {"class_name": "Sequential", "config": {"layers": [*layers, dense_layer("dense", 5)]}}
    assert shapes(of_config(place, config)) == ([("pixels", (-1, 8, 8, 1))], [("dense", (-1, 5))])


def test_several_inputs_and_outputs_keep_their_order(place: Path) -> None:
    layers = [input_layer("b", (None, None, 4)), input_layer("a", (None, 4)), dense_layer("y", 2), dense_layer("x", 3)]
    config = functional(layers, [["b", 0, 0], ["a", 0, 0]], [["y", 0, 0], ["x", 0, 0]])
    assert shapes(of_config(place, config)) == (
        [("b", (-1, -1, 4)), ("a", (-1, 4))],
        [("y", (-1, 2)), ("x", (-1, 3))],
    )


def test_outputs_in_an_object_are_called_by_their_keys_and_sorted(place: Path) -> None:
    """As the import names them: Keras flattens objects in the order of their keys."""
    layers = [input_layer("a", (None, 4)), input_layer("b", (None, 5)), dense_layer("d1", 2), dense_layer("d2", 3)]
    config = functional(
        layers, {"zz": ["a", 0, 0], "aa": ["b", 0, 0]}, {"q": ["d1", 0, 0], "p": [["d2", 0, 0], ["d1", 0, 0]]}
    )
    assert shapes(of_config(place, config)) == (
        [("b", (-1, 5)), ("a", (-1, 4))],
        [("p/0", (-1, 3)), ("p/1", (-1, 2)), ("q", (-1, 2))],
    )


def test_a_layer_that_is_called_twice_gives_two_names(place: Path) -> None:
    layers = [input_layer("a", (None, 4)), dense_layer("shared", 4, (None, 4))]
    config = functional(layers, [["a", 0, 0]], [["shared", 0, 0], ["shared", 1, 0]])
    assert [tensor.name for tensor in of_config(place, config).outputs] == ["shared", "shared_1"]


def test_nested_lists_are_flattened(place: Path) -> None:
    layers = [input_layer("a", (None, 1)), input_layer("b", (None, 2)), dense_layer("d", 2)]
    config = functional(layers, [[["a", 0, 0]], [["b", 0, 0]]], [[["d", 0, 0]]])
    assert [tensor.name for tensor in of_config(place, config).inputs] == ["a", "b"]


def test_the_shape_of_an_output_is_not_guessed(place: Path) -> None:
    softmax = {"class_name": "Softmax", "config": {"name": "s"}}
    for last in (softmax, dense_layer("s", 4, built=None)):
        config = functional([input_layer("a", (None, 4)), last], ["a", 0, 0], ["s", 0, 0])
        assert shapes(of_config(place, config)) == ([("a", (-1, 4))], [("s", None)])


def test_the_older_name_of_a_shape_is_read(place: Path) -> None:
    layer = {"class_name": "InputLayer", "config": {"name": "a", "batch_input_shape": [None, 9]}}
    assert of_config(place, functional([layer], ["a", 0, 0], ["a", 0, 0])).inputs[0].shape == (-1, 9)


def test_a_model_that_says_nothing_is_no_fault(place: Path) -> None:
    """A subclassed model has no list of layers."""
    configs: tuple[Any, ...] = (
        {},
        {"config": {}},
        {"config": 3},
        {"config": {"layers": {}}},
        {"config": {"layers": [3, {}]}},
    )
    for config in configs:
        assert of_config(place, config) == KnownSignature()


def test_half_a_character_in_a_name_is_refused(place: Path) -> None:
    text = json.dumps(classifier()).replace("image", "\\ud800")
    with pytest.raises(UnreadableModelError, match="ud800"):
        of_config(place, text)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "neither"),
        (b"no model", "neither"),
        (b"PK\x03\x04 no archive", "neither"),
        (keras_archive({}, name="other.json"), "config.json"),
        (keras_archive("{not json"), "neither"),
        (keras_archive("[1]"), "object"),
        (keras_archive("[" * 100_000), "neither"),
        (keras_archive(b"\xff\xfe"), "neither"),
    ],
)
def test_what_is_no_keras_model_is_told(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "m.keras").write_bytes(data)
    with pytest.raises(UnreadableModelError, match=said):
        keras_signature(tmp_path / "m.keras")


def test_a_configuration_nested_without_end_is_told(place: Path) -> None:
    deep: Any = ["a", 0, 0]
    for _ in range(900):
        deep = [deep]
    with suppress(UnreadableModelError):  # how deep is too deep depends on the interpreter
        of_config(place, functional([input_layer("a", (1,))], deep, deep))


# HDF5


def test_an_hdf5_file_tells_what_its_configuration_says(tmp_path: Path) -> None:
    config = {**classifier(), "class_name": "Functional"}
    ordered = {"class_name": config["class_name"], "config": config["config"]}
    (tmp_path / "m.h5").write_bytes(hdf5(ordered, before=b'{"class_name": broken\0{"class_name": "x", "config": {}}\0'))
    assert shapes(keras_signature(tmp_path / "m.h5")) == ([("image", (-1, 8, 8, 3))], [("probabilities", (-1, 3))])


def test_the_file_decides_and_not_its_name(tmp_path: Path) -> None:
    """Before Keras 3, a name that ends in .keras gave an HDF5 file."""
    ordered = {"class_name": "Functional", "config": classifier()["config"]}
    (tmp_path / "old.keras").write_bytes(hdf5(ordered))
    (tmp_path / "new.h5").write_bytes(keras_archive(classifier()))
    assert keras_signature(tmp_path / "old.keras") == keras_signature(tmp_path / "new.h5")


def test_an_hdf5_file_without_a_configuration_says_nothing(tmp_path: Path) -> None:
    """It may hold weights only; the import says so."""
    for data in (hdf5({"class_name": 1}), hdf5({}), hdf5({"class_name": "x", "config": {"layers": 3}}, after=b"")):
        (tmp_path / "m.h5").write_bytes(data)
        assert keras_signature(tmp_path / "m.h5") == KnownSignature()


@settings(FUZZ, max_examples=60)
@given(JSON)
def test_any_configuration_is_read_or_unreadable(place: Path, config: object) -> None:
    for wrapped in (config, {"class_name": "x", "config": config}, {"class_name": "x", "config": {"layers": [config]}}):
        (place / "fuzz.h5").write_bytes(hdf5(wrapped))
        for path in (place / "fuzz.h5", place / "fuzz.keras"):
            (place / "fuzz.keras").write_bytes(keras_archive(wrapped))
            with suppress(UnreadableModelError):
                keras_signature(path)


@FUZZ
@given(
    data=st.binary(max_size=200),
    prefix=st.sampled_from([b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b'\x89HDF\r\n\x1a\n{"class_name"']),
)
def test_any_bytes_are_a_keras_model_or_unreadable(place: Path, data: bytes, prefix: bytes) -> None:
    (place / "fuzz").write_bytes(prefix + data)
    with suppress(UnreadableModelError):
        keras_signature(place / "fuzz")
