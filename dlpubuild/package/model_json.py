"""`model.json`: what is in a package, for programs.

In: a `BundleSpec`. Out: the bytes of a JSON document that `schemas/model.schema.json` describes. It holds
nothing that differs between executors, machines, folders or moments.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dlpubuild.package.description import image_geometry, preprocessing_by_input, shortest_float32
from dlpubuild.package.pixels import per_channel, pixel_mapping

if TYPE_CHECKING:
    from dlpubuild.package.description import ImageGeometry, IoTensor, TensorMemory
    from dlpubuild.package.spec import (
        BundleSpec,
        CompilerFacts,
        InputPreprocessing,
        MappingFacts,
        PackageRequest,
        ToolchainFacts,
    )

MODEL_JSON = "model.json"
LABELS = "label/labels.txt"
SCHEMA_VERSION = 1


def model_json(spec: BundleSpec) -> bytes:
    """Return `model.json` as UTF-8: sorted keys, indented by 2, ended by a newline.

    Scales are the shortest decimals that read back as the stored float32.

    Raises:
        GateError: the preprocessing does not fit the model's inputs.
    """
    text = json.dumps(_document(spec), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _document(spec: BundleSpec) -> dict[str, object]:
    request, model = spec.request, spec.model
    preprocessing = preprocessing_by_input(model.inputs, request.preprocessing)
    return {
        "schema": SCHEMA_VERSION,
        "name": request.name,
        "version": request.version,
        "vendor": request.vendor,
        "license": request.license,
        "soc": {
            "name": request.soc.name,
            "title": request.soc.title,
            "architecture": request.soc.architecture,
            "larod-device": request.soc.larod_device,
            "deep-learning-processor": request.soc.deep_learning_processor,
        },
        "model": _model(spec),
        "quantization": {
            "requested": request.requested_quantization,
            "actual": model.quantization,
            "granularity": model.granularity,
        },
        "inputs": [_input(t, p) for t, p in zip(model.inputs, preprocessing, strict=True)],
        "outputs": [_tensor(tensor) for tensor in model.outputs],
        "labels": _labels(request),
        "accuracy": None if request.accuracy is None else dict(request.accuracy),
        "toolchain": _toolchain(request.toolchain),
        "compiler": None if request.compiler is None else _compiler(request.compiler),
        "mapping": None if request.compiled is None else _mapping(request.compiled.mapping),
    }


def _toolchain(facts: ToolchainFacts | None) -> dict[str, object] | None:
    if facts is None:
        return None
    return {
        "name": facts.name,
        "tensorflow": facts.tensorflow,
        "lock-sha256": facts.lock_sha256,
        "image": facts.image,
    }


def _compiler(facts: CompilerFacts) -> dict[str, object]:
    return {"name": facts.name, "version": facts.version, "archive-sha256": facts.archive_sha256}


def _mapping(facts: MappingFacts) -> dict[str, object]:
    return {
        "total": facts.total,
        "mapped": facts.mapped,
        "subgraphs": facts.subgraphs,
        "on-chip-used": facts.on_chip_used,
        "on-chip-remaining": facts.on_chip_remaining,
        "off-chip-streamed": facts.off_chip_streamed,
        "operators": [
            {"name": each.name, "count": each.count, "mapped": each.mapped, "status": each.status}
            for each in facts.operators
        ],
    }


def _model(spec: BundleSpec) -> dict[str, object]:
    request, model = spec.request, spec.model
    return {
        "file": request.model_member,
        "sha256": request.model_digest.hash,
        "size-bytes": request.model_digest.size_bytes,
        "parameter-bytes": model.parameter_bytes,
        "macs": model.macs,
        "min-runtime": model.min_runtime,
        "operators": dict(model.operators),
        "uncompiled": _uncompiled(request),
    }


def _uncompiled(request: PackageRequest) -> dict[str, object] | None:
    if request.compiled is None:
        return None
    digest = request.compiled.source_digest
    return {"file": request.uncompiled_member, "sha256": digest.hash, "size-bytes": digest.size_bytes}


def _labels(request: PackageRequest) -> dict[str, object] | None:
    return None if request.labels is None else {"file": LABELS, "count": len(request.labels)}


def _tensor(tensor: IoTensor) -> dict[str, object]:
    quantization = None
    if tensor.scale is not None:
        quantization = {"scale": shortest_float32(tensor.scale), "zero-point": tensor.zero_point or 0}
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "quantization": quantization,
        "memory": None if tensor.memory is None else _memory(tensor.memory),
    }


def _memory(memory: TensorMemory) -> dict[str, object]:
    return {
        "layout": memory.layout,
        "planes": memory.planes,
        "rows": memory.rows,
        "row-bytes": memory.row_bytes,
        "pitch-bytes": memory.pitch_bytes,
        "padding-bytes": memory.padding_bytes,
        "plane-bytes": memory.plane_bytes,
        "size-bytes": memory.size_bytes,
        "inferred": memory.is_inferred,
    }


def _input(tensor: IoTensor, preprocessing: InputPreprocessing | None) -> dict[str, object]:
    described = _tensor(tensor)
    described["preprocessing"] = None if preprocessing is None else _preprocessing(tensor, preprocessing)
    return described


def _preprocessing(tensor: IoTensor, preprocessing: InputPreprocessing) -> dict[str, object]:
    mapping = pixel_mapping(tensor, preprocessing)
    channels = len(mapping.multiplier)
    return {
        "image": _image(preprocessing, image_geometry(tensor, preprocessing)),
        "mean": [float(value) for value in per_channel("mean", preprocessing.mean, channels)],
        "std": [float(value) for value in per_channel("std", preprocessing.std, channels)],
        "pixel-identity": mapping.identity,
        "pixel-shift": mapping.shift,
        "pixel-mapping": {
            "multiplier": [shortest_float32(value) for value in mapping.multiplier],
            "offset": [shortest_float32(value) for value in mapping.offset],
            "minimum": mapping.minimum,
            "maximum": mapping.maximum,
        },
    }


def _image(preprocessing: InputPreprocessing, geometry: ImageGeometry | None) -> dict[str, object] | None:
    if geometry is None:
        return None
    return {
        "height": geometry.height,
        "width": geometry.width,
        "channels": geometry.channels,
        "layout": geometry.layout,
        "color": preprocessing.color,
        "resize": preprocessing.resize,
    }
