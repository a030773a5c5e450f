"""What verifying a package found, as a value, as text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlpubuild.report.accuracy import gate_json, verification_text
from dlpubuild.report.text import printable

if TYPE_CHECKING:
    from dlpubuild.targets.accuracy_gate import AccuracyError
    from dlpubuild.targets.verification import Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPackage:
    """A package, what was measured of its model, and the error where a limit was not kept.

    `model` is the path in the package of the model that was measured, None where the package has only what a compiler
    made, and the project's own was measured. `is_built_here` says whether the project builds that model;
    `had_checksums` whether the package has checksums, all of which hold.
    """

    package: str
    target: str
    had_checksums: bool
    model: str | None
    is_built_here: bool
    verification: Verification
    error: AccuracyError | None


def verified_text(result: VerifiedPackage, *, colored: bool) -> str:
    """Return what was found for a terminal."""
    sums = "every file is what its checksums say" if result.had_checksums else "it has no checksums in it"
    if result.model is None:
        model = "it holds only what was compiled; measured is the model that this project compiles"
    else:
        same = (
            "the one that this project builds" if result.is_built_here else "not the one that this project builds now"
        )
        model = f"{result.model} is {same}"
    samples = result.verification.document["samples"]
    head = (
        f"{printable(result.package)} for {result.target}: {sums}\n{printable(model)}\n{samples} validation samples\n\n"
    )
    return head + verification_text(result.verification, colored=colored)


def verified_json(result: VerifiedPackage) -> dict[str, Any]:
    """Return what was found as JSON values; `verify` is the whole document of docs/verify.md."""
    verification = result.verification
    return {
        "schema": 1,
        "ok": result.error is None,
        "package": result.package,
        "target": result.target,
        "checksums": "hold" if result.had_checksums else "none",
        "model": result.model,
        "is_built_here": result.is_built_here,
        "verify": {
            **verification.document,
            "gates": [gate_json(gate) for gate in verification.gates],
            "of_uncompiled": verification.of_uncompiled,
        },
        "verify_note": verification.note,
    }
