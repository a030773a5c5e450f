"""Whether an integer model still follows its input, and what is said where it does not.

In: what a quantizing step measured. Out: notes for a person, or a `GateError` with the figures of both schemes. A model
has collapsed where one of its outputs is the same for samples that differ, although the float model's moves by so much
that eight bits would show it many times over. Nothing is read from disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dlpubuild.errors import ErrorCode, GateError
from dlpubuild.targets.figures_table import columns, short_name
from dlpubuild.targets.output_figures import SCHEMES

if TYPE_CHECKING:
    from dlpubuild.targets.model import Target
    from dlpubuild.targets.output_figures import CheckedOutput, Compared, OutputCheck, Spread

SHOWN_OUTPUTS: Final = 8
# An output has 255 steps. A sound model is a few of them off; one that stands still while the float model's value moves
# by more than these is off by half of it at the least. A classifier whose samples are all of one class, a detector that
# finds nothing, or an untrained network moves by less.
COLLAPSED_ABOVE_STEPS: Final = 16
# The same for indices, which have no steps: the one answer that is left is mostly not the float model's.
COLLAPSED_BELOW_AGREEMENT: Final = 0.5
# Worth telling: the output moves, but takes a fourth of the values it should take, or less.
NEARLY_FROM_EXPECTED: Final = 8
NEARLY_SHARE: Final = 4


def has_collapsed(output: CheckedOutput, scheme: str) -> bool:
    """Return whether the output of the integer model stands still, and that of the float model does not."""
    found = output.integer.get(scheme)
    if found is None or found.given.distinct > 1:
        return False
    if found.step is not None:
        return output.wanted.spread > COLLAPSED_ABOVE_STEPS * found.step
    disagrees = found.agreement is not None and found.agreement < COLLAPSED_BELOW_AGREEMENT
    return disagrees and output.wanted.distinct > 1


def check_notes(check: OutputCheck) -> tuple[str, ...]:
    """Return what a person should know of a model that passes: one sentence each."""
    unjudged = "whether the integer model follows its input cannot be judged"
    if not check.samples:
        return (f"{unjudged}: its inputs and outputs are too large",)
    if check.distinct <= 1:
        what = "is one calibration sample only" if check.samples == 1 else "are no two different calibration samples"
        return (f"{unjudged}: there {what}",)
    if check.scheme in check.failures:
        return (f"{unjudged}: TensorFlow Lite does not run it: {check.failures[check.scheme]}",)
    notes = [f"{_named(name)} is not compared with the float model's: {why}" for name, why in check.unmeasured]
    for each in check.outputs:
        found = each.integer.get(check.scheme)
        if found is not None:
            notes += [f"{_named(each.name)} {note}" for note in _note(each.wanted, found, check.samples)]
    return tuple(notes)


def _note(wanted: Spread, found: Compared, samples: int) -> tuple[str, ...]:
    """What is said of an output that has not collapsed: nothing, where all is well."""
    if wanted.distinct == 1:
        return (f"of the float model is the same for all {samples} samples that were tried",)
    moves = wanted.spread / found.step if found.step is not None else None
    if found.given.distinct == 1:
        what = "hardly changes" if moves is None else f"moves by {_number(moves, 2)} of 255 steps"
        same = f"is the same for all {samples} samples that were tried"
        return (f"{same}; the float model's {what}, too little to judge",)
    if moves is None or moves <= COLLAPSED_ABOVE_STEPS:
        return ()
    lost = "quantizing may have cost it most of what it knew"
    if found.expected >= NEARLY_FROM_EXPECTED and found.given.distinct * NEARLY_SHARE <= found.expected:
        values = f"takes {found.given.distinct} different values for {samples} samples"
        return (f"{values}, the float model's, rounded to the same steps, {found.expected}: {lost}",)
    if found.explained is not None and found.explained <= 0:
        return (f"is as far from the float model's as if it stood still (SQNR {_decibels(found)}): {lost}",)
    return ()


def hold_against_collapse(check: OutputCheck, target: Target, *, file: str) -> None:
    """Raise `GateError` where an output of the integer model stands still.

    Args:
        check: what was measured.
        target: what the model is for.
        file: the file as the user knows it.

    Raises:
        GateError: with the figures of both schemes side by side, and what can be done.
    """
    collapsed = [each for each in check.outputs if has_collapsed(each, check.scheme)]
    if check.distinct <= 1 or not collapsed:
        return
    others = [each for each in check.outputs if each not in collapsed]
    shown = (*collapsed, *others)[:SHOWN_OUTPUTS]
    names = ", ".join(_named(each.name) for each in shown if each in collapsed)
    lines = [
        f"{file}: {names} is the same for {check.samples} calibration samples that the float model tells apart:",
        *columns([["output", "float model", *SCHEMES], *(_row(each, check) for each in shown)]),
    ]
    if len(check.outputs) > len(shown):
        lines.append(f"  and {len(check.outputs) - len(shown)} more outputs")
    raise GateError(ErrorCode.GATE, "\n".join(lines), hint=_what_to_do(check, collapsed, target))


def _row(output: CheckedOutput, check: OutputCheck) -> list[str]:
    cells = [short_name(output.name), _values(output.wanted)]
    for scheme in SCHEMES:
        found = output.integer.get(scheme)
        if found is None:
            cells.append("cannot be run" if scheme in check.failures else "-")
        elif found.sqnr_db is None:
            cells.append(_values(found.given))
        else:
            cells.append(f"{_values(found.given)}, SQNR {_decibels(found)}")
    return cells


def _values(spread: Spread) -> str:
    """How many values, each of all elements, and from where to where."""
    noun = "value" if spread.distinct == 1 else "values"
    return f"{spread.distinct} {noun}, {_number(spread.low)} to {_number(spread.high)}"


def _what_to_do(check: OutputCheck, collapsed: list[CheckedOutput], target: Target) -> str:
    """What is known to bring an output back; see TensorFlow's issue 43882, and 360 of Axis' native SDK examples."""
    (other,) = set(SCHEMES) - {check.scheme}
    measured = [each for each in collapsed if other in each.integer]
    helps = bool(measured) and not any(has_collapsed(each, other) for each in measured)
    if helps and other in target.soc.allowed_quantization:
        return f'set quantization = "{other}" under [target.{target.name}]'
    if not helps:
        return (
            f"{other} does not help, so look for what makes the ranges of activations wide: samples that are not as "
            "the camera gives them, another mean and std than in training, one value far from all others; or train "
            "quantization-aware"
        )
    retrain = ' with toolchain = "tf1"' if "tf1" in target.soc.allowed_toolchain else ""
    return (
        f"{target.soc.title} needs {check.scheme}, and some layer has weights too unlike for one scale: fold batch "
        "normalization into its convolution, equalize the ranges of its filters, remove dead ones; or train "
        f"quantization-aware{retrain}; or export the model another way, from Keras instead of through ONNX"
    )


def _decibels(found: Compared) -> str:
    return "-" if found.sqnr_db is None else f"{found.sqnr_db:.1f} dB"


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}g}"


def _named(name: str) -> str:
    return f'output "{short_name(name)}"'
