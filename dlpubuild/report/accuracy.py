"""What was measured on the validation data, as text and as JSON values.

In: a `Verification`. Out: one cell of a table, the whole of it as text, or JSON values. Nothing is printed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlpubuild.report.text import Paint, columns, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dlpubuild.targets.verification import GateOutcome, Verification

_LAYERS_SHOWN = 8
_NAME_SHOWN = 70


def accuracy_cell(verification: Verification | None) -> str:
    """Return the most telling figure in a few words; of several outputs, that of the worst."""
    if verification is None:
        return "-"
    told = _most_telling(verification.document)
    return f"{told} before compiling" if verification.of_uncompiled and told != "-" else told


def _most_telling(document: Mapping[str, Any]) -> str:
    boxes = document["boxes"]
    if boxes is not None and boxes["matched"] is not None:
        return f"{_percent(boxes['matched']['value'])} of boxes"
    outputs = document["outputs"]
    right = [each for each in outputs if (each["built"] or {}).get("top1") is not None]
    if right:
        worst = min(right, key=lambda each: each["built"]["top1"]["value"])
        beside = (worst["float"] or {}).get("top1")
        float_model = "" if beside is None else f" (float {_percent(beside['value'])})"
        return f"top-1 {_percent(worst['built']['top1']['value'])}{float_model}"
    same = [each["agreement"]["value"] for each in outputs if each["agreement"] is not None]
    if same:
        return f"agrees {_percent(min(same))}"
    decibels = [each["sqnr_db"]["value"] for each in outputs if each["sqnr_db"] is not None]
    return f"SQNR {min(decibels):.1f} dB" if decibels else "-"


def verification_json(verification: Verification | None) -> dict[str, Any] | None:
    """Return what was measured and gated, without histograms, layers and other models; None where nothing was."""
    if verification is None:
        return None
    document = verification.document
    kept = ("name", "kind", "elements", "float", "built", "drop", "agreement", "sqnr_db", "mae")
    return {
        "samples": document["samples"],
        "labelled": document["labelled"],
        "compared_with_float": document["compared_with_float"],
        "outputs": [{key: output[key] for key in kept} for output in document["outputs"]],
        "boxes": document["boxes"],
        "gates": [gate_json(gate) for gate in verification.gates],
        "of_uncompiled": verification.of_uncompiled,
        "note": verification.note,
    }


def gate_json(gate: GateOutcome) -> dict[str, Any]:
    """Return one gate as JSON values."""
    return {
        "metric": gate.metric,
        "output": gate.output,
        "value": gate.value,
        "limit": gate.limit,
        "passed": gate.passed,
    }


def verification_text(verification: Verification, *, colored: bool) -> str:
    """Return the figures with their intervals, the worst layers, the gates and what is to be said of them."""
    paint = Paint(colored)
    document = verification.document
    header = [paint.strong(name) for name in ("output", "figure", "float model", "this model", "95 % interval")]
    parts = [columns(list(_figures(document)), header=header)]
    layers = [each for each in document["layers"] if each["sqnr_db"] is not None]
    worst = sorted(layers, key=lambda each: (each["sqnr_db"], each["index"]))[:_LAYERS_SHOWN]
    if worst:
        rows = [
            (str(each["index"]), printable(each["operator"]), f"{each['sqnr_db']:.1f} dB", _short(each["tensor"]))
            for each in worst
        ]
        names = [paint.strong(name) for name in ("layer", "operator", "SQNR", "tensor")]
        parts.append(columns(rows, header=names, right=frozenset({0, 2})))
    others = list(_alternatives(document))
    if others:
        names = [
            paint.strong(name) for name in ("quantized", "calibration samples", "output", "SQNR", "agreement", "top-1")
        ]
        parts.append(columns(others, header=names, right=frozenset({1})))
    if verification.gates:
        gates = [
            (
                paint.good("passes") if gate.passed else paint.bad("fails"),
                gate.metric,
                printable(gate.output),
                f"{gate.value:.4g}",
                f"{'at most' if gate.metric in ('top1', 'mae') else 'at least'} {gate.limit:g}",
            )
            for gate in verification.gates
        ]
        parts.append(
            columns(gates, header=[paint.strong(name) for name in ("gate", "metric", "output", "value", "limit")])
        )
    notes = [verification.note, document["layers_note"], *document["notes"]]
    told = "".join(f"note: {printable(note)}\n" for note in notes if note)
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n" + (f"\n{told}" if told else "")


def _figures(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for output in document["outputs"]:
        name = printable(output["name"])
        for key, word in (("top1", "top-1"), ("top5", "top-5")):
            built, beside = ((output[model] or {}).get(key) for model in ("built", "float"))
            if built is not None:
                yield (name, word, _share(beside), _share(built), _interval(built, _percent))
        drop = (output["drop"] or {}).get("top1")
        if drop is not None:
            yield (name, "top-1 lost", "", _points(drop["value"]), _interval(drop, _points))
        if output["agreement"] is not None:
            share = output["agreement"]
            yield (name, "agreement", "", _share(share), _interval(share, _percent))
        if output["sqnr_db"] is not None:
            figure = output["sqnr_db"]
            yield (name, "SQNR", "", f"{figure['value']:.1f} dB", _interval(figure, lambda value: f"{value:.1f} dB"))
        if output["mae"] is not None:
            figure = output["mae"]
            yield (name, "mean error", "", f"{figure['value']:.3g}", _interval(figure, lambda value: f"{value:.3g}"))
    boxes = document["boxes"]
    if boxes is not None and boxes["matched"] is not None:
        matched = boxes["matched"]
        counts = (str(boxes["float_boxes"]), f"{boxes['built_boxes']}")
        yield ("boxes", "how many", *counts, "")
        yield ("boxes", "in both models", "", _share(matched), _interval(matched, _percent))


def _alternatives(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for each in document["alternatives"]:
        what = f"{each['scheme']} (this one)" if each["is_built"] else each["scheme"]
        samples = str(each["calibration_samples"])
        if each["failure"]:
            yield (what, samples, printable(each["failure"]), "", "", "")
        for output in each["outputs"]:
            decibels = "-" if output["sqnr_db"] is None else f"{output['sqnr_db']:.1f} dB"
            shares = ("-" if output[key] is None else _percent(output[key]) for key in ("agreement", "top1"))
            yield (what, samples, printable(output["name"]), decibels, *shares)


def _short(name: str) -> str:
    plain = printable(name)
    return plain if len(plain) <= _NAME_SHOWN else f"{plain[: _NAME_SHOWN - 3]}..."


def _share(share: Mapping[str, Any] | None) -> str:
    return "-" if share is None else f"{_percent(share['value'])} ({share['count']} of {share['of']})"


def _interval(figure: Mapping[str, Any], show: Callable[[float], str]) -> str:
    if figure["low"] is None or figure["high"] is None:
        return "-"
    return f"{show(figure['low'])} to {show(figure['high'])}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:.2g} points"
