"""Detectors, box by box: the figures of the verifying step are those of a slow and plain way to get them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.steps.verified import COUNT

if TYPE_CHECKING:
    from tests.steps.verified import Workshop

pytestmark = pytest.mark.toolchain

Box = tuple[tuple[float, ...], int, float]


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = width * height if width > 0 and height > 0 else 0.0
    total = sum((each[2] - each[0]) * (each[3] - each[1]) for each in (first, second)) - shared
    return shared / total if total > 0 else 0.0


def of_yolo(rows: Any, *, objectness: bool) -> list[Box]:
    found: list[Box] = []
    for row in rows.tolist():
        x, y, width, height, *scores = row
        sure = scores.pop(0) if objectness else 1.0
        best = max(scores)
        if best * sure >= 0.3:
            corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            found.append((corners, scores.index(best), best * sure))
    found.sort(key=lambda box: -box[2])
    kept: list[Box] = []
    for box in found:
        if all(box[1] != better[1] or overlap(box[0], better[0]) <= 0.45 for better in kept):
            kept.append(box)
    return kept


def boxes_of(name: str, plain: dict[str, Any], sample: int) -> list[Box]:
    if name == "ssd":
        places = plain["output_3"][sample].reshape(-1, 4).tolist()
        count = int(plain["output_0"][sample][0])
        rows = zip(places, plain["output_2"][sample].tolist(), plain["output_1"][sample].tolist(), strict=True)
        return [(tuple(box), round(kind), score) for box, kind, score in list(rows)[:count] if score >= 0.3]
    rows = plain["boxes"][sample]
    return of_yolo(rows.reshape(60, 8) if name == "yolov5" else rows.reshape(7, 60).T, objectness=name == "yolov5")


@pytest.mark.parametrize("name", ["yolov5", "yolov8", "ssd"])
def test_boxes_are_matched_one_by_one(shop: Workshop, name: str) -> None:
    more = {} if name == "ssd" else {"boxes": {"layout": name}}
    document = shop.document(name, io="float32", **more)
    floats = shop.plain(name, shop.float_model(name))
    built = shop.plain(name, shop.quantized(name, io="float32"))
    matches, totals = [], [0, 0]
    for sample in range(COUNT):
        ours, theirs = boxes_of(name, floats, sample), boxes_of(name, built, sample)
        totals[0] += len(ours)
        totals[1] += len(theirs)
        for box in sorted(ours, key=lambda each: -each[2]):
            same = [each for each in theirs if each[1] == box[1] and overlap(box[0], each[0]) >= 0.5]
            if same:
                best = max(same, key=lambda each: overlap(box[0], each[0]))
                theirs.remove(best)
                matches.append((overlap(box[0], best[0]), abs(box[2] - best[2])))
    found = document["boxes"]
    assert totals[0] > 2 * COUNT
    assert (found["layout"], found["float_boxes"], found["built_boxes"]) == (name, *totals)
    assert (found["matched"]["count"], found["matched"]["of"]) == (len(matches), totals[0])
    assert found["mean_iou"] == pytest.approx(sum(each for each, _ in matches) / len(matches), abs=1e-5)
    assert found["score_mae"] == pytest.approx(sum(each for _, each in matches) / len(matches), abs=1e-5)
    assert (found["iou_threshold"], found["score_threshold"]) == (0.5, 0.3)
    assert {each["kind"] for each in document["outputs"]} == {"boxes"}
    measured = {each["sqnr_db"] is not None for each in document["outputs"]}
    assert measured == {name != "ssd"}
    assert "right boxes are not known" in document["notes"][-1]


def test_a_detector_beside_itself_finds_all_boxes(shop: Workshop) -> None:
    model = shop.float_model("yolov8")
    found = shop.document("yolov8", model=model, scheme=None, boxes={"layout": "yolov8"})["boxes"]
    assert found["matched"]["count"] == found["float_boxes"] == found["built_boxes"]
    assert (found["mean_iou"], found["score_mae"]) == (1.0, 0.0)


def test_where_no_box_is_sure_enough_there_is_no_share(shop: Workshop) -> None:
    found = shop.document("ssd", io="float32", boxes={"score_threshold": 1.5})["boxes"]
    assert (found["matched"], found["float_boxes"], found["mean_iou"], found["score_mae"]) == (None, 0, None, None)


def test_a_layout_that_is_not_the_models_is_refused(shop: Workshop) -> None:
    run = shop.step("heads", boxes={"layout": "yolov5"})
    assert (run.exit_code, run.error["code"]) == (1, "model-output")
    assert "[verify.boxes] layout" in run.error["hint"]


def test_alternatives_of_a_detector_have_the_share_of_boxes_found(shop: Workshop) -> None:
    more: dict[str, Any] = {"calibrated": "in/calibrated.tflite", "boxes": {"layout": "yolov8"}}
    staged = {"in/calibrated.tflite": shop.calibrated("yolov8")}
    document = shop.document("yolov8", io="float32", files=staged, **more)
    built, other = document["alternatives"]
    assert built["matched"] == document["boxes"]["matched"]["value"]
    assert 0.5 < other["matched"] <= 1
    assert [each["name"] for each in other["outputs"]] == ["boxes"]
