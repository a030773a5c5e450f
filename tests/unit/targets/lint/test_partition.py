"""A graph is cut by data dependency, and the compiler of the Edge TPU maps one part of it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from dlpubuild.targets.lint.partition import Part, first_on_dlpu, parts
from dlpubuild.tflite.model import Operator, Subgraph

if TYPE_CHECKING:
    from collections.abc import Sequence


def graph(*operators: tuple[Sequence[int], Sequence[int]]) -> Subgraph:
    """Return a graph of operators that are given as inputs and outputs."""
    return Subgraph(
        name="main",
        tensors=(),
        operators=tuple(
            Operator(index=i, name="ADD", version=1, inputs=tuple(i_), outputs=tuple(o), options=MappingProxyType({}))
            for i, (i_, o) in enumerate(operators)
        ),
        inputs=(0,),
        outputs=(),
    )


CHAIN = graph(([0], [1]), ([1], [2]), ([2], [3]), ([3], [4]))
# Operator 1 and what follows it, 2, stand before the branch beside it, 3 and 4, and both meet in 5.
BRANCHES = graph(([0], [1]), ([1], [2]), ([2], [3]), ([1], [4]), ([4], [5]), ([3, 5], [6]))


def test_a_chain_that_the_dlpu_takes_is_one_part() -> None:
    assert parts(CHAIN, {0, 1, 2, 3}) == (Part(True, (0, 1, 2, 3)),)


def test_a_refused_operator_divides_a_chain_in_three() -> None:
    assert parts(CHAIN, {0, 1, 3}) == (Part(True, (0, 1)), Part(False, (2,)), Part(True, (3,)))
    assert first_on_dlpu(CHAIN, {0, 1, 3}) == (0, 1)


def test_the_mapped_part_begins_behind_operators_that_only_the_cpu_runs() -> None:
    assert first_on_dlpu(CHAIN, {2, 3}) == (2, 3)


def test_a_branch_beside_a_refused_operator_is_mapped_though_it_stands_behind_it_in_the_file() -> None:
    assert first_on_dlpu(BRANCHES, {0, 2, 3, 4, 5}) == (0, 3, 4)


def test_the_first_part_is_mapped_even_where_a_later_one_is_larger() -> None:
    assert first_on_dlpu(graph(([0], [1]), ([1], [2]), ([2], [3]), ([3], [4])), {0, 2, 3}) == (0,)


def test_where_the_cpu_begins_it_first_does_all_that_it_can_before_the_dlpu_starts() -> None:
    two_inputs = graph(([0], [1]), ([9], [2]), ([2], [3]), ([1, 3], [4]))
    assert parts(two_inputs, {1, 3}) == (Part(False, (0,)), Part(True, (1,)), Part(False, (2,)), Part(True, (3,)))


def test_nothing_is_mapped_of_what_the_dlpu_does_not_take() -> None:
    assert first_on_dlpu(CHAIN, set()) == ()


def test_an_optional_input_that_is_absent_and_an_input_taken_twice_hold_nothing_up() -> None:
    assert parts(graph(([0, -1], [1]), ([1, 1], [2])), {0, 1}) == (Part(True, (0, 1)),)


def test_operators_that_wait_for_one_another_are_in_no_part() -> None:
    assert parts(graph(([0], [1]), ([3], [2]), ([2], [3])), {0, 1, 2}) == (Part(True, (0,)),)


@pytest.mark.parametrize("outputs", [([1], [1]), ([1, 1], [2])])
def test_a_tensor_written_twice_lets_its_reader_run_once(outputs: tuple[Sequence[int], Sequence[int]]) -> None:
    first, second = outputs
    cut = parts(graph(([0], first), ([0], second), ([1], [5])), {0, 1, 2})
    assert cut == (Part(True, (0, 1, 2)),)


def test_long_graphs_in_reverse_order_take_no_quadratic_time() -> None:
    size = 20_000
    reverse = graph(*(([i + 1], [i]) for i in range(size)))
    assert len(parts(reverse, set(range(0, size, 2)))) == size
