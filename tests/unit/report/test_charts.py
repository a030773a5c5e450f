"""Where marks and boxes of the report's drawings go."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from dlpubuild.report.html import chart, graph
from tests.factories.report_documents import rich_document


def step(key: str, *needs: str, seconds: float = 1.0) -> dict[str, Any]:
    return {"key": key, "name": key, "needs": list(needs), "seconds": seconds, "state": "ran", "targets": []}


def test_boxes_stand_behind_what_they_need_and_overlap_nowhere() -> None:
    steps = rich_document()["plan"]["steps"]
    drawn = graph.layout(steps)
    assert drawn is not None
    places = {box.step["key"]: box for box in drawn.boxes}
    assert len(places) == len(steps)
    for each in steps:
        assert all(places[need].x + graph.BOX_WIDTH < places[each["key"]].x for need in each["needs"])
    boxes = sorted(drawn.boxes, key=lambda box: (box.x, box.y))
    for one, other in pairwise(boxes):
        assert one.x != other.x or one.y + graph.BOX_HEIGHT < other.y
    assert all(box.x >= 0 and box.x + graph.BOX_WIDTH <= drawn.width for box in boxes)
    assert all(box.y >= 0 and box.y + graph.BOX_HEIGHT <= drawn.height for box in boxes)


def test_a_need_that_another_has_already_gets_no_line() -> None:
    drawn = graph.layout([step("a"), step("b", "a"), step("c", "a", "b")])
    assert drawn is not None
    assert [(line.source, line.target) for line in drawn.lines] == [("a", "b"), ("b", "c")]


def test_strange_plans_are_drawn_too() -> None:
    assert graph.layout([]) is None
    circle = graph.layout([step("a", "b"), step("b", "a"), step("c", "nowhere", seconds=0.0)])
    assert circle is not None
    assert len(circle.boxes) == 3
    long = graph.layout([*(step(f"s{number}", f"s{number - 1}") for number in range(1200, 0, -1)), step("s0")])
    assert long is not None


@pytest.mark.parametrize(
    ("edges", "counts"),
    [
        (None, [1]),
        ([0.0, 1.0], None),
        ([0.0, 1.0], [1, 2]),
        ([1.0, 0.0], [1]),
        ([0.0, 0.0], [1]),
        ([0.0, float("nan")], [1]),
        ([0.0, 1.0], [-1]),
        ([0.0, 1.0], [0]),
        ([], []),
    ],
)
def test_a_histogram_that_fits_not_is_not_drawn(edges: Any, counts: Any) -> None:
    assert chart.histogram(edges, counts) is None


def test_a_histogram_keeps_counts_and_draws_their_roots() -> None:
    found = chart.histogram([-1.0, 0.0, 1.0], [4, 16], [16, 1])
    assert found is not None
    assert [each.counts for each in found.bins] == [(16, 4), (1, 16)]
    assert [each.height for each in found.bins] == [chart.HISTOGRAM_HEIGHT / 2, chart.HISTOGRAM_HEIGHT]
    assert found.zero == chart.HISTOGRAM_WIDTH / 2


def test_the_axis_of_shares_ends_at_one_and_holds_all_intervals() -> None:
    scale = chart.share_scale([{"value": 0.98, "low": 0.91, "high": 0.99}, {"value": 0.97, "low": None}])
    assert scale.low == pytest.approx(0.9)
    assert scale.high == 1.0
    assert chart.share_scale([]).low == 0.0
    assert chart.interval({"value": None}, scale) is None
    assert chart.interval({"value": 0.5, "low": None, "high": None}, scale) == chart.Interval(
        low=0.0, high=0.0, value=0.0
    )


def test_errors_along_the_network_stand_in_its_order_and_the_worst_are_marked() -> None:
    layers: list[dict[str, Any]] = [
        {"index": 9, "sqnr_db": 6.0},
        {"index": 1, "sqnr_db": 20.0},
        {"index": 4, "sqnr_db": None},
    ]
    strip = chart.error_strip(layers, worst=1)
    assert strip is not None
    assert [(each.layer["index"], each.is_worst) for each in strip.columns] == [(1, False), (9, True)]
    assert strip.columns[0].error == pytest.approx(0.1)
    assert strip.lines[0] == (chart.STRIP_HEIGHT, 0.0)
    assert strip.lines[-1][0] == 0.0
    assert chart.error_strip([{"index": 0, "sqnr_db": None}], worst=3) is None


def test_operators_that_run_in_one_place_are_one_part_of_the_bar() -> None:
    runs = chart.placement_runs([{"runs_on": "dlpu"}] * 3 + [{"runs_on": "cpu"}])
    assert [(run.where, run.first, run.last, run.x, run.width) for run in runs] == [
        ("dlpu", 0, 2, 0.0, 750.0),
        ("cpu", 3, 3, 750.0, 250.0),
    ]
