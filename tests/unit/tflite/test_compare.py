"""Two models side by side."""

from __future__ import annotations

from dataclasses import replace
from time import process_time

from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.tflite.align import OperatorKey, Pair, align
from dlpubuild.tflite.compare import Difference, compare
from dlpubuild.tflite.read import read_model
from tests.factories.tflite_factory import (
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    custom_model,
    encode,
    integer_model,
    with_graph,
    with_tensor,
)
from tests.unit.tflite.shared_models import shared_model

KEYS = st.builds(
    OperatorKey,
    label=st.sampled_from(["CONV_2D", "ADD", "RELU"]),
    output=st.sampled_from(["", "a", "b", "c", "d"]),
    shape=st.sampled_from([(1,), (2, 3)]),
)


def difference(old: ModelSpec, new: ModelSpec) -> Difference:
    return compare(read_model(encode(old)), read_model(encode(new)))


def names(found: Difference) -> dict[tuple[int | None, int | None], list[str]]:
    return {
        (each.old.index if each.old else None, each.new.index if each.new else None): [c.name for c in each.changes]
        for each in found.operators
    }


def test_a_model_is_no_different_from_itself() -> None:
    found = difference(integer_model(), integer_model())
    assert found.is_empty
    assert (found.same_bytes, found.unchanged, found.renamed) == (True, 2, 0)


def test_an_operator_that_was_put_in_front_is_the_only_one_that_was_added() -> None:
    found = difference(integer_model(), integer_model(io="uint8"))
    assert names(found) == {(None, 0): [], (None, 3): []}
    assert found.unchanged == 2
    assert {each.name: (each.old, each.new) for each in found.facts}["operators"] == (2, 4)
    assert {each.name: (each.old, each.new) for each in found.tensors}["input 0: dtype"] == ("int8", "uint8")


def test_scales_per_channel_are_a_change_of_the_weights() -> None:
    found = difference(integer_model(), integer_model(per_channel=True))
    assert names(found) == {
        (0, 0): [
            *("input 1: scales", "input 1: zero_points", "input 1: axis"),
            *("input 2: scales", "input 2: zero_points", "input 2: axis"),
        ]
    }
    assert {each.name for each in found.facts} == {"size_bytes", "quantization"}


def test_other_values_of_a_constant_are_told() -> None:
    spec = integer_model()
    weights = spec.graphs[0].tensors[1]
    found = difference(spec, with_tensor(spec, 1, replace(weights, data=b"\1" * len(weights.data))))
    assert names(found) == {(0, 0): ["input 1: values"]}
    assert not found.facts


def test_a_scale_inside_is_told_of_the_operator_that_gives_it_only() -> None:
    spec = integer_model()
    found = difference(spec, with_tensor(spec, 3, replace(spec.graphs[0].tensors[3], scales=(0.25,))))
    assert names(found) == {(0, 0): ["output 0: scales"]}


def test_another_name_inside_is_counted_and_no_change() -> None:
    spec = integer_model()
    found = difference(spec, with_tensor(spec, 3, replace(spec.graphs[0].tensors[3], name="conv/relu7")))
    assert (found.is_empty, found.same_bytes, found.unchanged, found.renamed) == (True, False, 2, 1)


def test_options_versions_and_custom_options_are_told() -> None:
    spec = custom_model("edgetpu-custom-op")
    first, second, last = spec.graphs[0].operators
    assert first.options is not None
    options = replace(first.options, fields=((0, "int8", 0), *first.options.fields[1:]))
    changed = (replace(first, options=options), replace(second, version=9), replace(last, custom_options=b"x" * 9))
    found = difference(spec, with_graph(spec, operators=changed))
    assert names(found) == {(0, 0): ["padding"], (1, 1): ["version"], (2, 2): ["custom_bytes"]}


def test_a_subgraph_more_is_operators_more() -> None:
    spec = integer_model()
    found = difference(spec, replace(spec, graphs=(*spec.graphs, *spec.graphs)))
    assert [(each.subgraph, each.old, each.label) for each in found.operators] == [
        (1, None, "CONV_2D"),
        (1, None, "FULLY_CONNECTED"),
    ]


def test_scales_that_are_no_numbers_are_the_same() -> None:
    spec = with_tensor(integer_model(), 0, TensorSpec(name="x", shape=(1, 9, 9, 3), scales=(float("nan"),)))
    assert difference(spec, spec).is_empty


def test_one_input_less_is_told() -> None:
    spec = integer_model()
    dense = spec.graphs[0].operators[1]
    found = difference(spec, with_graph(spec, operators=(spec.graphs[0].operators[0], replace(dense, inputs=(3, 4)))))
    assert names(found) == {(1, 1): ["parameter_bytes", "input 2"]}


def test_what_a_compiler_left_is_found_again() -> None:
    found = compare(
        shared_model("movenet_single_pose_lightning_ptq"), shared_model("movenet_single_pose_lightning_ptq_edgetpu")
    )
    added = [each.label for each in found.operators if each.old is None]
    assert added == ["edgetpu-custom-op"]
    assert sum(each.new is None for each in found.operators) == 98


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(st.lists(KEYS, max_size=12), st.lists(KEYS, max_size=12))
def test_every_operator_is_in_one_pair_and_both_sides_ascend(old: list[OperatorKey], new: list[OperatorKey]) -> None:
    pairs = align(old, new)
    assert [each.old for each in pairs if each.old is not None] == list(range(len(old)))
    assert [each.new for each in pairs if each.new is not None] == list(range(len(new)))
    for pair in pairs:
        if pair.old is not None and pair.new is not None:
            assert old[pair.old].label == new[pair.new].label


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(st.lists(KEYS, max_size=12))
def test_equal_lists_are_paired_one_by_one(keys: list[OperatorKey]) -> None:
    assert align(keys, keys) == tuple(Pair(i, i) for i in range(len(keys)))


def test_very_long_lists_are_aligned_soon() -> None:
    old = [OperatorKey(("CONV_2D", "ADD")[i % 2], "", (i % 7,)) for i in range(30_000)]
    new = [OperatorKey(("ADD", "CONV_2D", "RELU")[i % 3], "", (i % 5,)) for i in range(30_000)]
    begin = process_time()
    pairs = align(old, new)
    assert process_time() - begin < 5
    assert sum(each.old is not None for each in pairs) == 30_000


def test_operators_without_tensors_are_compared() -> None:
    spec = with_graph(integer_model(), operators=(OperatorSpec(name="ADD", inputs=(), outputs=()),))
    assert difference(spec, spec).unchanged == 1
