"""Shares, differences, bootstraps and histograms of the verifying step, against published values and plain formulas."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.resources import steps_dir

if TYPE_CHECKING:
    from types import ModuleType

COUNTS = st.integers(min_value=0, max_value=500)
VALUES = st.floats(min_value=-1e6, max_value=1e6, width=32)


@pytest.fixture(scope="module")
def metrics() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(steps_dir()))
        return importlib.import_module("verify_metrics")


@pytest.fixture(scope="module")
def boxes() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(steps_dir()))
        return importlib.import_module("verify_boxes")


# R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998) 857-872,
# table I, method 3: four digits.
@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(
    metrics: ModuleType, count: int, of: int, low: float, high: float
) -> None:
    found = metrics.wilson(count, of)
    assert [round(end, 4) for end in found] == [low, high]
    mirrored = metrics.wilson(of - count, of)
    assert mirrored == pytest.approx((1 - found[1], 1 - found[0]))


# The first is a table of Newcombe's paper on paired data (method 10); the second "complete response before and after
# consolidation" in M. W. Fagerland, S. Lydersen, P. Laake, "Statistical Analysis of Contingency Tables" (2017), chapter
# 8, "square-and-add"; the third in D. G. Altman et al., "Statistics with Confidence" (2000), table 6.2.
@pytest.mark.parametrize(
    ("table", "difference", "low", "high", "digits"),
    [
        ((36, 12, 2, 0), 0.2, 0.0569, 0.3404, 4),
        ((59, 6, 16, 80), -0.0621, -0.1186, -0.0046, 4),
        ((14, 5, 0, 22), 0.122, 0.011, 0.226, 3),
    ],
)
def test_newcombes_interval_is_the_published_one(
    metrics: ModuleType, table: tuple[int, ...], difference: float, low: float, high: float, digits: int
) -> None:
    assert [round(each, digits) for each in metrics.newcombe(*table)] == [difference, low, high]


@given(table=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS).filter(any))
@settings(derandomize=True, max_examples=200)
def test_a_paired_interval_holds_its_difference_and_turns_round_with_it(
    metrics: ModuleType, table: tuple[int, int, int, int]
) -> None:
    both, first, second, neither = table
    value, low, high = metrics.newcombe(both, first, second, neither)
    assert -1 - 1e-9 <= low <= value + 1e-9
    assert value - 1e-9 <= high <= 1 + 1e-9
    turned = metrics.newcombe(both, second, first, neither)
    assert turned == pytest.approx((-value, -high, -low), abs=1e-9)


@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
@settings(derandomize=True, max_examples=100)
def test_the_drop_is_the_difference_of_the_shares(metrics: ModuleType, pairs: list[tuple[bool, bool]]) -> None:
    ours, theirs = (np.array(each) for each in zip(*pairs, strict=True))
    found = metrics.drop(ours, theirs)
    assert found["value"] == pytest.approx(ours.mean() - theirs.mean(), abs=1e-6)
    assert found["low"] <= found["value"] <= found["high"]


@given(rows=st.lists(st.tuples(st.floats(0, 1e6), st.floats(1e-6, 1e6)), min_size=1, max_size=50))
@settings(derandomize=True, max_examples=50)
def test_a_bootstrap_is_repeatable_and_within_what_samples_give(
    metrics: ModuleType, rows: list[tuple[float, float]]
) -> None:
    above, below = (np.array(each) for each in zip(*rows, strict=True))
    figures = {"mean": (metrics.mean, above, below), "ones": (metrics.mean, below, below)}
    found = metrics.bootstrapped(figures)["mean"]
    assert found == metrics.bootstrapped(figures)["mean"] == metrics.bootstrapped({"x": figures["mean"]})["x"]
    assert metrics.bootstrapped(figures)["ones"]["value"] == 1
    assert found["value"] == pytest.approx(above.sum() / below.sum(), rel=1e-5)
    if len(rows) == 1:
        assert (found["low"], found["high"]) == (None, None)
        return
    ratios = above / below
    assert ratios.min() * (1 - 1e-5) <= found["low"] <= found["high"] <= ratios.max() * (1 + 1e-5)


def test_the_bootstraps_interval_is_near_that_of_theory(metrics: ModuleType) -> None:
    values = np.random.RandomState(1).normal(10, 2, 400)
    found = metrics.bootstrapped({"mean": (metrics.mean, values, np.ones(400))})["mean"]
    half = 1.96 * values.std(ddof=1) / 20
    assert (found["low"], found["high"]) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


@pytest.mark.parametrize(
    ("signal", "noise", "expected"),
    [
        (100.0, 1.0, 20.0),
        (1.0, 100.0, -20.0),
        (1.0, 0.0, 99.9),
        (0.0, 0.0, 99.9),
        (0.0, 1.0, -99.9),
        (1.0, 1e-30, 99.9),
    ],
)
def test_sqnr_has_limits(metrics: ModuleType, signal: float, noise: float, expected: float) -> None:
    assert float(metrics.sqnr_db(signal, noise)) == pytest.approx(expected)


@given(parts=st.lists(st.lists(VALUES, max_size=30), min_size=1, max_size=6), other=st.lists(VALUES, max_size=30))
@settings(derandomize=True, max_examples=200)
def test_a_histogram_counts_each_value_however_values_come(
    metrics: ModuleType, parts: list[list[float]], other: list[float]
) -> None:
    arrays = [np.array(part, dtype=np.float32) for part in parts]
    second, empty = np.array(other, dtype=np.float32), np.zeros(0, dtype=np.float32)
    one, whole = metrics.Histogram(2), metrics.Histogram(2)
    for array in arrays:
        one.add(array, empty)
    one.add(empty, second)
    everything = np.concatenate(arrays)
    whole.add(everything, second)
    edges, counts = one.result()
    assert (edges, counts) == whole.result()
    assert [sum(each) for each in counts] == [everything.size, second.size]
    if everything.size + second.size:
        assert len(edges) == len(counts[0]) + 1 <= 41
        assert edges == sorted(set(edges))
        values = np.concatenate([everything, second]).astype(np.float64)
        slack = 1e-5 * max(1e-30, np.abs(values).max())
        assert edges[0] - slack <= values.min()
        assert values.max() <= edges[-1] + slack
    else:
        assert edges == []


@pytest.mark.parametrize(
    ("values", "edges", "counts"),
    [([0.0, 0.0], [0.0, 1.0], [2]), ([0.0, 40.0], [2.0 * n for n in range(22)], [1, *[0] * 19, 1])],
)
def test_bins_are_powers_of_two_wide(
    metrics: ModuleType, values: list[float], edges: list[float], counts: list[int]
) -> None:
    histogram = metrics.Histogram(1)
    histogram.add(np.array(values))
    assert histogram.result() == (edges, [counts])


def test_a_number_has_six_digits_and_what_is_none_is_said(metrics: ModuleType) -> None:
    assert metrics.rounded(1 / 3) == 0.333333
    assert [metrics.rounded(each) for each in (None, math.nan, math.inf)] == [None, None, None]
    assert metrics.share(0, 0) is None
    assert metrics.share(2, 4)["value"] == 0.5


def plain_iou(first: Any, second: Any) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = width * height if width > 0 and height > 0 else 0.0
    total = sum((each[2] - each[0]) * (each[3] - each[1]) for each in (first, second)) - shared
    return float(shared / total) if total > 0 else 0.0


BOX = st.tuples(*[st.integers(0, 20)] * 4).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@given(found=st.lists(st.tuples(BOX, st.integers(0, 1), st.integers(0, 100)), min_size=1, max_size=12))
@settings(derandomize=True, max_examples=150)
def test_suppression_leaves_the_better_of_two_that_overlap(boxes: ModuleType, found: list[Any]) -> None:
    places, classes, scores = (np.array(each, dtype=float) for each in zip(*found, strict=True))
    kept = list(boxes.suppressed(places, classes.astype(int), scores, 0.45))
    expected: list[int] = []
    for at in sorted(range(len(found)), key=lambda number: (-scores[number], number)):
        if all(classes[at] != classes[better] or plain_iou(places[at], places[better]) <= 0.45 for better in expected):
            expected.append(at)
    assert kept == expected
