"""The section `verify`: verifying beside a bare loop of TensorFlow Lite's interpreter over the same samples.

In: a `Bench`. Out: per model the seconds of each and their ratio, round by round. What is timed is said in
verify_loop.py, which runs in the toolchain and is a process of its own each time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sections import Bench, mobilenet_folder
from setting import ROOT
from timing import Process, Rounds, Series, Spent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCRIPT = "verify_loop.py"
DIGITS_SAMPLES = 2000
MOBILENET_SAMPLES = 200
# Samples per second at least 0.9 of those of the bare loop: a time of at most 1 / 0.9 of its.
AIM = 1.11


def verify(bench: Bench) -> list[Series]:
    models = {
        "MobileNetV2": (mobilenet_folder(bench) / "model.keras", MOBILENET_SAMPLES),
        "digits": (ROOT / "examples" / "digits" / "model" / "digits.keras", DIGITS_SAMPLES),
    }
    rows = []
    for name, (model, samples) in models.items():
        folder = bench.setting.work / f"verify {name}"
        folder.mkdir()
        for stage in (["import", folder, model], ["calibrate", folder, str(samples)], ["quantize", folder]):
            bench.setting.toolchain_process(SCRIPT, *stage).run()
        rounds = Rounds()
        for warm_up in (True, *[False] * bench.repeats.hashing):
            for way in ("bare", "step"):
                spent = _spent(bench, way, folder)
                if not warm_up:
                    rounds.add(way, spent)
        rows += [
            rounds.series("step", title=f"verifying, {name}, {samples:,} samples"),
            rounds.series("bare", title=f"    bare loop, {name}"),
            rounds.ratios(f"verifying / bare loop, {name}", "step", ["bare"], aim=AIM),
        ]
    return rows


def _spent(bench: Bench, way: str, folder: Path) -> Spent:
    measured = bench.setting.toolchain_process(SCRIPT, way, folder)
    output = bench.setting.work / "verify.json"
    Process(argv=measured.argv, env=measured.env, log=measured.log, output=output).run()
    told = json.loads(output.read_text(encoding="utf-8").splitlines()[-1])
    return Spent(told["wall"], told["cpu"])


SECTIONS: dict[str, Callable[[Bench], list[Series]]] = {"verify": verify}
