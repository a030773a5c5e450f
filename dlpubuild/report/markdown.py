"""The Markdown view of a report document: short, for a comment on a pull request.

In: a report document. Out: GitHub's Markdown of at most 65,000 characters: a row per SoC, what failed, and folded parts
with the worst layers and the findings. Every name is escaped, so that it is neither structure nor HTML, links nowhere
and calls nobody. What does not fit is left out from the end, and the text says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.report import figures
from dlpubuild.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Json: TypeAlias = Mapping[str, Any]

LIMIT = 65_000
_PLAIN = frozenset(" ,.;/+-=%()'?…") | {figures.NOTHING}
_NAME = 100
_MESSAGE = 600
_WORST = 3
_HEADLINES = 4
_ROWS = 50
_FINDINGS = 12
_SIGNS: Mapping[str, str] = {"ran": "✅", "cached": "✅", "failed": "❌", "skipped": "⏭️"}
_NO_BREAK = "\u200b"
# A colon before a space begins no address, and an underscore within a word no emphasis: the text stays readable.
_HARMLESS = re.compile(r"&#(58);(?= )|(?<=[0-9A-Za-z])&#95;(?=[0-9A-Za-z])")


def report_markdown(document: Json) -> str:
    """Return the short form of a report."""
    project, targets = document.get("project", {}), document.get("targets", ())
    sign = "✅" if document.get("ok") else "❌"
    title = " ".join(str(project.get(key) or "") for key in ("name", "version"))
    blocks = [
        f"### {sign} {text(title)}\n\n{text(figures.verdict(document), _MESSAGE)}",
        table(
            ("SoC", "State", "Model", "DLPU / CPU", "Accuracy", "Lint"),
            [_row(document, each) for each in targets[:_ROWS]],
        ),
    ]
    if len(targets) > _ROWS:
        blocks.append(f"and {len(targets) - _ROWS} more SoCs")
    failures = [line for target in targets for line in _failures(target)]
    blocks += ["**What failed**", *failures] if failures else []
    blocks += [block for target in targets if (block := _folded(target))]
    tool = document.get("tool", {})
    closing = f"<sub>{text(' '.join(str(tool.get(key, '')) for key in ('name', 'version')))}, "
    closing += f"{text(figures.duration_text(document.get('seconds')))}; the HTML report has everything.</sub>"
    return fitted(blocks, closing)


def fitted(blocks: Sequence[str], closing: str) -> str:
    """Return blocks as paragraphs, `closing` last; those that would pass the limit are left out, which is said."""
    left_out = "_More did not fit here._"
    room = LIMIT - len(closing) - len(left_out) - 8
    taken: list[str] = []
    for block in blocks:
        room -= len(block) + 2
        if room < 0:
            taken.append(left_out)
            break
        taken.append(block)
    return "\n\n".join([*taken, closing]) + "\n"


def text(value: object, length: int = _NAME) -> str:
    """Return any text as text and nothing else: signs that Markdown or HTML know become numeric references."""
    shown = " ".join(str(value).split())
    if len(shown) > length:
        shown = f"{shown[: length // 2]}…{shown[-(length // 2) :]}"
    shown = printable(shown)
    return _HARMLESS.sub(lambda found: ":" if found[1] else "_", "".join(_plain(sign) for sign in shown)).replace(
        "www.", "www&#46;"
    )


def _plain(sign: str) -> str:
    if sign.isalnum() or sign in _PLAIN:
        return sign
    if not sign.isascii():
        return sign
    # A sign without width keeps hosts from reading @name as a person and #1 as an issue.
    return f"&#{ord(sign)};" + (_NO_BREAK if sign in "@#!&$~" else "")


def code(value: object, length: int = _NAME) -> str:
    """Return a name in a fixed pitch; within `code` no host looks for people and issues."""
    return f"<code>{text(value, length).replace(_NO_BREAK, '')}</code>" if str(value) else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Return a table; its cells are escaped already."""
    lines = [header, ["---:" if number in right else "---" for number in range(len(header))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def folded(summary: str, blocks: Sequence[str]) -> str:
    """Return a part that is folded until one opens it."""
    return "\n\n".join([f"<details><summary>{summary}</summary>", *blocks, "</details>"])


def _title(target: Json) -> str:
    return text(target.get("title") or target.get("soc") or "")


def _row(document: Json, target: Json) -> list[str]:
    state = str(target.get("state"))
    model, placed, lint = target.get("model"), figures.placed(target), figures.lint_counts(target)
    word = text(figures.state_text(document, target))
    return [
        _title(target),
        f"{_SIGNS.get(state, '')} {word}".strip(),
        f"{figures.bytes_text(model.get('bytes'))}, {text(target.get('quantization', ''))}"
        if model
        else figures.NOTHING,
        f"{placed[0]} / {placed[1]}" if placed else figures.NOTHING,
        _accuracy(target),
        _lint(lint),
    ]


def _accuracy(target: Json) -> str:
    found = figures.headlines(target)
    if not found:
        return text(target.get("verify_note") or figures.NOTHING, 160)
    lines = [_headline(each, alone=len(found) == 1) for each in found[:_HEADLINES]]
    if target["verify"].get("of_uncompiled"):
        lines.append("of the model before compilation")
    if len(found) > _HEADLINES:
        lines.append(f"and {len(found) - _HEADLINES} more outputs")
    return "<br>".join(lines)


def _headline(each: figures.Headline, *, alone: bool) -> str:
    name = "" if alone or each.metric == "boxes" else f" {code(each.label, 40)}"
    interval = figures.interval_text(each.metric, each.built)
    line = f"**{each.text}** {figures.METRICS[each.metric]}{name}{f' ({interval})' if interval else ''}"
    lost = figures.points_text((each.drop or {}).get("value"))
    return line if lost == figures.NOTHING else f"{line}, lost {lost} points"


def _lint(counts: Mapping[str, int] | None) -> str:
    if counts is None:
        return figures.NOTHING
    found = [
        f"{count} advice" if name == "advice" else figures.plural(count, name)
        for name, count in counts.items()
        if count
    ]
    return ", ".join(found) or "no findings"


def _failures(target: Json) -> list[str]:
    """What kept a target from being built, a list entry each."""
    found = []
    if error := target.get("error"):
        # The first line says what is wrong; those below it are a table for a terminal.
        message = str(error.get("message", "")).partition("\n")[0].rstrip(":. ")
        hint = f" What to do: {text(error['hint'], _MESSAGE)}." if error.get("hint") else ""
        found.append(f"- **{_title(target)}**: {text(message, _MESSAGE)}.{hint} {code(error.get('code', ''))}")
    gates = (target.get("verify") or {}).get("gates", ())
    found += [
        f"- **{_title(target)}**, gate: {text(figures.gate_text(gate), _MESSAGE)}"
        for gate in gates
        if not gate.get("passed")
    ]
    errors = [each for each in (target.get("lint") or {}).get("findings", ()) if each.get("severity") == "error"]
    found += [f"- **{_title(target)}**, lint: {_finding(each)}" for each in errors[:_FINDINGS]]
    if len(errors) > _FINDINGS:
        found.append(f"- **{_title(target)}**, lint: and {len(errors) - _FINDINGS} more errors")
    return found


def _finding(finding: Json) -> str:
    index = finding.get("operator_index")
    where = f", operator {index} {code(finding.get('output') or '', 60)}" if index is not None else ""
    change = f"; {text(finding['change'], 200)}" if finding.get("change") else ""
    return f"{code(finding.get('rule', ''))}: {text(finding.get('found', ''), 200)}{where}{change}"


def _folded(target: Json) -> str:
    blocks = []
    layers = [each for each in (target.get("verify") or {}).get("layers", ()) if figures.is_number(each.get("sqnr_db"))]
    if layers:
        worst = sorted(layers, key=lambda layer: float(layer["sqnr_db"]))[:_WORST]
        rows = [
            (str(each.get("index", "")), code(each.get("operator", "")), code(each.get("tensor", "")), _sqnr(each))
            for each in worst
        ]
        blocks.append("Worst layers:\n\n" + table(("No.", "Operator", "Tensor", "SQNR"), rows, frozenset({0, 3})))
    findings = [each for each in (target.get("lint") or {}).get("findings", ()) if each.get("severity") == "warning"]
    if findings:
        lines = [f"- {_finding(each)}" for each in findings[:_FINDINGS]]
        lines += [f"- and {len(findings) - _FINDINGS} more"] if len(findings) > _FINDINGS else []
        blocks.append("Warnings:\n\n" + "\n".join(lines))
    notes = [f"- {text(note, 300)}" for note in target.get("notes", ())[:_FINDINGS]]
    blocks += ["Notes:\n\n" + "\n".join(notes)] if notes else []
    parts = [name for name, there in (("worst layers", layers), ("warnings", findings), ("notes", notes)) if there]
    return folded(f"{_title(target)}: {figures.listed(parts)}", blocks) if blocks else ""


def _sqnr(layer: Json) -> str:
    return figures.decibel_text(layer.get("sqnr_db"))
