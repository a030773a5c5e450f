"""The bench: `make bench`, or `python bench/run.py --help`.

In: this checkout. Out: tables on standard output, each figure beside its aim; JSON where asked for. Speed is never a
failure: the exit code is 1 only where something did not run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import executors
import inspecting
import sections
import verifying
from sections import Bench, Repeats, say
from setting import install, machine_facts
from timing import BenchError, Series

if TYPE_CHECKING:
    from collections.abc import Sequence

SECTIONS = {**sections.SECTIONS, **executors.SECTIONS, **verifying.SECTIONS, **inspecting.SECTIONS}


def table(rows: Sequence[Series]) -> str:
    """Return rows of median, least and greatest time, median of processor time, number of runs, and aim."""
    cells = [("", "median", "min", "max", "cpu time", "runs", "aim", "")]
    cells += [
        (
            row.name,
            _value(row.median, row.unit),
            _value(min(row.values), row.unit),
            _value(max(row.values), row.unit),
            _value(row.median_cpu, row.unit),
            str(len(row.values)),
            "" if row.aim is None else f"<= {_value(row.aim, row.unit)}",
            {None: "", True: "met", False: "missed"}[row.is_met],
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, len(widths) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _value(value: float, unit: str) -> str:
    return f"{value:.2f} x" if unit == "x" else f"{value:.3f} s" if value < 1 else f"{value:.1f} s"


def _load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def measure(bench: Bench, names: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """Run the sections, print their tables, and return them as JSON values, with whether all of them ran."""
    document: dict[str, Any] = {}
    everything_ran = True
    for name in names:
        say(name)
        bench.notes.clear()
        load_before = _load()
        try:
            rows = SECTIONS[name](bench)
        except BenchError as error:
            everything_ran = False
            print(f"\n{name}: did not run\n  {error}", flush=True)
            document[name] = {"error": str(error)}
            continue
        load = f"load {load_before} before, {_load()} after"
        print("\n".join(["", f"{name} ({load})", *([table(rows)] if rows else []), *bench.notes]), flush=True)
        document[name] = {"rows": [row.to_json() for row in rows], "notes": list(bench.notes), "load": load}
    return document, everything_ran


def main() -> int:
    options = _options()
    repeats = Repeats(commands=5, hashing=3, builds=1) if options.quick else Repeats(commands=20, hashing=7, builds=3)
    if options.repeats:
        repeats = Repeats(commands=repeats.commands, hashing=repeats.hashing, builds=options.repeats)
    with tempfile.TemporaryDirectory(prefix="dlpubuild-bench-", dir=options.work) as work:
        say(f"building and installing the wheel in {work}")
        try:
            setting = install(Path(work))
        except BenchError as error:
            print(f"the tool could not be installed: {error}", file=sys.stderr)
            return 1
        facts = machine_facts(setting)
        print("\n".join(f"{name:8}{value}" for name, value in facts.items()), flush=True)
        bench = Bench(setting=setting, repeats=repeats, at_once=options.at_once)
        document, everything_ran = measure(bench, options.only or list(SECTIONS))
    if options.json:
        text = json.dumps({"schema": 1, "machine": facts, "sections": document}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0 if everything_ran else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure dlpubuild; bench/README.md says what and how.")
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="NAME", help=", ".join(SECTIONS))
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds of the cold builds (3)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds of everything, one of the cold builds")
    parser.add_argument("--at-once", action="store_true", help="also run the baseline with a process per core at once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--work", type=Path, metavar="DIR", help="folder on the disk to measure on (the temporary one)")
    options = parser.parse_args()
    if options.repeats is not None and options.repeats < 1:
        parser.error("--repeats: at least 1")
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    sys.exit(main())
