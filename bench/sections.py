"""What is measured: each section runs things and returns the rows of its table.

In: a `Bench`. Out: `Series` values, and notes in `Bench.notes`. Nothing is printed here but progress.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import projects
from setting import BENCH, ROOT, Setting
from timing import BenchError, Process, Rounds, Series, Spent, in_rounds, spent_in_children

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HEAVY = ("google.protobuf", "jinja2", "jsonschema", "numpy", "PIL", "pydantic", "rich", "sqlite3", "tensorflow")
HASHED_FILES = 10_000
HASHED_FILE_BYTES = 16 << 10
# The memo does not trust files that changed within 2 s of being hashed, on the coarsest of clocks.
SETTLE_S = 2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """How often things run."""

    commands: int
    hashing: int
    builds: int


@dataclass(slots=True)
class Bench:
    """What the sections share: the setting, how often, and the notes that belong under the table."""

    setting: Setting
    repeats: Repeats
    at_once: bool
    notes: list[str] = field(default_factory=list)


def say(text: str) -> None:
    """Tell what is going on now."""
    sys.stderr.write(f"... {text}\n")
    sys.stderr.flush()


def startup(bench: Bench) -> list[Series]:
    python = Process(argv=[bench.setting.python, "-c", "pass"], env=bench.setting.bare, log=bench.setting.work / "log")
    rounds = in_rounds(
        {
            "python -c pass": python,
            "dlpubuild --version": bench.setting.process("--version"),
            "dlpubuild --help": bench.setting.process("--help"),
            "dlpubuild build --help": bench.setting.process("build", "--help"),
        },
        bench.repeats.commands,
    )
    for argv in (["--help"], ["build", "--help"]):
        bench.notes.append(f"heavy modules that {' '.join(argv)} imports: {_heavy_imports(bench, argv) or 'none'}")
    aims = {"dlpubuild --help": 0.15}
    return [rounds.series(name, aim=aims.get(name)) for name in rounds.times]


def _heavy_imports(bench: Bench, argv: Sequence[str]) -> str:
    code = f"from dlpubuild.cli import run; run({argv!r}); import sys; print(*({set(HEAVY)} & sys.modules.keys()))"
    output = bench.setting.work / "imports"
    command: list[str | Path] = [bench.setting.python, "-c", code]
    Process(argv=command, env=bench.setting.env(), log=bench.setting.work / "log", output=output).run()
    return ", ".join(sorted(output.read_text(encoding="utf-8").splitlines()[-1].split()))


def example(bench: Bench) -> list[Series]:
    source = ROOT / "examples" / "digits"
    if not (source / "dlpu.toml").is_file():
        bench.notes.append("examples/digits is not there: nothing measured")
        return []
    folder = bench.setting.work / "digits"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("dist"))
    return _no_op(bench, folder / "dlpu.toml", {"plan": "plan", "build": "build, nothing to do"}, {})


def noop_1000(bench: Bench) -> list[Series]:
    folder = bench.setting.work / "tiny"
    folder.mkdir()
    bench.setting.toolchain_process("inputs.py", "tiny", folder).run()
    manifest = projects.write_tiny(folder)
    time.sleep(SETTLE_S)
    titles = {"plan": "plan, 3 targets, 1,000 images", "build": "build, nothing to do, 3 targets, 1,000 images"}
    return _no_op(bench, manifest, titles, {"build": 0.25})


def _no_op(bench: Bench, manifest: Path, titles: dict[str, str], aims: dict[str, float]) -> list[Series]:
    """Build once, see that a second build has nothing to do, and time the commands from then on."""
    cache = bench.setting.fresh_cache("cache")
    report = bench.setting.work / "report.json"
    arguments = ("--manifest", manifest, "--executor", "local")
    build = bench.setting.process("build", *arguments, "--json", "--offline", cache=cache, output=report)
    build_twice(build, report)
    processes = {name: bench.setting.process(name, *arguments, cache=cache) for name in titles}
    rounds = in_rounds(processes, bench.repeats.commands)
    return [rounds.series(name, title=title, aim=aims.get(name)) for name, title in titles.items()]


def build_twice(build: Process, report: Path) -> None:
    """Run `build`, which writes its report to `report`, and see that it has nothing to do the second time."""
    build.run()
    build.run()
    outcome = json.loads(report.read_text(encoding="utf-8"))
    if any(step["state"] != "cached" for step in outcome["steps"]) or any(e["written"] for e in outcome["targets"]):
        raise BenchError(f"had something to do the second time: {' '.join(str(part) for part in build.argv)}")


def hashing(bench: Bench) -> list[Series]:
    folder, memo = bench.setting.work / "files", bench.setting.work / "memo" / "memo.sqlite3"
    projects.write_files(folder, HASHED_FILES, HASHED_FILE_BYTES)
    time.sleep(SETTLE_S)
    size_mib = HASHED_FILES * HASHED_FILE_BYTES >> 20
    rounds = Rounds()
    for warm_up in (True, *[False] * bench.repeats.hashing):
        shutil.rmtree(memo.parent, ignore_errors=True)
        for name, way in (("plain", "plain"), ("cold", "folder"), ("warm", "folder"), ("paths", "paths")):
            spent = _hash(bench, way, folder, memo)
            if not warm_up:
                rounds.add(name, spent)
    return [
        rounds.series("plain", title=f"hashlib loop, {HASHED_FILES:,} files, {size_mib} MiB"),
        rounds.series("cold", title="memo removed: folder to digests"),
        rounds.series("warm", title="memo warm: folder to digests", aim=0.2),
        rounds.series("paths", title="memo warm: known paths to digests", aim=0.2),
        rounds.ratios("memo removed / hashlib loop", "cold", ["plain"]),
    ]


def _hash(bench: Bench, way: str, folder: Path, memo: Path) -> Spent:
    output = bench.setting.work / "hashed"
    script: list[str | Path] = [bench.setting.python, BENCH / "hashing.py", way, folder, memo]
    Process(argv=script, env=bench.setting.bare, log=bench.setting.work / "log", output=output).run()
    count, seconds, cpu_s = output.read_text(encoding="utf-8").split()
    if int(count) != HASHED_FILES:
        raise BenchError(f"{count} files were hashed, {HASHED_FILES} expected")
    return Spent(float(seconds), float(cpu_s))


def mobilenet_keras(bench: Bench) -> list[Series]:
    return _mobilenet(bench, "model.keras")


def mobilenet_saved_model(bench: Bench) -> list[Series]:
    return _mobilenet(bench, "model")


def _mobilenet(bench: Bench, source: str) -> list[Series]:
    """Build both sets of targets and run every conversion of the baseline once per round, taking turns."""
    folder = mobilenet_folder(bench)
    rounds = Rounds()
    for number in range(bench.repeats.builds):
        for each in projects.MOBILENET_SETS:
            say(f"{source}, round {number + 1} of {bench.repeats.builds}: dlpubuild, {each.title}")
            manifest = projects.write_mobilenet(folder, source, each)
            rounds.add(each.name, cold_build(bench, manifest, f"{source}, {each.name}", bench.setting.work / each.name))
        for variant in projects.BASELINE_VARIANTS:
            say(f"{source}, round {number + 1} of {bench.repeats.builds}: baseline, {variant}")
            rounds.add(variant, _baseline(bench, folder, source, [variant]))
        if number == 0:
            _compare(bench, folder)
        if bench.at_once:
            for each in projects.MOBILENET_SETS:
                say(f"{source}, round {number + 1} of {bench.repeats.builds}: baseline at once, {each.title}")
                rounds.add(f"{each.name} at once", _baseline(bench, folder, source, list(each.variants.values())))
    rows = []
    for each in projects.MOBILENET_SETS:
        rows.append(rounds.series(each.name, title=f"dlpubuild build: {each.title}"))
        rows.extend(rounds.series(variant, title=f"    baseline: {variant}") for variant in each.variants.values())
        rows.append(rounds.sums("    baseline, one after another", list(each.variants.values())))
        rows.append(rounds.ratios("build / baseline", each.name, list(each.variants.values()), aim=each.aim))
        if bench.at_once:
            rows.append(rounds.series(f"{each.name} at once", title="    baseline, a process per core at once"))
            rows.append(rounds.ratios("build / baseline at once", each.name, [f"{each.name} at once"]))
    return rows


def mobilenet_folder(bench: Bench) -> Path:
    """Return the folder with MobileNetV2 in both forms and its images, made when it is first asked for."""
    folder = bench.setting.work / "mobilenet"
    if not folder.is_dir():
        folder.mkdir()
        bench.setting.toolchain_process("inputs.py", "mobilenet", folder).run()
    return folder


def cold_build(bench: Bench, manifest: Path, title: str, output: Path, *, executor: str = "local") -> Spent:
    """Build with an empty cache of results, into a new folder, and return what it took."""
    cache = bench.setting.fresh_cache("cold")
    shutil.rmtree(output, ignore_errors=True)
    report = bench.setting.work / "cold.json"
    arguments = ("build", "--manifest", manifest, "--output", output, "--executor", executor, "--offline", "--json")
    spent = bench.setting.process(*arguments, cache=cache, output=report).timed()
    steps = json.loads(report.read_text(encoding="utf-8"))["steps"]
    if any(step["state"] != "ran" for step in steps):
        raise BenchError("a build with an empty cache found something in it")
    parts = ", ".join(f"{step['name']} {step['seconds']:.1f} s" for step in steps)
    bench.notes.append(f"{title}: {parts}")
    return spent


def _baseline(bench: Bench, folder: Path, source: str, variants: Sequence[str]) -> Spent:
    processes = [
        bench.setting.toolchain_process(
            "baseline.py", name, folder / source, folder / "images", folder / f"{name}.tflite"
        )
        for name in variants
    ]
    with spent_in_children() as spent, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.map(Process.run, processes):
            pass
    return spent[0]


def _compare(bench: Bench, folder: Path) -> None:
    """See that both sides made the same models."""
    for each in projects.MOBILENET_SETS:
        for soc, variant in each.variants.items():
            (model,) = (bench.setting.work / each.name).glob(f"*-{soc}/model/model.tflite")
            script = [bench.setting.python, BENCH / "same_model.py", model, folder / f"{variant}.tflite"]
            Process(argv=script, env=bench.setting.bare, log=bench.setting.work / "log").run()


SECTIONS: dict[str, Callable[[Bench], list[Series]]] = {
    "startup": startup,
    "example": example,
    "noop-1000": noop_1000,
    "hashing": hashing,
    "mobilenet-keras": mobilenet_keras,
    "mobilenet-saved-model": mobilenet_saved_model,
}
