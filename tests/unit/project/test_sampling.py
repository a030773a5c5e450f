"""Samples are picked by digest, so that a pick is a fact that can be written down."""

from __future__ import annotations

import random  # noqa: TID251 - shuffles what must not matter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.project.sampling import pick, pick_rows

NAMES = [f"{name}.png" for name in ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay")]


def test_the_pick_is_pinned() -> None:
    assert pick(NAMES, samples=4, seed=0) == ["jay.png", "fox.png", "hen.png", "bee.png"]
    assert pick(NAMES, samples=4, seed=1) == ["ant.png", "eel.png", "dog.png", "fox.png"]
    assert pick(["blå/räv.png", "blå/älg.png"], samples=1, seed=0) == ["blå/räv.png"]


def test_the_picked_rows_are_pinned() -> None:
    assert pick_rows(1000, samples=5, seed=0) == [392, 942, 404, 87, 923]


def test_the_order_of_listing_does_not_matter() -> None:
    shuffled = list(NAMES)
    random.Random(7).shuffle(shuffled)
    assert pick(shuffled, samples=6, seed=3) == pick(NAMES, samples=6, seed=3)


def test_fewer_candidates_than_samples_are_all_taken() -> None:
    assert sorted(pick(NAMES, samples=100, seed=0)) == NAMES
    assert sorted(pick_rows(7, samples=100, seed=0)) == list(range(7))


def test_another_seed_is_another_pick() -> None:
    assert len({tuple(pick(NAMES, samples=3, seed=seed)) for seed in range(20)}) > 15


def test_a_smaller_number_of_samples_is_the_beginning_of_a_larger_one() -> None:
    assert pick(NAMES, samples=3, seed=5) == pick(NAMES, samples=8, seed=5)[:3]


@pytest.mark.parametrize("samples", [1, 4, 9])
def test_one_image_more_changes_at_most_one_sample(samples: int) -> None:
    before = set(pick(NAMES, samples=samples, seed=0))
    for name in ("kiwi.png", "a.png", "zz/zz.jpg", "ø.png"):
        after = set(pick([*NAMES, name], samples=samples, seed=0))
        assert len(before - after) <= 1
        assert after - before <= {name}


@settings(derandomize=True, database=None, deadline=None, max_examples=50)
@given(st.sets(st.text(min_size=1), min_size=1), st.text(min_size=1), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_one_name_more_changes_at_most_one_sample_whatever_the_names(
    names: set[str], more: str, samples: int, seed: int
) -> None:
    before = set(pick(names, samples=samples, seed=seed))
    after = set(pick(names | {more}, samples=samples, seed=seed))
    assert len(before - after) <= 1
    assert after - before <= {more}
