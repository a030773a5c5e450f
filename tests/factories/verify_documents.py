"""Documents as a verifying step leaves them, small.

In: the figures that matter to a test. Out: JSON values that `read_verification` takes.
"""

from __future__ import annotations

from typing import Any


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


def layer(index: int, sqnr_db: float | None, *, tensor: str = "") -> dict[str, Any]:
    return {
        "index": index,
        "operator": "CONV_2D",
        "tensor": tensor or f"layer-{index}",
        "sqnr_db": sqnr_db,
        "mae": 0.1,
        "low": 0.0,
        "high": 1.0,
        "step": 0.1,
        "used": 0.5,
        "elements": 4,
    }
