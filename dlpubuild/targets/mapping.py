"""How much of a model runs on the accelerator, and whether that is enough.

In: the record that a compiling step left (`out/step.json`), and the share that the manifest asks for. Out: a
`MappingReport`, notes for a person, or a `GateError` with the operators that were not mapped and why. The step has held
the compiler's figures against one another and against the files; here they are judged. Nothing is read from disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dlpubuild.errors import ErrorCode, GateError, StepFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN_OPERATORS: Final = 12
# What a step's record calls the compiler.
COMPILER: Final = "edgetpu-compiler"

# Said of operators that could run on the Edge TPU, had none before them stayed on the CPU.
_CONSEQUENCE: Final = "More than one subgraph is not supported"
# What the compiler says of an operator that stays on the CPU, and what can be done. Sources: Coral's and Axis' tables
# of supported operators; google-coral/edgetpu issues 317, 342 and 461.
_CHANGES: Final = {
    _CONSEQUENCE: (
        "one part of the model runs on the Edge TPU, and these come behind an operator that does not: change that one"
    ),
    "Operation is otherwise supported, but not mapped due to some unspecified limitation": (
        "often a size, as of a large RESHAPE or RESIZE_BILINEAR, or the cut of intermediate-tensors or search-delegate"
    ),
    "Operation not supported": "replace them by operators of Coral's table, or move them to the end of the model",
    "Operation version not supported": "a newer converter wrote them: use operators that older versions have",
    "Operation is working on an unsupported data type": "quantize them to 8 bits, or leave them to the application",
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class MappedOperators:
    """How many operators of a name share what the compiler says of them."""

    operator: str
    status: str
    count: int
    is_mapped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingReport:
    """What of a model runs where, as its compiler says it.

    Memory is in bytes, for the parameters: `on_chip_used_bytes` of them stay in the accelerator, which has room for
    `on_chip_remaining_bytes` more; `off_chip_streamed_bytes` are sent to it with each inference. None stands for what
    the compiler did not say. `compiler` is the version of `compiler_name`. `compile_ms` and `first_failure`, which
    is empty where the first try succeeded, differ from run to run: they are for a report and have no place in a
    package.
    """

    total: int
    mapped: int
    operators: tuple[MappedOperators, ...]
    subgraphs: int | None
    on_chip_used_bytes: int | None
    on_chip_remaining_bytes: int | None
    off_chip_streamed_bytes: int | None
    compiler: str
    compile_ms: int | None
    first_failure: str
    compiler_name: str = COMPILER

    @property
    def share(self) -> float:
        """The share of operators on the accelerator, 0 to 1; 1 for a model without operators."""
        return self.mapped / self.total if self.total else 1.0

    @property
    def on_cpu(self) -> tuple[MappedOperators, ...]:
        """What stays on the CPU."""
        return tuple(each for each in self.operators if not each.is_mapped)


def read_mapping(record: Mapping[str, Any]) -> MappingReport:
    """Return the report in a step's record.

    Raises:
        StepFailedError: `STEP_OUTPUT`: there is none in it, or it is not what the step is to write.
    """
    try:
        metrics, tools = record["metrics"], record["tools"]
        found, run = metrics["mapping"], metrics["run"]
        failure = run["first_failure"]
        report = MappingReport(
            total=_count(found["total"]),
            mapped=_count(found["mapped"]),
            operators=tuple(
                sorted(
                    MappedOperators(
                        operator=str(each["operator"]),
                        status=str(each["status"]),
                        count=_count(each["count"]),
                        is_mapped=each["mapped"] is True,
                    )
                    for each in found["operators"]
                )
            ),
            subgraphs=_maybe(found["subgraphs"]),
            on_chip_used_bytes=_maybe(found["on_chip_used_bytes"]),
            on_chip_remaining_bytes=_maybe(found["on_chip_remaining_bytes"]),
            off_chip_streamed_bytes=_maybe(found["off_chip_streamed_bytes"]),
            compiler=str(tools[COMPILER]),
            compile_ms=_maybe(run["milliseconds"]),
            first_failure="" if failure is None else str(failure["message"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _bad_record(f"it lacks or garbles {error}") from error
    counted = (sum(each.count for each in report.operators), sum(e.count for e in report.operators if e.is_mapped))
    if counted != (report.total, report.mapped):
        raise _bad_record(f"it says {report.mapped} of {report.total}, and lists {counted[1]} of {counted[0]}")
    return report


def mapping_notes(report: MappingReport) -> tuple[str, ...]:
    """Return what a person should know of a model that passes: one sentence each."""
    notes = []
    if report.mapped < report.total:
        listed = ", ".join(f"{each.count} {each.operator}" for each in _causes_first(report)[:SHOWN_OPERATORS])
        notes.append(
            f"{report.total - report.mapped} of {report.total} operators run on the CPU, which is slower: {listed}"
        )
    if report.off_chip_streamed_bytes:
        notes.append(
            f"{_size(report.off_chip_streamed_bytes)} of parameters do not fit into the accelerator and are sent to it "
            "with each inference: a smaller model is faster"
        )
    if report.first_failure:
        notes.append(f"the first try to compile failed, and the same command then succeeded: {report.first_failure}")
    return tuple(notes)


def hold_against_share(report: MappingReport, min_mapped: float | None, *, soc: str, file: str) -> None:
    """Raise `GateError` where too little of a model runs on the accelerator.

    Args:
        report: what runs where.
        min_mapped: the smallest share that passes, 0 to 1; None lets everything pass but 0.
        soc: name of the target, as it stands in the text.
        file: the file as the user knows it.

    Raises:
        GateError: the share is smaller, or nothing is mapped at all where nothing else is asked for.
    """
    enough = report.mapped > 0 or report.total == 0 if min_mapped is None else report.share >= min_mapped
    if enough:
        return
    wanted = "some" if min_mapped is None else f"at least {_percent(min_mapped)}"
    found = f"{report.mapped} of {report.total} operators ({_percent(report.share)})"
    lines = [f"{file}: found {found} on the accelerator of {soc}, wanted {wanted}; the others:"]
    shown = _causes_first(report)
    for status in dict.fromkeys(each.status for each in shown[:SHOWN_OPERATORS]):
        change = f" - {_CHANGES[status]}" if status in _CHANGES else ""
        lines.append(f"  {status}{change}")
        members = [each for each in shown[:SHOWN_OPERATORS] if each.status == status]
        lines.append(f"    {', '.join(f'{each.count} {each.operator}' for each in members)}")
    if len(shown) > SHOWN_OPERATORS:
        lines.append(f"  and {sum(each.count for each in shown[SHOWN_OPERATORS:])} more")
    raise GateError(
        ErrorCode.GATE,
        "\n".join(lines),
        hint=f"change the operators named above, or accept less with min-mapped under [target.{soc}]",
    )


def _causes_first(report: MappingReport) -> list[MappedOperators]:
    return sorted(report.on_cpu, key=lambda each: (each.status == _CONSEQUENCE, -each.count, each))


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"the count {value!r}")
    return value


def _maybe(value: object) -> int | None:
    return None if value is None else _count(value)


def _bad_record(what: str) -> StepFailedError:
    return StepFailedError(
        ErrorCode.STEP_OUTPUT,
        f"the record of the compiling step is not what it is to be: {what}",
        hint="a step of your own that compiles has to write metrics.mapping as docs/templates.md describes it",
    )


def _percent(share: float) -> str:
    """Return a share for a person; what is less than all never reads 100 %."""
    text = f"{100 * share:.1f}".removesuffix(".0")
    return f"{'99.9' if text == '100' and share < 1 else text} %"


def _size(size_bytes: int) -> str:
    if size_bytes < 1 << 10:
        return f"{size_bytes} B"
    return f"{size_bytes / (1 << 10):.1f} KiB" if size_bytes < 1 << 20 else f"{size_bytes / (1 << 20):.1f} MiB"
