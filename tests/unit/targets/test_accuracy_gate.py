"""Which figures are held against which limit, what passes, and what is said of what does not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dlpubuild.errors import ErrorCode, ExitCode, StepFailedError
from dlpubuild.resources import templates_dir
from dlpubuild.targets.accuracy_gate import AccuracyError, AccuracyLimits, gate_outcomes, hold_against_gates
from dlpubuild.targets.load import load_socs
from dlpubuild.targets.model import Target
from dlpubuild.targets.verification import Verification, read_verification

SOCS = load_socs([templates_dir()], trusted=templates_dir())
LIMITS = AccuracyLimits(metric="top1", max_drop=0.02, min_agreement=0.97, min_sqnr=20.0)


def share(value: float | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {"count": round(value * 1000), "of": 1000, "value": value, "low": value - 0.01, "high": value + 0.01}


def figure(value: float | None) -> dict[str, Any] | None:
    return None if value is None else {"value": value, "low": value, "high": None}


def output(
    name: str = "probabilities",
    *,
    top1: tuple[float, float] | None = (0.99, 0.98),
    agreement: float | None = 0.99,
    sqnr: float | None = 30.0,
    mae: float | None = 0.01,
    kind: str = "classes",
) -> dict[str, Any]:
    """An output as a step leaves it; `top1` is that of the float model and of the built one."""
    return {
        "name": name,
        "kind": kind,
        "elements": 10,
        "float": {"top1": share(top1[0]) if top1 else None, "top5": None},
        "built": {"top1": share(top1[1]) if top1 else None, "top5": None},
        "drop": {"top1": figure(round(top1[0] - top1[1], 6)) if top1 else None},
        "agreement": share(agreement),
        "sqnr_db": figure(sqnr),
        "mae": figure(mae),
        "histogram": {"edges": [], "float": [], "built": []},
        "errors": {"edges": [], "counts": []},
    }


def document(*outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "samples": 1000,
        "labelled": True,
        "compared_with_float": True,
        "outputs": list(outputs or (output(),)),
        "boxes": None,
        "layers": [],
        "layers_note": "",
        "alternatives": [],
        "notes": [],
        **more,
    }


def boxes(matched: float) -> dict[str, Any]:
    return {
        "matched": share(matched),
        "float_boxes": 1000,
        "built_boxes": 990,
        "mean_iou": 0.9,
        "score_mae": 0.01,
        "iou_threshold": 0.5,
        "score_threshold": 0.3,
        "layout": "ssd",
    }


def alternative(scheme: str, samples: int, *, top1: float, is_built: bool = False) -> dict[str, Any]:
    figures = {"name": "probabilities", "sqnr_db": 40.0, "mae": 0.001, "agreement": 0.999, "top1": top1}
    return {
        "scheme": scheme,
        "calibration_samples": samples,
        "is_built": is_built,
        "matched": None,
        "outputs": [figures],
        "failure": "",
    }


def gates(limits: AccuracyLimits, found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(each.metric, each.output, each.passed) for each in gate_outcomes(found, limits)]


def target(soc: str) -> Target:
    return Target(
        soc=SOCS[soc],
        quantization=SOCS[soc].default_quantization,
        io="uint8",
        toolchain="tf2",
        activations="auto",
    )


def refused(found: dict[str, Any], limits: AccuracyLimits = LIMITS, soc: str = "artpec9") -> AccuracyError:
    verification = Verification(document=found, gates=gate_outcomes(found, limits))
    with pytest.raises(AccuracyError) as caught:
        hold_against_gates(verification, limits, target(soc), file="model.tflite")
    assert (caught.value.code, caught.value.exit_code) == (ErrorCode.GATE, ExitCode.GATE_FAILED)
    assert caught.value.verification is verification
    return caught.value


def test_top1_is_about_the_drop_and_about_agreement_of_outputs_with_classes() -> None:
    found = document(output(), output("other", top1=None))
    assert gates(LIMITS, found) == [("top1", "probabilities", True), ("agreement", "probabilities", True)]


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [
        ("agreement", [("agreement", "probabilities", True)]),
        ("sqnr", [("sqnr", "probabilities", True)]),
        ("mae", [("mae", "probabilities", True)]),
        ("none", []),
    ],
)
def test_each_other_metric_is_about_one_figure(metric: Any, wanted: list[tuple[str, str, bool]]) -> None:
    assert gates(replace(LIMITS, metric=metric), document()) == wanted


def test_what_equals_its_limit_passes() -> None:
    found = document(output(top1=(0.99, 0.97), agreement=0.97, sqnr=20.0, mae=0.02))
    for metric in ("top1", "agreement", "sqnr", "mae"):
        assert all(passed for _, _, passed in gates(replace(LIMITS, metric=metric), found))


@pytest.mark.parametrize(
    ("metric", "worse"),
    [
        ("top1", {"top1": (0.99, 0.969)}),
        ("top1", {"agreement": 0.969}),
        ("agreement", {"agreement": 0.969}),
        ("sqnr", {"sqnr": 19.9}),
        ("mae", {"mae": 0.0201}),
    ],
)
def test_what_is_below_its_limit_fails_with_the_figures(metric: Any, worse: dict[str, Any]) -> None:
    error = refused(document(output(**worse)), replace(LIMITS, metric=metric))
    assert "1000 validation samples" in error.message
    assert "fails" in error.message
    assert "[verify]" in error.hint


def test_boxes_are_held_against_the_agreement() -> None:
    limits = replace(LIMITS, metric="agreement")
    found = document(output(top1=None, agreement=None, kind="boxes"), boxes=boxes(0.95))
    assert gates(limits, found) == [("agreement", "boxes", False)]
    assert "boxes in both models" in refused(found, limits).message


def test_an_output_called_boxes_is_an_output() -> None:
    found = document(output("boxes", agreement=0.5))
    assert "agreement" in refused(found).message


def test_without_a_float_model_nothing_is_held_against_a_limit() -> None:
    found = document(compared_with_float=False)
    assert gates(LIMITS, found) == []
    hold_against_gates(Verification(document=found), LIMITS, target("artpec8"), file="model.tflite")


def test_a_metric_that_applies_to_no_output_is_no_pass() -> None:
    error = refused(document(output(top1=None, agreement=None, kind="values")), replace(LIMITS, metric="agreement"))
    assert "does not apply" in error.message
    assert "sqnr" in error.hint


def test_another_scheme_that_would_have_passed_is_advised_where_the_soc_takes_it() -> None:
    tried = [alternative("per-tensor", 100, top1=0.9, is_built=True), alternative("per-channel", 100, top1=0.98)]
    found = document(output(top1=(0.99, 0.9)), alternatives=tried)
    assert 'set quantization = "per-channel" under [target.artpec9]' in refused(found).hint
    assert "ARTPEC-8 does not take it" in refused(found, soc="artpec8").hint


def test_another_number_of_calibration_samples_is_advised_where_it_would_have_passed() -> None:
    tried = [
        alternative("per-channel", 100, top1=0.9, is_built=True),
        alternative("per-channel", 25, top1=0.91),
        alternative("per-channel", 50, top1=0.985),
    ]
    hint = refused(document(output(top1=(0.99, 0.9)), alternatives=tried)).hint
    assert "set [calibration] samples = 50" in hint
    assert "samples = 25" not in hint


def test_the_layers_that_lose_most_are_named() -> None:
    layers = [
        {
            "index": index,
            "operator": "CONV_2D",
            "tensor": f"layer-{index}",
            "sqnr_db": decibels,
            "mae": 0.1,
            "low": 0.0,
            "high": 1.0,
            "step": 0.1,
            "used": 0.5,
            "elements": 4,
        }
        for index, decibels in enumerate((30.0, None, 3.0, 12.0, 9.0))
    ]
    hint = refused(document(output(top1=(0.99, 0.9)), layers=layers)).hint
    assert hint.index("layer-2") < hint.index("layer-4") < hint.index("layer-3")
    assert "layer-0" not in hint


def test_names_cannot_steer_the_terminal_or_fill_it() -> None:
    error = refused(document(output("\x1b[31m" + "x" * 500, top1=(0.9, 0.1))))
    assert "\x1b" not in error.message
    assert max(map(len, error.message.splitlines())) < 200


def test_a_document_is_read_as_it_is() -> None:
    found = document(boxes=boxes(0.9), alternatives=[alternative("per-channel", 10, top1=0.5)])
    assert read_verification(json.dumps(found).encode()) == found


@pytest.mark.parametrize(
    "garbled",
    [
        {"schema": 2},
        {"schema": True},
        {"samples": -1},
        {"samples": 1.5},
        {"labelled": 1},
        {"outputs": {}},
        {"outputs": [1]},
        {"outputs": [output() | {"kind": "other"}]},
        {"outputs": [output() | {"name": None}]},
        {"outputs": [output() | {"agreement": {"value": "1"}}]},
        {"outputs": [output() | {"mae": {"value": None, "low": None, "high": None}}]},
        {"outputs": [{key: value for key, value in output().items() if key != "drop"}]},
        {"boxes": []},
        {"layers": [{}]},
        {"alternatives": [{"scheme": "none"}]},
        {"notes": [1]},
        {"notes": None},
    ],
)
def test_a_garbled_document_is_a_clean_error(garbled: dict[str, Any]) -> None:
    with pytest.raises(StepFailedError) as caught:
        read_verification(json.dumps(document() | garbled).encode())
    assert caught.value.code is ErrorCode.STEP_OUTPUT


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": NaN}', b"[" * 100_000, b"9" * 5000]
)
def test_what_is_no_document_is_a_clean_error(content: bytes) -> None:
    with pytest.raises(StepFailedError):
        read_verification(content)


def test_numbers_that_are_not_finite_are_refused() -> None:
    text = json.dumps(document(output(sqnr=float("inf"))))
    assert "Infinity" in text
    with pytest.raises(StepFailedError, match="Infinity"):
        read_verification(text.encode())
