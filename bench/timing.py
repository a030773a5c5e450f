"""Whole processes timed, by the clock on the wall and by the processor, and what a series of such times says.

In: command lines. Out: `Series` values. A process that fails is an error, never a time.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_SHOWN_LINES = 15


class BenchError(Exception):
    """Something that was to be measured did not run."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run took: seconds on the wall, and seconds of processor time of all its processes together.

    The latter says little of how long one waits, but hardly changes when the machine has other work to do.
    """

    wall: float
    cpu: float

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu)

    def __truediv__(self, other: Spent) -> Spent:
        return Spent(self.wall / other.wall, self.cpu / other.cpu)


@contextmanager
def spent_in_children() -> Iterator[list[Spent]]:
    """Append to the list what the processes took that were run inside the block."""
    result: list[Spent] = []
    started_s, started_cpu_s = time.perf_counter(), _children_cpu_s()
    yield result
    result.append(Spent(time.perf_counter() - started_s, _children_cpu_s() - started_cpu_s))


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What repeated runs took, in seconds, or as ratios if `unit` is `x`; the median should not exceed `aim`."""

    name: str
    runs: tuple[Spent, ...]
    aim: float | None = None
    unit: str = "s"

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(run.wall for run in self.runs)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def median_cpu(self) -> float:
        return statistics.median(run.cpu for run in self.runs)

    @property
    def is_met(self) -> bool | None:
        return None if self.aim is None else self.median <= self.aim

    def to_json(self) -> dict[str, Any]:
        """Return the series as JSON values, unrounded."""
        return {
            "name": self.name,
            "unit": self.unit,
            "values": list(self.values),
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "cpu": [run.cpu for run in self.runs],
            "median_cpu": self.median_cpu,
            "aim": self.aim,
            "met": self.is_met,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A command line with its environment; standard output and standard error go to `log`, or to `output` and `log`."""

    argv: Sequence[str | Path]
    env: Mapping[str, str]
    log: Path
    output: Path | None = None

    def run(self) -> None:
        """Run it to its end.

        Raises:
            BenchError: it exited with another code than 0; the message ends with its last lines.
        """
        with self.log.open("wb") as log, (self.output or self.log).open("wb" if self.output else "ab") as output:
            code = subprocess.run(
                [str(part) for part in self.argv],
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                check=False,
            ).returncode
        if code:
            tail = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
            command = " ".join(str(part) for part in self.argv)
            raise BenchError("\n    ".join([f"exit code {code}: {command}", *tail]))

    def timed(self) -> Spent:
        """Run it to its end and return what it took, from before the start to after the end.

        Raises:
            BenchError: as for `run`.
        """
        with spent_in_children() as spent:
            self.run()
        return spent[0]


@dataclass(slots=True)
class Rounds:
    """Times collected by name, round after round, so that a busy moment of the machine hits all names alike."""

    times: dict[str, list[Spent]] = field(default_factory=dict)

    def add(self, name: str, spent: Spent) -> None:
        self.times.setdefault(name, []).append(spent)

    def series(self, name: str, *, title: str | None = None, aim: float | None = None) -> Series:
        return Series(name=title or name, runs=tuple(self.times[name]), aim=aim)

    def sums(self, title: str, names: Sequence[str]) -> Series:
        """Return, round by round, what several took one after another."""
        parts = zip(*(self.times[name] for name in names), strict=True)
        return Series(name=title, runs=tuple(sum(rest, first) for first, *rest in parts))

    def ratios(self, title: str, ours: str, theirs: Sequence[str], *, aim: float | None = None) -> Series:
        """Return, round by round, what `ours` took over what `theirs` took one after another."""
        pairs = zip(self.times[ours], self.sums("", theirs).runs, strict=True)
        return Series(name=title, runs=tuple(mine / other for mine, other in pairs), aim=aim, unit="x")


def in_rounds(processes: Mapping[str, Process], repeats: int) -> Rounds:
    """Run every process once to warm up, then each once per round."""
    rounds = Rounds()
    for process in processes.values():
        process.run()
    for _ in range(repeats):
        for name, process in processes.items():
            rounds.add(name, process.timed())
    return rounds
