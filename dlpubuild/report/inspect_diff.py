"""What is different between two models, as text and as JSON values.

In: a `Difference`. Out: pieces of text for a terminal, or JSON values. Nothing is compared and
nothing is read here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from dlpubuild.report.inspect_rows import sizes_text, whole_text
from dlpubuild.report.text import columns, fitted, printable, shortened, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlpubuild.tflite.compare import Change, Difference, OperatorChange

_WORDS: Final = {
    "size_bytes": "size",
    "weight_kind": "weights",
    "parameter_bytes": "parameters",
    "custom_bytes": "custom options",
    "macs": "work (MACs)",
    "min_runtime_of_operators": "min. TensorFlow",
}
_SIZES: Final = ("size_bytes", "parameter_bytes", "custom_bytes")
_SHOWN_OPERATORS: Final = 20
_SHOWN_CHANGES: Final = 4
_SHOWN_NUMBERS: Final = 3
_VALUE_WIDTH: Final = 40
_HUGE: Final = 10**18


def diff_pieces(names: tuple[str, str], found: Difference, *, everything: bool, width: int | None) -> Iterator[str]:
    """Yield what is different for a terminal; of many operators the first ones, unless `everything` is asked for."""
    yield columns([("old", printable(names[0])), ("new", printable(names[1]))]) + "\n\n"
    if found.same_bytes:
        yield "the files are the same, byte for byte\n"
        return
    if found.is_empty:
        yield "nothing that is compared is different, but the bytes are\n"
    for title, changes in (("", found.facts), ("inputs and outputs", found.tensors), ("metadata", found.metadata)):
        if changes:
            rows = [_change_row(each) for each in changes]
            yield fitted(rows, header=(title, "old", "new", ""), width=width, shrink=(2, 1)) + "\n\n"
    yield from _operators(found, everything=everything, width=width)


def _operators(found: Difference, *, everything: bool, width: int | None) -> Iterator[str]:
    counts = [
        f"{found.unchanged} the same",
        f"{sum(each.old is not None and each.new is not None for each in found.operators)} changed",
        f"{sum(each.new is None for each in found.operators)} removed",
        f"{sum(each.old is None for each in found.operators)} added",
    ]
    yield f"operators: {', '.join(counts)}\n"
    if found.renamed:
        yield f"{found.renamed} of those that are the same give a tensor of another name\n"
    names = (change.name for each in found.operators for change in each.changes if not _follows(change))
    often = Counter(names).most_common(_SHOWN_CHANGES)
    if len(found.operators) > _SHOWN_CHANGES and often:
        words = (f"{_WORDS.get(name, name)} (of {count})" for name, count in often)
        yield f"what changed most often: {', '.join(words)}\n"
    several = any(each.subgraph for each in found.operators)
    shown = found.operators if everything else found.operators[:_SHOWN_OPERATORS]
    for each in shown:
        yield from _operator_lines(each, several=several, everything=everything, width=width)
    if len(found.operators) > len(shown):
        yield f"and {len(found.operators) - len(shown)} more; --all shows them\n"


def _operator_lines(each: OperatorChange, *, several: bool, everything: bool, width: int | None) -> Iterator[str]:
    sign = "+" if each.old is None else "-" if each.new is None else "~"
    numbers = [str(one.index) for one in (each.old, each.new) if one is not None]
    place = " -> ".join(dict.fromkeys(numbers)) + (f" of subgraph {each.subgraph}" if several else "")
    yield f"{sign} {place}  {printable(each.label)}\n"
    telling = [change for change in each.changes if not _follows(change)]
    changes = telling if everything else telling[:_SHOWN_CHANGES]
    for change in changes:
        name, old, new, relative = _change_row(change)
        line = f"      {name}: {shortened(old, _VALUE_WIDTH)} -> {shortened(new, _VALUE_WIDTH)}"
        if name.endswith(": values") and change.old and change.new:
            line = f"      {name} are others"
        yield (shortened(line, width) if width else line) + (f"  {relative}" if relative else "") + "\n"
    if len(telling) > len(changes):
        yield f"      and {len(telling) - len(changes)} more\n"


def _follows(change: Change) -> bool:
    """Return whether a change says nothing beside that of the scales: an axis, and as many equal zero points."""
    if change.name.endswith(": axis"):
        return True
    return (
        change.name.endswith(": zero_points")
        and bool(change.old and change.new)
        and (set(change.old) == set(change.new))
    )


def _change_row(change: Change) -> tuple[str, str, str, str]:
    """Return name, old and new value, and by how much a number changed."""
    old, new = _single(change.old), _single(change.new)
    relative = ""
    if isinstance(old, int | float) and isinstance(new, int | float) and _is_measure(change.name) and 0 < old < _HUGE:
        relative = f"{new / old - 1:+.1%}" if 0 <= new < _HUGE else ""
    texts = _text(change.name, old), _text(change.name, new)
    if texts[0] == texts[1] and change.name in _SIZES:
        texts = f"{old:,} B", f"{new:,} B"
    return (_WORDS.get(change.name, printable(change.name)), *texts, relative)


def _is_measure(name: str) -> bool:
    return name in _SIZES or name == "macs" or name.endswith(": scales")


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def _text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return size_text(int(value)) if name in _SIZES else _number(value)
    if isinstance(value, tuple):
        return _tuple_text(name, value)
    return printable(str(value)) or "-"


def _number(value: int | float) -> str:  # noqa: PYI041 - they are shown differently
    if isinstance(value, float):
        return f"{value:.9g}"
    return whole_text(value) if value >= 0 else str(value)


def _tuple_text(name: str, value: Sequence[Any]) -> str:
    if name.endswith(("shape", "shape_signature")):
        return sizes_text(value)
    if len(value) > 1 and all(isinstance(each, float) for each in value):
        return f"{min(value):.4g} to {max(value):.4g} ({len(value)})"
    shown = ", ".join(f"{each:.6g}" if isinstance(each, float) else str(each) for each in value[:_SHOWN_NUMBERS])
    return f"{shown}, … ({len(value)})" if len(value) > _SHOWN_NUMBERS else shown or "none"


def diff_json(found: Difference) -> dict[str, Any]:
    """Return the difference as JSON values; `values` of a constant are the first half of the sha256 of its bytes."""
    changed = (each for each in found.operators if each.old is not None and each.new is not None)
    return {
        "is_same_bytes": found.same_bytes,
        "is_same": found.is_empty,
        "facts": _changes_json(found.facts),
        "tensors": _changes_json(found.tensors),
        "metadata": _changes_json(found.metadata),
        "operators": {
            "unchanged": found.unchanged,
            "renamed": found.renamed,
            "changed": map(_operator_json, changed),
            "removed": (_operator_json(each) for each in found.operators if each.new is None),
            "added": (_operator_json(each) for each in found.operators if each.old is None),
        },
    }


def _operator_json(each: OperatorChange) -> dict[str, Any]:
    return {
        "subgraph": each.subgraph,
        "name": each.label,
        "old_index": None if each.old is None else each.old.index,
        "new_index": None if each.new is None else each.new.index,
        "changes": _changes_json(each.changes),
    }


def _changes_json(changes: Sequence[Change]) -> Iterator[dict[str, Any]]:
    return ({"name": each.name, "old": each.old, "new": each.new} for each in changes)
