"""A built model beside the float model: every figure is that of TensorFlow's public interpreter and plain formulas."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.steps.conftest import run_inside
from tests.steps.verified import CALIBRATED_ON, COUNT, npz

if TYPE_CHECKING:
    from tests.steps.verified import Workshop

pytestmark = pytest.mark.toolchain

SCORES = [number % 8 for number in range(COUNT)]
YES = [number % 2 for number in range(COUNT)]
LABELS = {"scores": SCORES, "yes": YES, "logit": YES, "map": None}
CALIBRATION = {"inputs": [], "data": npz("in/calibration.npz", CALIBRATED_ON)}


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in document["outputs"]}


def six(value: float) -> float:
    return float(f"{value:.6g}")


def expected_sqnr(wanted: Any, given: Any) -> float:
    noise = sum((float(w) - float(g)) ** 2 for w, g in zip(wanted.ravel(), given.ravel(), strict=True))
    return 10 * math.log10(sum(float(w) ** 2 for w in wanted.ravel()) / noise)


def expected_mae(wanted: Any, given: Any) -> float:
    errors = [abs(float(w) - float(g)) for w, g in zip(wanted.ravel(), given.ravel(), strict=True)]
    return math.fsum(errors) / len(errors)


def right(values: Any, labels: list[int], threshold: float) -> list[bool]:
    """Whether each sample is right; written without what the step uses."""
    if values.shape[1] == 1:
        return [(float(row[0]) > threshold) == bool(label) for row, label in zip(values, labels, strict=True)]
    return [list(row).index(max(row)) == label for row, label in zip(values, labels, strict=True)]


@pytest.mark.parametrize("io", ["uint8", "int8", "float32"])
def test_figures_are_those_of_the_public_interpreter(shop: Workshop, io: str) -> None:
    document = shop.document("heads", io=io, labels=LABELS)
    found = by_name(document)
    floats = shop.plain("heads", shop.float_model("heads"))
    built = shop.plain("heads", shop.quantized("heads", io=io))
    kinds = {"scores": "classes", "yes": "binary", "logit": "binary", "map": "values"}
    assert {name: each["kind"] for name, each in found.items()} == kinds
    assert (document["samples"], document["labelled"], document["compared_with_float"]) == (COUNT, True, True)
    for name, output in found.items():
        wanted, given = floats[name], built[name]
        assert output["elements"] == wanted.shape[1]
        assert output["sqnr_db"]["value"] == pytest.approx(expected_sqnr(wanted, given), abs=2e-3)
        assert output["mae"]["value"] == pytest.approx(expected_mae(wanted, given), rel=1e-3)
        for key in ("sqnr_db", "mae"):
            assert output[key]["low"] < output[key]["value"] < output[key]["high"]
        assert sum(output["histogram"]["float"]) == sum(output["histogram"]["built"]) == wanted.size
        labels = LABELS[name]
        if labels is None:
            assert output["agreement"] is None
            assert output["float"] == {"top1": None, "top5": None}
            continue
        threshold = 0.5 if name == "yes" else 0.0
        ours, theirs = right(wanted, labels, threshold), right(given, labels, threshold)
        assert (output["float"]["top1"]["count"], output["built"]["top1"]["count"]) == (sum(ours), sum(theirs))
        assert output["built"]["top1"]["value"] == six(sum(theirs) / COUNT)
        assert output["drop"]["top1"]["value"] == pytest.approx((sum(ours) - sum(theirs)) / COUNT, abs=1e-6)
        # A prediction is as good as a label: who agrees is right in the eyes of the other.
        choices = [int(row[0] > threshold) if len(row) == 1 else int(np.argmax(row)) for row in wanted]
        assert output["agreement"]["count"] == sum(right(given, choices, threshold))
    best = [sorted(range(8), key=lambda at: (-row[at], at))[:5] for row in built["scores"]]
    hits = sum(label in five for label, five in zip(SCORES, best, strict=True))
    assert found["scores"]["built"]["top5"]["count"] == hits
    assert found["yes"]["built"]["top5"] is None
    assert sum('output "yes": yes above 0.5' in note for note in document["notes"]) == 1
    assert sum('output "logit": yes above 0,' in note for note in document["notes"]) == 1


def test_histograms_count_every_value_once(shop: Workshop) -> None:
    found = by_name(shop.document("heads"))["map"]
    wanted = shop.plain("heads", shop.float_model("heads"))["map"]
    given = shop.plain("heads", shop.quantized("heads"))["map"]
    for values, histogram, counts in (
        (wanted, found["histogram"], found["histogram"]["float"]),
        (given - wanted, found["errors"], found["errors"]["counts"]),
    ):
        edges = histogram["edges"]
        assert len(edges) == len(counts) + 1 <= 41
        expected = np.histogram(values, bins=edges)[0]
        # A value on an edge may fall to either side by rounding.
        assert np.abs(expected - np.array(counts)).sum() <= 0.002 * values.size


def test_a_model_with_several_inputs_is_fed_by_name(shop: Workshop) -> None:
    found = by_name(shop.document("pair", labels={"index": [0] * COUNT}))
    floats = shop.plain("pair", shop.float_model("pair"))
    built = shop.plain("pair", shop.quantized("pair"))
    total, index = found["total"], found["index"]
    assert total["sqnr_db"]["value"] == pytest.approx(expected_sqnr(floats["total"], built["total"]), abs=2e-3)
    assert (index["kind"], index["elements"], index["sqnr_db"], index["mae"]) == ("classes", 1, None, None)
    assert index["float"]["top1"]["count"] == int((floats["index"] == 0).sum())
    assert index["agreement"]["count"] == int((floats["index"] == built["index"]).sum())
    assert total["float"] == {"top1": None, "top5": None}
    larger, same = found["larger"]["agreement"], floats["larger"] == built["larger"]
    assert (found["larger"]["kind"], larger["count"], larger["of"]) == ("values", int(same.sum()), COUNT * 6)
    assert larger["low"] <= larger["value"] == six(same.mean()) <= larger["high"]


def test_images_give_what_arrays_of_their_pixels_give(shop: Workshop) -> None:
    files = sorted(path.name for path in (shop.folder / "images").iterdir())
    image = {"name": "image", "color": "rgb", "mean": [0], "std": [255], "resize": "stretch"}
    data = {"kind": "images", "files": [f"in/images/{name}" for name in files]}
    staged = {"in/images": shop.folder / "images"}
    images = shop.document("heads", data=data, inputs=[image], labels=LABELS, layer_samples=4, files=staged)
    assert images == shop.document("heads", labels=LABELS, layer_samples=4) | {"notes": images["notes"]}
    assert [each["sqnr_db"] for each in images["layers"]]


def test_without_labels_there_is_agreement_only(shop: Workshop) -> None:
    document = shop.document("heads", labels=None)
    found = by_name(document)
    assert document["labelled"] is False
    assert found["scores"]["float"] == found["scores"]["built"] == {"top1": None, "top5": None}
    assert found["scores"]["drop"] == {"top1": None}
    assert found["scores"]["agreement"]["of"] == COUNT
    assert (found["logit"]["kind"], found["logit"]["agreement"]) == ("values", None)
    assert any("compared as a number" in note for note in document["notes"])


def test_a_sample_without_a_label_does_not_count(shop: Workshop) -> None:
    labels = [(None, -1)[number % 2] if number < 10 else label for number, label in enumerate(SCORES)]
    found = by_name(shop.document("heads", labels={"scores": labels}))["scores"]
    built = shop.plain("heads", shop.quantized("heads"))["scores"]
    assert found["built"]["top1"]["of"] == found["built"]["top5"]["of"] == COUNT - 10
    assert found["built"]["top1"]["count"] == sum(right(built[10:], SCORES[10:], 0.5))
    assert found["agreement"]["of"] == COUNT


def test_an_integer_model_alone_has_absolute_figures(shop: Workshop) -> None:
    document = shop.document("heads", labels=LABELS, float=None, layer_samples=4)
    found = by_name(document)
    beside = by_name(shop.document("heads", labels=LABELS))
    assert document["compared_with_float"] is False
    assert (document["layers"], document["alternatives"], document["boxes"]) == ([], [], None)
    for name, output in found.items():
        assert output["built"] == beside[name]["built"]
        assert [output[key] for key in ("float", "drop", "agreement", "sqnr_db", "mae")] == [None] * 5
        assert output["histogram"]["float"] == output["errors"]["counts"] == []
        assert sum(output["histogram"]["built"]) == sum(beside[name]["histogram"]["built"])


def test_pixels_enter_an_integer_model_without_preprocessing_as_it_stores_them(shop: Workshop) -> None:
    with np.load(shop.samples("heads")) as archive:
        pixels = np.round(archive["image"] * 255).astype(np.uint8)
    np.savez(shop.folder / "pixels.npz", image=pixels)
    staged = {"in/data/samples.npz": shop.folder / "pixels.npz"}
    stored = shop.document("heads", labels=LABELS, float=None, files=staged)
    int8 = shop.document("heads", io="int8", labels=LABELS, float=None, files=staged)
    # The scale of the input is 1 / 255 or near to it: the pixel is the stored value.
    beside = shop.document("heads", labels=LABELS, float=None)
    assert by_name(stored)["scores"]["built"] == by_name(beside)["scores"]["built"]
    assert by_name(int8)["scores"]["built"] == by_name(beside)["scores"]["built"]


def test_a_model_beside_itself_differs_in_nothing(shop: Workshop) -> None:
    document = shop.document("heads", model=shop.float_model("heads"), labels=LABELS, scheme=None, layer_samples=4)
    for output in document["outputs"]:
        assert output["sqnr_db"] == {"value": 99.9, "low": 99.9, "high": 99.9}
        assert output["mae"]["value"] == 0
        assert output["agreement"] is None or output["agreement"]["value"] == 1
    assert document["layers"] == []
    assert "no activation tensor" in document["layers_note"]


def test_values_that_are_not_finite_are_left_out_and_told(shop: Workshop) -> None:
    document = shop.document("logarithm", model=shop.float_model("logarithm"), scheme=None, labels={"y": [0] * COUNT})
    (output,) = document["outputs"]
    with np.load(shop.samples("logarithm")) as archive:
        x = archive["x"]
    assert sum(output["histogram"]["float"]) == (COUNT - 2) * 8
    assert [note for note in document["notes"] if "2 of 40 samples have values that are not finite" in note] != []
    # Of a sample with NaN there is no prediction, so that the model does not agree with itself; minus infinity is one.
    assert output["agreement"]["count"] == COUNT - 1
    assert output["float"]["top1"]["count"] == int((np.delete(x, 3, axis=0).argmax(axis=1) == 0).sum())


def test_layers_are_those_of_the_public_interpreter(shop: Workshop) -> None:
    document = shop.document("heads", layer_samples=8)
    positions = [number * COUNT // 8 for number in range(8)]
    models = {"float": shop.float_model("heads"), "built": shop.quantized("heads")}
    runs = [
        {"model": str(model), "samples": str(shop.samples("heads")), "save": str(shop.folder / f"{role} tensors.npz")}
        | {"keep_all": True, "positions": positions}
        for role, model in models.items()
    ]
    names = run_inside(shop.python, "plain_outputs.py", {"runs": runs}, shop.folder)
    tensors: dict[str, dict[str, Any]] = {}
    for role, listed in zip(models, names, strict=True):
        with np.load(shop.folder / f"{role} tensors.npz") as archive:
            tensors[role] = {name: archive[f"arr_{number}"] for number, (name, _, _) in enumerate(listed)}
    scales = {name: scale for name, scale, _ in names[1]}
    assert len(document["layers"]) >= 6
    sqnrs = [each["sqnr_db"] for each in document["layers"]]
    assert sqnrs == sorted(sqnrs)
    for layer in document["layers"]:
        wanted, given = tensors["float"][layer["tensor"]], tensors["built"][layer["tensor"]]
        scale = scales[layer["tensor"]]
        assert layer["sqnr_db"] == pytest.approx(expected_sqnr(wanted, given), abs=2e-3)
        assert layer["mae"] == pytest.approx(expected_mae(wanted, given), rel=1e-4)
        assert layer["step"] == pytest.approx(scale, rel=1e-5)
        assert layer["elements"] == wanted[0].size
        assert layer["high"] - layer["low"] == pytest.approx(255 * scale, rel=1e-4)
        assert layer["used"] == pytest.approx((given.max() - given.min()) / (255 * scale), abs=1e-4)
        assert layer["operator"] in {"CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX", "LOGISTIC", "SUB", "QUANTIZE"}
    assert "measured on 8 samples" in document["layers_note"]


def test_alternatives_are_what_quantizing_by_hand_gives(shop: Workshop) -> None:
    more = {"in/calibrated.tflite": shop.calibrated("heads"), "in/calibration.npz": shop.samples("heads")}
    run = {"calibrated": "in/calibrated.tflite", "calibration": CALIBRATION}
    document = shop.document("heads", labels=LABELS, **run, files=more)
    floats = shop.plain("heads", shop.float_model("heads"))
    ways = [("per-tensor", 24, True), ("per-channel", 24, False), ("per-tensor", 6, False), ("per-tensor", 12, False)]
    found = document["alternatives"]
    assert [(each["scheme"], each["calibration_samples"], each["is_built"]) for each in found] == ways
    for (scheme, count, _), way in zip(ways, found, strict=True):
        assert way["failure"] == ""
        built = shop.plain("heads", shop.quantized("heads", scheme=scheme, count=count))
        for output in way["outputs"]:
            name = output["name"]
            assert output["sqnr_db"] == pytest.approx(expected_sqnr(floats[name], built[name]), abs=2e-3)
            assert output["mae"] == pytest.approx(expected_mae(floats[name], built[name]), rel=1e-3)
            assert name == "map" or output["top1"] == six(
                sum(right(built[name], LABELS[name] or [], 0.5 if name == "yes" else 0)) / COUNT
            )
    for output, beside in zip(found[0]["outputs"], document["outputs"], strict=True):
        assert output["agreement"] == (beside["agreement"] and beside["agreement"]["value"])


def test_alternatives_are_measured_on_some_of_many_samples(shop: Workshop) -> None:
    random = np.random.default_rng(3)
    np.savez(shop.folder / "many.npz", left=random.normal(size=(300, 6)), right=random.random((300, 6)))
    files = {"in/data/samples.npz": shop.folder / "many.npz", "in/calibrated.tflite": shop.calibrated("pair")}
    data = npz("in/data/samples.npz", 300)
    document = shop.document("pair", data=data, files=files, calibrated="in/calibrated.tflite")
    built, other = (by_name(way)["total"] for way in document["alternatives"])
    whole = by_name(document)["total"]
    assert [note for note in document["notes"] if "256 of 300 validation samples" in note] != []
    assert built["sqnr_db"] != whole["sqnr_db"]["value"]
    assert built["sqnr_db"] == pytest.approx(whole["sqnr_db"]["value"], abs=1)
    assert other["agreement"] > 0.9


def test_the_same_samples_give_the_same_bytes_on_any_number_of_cores(shop: Workshop) -> None:
    more = {"in/calibrated.tflite": shop.calibrated("heads"), "in/calibration.npz": shop.samples("heads")}
    run: dict[str, Any] = {"calibrated": "in/calibrated.tflite", "calibration": CALIBRATION, "labels": LABELS}
    run["layer_samples"] = 4
    cores = os.sched_getaffinity(0)
    first = shop.step("heads", files=more, **run).output("verify.json")
    os.sched_setaffinity(0, {min(cores)})
    try:
        second = shop.step("heads", files=more, **run)
    finally:
        os.sched_setaffinity(0, cores)
    assert second.output("verify.json") == first
    assert {path.name for path in (second.folder / "out").iterdir()} == {"verify.json", "step.json"}
    assert second.description["metrics"] == {"verify": {"samples": COUNT}}
