"""Fuzzing what reads `.tflite` files, for as long as one likes: `python -m tests.fuzz.fuzz_tflite --seconds 600`.

In: a seed, and the corpus. Out: how many files were looked at, and, for each new way to fail, the file that did it,
made smaller, in the folder `--keep`; the exit code is 1 then. Memory is limited, so that a file that takes gigabytes
fails. What is found belongs into tests/corpus/tflite, with its line in the index there.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import traceback
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, and nothing of the product
from typing import TYPE_CHECKING, Any

from tests.factories.inspections import look
from tests.factories.mutations import absurd_bytes, damaged_bytes, sound_specs
from tests.factories.tflite_factory import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "tflite"
# Above what the interpreter, the tool and the corpus take.
MEMORY_BYTES = 2 << 30
SHRINK_S = 20.0


class Seeded:
    """Choices that follow from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def pick(self, items: Sequence[Any]) -> Any:
        return self._random.choice(items)


def made(seed: int, corpus: Sequence[bytes]) -> bytes:
    """Return the file of a seed: absurd, damaged, both, or damaged from the corpus."""
    choices = Seeded(seed)
    way = choices.number(0, 3)
    if way == 0 and corpus:
        return damaged_bytes(choices.pick(corpus), choices)
    spec = choices.pick(sound_specs())
    if way == 1:
        return absurd_bytes(spec, choices)
    return damaged_bytes(encode(spec) if way == 2 else absurd_bytes(spec, choices), choices)


def failure(data: bytes) -> tuple[str, str] | None:
    """Return what went wrong, shortly and in full; None where nothing did."""
    try:
        look(data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}", traceback.format_exc(limit=-5)
    return None


def smaller(data: bytes, name: str) -> bytes:
    """Return a file that fails in the same way, with as little left of it as is found in a short time."""
    until = time.monotonic() + SHRINK_S
    step = max(4, len(data) // 4)
    while step >= 4 and time.monotonic() < until:
        for start in range(8, len(data), step):
            for tried in (data[:start], data[:start] + bytes(len(data[start : start + step])) + data[start + step :]):
                found = failure(tried) if tried != data else None
                if found and found[0] == name:
                    data = tried
                    break
        step //= 2
    return data


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the reader, inspect and lint.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first file; each next one has the next")
    parser.add_argument("--keep", type=Path, default=Path("found"), metavar="DIR", help="where failures are written")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    corpus = [path.read_bytes() for path in sorted(CORPUS.glob("*.tflite"))]
    begin, seen, seed = time.monotonic(), set[str](), options.seed
    while time.monotonic() - begin < options.seconds:
        data = made(seed, corpus)
        found = failure(data)
        if found is not None and found[0] not in seen:
            seen.add(found[0])
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"seed-{seed}.tflite").write_bytes(smaller(data, found[0]))
            sys.stdout.write(f"seed {seed}: {found[0]}\n{found[1]}\n")
        seed += 1
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    sys.stdout.write(f"seeds {options.seed} to {seed - 1}: {len(seen)} failures, peak {peak_mib} MiB\n")
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
