"""Which TensorFlow Lite can run a model, and whether the Edge TPU compiler can read it.

In: a `TfliteModel`. Out: the oldest runtime that has all its operators, by TensorFlow's own rule
(`UpdateMinimumRuntimeVersionForModel` in tensorflow/lite/tools/versioning/runtime_version.cc): the greatest runtime of
any operator, where an operator version that the table lacks does not count. The table is `op_runtime_version.csv`,
which names its source. The metadata that a converter wrote has no say: TensorFlow 2.19 leaves it blank in what it
quantizes after calibration.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlpubuild.tflite.model import Operator, TfliteModel

_TABLE: Final = Path(__file__).with_name("op_runtime_version.csv")
_COLUMNS: Final = "builtin_operator,builtin_code,op_version,min_runtime_version"

EDGETPU_COMPILER: Final = "16.0"
# Operator versions of this runtime and later are refused wherever a refusal is on record, and none older is: the parser
# in the compiler is of the time before. That it draws the line exactly here is concluded, not documented.
EDGETPU_UNREADABLE_FROM: Final = (2, 7)
# google-coral/edgetpu issues 631, 845 and 879, and libedgetpu issue 71, show these refused by compiler 16.0.
_SEEN_REFUSED: Final = frozenset({("CONV_2D", 6), ("EXP", 2), ("QUANTIZE", 3), ("TRANSPOSE_CONV", 4)})


class OperatorRuntime(NamedTuple):
    """An operator version and the first runtime that has it, `None` where the table does not know it."""

    operator: str
    version: int
    runtime: str | None


class MinRuntime(NamedTuple):
    """The oldest runtime that runs a model, `None` where no operator is in the table, and what it follows from.

    `operators` has each operator version of the model once, custom operators left out, sorted.
    """

    version: str | None
    operators: tuple[OperatorRuntime, ...]

    @property
    def unknown(self) -> tuple[OperatorRuntime, ...]:
        """The operator versions that the table lacks, and that `version` therefore says nothing of."""
        return tuple(each for each in self.operators if each.runtime is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadabilityFinding:
    """An operator version that the Edge TPU compiler is expected not to read.

    `runtime` is the first TensorFlow Lite that has it, `None` where that is not known. `count` says how many operators
    of the model have it. `is_documented` is true where the compiler has been seen to refuse this very version, false
    where that is concluded from the runtime.
    """

    operator: str
    version: int
    runtime: str | None
    count: int
    is_documented: bool

    def __str__(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        if self.runtime is None:
            why = "is newer than what is known of TensorFlow Lite"
        else:
            why = f"came with TensorFlow {self.runtime}"
        ground = "has been seen to refuse it" if self.is_documented else "reads nothing of TensorFlow 2.7 and later"
        sure = "" if self.is_documented else ", as far as is known"
        return f"{self.operator} version {self.version}{times} {why}; compiler {EDGETPU_COMPILER} {ground}{sure}"


def min_runtime(model: TfliteModel) -> MinRuntime:
    """Return the oldest TensorFlow Lite that has every operator of `model`, those of all subgraphs."""
    table = runtime_table()
    pairs = sorted({(operator.name, operator.version) for operator in _builtins(model)})
    entries = tuple(OperatorRuntime(name, version, table.get((name, version))) for name, version in pairs)
    found = [entry.runtime for entry in entries if entry.runtime is not None]
    return MinRuntime(max(found, key=version_key, default=None), entries)


def first_runtime(operator: str, version: int) -> str | None:
    """Return the first TensorFlow Lite that runs a builtin operator of this version, None where that is not known.

    A version that the table skips came with the next one that it has.
    """
    known = (number for name, number in runtime_table() if name == operator and number >= version)
    return runtime_table().get((operator, min(known, default=0)))


def edgetpu_readable(model: TfliteModel) -> tuple[ReadabilityFinding, ...]:
    """Return the operator versions of `model` that the Edge TPU compiler is expected not to read, sorted by name.

    A version that the table lacks counts where it is newer than all that the table has of the operator.
    """
    counts = Counter((operator.name, operator.version) for operator in _builtins(model))
    return tuple(
        ReadabilityFinding(
            operator=entry.operator,
            version=entry.version,
            runtime=entry.runtime,
            count=counts[entry.operator, entry.version],
            is_documented=(entry.operator, entry.version) in _SEEN_REFUSED,
        )
        for entry in min_runtime(model).operators
        if entry.version > edgetpu_newest_readable().get(entry.operator, 0)
    )


@cache
def edgetpu_newest_readable() -> Mapping[str, int]:
    """Return the newest version of each operator that the Edge TPU compiler is expected to read.

    An operator of which it reads none, and one that no runtime is known for, is not in it.
    """
    newest: dict[str, int] = {}
    for (name, version), runtime in runtime_table().items():
        if version_key(runtime)[:2] < EDGETPU_UNREADABLE_FROM:
            newest[name] = max(version, newest.get(name, 0))
    return MappingProxyType(dict(sorted(newest.items())))


@cache
def runtime_table() -> Mapping[tuple[str, int], str]:
    """Return the first runtime by operator name and version; read once, when it is first needed."""
    lines = [line for line in _TABLE.read_text(encoding="ascii").splitlines() if not line.startswith("#")]
    if lines[0] != _COLUMNS:
        raise ValueError(f"{_TABLE} has other columns than {_COLUMNS}")
    rows = (line.split(",") for line in lines[1:])
    return MappingProxyType({(name, int(version)): runtime for name, _, version, runtime in rows})


def version_key(version: str) -> tuple[int, ...]:
    """Return what `2.10.0` sorts by, which is after `2.9.0`."""
    return tuple(int(part) for part in version.split("."))


def _builtins(model: TfliteModel) -> Iterator[Operator]:
    for graph in model.subgraphs:
        yield from (operator for operator in graph.operators if not operator.is_custom)
