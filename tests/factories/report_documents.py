"""Report documents: a rich one that shows everything a view has to cope with, and the least that is one.

In: nothing. Out: dicts as `schemas/report.schema.json` describes them. The same on every call: figures come from sines,
not from chance. Names are hostile on purpose, because they come out of files of unknown origin.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

SCRIPT = "<script>alert(1)</script>"
RTL = "טנזור/الطبقة_٣"
OVERRIDE = "safe\u202etxt.exe"
LONG = "model/" + "/".join(f"block_{number}_expanded_conv_project" for number in range(14)) + "/Conv2D;BiasAdd;Relu6"
MARKDOWN = "a|b`c`*d* @everyone #1 [x](http://example.invalid) <img src=x onerror=alert(1)>"
HOSTILE = (SCRIPT, RTL, OVERRIDE, LONG, MARKDOWN, "'\"><svg/onload=alert(1)>", "line\nbreak\tand\x1b[31mred")
SOCS = {
    "artpec7": "ARTPEC-7",
    "artpec8": "ARTPEC-8",
    "artpec9": "ARTPEC-9",
    "cv25": "CV25",
    "cv75": "CV75",
    "cpu": "CPU",
}
_DEVICES = {
    "artpec7": "google-edge-tpu-tflite",
    "artpec8": "axis-a8-dlpu-tflite",
    "artpec9": "a9-dlpu-tflite",
    "cv25": "ambarella-cvflow",
    "cv75": "ambarella-cvflow",
    "cpu": "cpu-tflite",
}
_OPERATORS = 150
_LAYERS = 60


def minimal_document() -> dict[str, Any]:
    """Return the least that is a report: one SoC, packaged as it was, nothing measured, nothing linted."""
    return {
        "schema": 1,
        "tool": {"name": "dlpubuild", "version": "0.1.0"},
        "created": "2026-01-01T00:00:00Z",
        "ok": True,
        "seconds": 0.2,
        "command": ["dlpubuild", "build"],
        "executor": "local: this machine",
        "project": {"name": "tiny", "version": "1.0.0", "vendor": "", "license": "", "manifest_sha256": sha("tiny")},
        "targets": [
            {
                "soc": "cpu",
                "title": "CPU",
                "larod_device": "cpu-tflite",
                "state": "cached",
                "quantization": "none",
                "io": "float32",
                "seconds": 0.0,
                "model": {
                    "file": "model.tflite",
                    "bytes": 812,
                    "sha256": sha("cpu"),
                    "macs": 0,
                    "parameter_bytes": 0,
                    "min_runtime": None,
                },
                "packages": [],
                "inputs": [],
                "outputs": [],
                "operators": [],
                "placement": None,
                "lint": None,
                "compiler": None,
                "verify": None,
                "verify_note": "the manifest has no [verify]",
                "notes": [],
                "error": None,
            }
        ],
        "plan": {"steps": []},
        "provenance": {"inputs": [], "toolchains": [], "source_date_epoch": 315532800},
    }


def rich_document() -> dict[str, Any]:
    """Return a report of six SoCs: a gate failed, one was skipped; two outputs, boxes, findings, hostile names."""
    targets = [_target(soc, number) for number, soc in enumerate(SOCS)]
    return {
        "schema": 1,
        "tool": {"name": "dlpubuild", "version": "0.1.0"},
        "created": "2026-01-01T12:34:56Z",
        "ok": False,
        "seconds": 187.3,
        "command": ["dlpubuild", "build", "--manifest", f"models/{SCRIPT}/dlpu.toml"],
        "executor": "docker: unix:///var/run/docker.sock (Docker 20.10.24)",
        "project": {
            "name": "street-objects",
            "version": "2.3.1",
            "vendor": f"Vendor {SCRIPT}",
            "license": "Apache-2.0",
            "manifest_sha256": sha("manifest"),
        },
        "targets": targets,
        "plan": {"steps": _steps()},
        "provenance": {
            "inputs": [
                {"kind": "manifest", "name": "dlpu.toml", "sha256": sha("manifest"), "bytes": 1204},
                {"kind": "model", "name": f"model/{SCRIPT}.keras", "sha256": sha("keras"), "bytes": 14_680_064},
                {"kind": "labels", "name": "model/labels.txt", "sha256": sha("labels"), "bytes": 311},
                {"kind": "calibration", "name": "100 of 640 images", "sha256": sha("cal"), "bytes": 31_457_280},
                {"kind": "validation", "name": RTL, "sha256": sha("val"), "bytes": 120_400_123},
                {"kind": "license", "name": "LICENSE", "sha256": sha("license"), "bytes": 10_770},
            ],
            "toolchains": [
                {"name": "tf2", "lock_sha256": sha("tf2"), "image": None, "tensorflow": "2.19.1"},
                {"name": "edgetpu", "lock_sha256": sha("tpu"), "image": "sha256:" + sha("image"), "tensorflow": None},
            ],
            "source_date_epoch": 315532800,
        },
    }


def older_document() -> dict[str, Any]:
    """Return the rich report one release before: other figures for ARTPEC-8, an SoC less and one more, other data."""
    document = rich_document()
    document["project"]["version"] = "2.2.0"
    document["created"] = "2025-11-02T08:00:00Z"
    document["seconds"] = 201.9
    targets = {target["soc"]: target for target in document["targets"]}
    before = targets["artpec8"]
    before["model"] |= {"bytes": 4_400_000, "sha256": sha("older")}
    before["quantization"] = "per-channel"
    before["operators"] = before["operators"][:140]
    output = before["verify"]["outputs"][0]
    output["built"]["top1"] = _share(341)
    output["sqnr_db"] = {"value": 21.0, "low": 20.1, "high": 22.0}
    before["verify"]["outputs"][1]["mae"] = {"value": 0.005, "low": 0.004, "high": 0.006}
    before["verify"]["gates"][0]["passed"] = False
    before["lint"]["findings"] = before["lint"]["findings"][2:]
    before["lint"]["findings"].append(finding("artpec8/batch", "error", None, found=f"batch 4 {SCRIPT}"))
    document["targets"] = [each for soc, each in targets.items() if soc != "cv25"]
    document["targets"].append(targets["cpu"] | {"soc": "gone", "title": f"Gone {SCRIPT}"})
    document["plan"]["steps"][2]["seconds"] = 80.5
    inputs = document["provenance"]["inputs"]
    inputs[1]["sha256"] = sha("keras before")
    document["provenance"]["inputs"] = [*inputs[:3], *inputs[4:]]
    document["provenance"]["toolchains"][0] |= {"lock_sha256": sha("tf2 before"), "tensorflow": "2.18.0"}
    return document


def sha(text: str) -> str:
    """Return a digest that stands for a file."""
    return hashlib.sha256(text.encode()).hexdigest()


def _target(soc: str, number: int) -> dict[str, Any]:
    built: dict[str, Any] = {
        "soc": soc,
        "title": SOCS[soc],
        "larod_device": _DEVICES[soc],
        "state": "cached" if soc == "cpu" else "ran",
        "quantization": {"artpec8": "per-tensor", "cpu": "none"}.get(soc, "per-channel"),
        "io": "float32" if soc == "cpu" else "uint8",
        "seconds": 21.4 + 13 * number,
        "model": {
            "file": "model.bin" if soc.startswith("cv") else "model.tflite",
            "bytes": 3_900_000 + 210_000 * number if soc != "cpu" else 15_300_000,
            "sha256": sha(soc),
            "macs": 1_203_448_832,
            "parameter_bytes": 3_541_200,
            "min_runtime": "2.3.0",
            "uncompiled": None,
        },
        "packages": [
            {"file": f"street-objects-2.3.1-{soc}.tar.gz", "bytes": 3_100_000, "sha256": sha(soc + "tar")},
            {"file": f"street_objects_2_3_1_{soc}.eap", "bytes": 3_105_000, "sha256": sha(soc + "eap")},
        ],
        "inputs": [_tensor("image", [1, 320, 320, 3], "uint8", 0.00392157, 0)],
        "outputs": [
            _tensor("scene", [1, 10], "uint8", 0.00390625, 0),
            _tensor("boxes", [1, 1917, 4], "uint8", 0.0472, 128),
        ],
        "operators": _operators(soc),
        "placement": _placement(soc),
        "lint": _lint(soc),
        "compiler": _compiler(soc),
        "verify": _verify(min(number, 3), of_uncompiled=soc in ("artpec7", "cv25")),
        "verify_note": {
            "artpec7": "a model compiled for the Edge TPU runs nowhere else: the model before compilation was verified"
        }.get(soc, ""),
        "notes": [],
        "error": None,
    }
    if soc == "artpec7":
        built["model"] |= {"uncompiled": {"file": "quantized.tflite", "bytes": 3_700_000, "sha256": sha("before")}}
    if soc == "artpec8":
        built["notes"] = ["lint: 2 warnings, first: artpec8/filters-multiple-of-6", f"note about {SCRIPT}"]
    if soc == "artpec9":
        built["verify"]["gates"][0] |= {"value": 0.031, "passed": False}
        built["verify"]["outputs"][0]["drop"]["top1"] = {"value": 0.031, "low": 0.012, "high": 0.052}
        built |= {
            "state": "failed",
            "packages": [],
            "error": {
                "code": "gate-verify",
                "message": "accuracy is below what the manifest asks for: top-1 of output scene dropped by 3.1 points, "
                "at most 2.0 are allowed\n  the worst layer is " + LONG,
                "hint": "give more calibration samples, or raise verify.max-drop",
            },
        }
    if soc == "cv75":
        built |= {
            "state": "skipped",
            "model": None,
            "packages": [],
            "inputs": [],
            "outputs": [],
            "operators": [],
            "placement": None,
            "lint": None,
            "compiler": None,
            "verify": None,
            "verify_note": "nothing was built",
            "seconds": 0.0,
        }
    if soc == "cpu":
        built |= {"lint": {"errors": 0, "warnings": 0, "advice": 0, "findings": [], "silenced": []}}
    return built


def _tensor(name: str, shape: list[int], dtype: str, scale: float | None, zero_point: int | None) -> dict[str, Any]:
    return {"name": name, "shape": shape, "dtype": dtype, "scale": scale, "zero_point": zero_point}


def layer_name(index: int) -> str:
    """Return the name of the tensor that operator `index` writes; one in seventeen is hostile."""
    if index % 17 == 5:
        return HOSTILE[index // 17 % len(HOSTILE)]
    return f"model/block_{index // 4}/{('expand', 'depthwise', 'project', 'add')[index % 4]}/Relu6"


def _operators(soc: str) -> list[dict[str, Any]]:
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD")
    found = []
    for index in range(_OPERATORS):
        kind = kinds[index % 4] if index < _OPERATORS - 3 else ("RESHAPE", "CONCATENATION", "LOGISTIC")[index % 3]
        side = max(10, 160 >> index // 40)
        channels = 16 + 8 * (index // 10)
        macs = 0 if kind == "ADD" else side * side * channels * (9 if "DEPTH" in kind else channels)
        on_cpu = index >= _OPERATORS - 4 or (soc == "artpec8" and index % 37 == 9)
        found.append(
            {
                "index": index,
                "name": kind,
                "version": 3 if "CONV" in kind else 1,
                "output": layer_name(index),
                "shape": [1, side, side, channels],
                "dtype": "float32" if soc == "cpu" else "int8",
                "activation": "RELU6" if "CONV" in kind else "NONE",
                "macs": macs,
                "parameter_bytes": channels * channels + 4 * channels if "CONV" in kind else 0,
                "runs_on": "cpu" if soc == "cpu" or on_cpu else "unknown" if soc.startswith("cv") else "dlpu",
                "rules": [f"{soc}/filters-multiple-of-6"] if index % 29 == 3 and soc == "artpec8" else [],
            }
        )
    return found


def _placement(soc: str) -> dict[str, Any] | None:
    if soc in ("cv25", "cpu"):
        return None
    return {
        "processor": "Edge TPU" if soc == "artpec7" else "DLPU",
        "dlpu": {"CONV_2D": 70, "DEPTHWISE_CONV_2D": 36, "ADD": 33},
        "cpu": {"ADD": 4, "CONV_2D": 4, SCRIPT: 1, "LOGISTIC": 1, "RESHAPE": 1},
        "parts": 14 if soc == "artpec8" else 1,
        "switches": 9 if soc == "artpec8" else 1,
        "max_parts": 16 if soc == "artpec8" else None,
        "basis": "documented list of operators; what depends on the dilation is inferred",
    }


def finding(
    rule: str, severity: str, index: int | None, *, found: str, evidence: str = "documented", source: str = ""
) -> dict[str, Any]:
    """Return one finding as `lint --json` has it."""
    return {
        "rule": rule,
        "severity": severity,
        "subject": "operator" if index is not None else "model",
        "operator_index": index,
        "operator": "CONV_2D" if index is not None else "",
        "output": layer_name(index) if index is not None else "",
        "found": found,
        "wanted": "the same dilation in both directions" if severity == "warning" else "a multiple of 6 filters",
        "change": "use dilation_rate=(n, n)" if severity == "warning" else "use 30 filters in this layer",
        "source": source
        or "https://developer.axis.com/computer-vision/on-device/system-on-chip/artpec-8/optimization-tips",
        "evidence": evidence,
        "reason": "",
    }


def _lint(soc: str) -> dict[str, Any]:
    findings = [
        finding(f"{soc}/filters-multiple-of-6", "advice", index, found=f"{16 + index} filters")
        for index in range(3, _OPERATORS, 29)
    ]
    if soc in ("artpec8", "artpec9"):
        findings += [
            finding(f"{soc}/same-dilation", "warning", 5, found="dilation 2x1", evidence="measured"),
            finding(f"{soc}/same-dilation", "warning", 22, found=f"dilation {SCRIPT}", evidence="measured"),
            finding(f"{soc}/operator-not-listed", "warning", 39, found="CONV_3D", source="javascript:alert(1)"),
        ]
    if soc == "artpec9":
        findings.append(
            finding(f"{soc}/too-many-parts", "error", None, found="19 parts", evidence="inferred", source="nowhere")
        )
    counts = {name: sum(each["severity"] == name for each in findings) for name in ("error", "warning", "advice")}
    silenced = [{"rule": f"{soc}/prefer-relu", "reason": f"LeakyReLU is worth 2 % here {SCRIPT}", "count": 12}]
    return {
        "errors": counts["error"],
        "warnings": counts["warning"],
        "advice": counts["advice"],
        "findings": findings,
        "silenced": silenced if soc == "artpec8" else [],
    }


def _compiler(soc: str) -> dict[str, Any] | None:
    if soc == "artpec7":
        return {
            "name": "edgetpu_compiler",
            "version": "16.0.384591198",
            "mapped": 141,
            "total": 150,
            "subgraphs": 1,
            "on_chip_used_bytes": 3_421_000,
            "on_chip_remaining_bytes": 4_190_000,
            "off_chip_streamed_bytes": 0,
            "operators": [
                {"name": "CONV_2D", "count": 70, "mapped": True, "status": "Mapped to Edge TPU"},
                {"name": "ADD", "count": 9, "mapped": False, "status": f"More than one subgraph {SCRIPT}"},
            ],
        }
    if soc == "cv25":
        return {"name": "cnngen", "version": "4.3.2", "mapped": None, "total": None}
    return None


def _verify(number: int, *, of_uncompiled: bool) -> dict[str, Any]:
    drop = 0.002 + 0.004 * number
    return {
        "schema": 1,
        "samples": 397,
        "labelled": True,
        "compared_with_float": True,
        "outputs": [
            {
                "name": "scene",
                "kind": "classes",
                "elements": 10,
                "float": {"top1": _share(391), "top5": _share(397)},
                "built": {"top1": _share(390 - 2 * number), "top5": _share(396)},
                "drop": {"top1": {"value": drop, "low": drop - 0.0065, "high": drop + 0.0074}, "top5": None},
                "agreement": _share(395 - 2 * number),
                "sqnr_db": {"value": 31.2 - number, "low": 30.1 - number, "high": 32.2 - number},
                "mae": {"value": 0.0011, "low": 0.00098, "high": 0.00123},
                "histogram": _histogram(0.0, 1.0, 0.1, 0.35),
                "errors": _errors(0.002),
            },
            {
                "name": "boxes",
                "kind": "boxes",
                "elements": 7668,
                "float": None,
                "built": None,
                "drop": None,
                "agreement": None,
                "sqnr_db": {"value": 24.5, "low": 23.9, "high": 25.0},
                "mae": {"value": 0.02, "low": 0.019, "high": 0.021},
                "histogram": _histogram(-6.0, 6.0, -0.3, 1.5),
                "errors": _errors(0.05),
            },
        ],
        "boxes": {
            "matched": {"count": 1203, "of": 1251, "value": 0.9616, "low": 0.9495, "high": 0.9709},
            "float_boxes": 1251,
            "built_boxes": 1262,
            "mean_iou": 0.913,
            "score_mae": 0.0143,
            "iou_threshold": 0.5,
            "score_threshold": 0.3,
            "layout": "ssd",
        },
        "layers": [_layer(index) for index in range(0, _LAYERS * 2, 2)],
        "layers_note": "16 of the samples were used for the layers",
        "alternatives": [
            _alternative("per-tensor", 100, is_built=True, sqnr=31.2 - number, top1=0.98),
            _alternative("per-channel", 100, is_built=False, sqnr=36.9, top1=0.985),
            _alternative("per-tensor", 200, is_built=False, sqnr=31.6, top1=0.98),
            {
                "scheme": "per-tensor",
                "calibration_samples": 400,
                "is_built": False,
                "outputs": [],
                "failure": f"the converter refused it: {SCRIPT}",
                "matched": None,
            },
        ],
        "notes": [f"1 image was left out: {SCRIPT}"],
        "gates": [
            {"metric": "top1", "output": "scene", "value": round(drop, 4), "limit": 0.02, "passed": drop <= 0.02},
            {"metric": "agreement", "output": "scene", "value": 0.98, "limit": 0.95, "passed": True},
            {"metric": "sqnr", "output": "boxes", "value": 24.5, "limit": 20.0, "passed": True},
        ],
        "of_uncompiled": of_uncompiled,
    }


def _share(count: int, of: int = 397) -> dict[str, Any]:
    """Wilson's interval, 95 %."""
    z = 1.96
    p = count / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return {"count": count, "of": of, "value": round(p, 6), "low": round(low, 6), "high": round(high, 6)}


def _histogram(low: float, high: float, middle: float, width: float) -> dict[str, Any]:
    bins = 40
    edges = [low + (high - low) * number / bins for number in range(bins + 1)]
    floats = [int(4000 * math.exp(-(((edge - middle) / width) ** 2))) for edge in edges[:-1]]
    built = [max(0, int(count * (1 + 0.12 * math.sin(number * 1.7)))) for number, count in enumerate(floats)]
    return {"edges": edges, "float": floats, "built": built}


def _errors(spread: float) -> dict[str, Any]:
    bins = 21
    edges = [spread * (number - bins / 2) / 4 for number in range(bins + 1)]
    return {
        "edges": edges,
        "counts": [int(3000 * math.exp(-((number - bins // 2) ** 2) / 6)) for number in range(bins)],
    }


def _layer(index: int) -> dict[str, Any]:
    sqnr = round(26 + 14 * math.sin(index * 0.7) + 6 * math.cos(index * 0.31), 2)
    return {
        "index": index,
        "operator": ("CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D")[index % 3],
        "tensor": layer_name(index),
        "sqnr_db": sqnr,
        "mae": round(0.01 * 2 ** (-sqnr / 10), 6),
        "low": -1.2 if index % 5 == 0 else 0.0,
        "high": 5.9,
        "step": 0.0235,
        "used": round(0.5 + 0.49 * math.sin(index), 3),
        "elements": 16384,
    }


def _alternative(scheme: str, samples: int, *, is_built: bool, sqnr: float, top1: float) -> dict[str, Any]:
    outputs = [
        {"name": "scene", "sqnr_db": sqnr, "mae": 0.001, "agreement": 0.995, "top1": top1},
        {"name": "boxes", "sqnr_db": sqnr - 6.5, "mae": 0.02, "agreement": None, "top1": None},
    ]
    return {
        "scheme": scheme,
        "calibration_samples": samples,
        "is_built": is_built,
        "outputs": outputs,
        "failure": "",
        "matched": top1 - 0.02,
    }


def _step(key: str, name: str, title: str, targets: list[str], needs: list[str], state: str, seconds: float) -> Any:
    toolchain = {"compile-edgetpu": "edgetpu", "compile-ambarella": "ambarella"}.get(name, "tf2")
    return {
        "key": key,
        "name": name,
        "title": title,
        "toolchain": toolchain,
        "targets": targets,
        "needs": needs,
        "state": state,
        "seconds": seconds,
    }


def _steps() -> list[dict[str, Any]]:
    every = list(SOCS)
    integer = ["artpec7", "artpec8", "artpec9"]
    return [
        _step("k1", "import", "read the Keras model", every, [], "cached", 6.2),
        _step("k2", "export", "a float model for the CPU", ["cpu"], ["k1"], "cached", 3.1),
        _step("k3", "calibrate", "watch the values of 100 samples", integer, ["k1"], "ran", 61.7),
        _step("k4", "quantize", f"integers, per channel {SCRIPT}", ["artpec7", "artpec9"], ["k3"], "ran", 4.2),
        _step("k5", "quantize", "integers, per tensor", ["artpec8"], ["k3"], "ran", 4.0),
        _step("k6", "check", "outputs against the float model", ["artpec7", "artpec9"], ["k1", "k4"], "ran", 2.8),
        _step("k7", "check", "outputs against the float model", ["artpec8"], ["k1", "k5"], "ran", 2.9),
        _step("k8", "compile-edgetpu", "map operators to the Edge TPU", ["artpec7"], ["k4", "k6"], "ran", 9.9),
        _step("k9", "verify", "397 samples through both models", ["artpec8"], ["k1", "k3", "k5", "k7"], "ran", 44.0),
        _step("k10", "verify", "397 samples through both models", ["artpec7"], ["k1", "k3", "k4", "k6"], "ran", 43.0),
        _step(
            "k11", "verify", "397 samples through both models", ["artpec9"], ["k1", "k3", "k4", "k6"], "failed", 43.0
        ),
        _step("k12", "export-onnx", "an ONNX model", ["cv25", "cv75"], ["k1"], "ran", 8.0),
        _step("k13", "compile-ambarella", "CVflow, with 64 samples", ["cv25"], ["k12"], "ran", 132.0),
        _step("k14", "compile-ambarella", "CVflow, with 64 samples", ["cv75"], ["k12"], "skipped", 0.0),
        _step("k15", "verify", "397 samples through both models", ["cv25"], ["k1", "k12", "k13"], "pending", 0.0),
    ]
