"""Whether a built model kept enough of the float model's accuracy, and what is said where it did not.

In: the checked document of a verifying step, and the limits of `[verify]`. Out: each figure that was held against a
limit, or an error with all of them in a table and what could help. Shares are compared as they were measured; their
intervals are shown. Nothing is read from disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dlpubuild.errors import ErrorCode, GateError
from dlpubuild.targets.figures_table import columns, short_name
from dlpubuild.targets.verification import GateOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dlpubuild.errors import Location
    from dlpubuild.manifest.model import Metric
    from dlpubuild.targets.model import Target
    from dlpubuild.targets.verification import Verification

_SHOWN_ROWS: Final = 16
_SHOWN_LAYERS: Final = 3
# Figures are rounded to six digits; what equals its limit passes.
_ROUNDING: Final = 1e-9
_WORDS: Final = {"top1": "top-1", "agreement": "agreement", "sqnr": "SQNR", "mae": "mean absolute error"}
_KEYS: Final = {"top1": "max-drop", "agreement": "min-agreement", "sqnr": "min-sqnr", "mae": "max-drop"}
# What a gate on boxes is about, in place of an output's name.
BOXES: Final = "boxes"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyLimits:
    """What `[verify]` asks for; shares are 0 to 1, `min_sqnr` is in dB."""

    metric: Metric
    max_drop: float
    min_agreement: float
    min_sqnr: float


class AccuracyError(GateError):
    """A built model lost more accuracy than the manifest allows.

    Attributes:
        verification: what was measured, and every gate.
    """

    def __init__(
        self, message: str, *, hint: str = "", location: Location | None = None, verification: Verification
    ) -> None:
        super().__init__(ErrorCode.GATE, message, hint=hint, location=location)
        self.verification = verification


def gate_outcomes(document: Mapping[str, Any], limits: AccuracyLimits) -> tuple[GateOutcome, ...]:
    """Return every figure that `limits` is about; none where there is no float model to compare with."""
    if limits.metric == "none" or not document["compared_with_float"]:
        return ()
    found: list[GateOutcome] = []
    for output in document["outputs"]:
        found += _of_output(output, limits)
    boxes = document["boxes"]
    if boxes is not None and limits.metric == "agreement" and boxes["matched"] is not None:
        found.append(_at_least("agreement", BOXES, boxes["matched"]["value"], limits.min_agreement))
    return tuple(found)


def _of_output(output: Mapping[str, Any], limits: AccuracyLimits) -> Iterator[GateOutcome]:
    name, metric = output["name"], limits.metric
    drop = (output["drop"] or {}).get("top1")
    if metric == "top1" and drop is not None:
        yield _at_most("top1", name, drop["value"], limits.max_drop)
    if output["agreement"] is not None and (metric == "agreement" or (metric == "top1" and drop is not None)):
        yield _at_least("agreement", name, output["agreement"]["value"], limits.min_agreement)
    if metric == "sqnr" and output["sqnr_db"] is not None:
        yield _at_least("sqnr", name, output["sqnr_db"]["value"], limits.min_sqnr)
    if metric == "mae" and output["mae"] is not None:
        yield _at_most("mae", name, output["mae"]["value"], limits.max_drop)


def _at_most(metric: str, output: str, value: float, limit: float) -> GateOutcome:
    return GateOutcome(metric=metric, output=output, value=value, limit=limit, passed=value <= limit + _ROUNDING)


def _at_least(metric: str, output: str, value: float, limit: float) -> GateOutcome:
    return GateOutcome(metric=metric, output=output, value=value, limit=limit, passed=value >= limit - _ROUNDING)


def hold_against_gates(
    verification: Verification,
    limits: AccuracyLimits,
    target: Target,
    *,
    file: str,
    location: Location | None = None,
) -> None:
    """Raise where a gate is not passed, or where there is nothing that could be held against it.

    Args:
        verification: what was measured, with its gates.
        limits: what the manifest asks for.
        target: what the model is for.
        file: the file as the user knows it.
        location: where the manifest says so.

    Raises:
        AccuracyError: with the figures of every gate, and what could help.
    """
    document = verification.document
    failed = [gate for gate in verification.gates if not gate.passed]
    if failed:
        shown = sorted(verification.gates, key=lambda gate: gate.passed)[:_SHOWN_ROWS]
        samples = document["samples"]
        what = "the model that it was compiled from" if verification.of_uncompiled else "it"
        lines = [
            f"{file}: {what} lost more accuracy on {samples} validation samples than [verify] allows:",
            *columns([["output", "figure", "measured", "95 % interval", "limit", ""], *_rows(shown, document)]),
        ]
        more = len(verification.gates) - len(shown)
        lines += [f"  and {more} more figures"] if more else []
        hint = _what_to_do(failed, document, target)
        raise AccuracyError("\n".join(lines), hint=hint, location=location, verification=verification)
    if limits.metric != "none" and document["compared_with_float"] and not verification.gates:
        kinds = ", ".join(f"{_named(each['name'])}: {each['kind']}" for each in document["outputs"][:_SHOWN_ROWS])
        raise AccuracyError(
            f'{file}: metric "{limits.metric}" does not apply to any output ({kinds})',
            hint='set [verify] metric = "sqnr" or "mae", which apply to numbers of any kind; "none" gates nothing',
            location=location,
            verification=verification,
        )


def _rows(gates: Sequence[GateOutcome], document: Mapping[str, Any]) -> list[list[str]]:
    outputs = {output["name"]: output for output in document["outputs"]}
    boxes = document["boxes"]
    return [_row(gate, boxes if boxes is not None and gate.output == BOXES else outputs[gate.output]) for gate in gates]


def _row(gate: GateOutcome, measured: Mapping[str, Any]) -> list[str]:
    verdict = "" if gate.passed else "fails"
    name = short_name(gate.output)
    word = _WORDS[gate.metric]
    if gate.metric == "top1":
        both = f"{percent(measured['built']['top1'])}, float model {percent(measured['float']['top1'])}"
        lost, limit = measured["drop"]["top1"], f"at most {_points(gate.limit)} lost"
        return [name, word, f"{both}: {_points(gate.value)} lost", _between(lost, _points), limit, verdict]
    if gate.metric == "agreement":
        share = measured["matched"] if "matched" in measured else measured["agreement"]
        told = "boxes in both models" if "matched" in measured else word
        return [name, told, percent(share), _between(share, _percent), f"at least {_percent(gate.limit)}", verdict]
    figure = measured["sqnr_db" if gate.metric == "sqnr" else "mae"]
    show = _decibels if gate.metric == "sqnr" else _value
    least = "at least" if gate.metric == "sqnr" else "at most"
    return [name, word, show(gate.value), _between(figure, show), f"{least} {show(gate.limit)}", verdict]


def _what_to_do(failed: Sequence[GateOutcome], document: Mapping[str, Any], target: Target) -> str:
    """What would pass, as far as it was tried; else where most is lost."""
    advice = [*_other_models(failed, document, target)]
    layers = [each for each in document["layers"] if each["sqnr_db"] is not None]
    worst = sorted(layers, key=lambda each: (each["sqnr_db"], each["index"]))[:_SHOWN_LAYERS]
    if worst:
        told = ", ".join(
            f"{each['operator']} {each['index']} ({short_name(each['tensor'])}) {_decibels(each['sqnr_db'])}"
            for each in worst
        )
        advice.append(f"most is lost in {told}")
    if target.is_integer:
        advice.append("calibration samples that look like the validation data, or quantization-aware training, help")
    advice.append(f"or allow more: [verify] {' and '.join(dict.fromkeys(_KEYS[gate.metric] for gate in failed))}")
    return "; ".join(advice)


def _other_models(failed: Sequence[GateOutcome], document: Mapping[str, Any], target: Target) -> Iterator[str]:
    """Say which other integer models, of those that were tried, would have passed where this one fails."""
    built = next((each for each in document["alternatives"] if each["is_built"]), None)
    for each in document["alternatives"]:
        if each["is_built"] or each["failure"]:
            continue
        figures = {output["name"]: output for output in each["outputs"]}
        if document["boxes"] is not None:
            figures[BOXES] = {"agreement": each["matched"]}
        if not all(_would_pass(gate, figures.get(gate.output), document) for gate in failed):
            continue
        told = ", ".join(_told_of(gate, figures[gate.output]) for gate in failed)
        if built is None or each["scheme"] != built["scheme"]:
            can = each["scheme"] in target.soc.allowed_quantization
            how = f'set quantization = "{each["scheme"]}" under [target.{target.name}]'
            yield f"{each['scheme']} would have given {told}: " + (
                how if can else f"{target.soc.title} does not take it"
            )
        else:
            samples = each["calibration_samples"]
            yield f"{samples} calibration samples would have given {told}: set [calibration] samples = {samples}"


def _would_pass(gate: GateOutcome, figures: Mapping[str, Any] | None, document: Mapping[str, Any]) -> bool:
    if figures is None:
        return False
    if gate.metric == "top1":
        output = next(each for each in document["outputs"] if each["name"] == gate.output)
        return figures["top1"] is not None and output["float"]["top1"]["value"] - figures["top1"] <= gate.limit
    value = figures["sqnr_db" if gate.metric == "sqnr" else gate.metric]
    return value is not None and (value <= gate.limit if gate.metric == "mae" else value >= gate.limit)


def _told_of(gate: GateOutcome, figures: Mapping[str, Any]) -> str:
    if gate.metric == "sqnr":
        return f"SQNR {_decibels(figures['sqnr_db'])}"
    if gate.metric == "mae":
        return f"a mean absolute error of {_value(figures['mae'])}"
    return f"{_WORDS[gate.metric]} {_percent(figures[gate.metric])}"


def percent(share: Mapping[str, Any] | None) -> str:
    """Return a measured share as a person reads it."""
    return "-" if share is None else _percent(share["value"])


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:.2g} points"


def _decibels(value: float) -> str:
    return f"{value:.1f} dB"


def _value(value: float) -> str:
    return f"{value:.3g}"


def _between(figure: Mapping[str, Any], show: Any) -> str:
    if figure["low"] is None or figure["high"] is None:
        return "-"
    return f"{show(figure['low'])} to {show(figure['high'])}"


def _named(name: str) -> str:
    return f'"{short_name(name)}"'
