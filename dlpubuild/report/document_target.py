"""One target of a report: its model, packages, operators, and all that was found out about it.

In: how the target ended, what was planned for it, and the table of its model. Out: JSON values as
`schemas/report.schema.json` describes them. Nothing is read or judged here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dlpubuild.package.compiled import BINARY_FILE
from dlpubuild.package.description import shortest_float32
from dlpubuild.package.spec import CPU_DEVICE, UNCOMPILED_FILE
from dlpubuild.report.document_findings import compiler_json, lint_json, placement_json, verify_json, verify_note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.errors import DlpuError
    from dlpubuild.package.compiled import BuiltModel
    from dlpubuild.package.description import IoTensor
    from dlpubuild.package.target import PackagedTarget
    from dlpubuild.plan.model import PlannedTarget
    from dlpubuild.report.build import TargetResult
    from dlpubuild.targets.lint.model import LintReport, Placement
    from dlpubuild.targets.mapping import MappingReport
    from dlpubuild.targets.model import Soc

    Json = Mapping[str, Any]


def target_json(
    result: TargetResult,
    *,
    soc: Soc | None,
    planned: PlannedTarget | None,
    built: BuiltModel | None,
    tables: Mapping[Digest, Json],
    has_verify: bool,
) -> dict[str, Any]:
    """Return one target of a report.

    Args:
        result: how it ended.
        soc: what is known of the SoC, None where nothing is.
        planned: what was to be made; None where the target was set aside before.
        built: what its steps left, None where they did not succeed.
        tables: by digest, see `document_model.model_table`.
        has_verify: whether the manifest asks for verification.
    """
    package = result.package
    digest = None if built is None or soc is None else built.described(soc.model_file)
    table: Json = {} if digest is None else tables.get(digest, {})
    lint = result.lint
    placement = None if lint is None else lint.placement
    mapping = None if package is None else package.mapping
    return {
        "soc": result.soc,
        "title": result.soc if soc is None else soc.title,
        "larod_device": None if soc is None else soc.larod_device,
        "state": _state(result),
        "quantization": _quantization(package, planned, table),
        "io": _io(package, planned),
        "seconds": round(result.seconds, 3),
        "model": None if built is None or soc is None else _model(built, soc, table),
        "packages": [] if package is None else packages_json(package),
        "inputs": _tensors(package, table, "inputs"),
        "outputs": _tensors(package, table, "outputs"),
        "operators": _operators(table.get("operators", ()), lint, _Places(placement, mapping, soc)),
        "placement": None if placement is None else placement_json(placement),
        "lint": None if lint is None else lint_json(lint),
        "compiler": None if package is None else compiler_json(package.compiler, mapping),
        "verify": verify_json(result.verification),
        "verify_note": verify_note(
            result.verification, None if package is None else package.check, has_verify=has_verify
        ),
        "notes": [] if package is None else list(package.notes),
        "error": None if result.error is None else error_json(result.error),
    }


def _state(result: TargetResult) -> str:
    if result.error is not None:
        return "failed"
    if result.package is None:
        return "skipped"
    return "ran" if result.ran else "cached"


def _quantization(package: PackagedTarget | None, planned: PlannedTarget | None, table: Json) -> str:
    if package is not None:
        return package.quantization
    if "quantization" in table:
        return str(table["quantization"])
    return "" if planned is None else planned.target.quantization


def _io(package: PackagedTarget | None, planned: PlannedTarget | None) -> str:
    if package is not None:
        return package.io
    return "" if planned is None else planned.target.io


def _model(built: BuiltModel, soc: Soc, table: Json) -> dict[str, Any]:
    uncompiled, is_binary = None, soc.model_file == BINARY_FILE
    if built.source is not None:
        uncompiled = {"file": UNCOMPILED_FILE, "bytes": built.source.size_bytes, "sha256": built.source.hash}
    return {
        "file": soc.model_file,
        "bytes": built.model.size_bytes,
        "sha256": built.model.hash,
        "macs": table.get("macs"),
        # These two are of the file that the camera loads, which nobody else can read.
        "parameter_bytes": None if is_binary else table.get("parameter_bytes"),
        "min_runtime": None if is_binary else table.get("min_runtime"),
        "uncompiled": uncompiled,
    }


def packages_json(package: PackagedTarget) -> list[dict[str, Any]]:
    """Return the files that were written for a target."""
    files: list[tuple[Path, Digest]] = []
    if package.package is not None:
        files.append((package.package.archive, package.package.archive_digest))
    if package.eap is not None:
        files.append((package.eap.path, package.eap.digest))
    return [{"file": path.name, "bytes": digest.size_bytes, "sha256": digest.hash} for path, digest in files]


def _tensors(package: PackagedTarget | None, table: Json, side: str) -> list[Any]:
    if package is not None and package.binary is not None:
        return [_io_tensor(each) for each in getattr(package.binary, side)]
    return list(table.get(side, ()))


def _io_tensor(tensor: IoTensor) -> dict[str, Any]:
    scale = tensor.scale if tensor.scale is not None and math.isfinite(tensor.scale) else None
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": None if scale is None else shortest_float32(scale),
        "zero_point": None if scale is None else tensor.zero_point or 0,
    }


class _Places:
    """Where operators run: what is expected, what a compiler said, or what goes without saying."""

    __slots__ = ("_by_index", "_by_name", "_otherwise")

    def __init__(self, placement: Placement | None, mapping: MappingReport | None, soc: Soc | None) -> None:
        self._by_index: dict[int, str] = {}
        self._by_name: dict[str, str] = {}
        self._otherwise = "cpu" if soc is not None and soc.larod_device == CPU_DEVICE else "unknown"
        if placement is not None:
            self._by_index = dict.fromkeys(placement.on_dlpu, "dlpu") | dict.fromkeys(placement.on_cpu, "cpu")
        elif mapping is not None:
            mapped = {each.operator for each in mapping.operators if each.is_mapped}
            left = {each.operator for each in mapping.operators if not each.is_mapped}
            # The compiler counts by name, so that of a name on both sides nothing can be said.
            self._by_name = dict.fromkeys(mapped - left, "dlpu") | dict.fromkeys(left - mapped, "cpu")

    def of(self, operator: Json) -> str:
        if operator["subgraph"] == 0 and operator["index"] in self._by_index:
            return self._by_index[operator["index"]]
        return self._by_name.get(operator["name"], self._otherwise)


def _operators(operators: Sequence[Json], lint: LintReport | None, places: _Places) -> list[dict[str, Any]]:
    rules: dict[int, list[str]] = {}
    for finding in lint.findings if lint is not None else ():
        if finding.operator_index is not None:
            rules.setdefault(finding.operator_index, []).append(finding.rule)
    return [
        {
            **each,
            "runs_on": places.of(each),
            "rules": list(dict.fromkeys(rules.get(each["index"], ()))) if each["subgraph"] == 0 else [],
        }
        for each in operators
    ]


def error_json(error: DlpuError) -> dict[str, Any]:
    """Return why a target failed."""
    place = f"{error.location}: " if error.location else ""
    return {"code": str(error.code), "message": f"{place}{error.message}", "hint": error.hint}
