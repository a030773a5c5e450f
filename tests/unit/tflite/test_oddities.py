"""What is odd in a model: each kind is found where it is, and sound models have none of it."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from dlpubuild.tflite.oddities import MAX_PLACES, oddities
from dlpubuild.tflite.read import read_model
from tests.factories.mutations import sound_specs
from tests.factories.tflite_factory import ModelSpec, TensorSpec, encode, integer_model, with_graph, with_tensor
from tests.unit.tflite.shared_models import shared_model

CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "tflite"
# In which kept file which kinds are.
FOUND = {
    "constant-short": {"constant-size"},
    "graph-empty": set(),
    "name-absent": set(),
    "name-control": {"odd-name"},
    "name-direction": {"odd-name"},
    "name-html": set(),
    "operator-options": {"bad-subgraph", "no-producer", "unused-tensor"},
    "operator-unknown": {"unknown-operator", "unused-tensor"},
    "operators-circle": {"no-producer", "several-producers", "unused-tensor"},
    "scales-many": {"scale-count"},
    "scales-nan": {"bad-scale", "scale-count"},
    "shape-huge": {"huge-shape"},
    "shape-negative": {"bad-shape"},
    "shape-zero": {"constant-size"},
    "zero-point-huge": {"zero-point"},
    "zero-points-few": {"scale-count"},
}


def kinds(data: bytes) -> set[str]:
    return {each.kind for each in oddities(read_model(data))}


@pytest.mark.parametrize("spec", sound_specs()[:5], ids=["integer", "float16", "dynamic-range", "dynamic", "compiled"])
def test_sound_models_are_not_odd(spec: ModelSpec) -> None:
    assert kinds(encode(spec)) == set()


def test_the_index_of_the_corpus_has_what_is_looked_at_here() -> None:
    index = tomllib.loads((CORPUS / "index.toml").read_text(encoding="utf-8"))
    assert set(FOUND) <= set(index)


@pytest.mark.parametrize("name", sorted(FOUND))
def test_each_kind_is_found(name: str) -> None:
    assert kinds((CORPUS / f"{name}.tflite").read_bytes()) == FOUND[name]


def test_of_many_things_the_first_places_are_told_and_all_are_counted() -> None:
    spec = integer_model()
    lost = tuple(TensorSpec(name=f"lost {i}", shape=(1,)) for i in range(40))
    (found,) = oddities(read_model(encode(with_graph(spec, tensors=(*spec.graphs[0].tensors, *lost)))))
    assert (found.kind, found.count, len(found.places)) == ("unused-tensor", 40, MAX_PLACES)
    assert str(found) == (
        "40 tensors that nothing takes or gives: tensor 7, tensor 8, tensor 9, tensor 10, tensor 11, …"
    )


def test_a_place_in_another_subgraph_says_so() -> None:
    spec = integer_model()
    odd = with_tensor(spec, 0, replace(spec.graphs[0].tensors[0], scales=(0.0,)))
    (found,) = oddities(read_model(encode(replace(spec, graphs=(spec.graphs[0], odd.graphs[0])))))
    assert found.places == ("tensor 0 of subgraph 1",)


@pytest.mark.parametrize(
    "name", ["tf2_mobilenet_v2_1.0_224_ptq", "movenet_single_pose_lightning_ptq", "deeplabv3_mnv2_dm05_pascal_quant"]
)
def test_published_models_are_not_odd(name: str) -> None:
    assert oddities(shared_model(name)) == ()


def test_the_notes_that_the_converter_leaves_in_an_lstm_are_unused_tensors() -> None:
    (found,) = oddities(shared_model("keras_lstm_mnist_ptq"))
    assert (found.kind, found.count) == ("unused-tensor", 5)
