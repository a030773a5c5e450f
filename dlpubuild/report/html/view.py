"""What the report's templates show, prepared from the document: groups, orders, scales, marks of charts.

In: a report document. Out: the context of `report.html.j2`. Nothing is escaped here, and no figure is made up: what the
document does not have is not there.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report import figures
from dlpubuild.report.html import accuracy_view, chart, graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Json: TypeAlias = Mapping[str, Any]

# A page must open in a browser, whatever a model holds; the JSON document has everything.
_MOST_ROWS = 2_000
_MOST_PLACES = 200
_MOST_STEPS = 150
_DECIBELS_SHOWN = 60.0
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
            (each, *accuracy_view.interval_bars(each.metric, each.float_, each.built, scales))
            for each in figures.headlines(target)
        ],
        "gates": (verify or _EMPTY).get("gates", ()),
        "error_lines": _lines(str((target.get("error") or _EMPTY).get("message", ""))),
        "failed_gates": [gate for gate in (verify or _EMPTY).get("gates", ()) if not gate.get("passed")],
        "measures": [accuracy_view.measures(output, scales) for output in _outputs(target)],
        "histograms": [view for output in _outputs(target) if (view := accuracy_view.histograms(output))],
        "layers": accuracy_view.layers((verify or _EMPTY).get("layers", ())[:_MOST_ROWS]),
        "alternatives": accuracy_view.alternatives(verify),
        "runs": chart.placement_runs(operators) if any(o.get("runs_on") in ("dlpu", "cpu") for o in operators) else [],
        "findings": _grouped((target.get("lint") or _EMPTY).get("findings", ())),
        "compiler": _compiler(target.get("compiler")),
        "operators": operators,
        "operators_left_out": len(target.get("operators", ())) - len(operators),
        "operator_indices": {each.get("index") for each in operators if not each.get("subgraph")},
        "files": _files(target),
    }


def identifier(soc: str, number: int) -> str:
    """Return an id for links: with the SoC's name, where it is a plain one."""
    return f"soc-{soc}" if re.fullmatch(r"[a-z][a-z0-9-]{0,40}", soc) else f"target-{number}"


def _lines(message: str) -> list[str]:
    """The lines of a message; what is indented in all but the first, as a table is, moves to the margin."""
    first, _, rest = message.partition("\n")
    return [first, *textwrap.dedent(rest).splitlines()]


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
