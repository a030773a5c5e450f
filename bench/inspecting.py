"""What it takes to look at a model of 4 MB: `inspect` and `lint`, beside reading it with `flatbuffers` alone.

In: a `Bench`. Out: `Series` values, and notes in `Bench.notes`. The models are one made here, and a published one where
it lies beside the checkout.
"""

from __future__ import annotations

import re
import sys
from math import ceil
from typing import TYPE_CHECKING

from sections import Bench, say
from setting import BENCH, ROOT
from timing import BenchError, Process, Rounds, Series, Spent, in_rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MODEL_BYTES = 4_000_000
PUBLISHED = ROOT.parent / "shared" / "data" / "models" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
PROCESS_S = 0.5
TIMES = 3.0
CHANNELS = 256
IN_PROCESS_ROUNDS = 20


def inspecting(bench: Bench) -> list[Series]:
    models = _models(bench)
    reader = _reader(bench)
    rows: list[Series] = []
    for title, model in models.items():
        say(f"{title}: whole processes")
        rows += _processes(bench, reader, title, model)
        say(f"{title}: inside a process")
        rows += _in_process(bench, reader, title, model)
        rows += _memory(bench, title, model)
    return rows


def _models(bench: Bench) -> dict[str, Path]:
    made = bench.setting.work / "made.tflite"
    made.write_bytes(_made_model())
    models = {f"made, {made.stat().st_size / 1e6:.1f} MB": made}
    if PUBLISHED.is_file():
        models[f"MobileNetV2, {PUBLISHED.stat().st_size / 1e6:.1f} MB"] = PUBLISHED
    else:
        bench.notes.append(f"{PUBLISHED.name} is not beside the checkout: the model that is made here stands alone")
    return models


def _made_model() -> bytes:
    """Return an integer model of pointwise and depthwise convolutions with a scale for each channel."""
    sys.path.insert(0, str(ROOT))
    from tests.factories.tflite_factory import (
        CONV_OPTIONS,
        GraphSpec,
        ModelSpec,
        OperatorSpec,
        TensorSpec,
        encode,
    )

    scales = tuple(0.001 * (i + 1) for i in range(CHANNELS))
    shape = (1, 14, 14, CHANNELS)
    tensors = [TensorSpec(name="input", shape=shape, scales=(0.5,))]
    operators = []
    block = CHANNELS * CHANNELS + 9 * CHANNELS + 2 * 4 * CHANNELS + 4 * 12 * CHANNELS
    for number in range(ceil(MODEL_BYTES / block)):
        for name, weights, axis in (
            ("CONV_2D", (CHANNELS, 1, 1, CHANNELS), 0),
            ("DEPTHWISE_CONV_2D", (1, 3, 3, CHANNELS), 3),
        ):
            size = CHANNELS * CHANNELS if axis == 0 else 9 * CHANNELS
            where, last = f"block_{number}/{name.lower()}", len(tensors) - 1
            tensors += [
                TensorSpec(name=f"{where}/weights", shape=weights, scales=scales, axis=axis, data=bytes(size)),
                TensorSpec(
                    name=f"{where}/bias", shape=(CHANNELS,), dtype="int32", scales=scales, data=bytes(4 * CHANNELS)
                ),
                TensorSpec(name=f"{where}/output", shape=shape, scales=(0.5,)),
            ]
            inputs = (last, last + 1, last + 2)
            operators.append(
                OperatorSpec(name=name, inputs=inputs, outputs=(last + 3,), version=3, options=CONV_OPTIONS)
            )
    graph = GraphSpec(tensors=tuple(tensors), operators=tuple(operators), inputs=(0,), outputs=(len(tensors) - 1,))
    return encode(ModelSpec(graphs=(graph,)))


def _reader(bench: Bench) -> Path:
    """Return a Python that has flatbuffers and nothing else."""
    folder = bench.setting.work / "reader"
    python = folder / "bin" / "python"
    locked = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    found = re.search(r"^flatbuffers==(?:.*\\\n)*.*", locked, re.MULTILINE)
    if found is None:
        raise BenchError("requirements/dev.txt has no flatbuffers")
    requirement = bench.setting.work / "flatbuffers.txt"
    requirement.write_text(found[0] + "\n", encoding="utf-8")
    _run(bench, sys.executable, "-m", "venv", folder)
    _run(bench, python, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", requirement)
    return python


def _run(bench: Bench, *argv: str | Path) -> None:
    # pip takes the environment as it is; see `setting.install`.
    import os

    Process(argv=argv, env=os.environ, log=bench.setting.work / "install.log").run()


def _commands(model: Path) -> dict[str, Sequence[str | Path]]:
    return {
        "inspect": ("inspect", model),
        "inspect --json": ("inspect", model, "--json"),
        "lint": ("lint", model, "--target", "artpec8", "--fail-on", "never"),
    }


def _processes(bench: Bench, reader: Path, title: str, model: Path) -> list[Series]:
    walk = Process(
        argv=[reader, BENCH / "flatbuffers_walk.py", model], env=bench.setting.bare, log=bench.setting.work / "log"
    )
    tool = {name: bench.setting.process(*argv) for name, argv in _commands(model).items()}
    start = bench.setting.process("--version")
    rounds = in_rounds({"walk": walk, "start": start, **tool}, bench.repeats.commands)
    rows = [
        rounds.series("walk", title=f"{title}: a process that reads it with flatbuffers"),
        rounds.series("start", title=f"{title}: the tool's start (--version)"),
    ]
    for name in tool:
        rows.append(rounds.series(name, title=f"{title}: {name}", aim=PROCESS_S))
        rows.append(rounds.ratios(f"    {name} / flatbuffers, processes", name, ["walk"], aim=TIMES))
    return rows


def _in_process(bench: Bench, reader: Path, title: str, model: Path) -> list[Series]:
    rounds = Rounds()
    scripts = {"walk": (reader, "flatbuffers_walk.py", ()), "ours": (bench.setting.python, "inspecting_inside.py", ())}
    for name, (python, script, _) in scripts.items():
        output = bench.setting.work / "inside"
        argv: list[str | Path] = [python, BENCH / script, model, str(IN_PROCESS_ROUNDS)]
        Process(argv=argv, env=bench.setting.env(), log=bench.setting.work / "log", output=output).run()
        for line in output.read_text(encoding="utf-8").splitlines()[1:]:
            *label, wall, cpu = line.split()
            rounds.add(" ".join(label) or name, Spent(float(wall), float(cpu)))
    rows = [rounds.series("walk", title=f"{title}: reading it with flatbuffers, inside a process")]
    for name in rounds.times:
        if name != "walk":
            rows.append(rounds.series(name, title=f"{title}: {name}, inside a process"))
            rows.append(rounds.ratios(f"    {name} / flatbuffers, inside a process", name, ["walk"], aim=TIMES))
    return rows


def _memory(bench: Bench, title: str, model: Path) -> list[Series]:
    """Peak of resident memory over the file's size, above that of a tiny file, and above that of the interpreter."""
    tiny = ROOT / "tests" / "corpus" / "tflite" / "sound-integer-per-channel.tflite"
    bare = _peak(bench, ())
    size = model.stat().st_size
    rows = []
    for name, argv in _commands(model).items():
        large, small = _peak(bench, argv), _peak(bench, _commands(tiny)[name])
        bench.notes.append(
            f"{title}, {name}: peak {large / 2**20:.1f} MiB; on a file of {tiny.stat().st_size} bytes "
            f"{small / 2**20:.1f} MiB; an interpreter that does nothing {bare / 2**20:.1f} MiB"
        )
        ratios: dict[str, Callable[[], float]] = {
            "what the file adds": lambda large=large, small=small: (large - small) / size,
            "above the interpreter": lambda large=large: (large - bare) / size,
        }
        for what, ratio in ratios.items():
            spent = Spent(ratio(), ratio())
            rows.append(Series(name=f"{title}: memory of {name}, {what} / size", runs=(spent,), aim=TIMES, unit="x"))
    return rows


def _peak(bench: Bench, argv: Sequence[str | Path]) -> int:
    """Return the least of three peaks, in bytes."""
    target = bench.setting.work / "peak"
    script: list[str | Path] = [bench.setting.python, BENCH / "peak.py", target, *argv]
    peaks = []
    for _ in range(3):
        Process(argv=script, env=bench.setting.env(), log=bench.setting.work / "log").run()
        peaks.append(int(target.read_text(encoding="ascii")) << 10)
    return min(peaks)


SECTIONS: dict[str, Callable[[Bench], list[Series]]] = {"inspect": inspecting}
