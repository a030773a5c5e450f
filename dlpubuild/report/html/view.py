"""What the report's templates show, prepared from the document: groups, orders, scales, marks of charts.

In: a report document. Out: the context of `report.html.j2`. Nothing is escaped here, and no figure is made up: what the
document does not have is not there.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report import figures
from dlpubuild.report.html import chart, graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Json: TypeAlias = Mapping[str, Any]

_WORST_MARKED = 3
_LAYERS_SHOWN = 12
# A page must open in a browser, whatever a model holds; the JSON document has everything.
_MOST_ROWS = 2_000
_MOST_PLACES = 200
_MOST_STEPS = 150
_DECIBELS_SHOWN = 60.0
_ALTERNATIVE_FIGURES: Mapping[str, tuple[str, str]] = {
    "sqnr_db": ("SQNR", "sqnr"),
    "agreement": ("Agreement", "agreement"),
    "top1": ("Top-1", "top1"),
}
_EMPTY: Json = {}


def report_context(document: Json) -> dict[str, Any]:
    """Return what the report's templates need."""
    targets = document.get("targets", ())
    scales = _scales(targets)
    views = [
        _target(target, number, scales) | {"state_word": figures.state_text(document, target)}
        for number, target in enumerate(targets)
    ]
    steps = document.get("plan", _EMPTY).get("steps", ())
    return {
        "figures": figures,
        "document": document,
        "verdict": figures.verdict(document),
        "command": shlex.join(document.get("command", ())),
        "targets": views,
        "scales": scales,
        "steps": steps,
        "graph": graph.layout(steps) if len(steps) <= _MOST_STEPS else None,
        "plan_text": plan_text(steps),
        "provenance": document.get("provenance", _EMPTY),
        "box": (graph.BOX_WIDTH, graph.BOX_HEIGHT),
        "sizes": {
            "interval": chart.INTERVAL_WIDTH,
            "histogram": (chart.HISTOGRAM_WIDTH, chart.HISTOGRAM_HEIGHT),
            "strip": (chart.STRIP_WIDTH, chart.STRIP_HEIGHT),
        },
    }


def plan_text(steps: Sequence[Json]) -> str:
    """Return a sentence that says in words how the steps went."""
    states = [str(step.get("state")) for step in steps]
    words = [("ran", "ran"), ("cached", "came from the cache"), ("failed", "failed"), ("skipped", "skipped")]
    words.append(("pending", "did not run"))
    counts = [f"{states.count(state)} {word}" for state, word in words if state in states]
    return f"{figures.plural(len(steps), 'step')}: {', '.join(counts)}" if steps else ""


def _scales(targets: Sequence[Json]) -> dict[str, chart.Scale]:
    """One axis for the shares of all SoCs, one for decibels, so that bars below one another can be compared."""
    shares, decibels = [], [1.0]
    for target in targets:
        for headline in figures.headlines(target):
            if headline.metric != "sqnr":
                shares += [headline.built, *([headline.float_] if headline.float_ else [])]
        shares += [share for output in _outputs(target) for share in _shares(output)]
        ratios = [output.get("sqnr_db") or _EMPTY for output in _outputs(target)]
        decibels += [ratio.get("high") or ratio.get("value") or 0.0 for ratio in ratios]
    return {
        "share": chart.share_scale([share for share in shares if figures.is_number(share.get("value"))]),
        # The float model beside itself has more than a hundred: it would squeeze all others.
        "sqnr": chart.Scale(low=0.0, high=min(_DECIBELS_SHOWN, 10.0 * -(-max(decibels) // 10))),
    }


def _outputs(target: Json) -> Sequence[Json]:
    found: Sequence[Json] = (target.get("verify") or _EMPTY).get("outputs", ())
    return found


def _shares(output: Json) -> list[Json]:
    tops = [(output.get(model) or _EMPTY).get(metric) for model in ("float", "built") for metric in ("top1", "top5")]
    return [share for share in (*tops, output.get("agreement")) if share]


def _target(target: Json, number: int, scales: Mapping[str, chart.Scale]) -> dict[str, Any]:
    verify = target.get("verify")
    operators = target.get("operators", ())[:_MOST_ROWS]
    return {
        "data": target,
        "id": identifier(str(target.get("soc", "")), number),
        "title": str(target.get("title") or target.get("soc")),
        "state": str(target.get("state")),
        "placed": figures.placed(target),
        "lint_counts": figures.lint_counts(target),
        "headlines": [
            (each, *_bars(each.metric, each.float_, each.built, scales)) for each in figures.headlines(target)
        ],
        "gates": (verify or _EMPTY).get("gates", ()),
        "failed_gates": [gate for gate in (verify or _EMPTY).get("gates", ()) if not gate.get("passed")],
        "measures": [_measures(output, scales) for output in _outputs(target)],
        "histograms": [view for output in _outputs(target) if (view := _histograms(output))],
        "layers": _layers((verify or _EMPTY).get("layers", ())[:_MOST_ROWS]),
        "alternatives": _alternatives(verify),
        "runs": chart.placement_runs(operators) if any(o.get("runs_on") in ("dlpu", "cpu") for o in operators) else [],
        "findings": _grouped((target.get("lint") or _EMPTY).get("findings", ())),
        "compiler": _compiler(target.get("compiler")),
        "operators": operators,
        "operators_left_out": len(target.get("operators", ())) - len(operators),
        "operator_indices": {each.get("index") for each in operators if not each.get("subgraph")},
        "files": _files(target),
    }


def identifier(soc: str, number: int) -> str:
    """An id for links: the SoC's name where it is a plain one."""
    return soc if re.fullmatch(r"[a-z][a-z0-9-]{0,40}", soc) else f"target-{number}"


def _bars(
    metric: str, floats: Json | None, built: Json | None, scales: Mapping[str, chart.Scale]
) -> tuple[chart.Interval | None, chart.Interval | None]:
    scale = scales["sqnr" if metric in ("sqnr", "sqnr_db") else "share"]
    return chart.interval(floats, scale), chart.interval(built, scale)


def _measures(output: Json, scales: Mapping[str, chart.Scale]) -> dict[str, Any]:
    """The rows of the accuracy table of one output."""
    rows = []
    for metric in ("top1", "top5"):
        floats, built, drop = ((output.get(key) or _EMPTY).get(metric) for key in ("float", "built", "drop"))
        if floats or built:
            name = "right" if output.get("kind") == "binary" else figures.METRICS[metric]
            rows.append(_measure(name, metric, floats, built, drop, scales))
    for key, metric in (("agreement", "agreement"), ("sqnr_db", "sqnr"), ("mae", "mae")):
        if output.get(key):
            rows.append(_measure(figures.METRICS[metric], metric, None, output[key], None, scales))
    return {"output": output, "rows": rows}


def _measure(
    name: str,
    metric: str,
    floats: Json | None,
    built: Json | None,
    drop: Json | None,
    scales: Mapping[str, chart.Scale],
) -> dict[str, Any]:
    bars = (None, None) if metric == "mae" else _bars(metric, floats, built, scales)
    return {"name": name, "metric": metric, "float": floats, "built": built, "drop": drop, "bars": bars}


def _histograms(output: Json) -> dict[str, Any] | None:
    values, errors = output.get("histogram") or _EMPTY, output.get("errors") or _EMPTY
    found = {
        "output": output,
        "values": chart.histogram(values.get("edges"), values.get("built"), values.get("float")),
        "errors": chart.histogram(errors.get("edges"), errors.get("counts")),
    }
    return found if found["values"] or found["errors"] else None


def _layers(layers: Sequence[Json]) -> dict[str, Any] | None:
    """Layers worst first, the bar of each as a share of the worst error."""
    if not layers:
        return None
    errors = [(layer, chart.relative_error(layer)) for layer in layers]
    ordered = sorted(errors, key=lambda pair: pair[1] if pair[1] is not None else -1.0, reverse=True)
    worst = ordered[0][1] or 1.0
    rows = [{"layer": layer, "error": error, "bar": round(100 * (error or 0.0) / worst, 2)} for layer, error in ordered]
    shown = len(rows) if len(rows) <= _LAYERS_SHOWN + 4 else _LAYERS_SHOWN
    return {"shown": rows[:shown], "rest": rows[shown:], "strip": chart.error_strip(layers, _WORST_MARKED)}


def _alternatives(verify: Json | None) -> dict[str, Any] | None:
    rows = (verify or _EMPTY).get("alternatives", ())
    if not rows:
        return None
    found = [{str(output.get("name")): output for output in row.get("outputs", ())} for row in rows]
    names = list(dict.fromkeys(name for outputs in found for name in outputs))
    measured = {
        name: [
            key
            for key in _ALTERNATIVE_FIGURES
            if any(name in each and each[name].get(key) is not None for each in found)
        ]
        for name in names
    }
    built = next((outputs for row, outputs in zip(rows, found, strict=True) if row.get("is_built")), _EMPTY)
    return {
        "names": [name for name in names if measured[name]],
        "figures": measured,
        "words": _ALTERNATIVE_FIGURES,
        "before": built,
        "rows": list(zip(rows, found, strict=True)),
        "boxes": any(row.get("matched") is not None for row in rows),
        "columns": sum(map(len, measured.values())),
    }


def _grouped(findings: Sequence[Json]) -> list[dict[str, Any]]:
    """Findings by rule, the most severe first; what all of a rule have in common stands once."""
    groups: dict[tuple[str, str], list[Json]] = {}
    for finding in findings:
        groups.setdefault((str(finding.get("severity")), str(finding.get("rule"))), []).append(finding)
    rank = {name: number for number, name in enumerate(figures.SEVERITIES)}
    ordered = sorted(groups.items(), key=lambda item: (rank.get(item[0][0], len(rank)), item[0][1]))
    common = ("wanted", "change", "source", "evidence", "reason")
    return [
        {
            "severity": severity,
            "rule": rule,
            "findings": found[:_MOST_PLACES],
            "places": len(found),
            **{key: _one(found, key) for key in common},
            "differ": [key for key in ("wanted", "change") if _one(found, key) is None],
        }
        for (severity, rule), found in ordered
    ]


def _one(findings: Sequence[Json], key: str) -> str | None:
    """The text that all findings have at `key`, or None where they differ."""
    texts = {str(finding.get(key) or "") for finding in findings}
    return texts.pop() if len(texts) == 1 else None


def _files(target: Json) -> list[Json]:
    """Packages, the model, and what it was before a compiler took it."""
    model = target.get("model")
    files = [*target.get("packages", ()), *([model] if model else [])]
    before = (model or _EMPTY).get("uncompiled")
    what = "before compilation: operators and figures are those of this file"
    return [*files, {**before, "what": what}] if before else files


def _compiler(compiler: Json | None) -> dict[str, Any] | None:
    """Name, version, mapping, and every other figure with words made from its key."""
    if not compiler:
        return None
    rest = {key: value for key, value in compiler.items() if key not in ("name", "version", "mapped", "total")}
    rows = []
    for key, value in rest.items():
        if value is None or isinstance(value, (dict, list)):
            continue
        label = key.removesuffix("_bytes").replace("_", " ").capitalize()
        rows.append((label, figures.bytes_text(value) if key.endswith("_bytes") else str(value)))
    return {"data": compiler, "rows": rows, "operators": compiler.get("operators", ())}
