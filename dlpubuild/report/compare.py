"""Two report documents beside each other: what a release changed.

In: an older and a newer document, as `schemas/report.schema.json` describes them. Out: a document of its own
(`schemas/report-compare.schema.json`) with what was added, removed and changed per SoC, and what went in that has
another digest. Whether accuracy is better or worse is said only where the 95 % intervals lie apart. Nothing is rendered
here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Json: TypeAlias = Mapping[str, Any]

_EMPTY: Json = {}
_LOWER_IS_BETTER = ("mae",)
_SETTINGS = ("quantization", "io", "larod_device")
_PLACES = ("parts", "switches")


def compare(old: Json, new: Json) -> dict[str, Any]:
    """Return what differs between two reports; SoCs in the newer one's order, those that are gone last."""
    before, after = (_by(document.get("targets", ()), "soc") for document in (old, new))
    steps = [_by(document.get("plan", _EMPTY).get("steps", ()), "name", "targets") for document in (old, new)]
    return {
        "schema": 1,
        "old": _release(old),
        "new": _release(new),
        "seconds": _pair(old.get("seconds"), new.get("seconds")),
        "targets": [
            _target(before.get(soc), after.get(soc)) for soc in [*after, *(s for s in before if s not in after)]
        ],
        "steps": [
            {"name": step["name"], "targets": list(step.get("targets", ())), **_pair(_ran(found), _ran(step))}
            for key, step in steps[1].items()
            if (found := steps[0].get(key)) is not None and _ran(found) is not None and _ran(step) is not None
        ],
        "inputs": _digests(old, new, "inputs", ("kind", "name"), "sha256"),
        "toolchains": _digests(old, new, "toolchains", ("name",), "lock_sha256", "image", "tensorflow"),
    }


def _release(document: Json) -> dict[str, Any]:
    project, tool = document.get("project", _EMPTY), document.get("tool", _EMPTY)
    return {
        "name": str(project.get("name") or ""),
        "version": str(project.get("version") or ""),
        "created": document.get("created"),
        "ok": bool(document.get("ok")),
        "tool": " ".join(str(tool.get(key) or "") for key in ("name", "version")).strip(),
    }


def _ran(step: Json) -> float | None:
    """How long a step takes; one that came from the cache says how long it took when it ran."""
    return step.get("seconds") if step.get("state") in ("ran", "cached") else None


def _by(items: Iterable[Json], *keys: str) -> dict[str, Json]:
    """Items by their keys' values; where several have the same ones, also by which of them it is."""
    found: dict[str, Json] = {}
    seen: Counter[str] = Counter()
    for item in items:
        key = "\0".join(str(item.get(each)) for each in keys)
        seen[key] += 1
        found[key if seen[key] == 1 else f"{key}\0{seen[key]}"] = item
    return found


def _pair(old: Any, new: Any) -> dict[str, Any]:
    """A number in both, and how far it went; null where it is not known in both."""
    known = figures.is_number(old) and figures.is_number(new)
    change = round(new - old, 9) if known else None
    return {"old": old, "new": new, "change": change}


def _target(old: Json | None, new: Json | None) -> dict[str, Any]:
    there: Json = new if new is not None else (old or _EMPTY)
    before, after = old or _EMPTY, new or _EMPTY
    models = [each.get("model") or _EMPTY for each in (before, after)]
    found = {
        "soc": str(there.get("soc")),
        "title": str(there.get("title") or there.get("soc")),
        "state": {"old": before.get("state"), "new": after.get("state")},
        "model_sha256": {"old": models[0].get("sha256"), "new": models[1].get("sha256")},
        "settings": _settings(before, after, models),
        "figures": _figures(before, after, models),
        "operators": _operators(before, after),
        "accuracy": _accuracy(before, after),
        "gates": _gates(before, after),
        "lint": _lint(before, after),
        "seconds": _pair(before.get("seconds"), after.get("seconds")),
    }
    change = "added" if old is None else "removed" if new is None else "changed" if _differs(found) else "same"
    return {"soc": found["soc"], "title": found["title"], "change": change, **found}


def _differs(found: Json) -> bool:
    """Whether anything but times differs."""
    pairs = (found["state"], found["model_sha256"], *found["figures"], *found["accuracy"])
    # From the cache or not says nothing of what was made.
    made = ("ran", "cached")
    return (
        any(pair["old"] != pair["new"] for pair in pairs if not (pair["old"] in made and pair["new"] in made))
        or bool(found["settings"] or found["operators"] or found["lint"]["new"] or found["lint"]["gone"])
        or any(gate["old"] != gate["new"] for gate in found["gates"])
    )


def _settings(before: Json, after: Json, models: Sequence[Json]) -> list[dict[str, Any]]:
    """Settings that differ, as text."""
    pairs = [(name, before.get(name), after.get(name)) for name in _SETTINGS]
    pairs.append(("min_runtime", models[0].get("min_runtime"), models[1].get("min_runtime")))
    return [{"name": name, "old": old, "new": new} for name, old, new in pairs if before and after and old != new]


def _figures(before: Json, after: Json, models: Sequence[Json]) -> list[dict[str, Any]]:
    """Sizes and counts that are known in one at least: of the model, of packages, and of where operators run."""
    pairs: list[tuple[str, Any, Any]] = [("model_bytes", models[0].get("bytes"), models[1].get("bytes"))]
    pairs += [(name, models[0].get(name), models[1].get(name)) for name in ("parameter_bytes", "macs")]
    pairs.append(("package_bytes", _package_bytes(before), _package_bytes(after)))
    pairs.append(("operators", len(before.get("operators", ())) or None, len(after.get("operators", ())) or None))
    placed = [figures.placed(each) or (None, None) for each in (before, after)]
    pairs += [(name, placed[0][at], placed[1][at]) for at, name in enumerate(("on_dlpu", "on_cpu"))]
    places = [each.get("placement") or _EMPTY for each in (before, after)]
    pairs += [(name, places[0].get(name), places[1].get(name)) for name in _PLACES]
    return [{"name": name, **_pair(old, new)} for name, old, new in pairs if old is not None or new is not None]


def _package_bytes(target: Json) -> int | None:
    packages = target.get("packages", ())
    return sum(each.get("bytes", 0) for each in packages) if packages else None


def _operators(before: Json, after: Json) -> list[dict[str, Any]]:
    """Operators of which there are more or fewer; nothing where they are not known in both."""
    counts = [Counter(str(each.get("name")) for each in target.get("operators", ())) for target in (before, after)]
    if not counts[0] or not counts[1]:
        return []
    names = sorted(set(counts[0]) | set(counts[1]))
    return [{"name": n, **_pair(counts[0][n], counts[1][n])} for n in names if counts[0][n] != counts[1][n]]


def _accuracy(before: Json, after: Json) -> list[dict[str, Any]]:
    """Every figure of every output that is in one at least."""
    measured = [_measured(target.get("verify") or _EMPTY) for target in (before, after)]
    return [
        {"output": key[0], "metric": key[1], **_judged(key[1], measured[0].get(key), measured[1].get(key))}
        for key in [*measured[1], *(key for key in measured[0] if key not in measured[1])]
    ]


def _measured(verify: Json) -> dict[tuple[str, str], Json]:
    found: dict[tuple[str, str], Json] = {}
    for output in verify.get("outputs", ()):
        name = str(output.get("name"))
        built = output.get("built") or _EMPTY
        values = [("top1", built.get("top1")), ("top5", built.get("top5")), ("agreement", output.get("agreement"))]
        values += [("sqnr", output.get("sqnr_db")), ("mae", output.get("mae"))]
        found |= {(name, metric): value for metric, value in values if value}
    boxes = verify.get("boxes") or _EMPTY
    return found | ({("", "boxes"): boxes["matched"]} if boxes.get("matched") else {})


def _judged(metric: str, old: Json | None, new: Json | None) -> dict[str, Any]:
    """Both figures, whether their intervals overlap, and in a word what that means."""
    old_figure, new_figure = (_figure(each) for each in (old, new))
    values = [(each or _EMPTY).get("value") for each in (old_figure, new_figure)]
    change = _pair(*values)["change"]
    overlap = _overlap(old_figure, new_figure)
    if change is None:
        verdict = "unknown"
    elif change == 0:
        verdict = "same"
    elif overlap is not False:
        verdict = "unclear"
    else:
        verdict = "better" if (change > 0) != (metric in _LOWER_IS_BETTER) else "worse"
    return {"old": old_figure, "new": new_figure, "change": change, "intervals_overlap": overlap, "verdict": verdict}


def _figure(figure: Json | None) -> dict[str, Any] | None:
    return {key: figure.get(key) for key in ("value", "low", "high")} if figure else None


def _overlap(old: Json | None, new: Json | None) -> bool | None:
    if not old or not new or not all(figures.is_number(each[end]) for each in (old, new) for end in ("low", "high")):
        return None
    return bool(old["low"] <= new["high"] and new["low"] <= old["high"])


def _gates(before: Json, after: Json) -> list[dict[str, Any]]:
    """Gates with whether each passed, null where it was not asked for."""
    gates = [_by((each.get("verify") or _EMPTY).get("gates", ()), "metric", "output") for each in (before, after)]
    return [
        {
            "metric": str(gate.get("metric")),
            "output": str(gate.get("output") or ""),
            "old": gates[0].get(key, _EMPTY).get("passed"),
            "new": gates[1].get(key, _EMPTY).get("passed"),
        }
        for key, gate in (gates[0] | gates[1]).items()
    ]


def _lint(before: Json, after: Json) -> dict[str, Any]:
    """Findings that are new, and those that are gone; one is the same where rule, severity, place and figure are."""
    known = [each.get("lint") is not None for each in (before, after)]
    found = [list((each.get("lint") or _EMPTY).get("findings", ())) for each in (before, after)]
    return {
        "new": _without(found[1], found[0]) if all(known) else [],
        "gone": _without(found[0], found[1]) if all(known) else [],
    }


def _without(findings: Sequence[Json], others: Sequence[Json]) -> list[dict[str, Any]]:
    """The findings that the others do not have; a network that grew moves indices, so that names say what is where."""
    place: Callable[[Json], tuple[str, ...]] = lambda each: tuple(  # noqa: E731 - used here only
        str(each.get(key)) for key in ("rule", "severity", "subject", "operator", "output", "found")
    )
    left = Counter(place(each) for each in others)
    found = []
    for each in findings:
        if left[place(each)] > 0:
            left[place(each)] -= 1
        else:
            found.append(dict(each))
    return found


def _digests(old: Json, new: Json, part: str, keys: tuple[str, ...], *values: str) -> list[dict[str, Any]]:
    """What is new, gone or has another digest among the inputs or toolchains."""
    before, after = (_by(document.get("provenance", _EMPTY).get(part, ()), *keys) for document in (old, new))
    found = []
    for key, item in (before | after).items():
        pair = [
            None if side.get(key) is None else {value: side[key].get(value) for value in values}
            for side in (before, after)
        ]
        if pair[0] != pair[1]:
            change = "added" if pair[0] is None else "removed" if pair[1] is None else "changed"
            found.append({**{name: item.get(name) for name in keys}, "change": change, "old": pair[0], "new": pair[1]})
    return found
