"""A report made from a bundle, for comparing releases of which nothing else was kept.

In: a `Bundle`. Out: a document as `schemas/report.schema.json` describes it, with one target. What a package does not
hold is not made up: no times, no steps, no lint, no verification, no digests of inputs.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from dlpubuild import __version__
from dlpubuild.errors import DlpuError
from dlpubuild.package.spec import CPU_DEVICE
from dlpubuild.report.document import SCHEMA_VERSION
from dlpubuild.report.document_model import model_table
from dlpubuild.tflite.read import read_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.package.bundle_json import Bundle

    Json = Mapping[str, Any]


def package_report(bundle: Bundle) -> dict[str, Any]:
    """Return what can be told of a package."""
    told = bundle.document
    toolchain = told["toolchain"]
    return {
        "schema": SCHEMA_VERSION,
        "tool": {"name": "dlpubuild", "version": __version__},
        "created": None,
        "ok": True,
        "seconds": 0.0,
        "command": [],
        "executor": "",
        "project": {
            "name": told["name"],
            "version": told["version"],
            "vendor": told["vendor"],
            "license": told["license"],
            "manifest_sha256": None,
        },
        "targets": [_target(bundle)],
        "plan": {"steps": []},
        "provenance": {
            "inputs": [],
            "toolchains": [] if toolchain is None else [_toolchain(toolchain)],
            "source_date_epoch": None,
        },
    }


def _target(bundle: Bundle) -> dict[str, Any]:
    told = bundle.document
    soc, inputs, outputs = told["soc"], told["inputs"], told["outputs"]
    sides = [tensors[0]["dtype"] for tensors in (inputs, outputs) if tensors]
    archive = bundle.archive
    return {
        "soc": soc["name"],
        "title": soc["title"],
        "larod_device": soc["larod-device"],
        "state": "cached",
        "quantization": told["quantization"]["actual"],
        "io": "/".join(dict.fromkeys(sides)),
        "seconds": 0.0,
        "model": _model(told["model"]),
        "packages": []
        if archive is None
        else [{"file": bundle.name, "bytes": archive.size_bytes, "sha256": archive.hash}],
        "inputs": [_tensor(each) for each in inputs],
        "outputs": [_tensor(each) for each in outputs],
        "operators": _operators(bundle),
        "placement": None,
        "lint": None,
        "compiler": _compiler(told["compiler"], told["mapping"]),
        "verify": None,
        "verify_note": "a package does not hold what was measured",
        "notes": ["made from a package: what the build read, ran and measured is not in it"],
        "error": None,
    }


def _model(told: Json) -> dict[str, Any]:
    uncompiled = told["uncompiled"]
    return {
        **_file(told),
        "macs": told["macs"],
        "parameter_bytes": told["parameter-bytes"],
        "min_runtime": told["min-runtime"],
        "uncompiled": None if uncompiled is None else _file(uncompiled),
    }


def _file(told: Json) -> dict[str, Any]:
    return {"file": PurePosixPath(told["file"]).name, "bytes": told["size-bytes"], "sha256": told["sha256"]}


def _tensor(told: Json) -> dict[str, Any]:
    quantization = told["quantization"] or {}
    return {
        "name": told["name"],
        "shape": told["shape"],
        "dtype": told["dtype"],
        "scale": quantization.get("scale"),
        "zero_point": quantization.get("zero-point"),
    }


def _operators(bundle: Bundle) -> list[dict[str, Any]]:
    told = bundle.document
    readable = (told["model"]["uncompiled"] or told["model"])["file"]
    try:
        table = model_table(read_model(bundle.models[readable]))
    except DlpuError:
        # Only the camera can read a .bin.
        return []
    runs_on = "cpu" if told["soc"]["larod-device"] == CPU_DEVICE else "unknown"
    return [{**each, "runs_on": runs_on, "rules": []} for each in table["operators"]]


def _compiler(compiler: Json | None, mapping: Json | None) -> dict[str, Any] | None:
    if compiler is None:
        return None
    told: dict[str, Any] = {"name": compiler["name"], "version": compiler["version"], "mapped": None, "total": None}
    if mapping is not None:
        told |= {
            "mapped": mapping["mapped"],
            "total": mapping["total"],
            "subgraphs": mapping["subgraphs"],
            "on_chip_used_bytes": mapping["on-chip-used"],
            "on_chip_remaining_bytes": mapping["on-chip-remaining"],
            "off_chip_streamed_bytes": mapping["off-chip-streamed"],
            "operators": mapping["operators"],
        }
    return told


def _toolchain(told: Json) -> dict[str, Any]:
    return {
        "name": told["name"],
        "lock_sha256": told["lock-sha256"],
        "image": told["image"],
        "tensorflow": told["tensorflow"],
    }
