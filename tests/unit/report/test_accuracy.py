"""Measured accuracy as a cell, as text and as JSON values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dlpubuild.report.accuracy import accuracy_cell, verification_json, verification_text
from dlpubuild.targets.verification import GateOutcome, Verification
from tests.factories.verify_documents import alternative, boxes, document, layer, output

FAILED = GateOutcome(metric="agreement", output="probabilities", value=0.9, limit=0.97, passed=False)


def verification(*outputs: dict[str, Any], of_uncompiled: bool = False, note: str = "", **more: Any) -> Verification:
    return Verification(document=document(*outputs, **more), gates=(FAILED,), of_uncompiled=of_uncompiled, note=note)


@pytest.mark.parametrize(
    ("found", "cell"),
    [
        (None, "-"),
        (verification(), "top-1 98.0 % (float 99.0 %)"),
        (verification(output(), output("other", top1=(0.9, 0.8))), "top-1 80.0 % (float 90.0 %)"),
        (verification(of_uncompiled=True), "top-1 98.0 % (float 99.0 %) before compiling"),
        (verification(output(top1=None)), "agrees 99.0 %"),
        (verification(output(top1=None, agreement=None)), "SQNR 30.0 dB"),
        (verification(output(top1=None, agreement=None, sqnr=None)), "-"),
        (verification(output(top1=None, agreement=None), boxes=boxes(0.95)), "95.0 % of boxes"),
        (verification(output() | {"float": None}), "top-1 98.0 %"),
    ],
)
def test_a_cell_has_the_most_telling_figure(found: Verification | None, cell: str) -> None:
    assert accuracy_cell(found) == cell


def test_the_text_has_figures_layers_other_models_gates_and_notes() -> None:
    found = verification(
        boxes=boxes(0.9),
        layers=[layer(4, 12.5), layer(2, 3.25), layer(7, None)],
        alternatives=[
            alternative("per-channel", 50, top1=0.9),
            {**alternative("per-tensor", 9, top1=0), "failure": "no"},
        ],
        note="told",
        notes=["and more"],
    )
    text = verification_text(found, colored=False)
    for part in (
        "98.0 % (980 of 1000)",
        "30.0 dB",
        "97.0 % to 99.0 %",
        "at least 0.97",
        "fails",
        "per-channel",
        "90.0 %",
    ):
        assert part in text, part
    assert text.index("layer-2") < text.index("layer-4")
    assert "layer-7" not in text
    assert text.endswith("note: told\nnote: and more\n")


def test_names_of_a_model_cannot_steer_the_terminal() -> None:
    name = "\x1b]0;x\x07" + "y" * 300
    text = verification_text(
        verification(output(name), layers=[layer(1, 2.0, tensor=name)], notes=[name]), colored=False
    )
    assert not {"\x1b", "\x07"} & set(text)


def test_json_leaves_out_what_is_long() -> None:
    told = verification_json(verification(layers=[layer(1, 2.0)]))
    assert told is not None
    assert json.loads(json.dumps(told)) == told
    assert told["gates"] == [
        {"metric": "agreement", "output": "probabilities", "value": 0.9, "limit": 0.97, "passed": False}
    ]
    assert "layers" not in told
    assert "histogram" not in told["outputs"][0]
    assert verification_json(None) is None
