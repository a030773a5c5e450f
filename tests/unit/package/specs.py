"""Packages to write, small enough to read in a failing assertion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.package.description import IoTensor, ModelDescription
from dlpubuild.package.spec import (
    BundleSpec,
    CompiledFacts,
    CompilerFacts,
    InputPreprocessing,
    MappingFacts,
    OperatorFacts,
    PackageRequest,
    SocFacts,
    ToolchainFacts,
)

# Longer than a stored block, and not a multiple of anything.
MODEL_BYTES = bytes(range(256)) * 300 + b"the end"

ARTPEC8 = SocFacts(
    name="artpec8",
    title="ARTPEC-8",
    larod_device="axis-a8-dlpu-tflite",
    architecture="aarch64",
    deep_learning_processor=True,
)
CPU = SocFacts(
    name="cpu", title="CPU", larod_device="cpu-tflite", architecture="aarch64", deep_learning_processor=False
)

ARTPEC7 = SocFacts(
    name="artpec7",
    title="ARTPEC-7",
    larod_device="google-edge-tpu-tflite",
    architecture="armv7hf",
    deep_learning_processor=False,
)
# Where the model before compilation lies does not matter to what never opens it.
COMPILED = CompiledFacts(
    source_path=Path("/dev/null"),
    source_digest=digest_bytes(b"before"),
    compiler=CompilerFacts(name="edgetpu-compiler", version="16.0.384591198", archive_sha256="ab" * 32),
    mapping=MappingFacts(
        total=4,
        mapped=3,
        subgraphs=1,
        on_chip_used=70_000,
        on_chip_remaining=None,
        off_chip_streamed=0,
        operators=(
            OperatorFacts(name="CONV_2D", count=3, mapped=True, status="Mapped to Edge TPU"),
            OperatorFacts(name="SOFTMAX", count=1, mapped=False, status="Operation not supported"),
        ),
    ),
)

IMAGE = IoTensor(name="image", shape=(1, 32, 24, 3), dtype="uint8", scale=1 / 255, zero_point=0)
PROBABILITIES = IoTensor(name="probabilities", shape=(1, 3), dtype="uint8", scale=1 / 256, zero_point=0)
RGB_0_TO_1 = InputPreprocessing(
    name="image", color="rgb", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0), resize="stretch"
)

DESCRIPTION = ModelDescription(
    inputs=(IMAGE,),
    outputs=(PROBABILITIES,),
    operators=(("CONV_2D", 3), ("SOFTMAX", 1)),
    macs=1234567,
    parameter_bytes=76543,
    quantization="per-tensor",
    granularity="per-tensor",
    min_runtime="2.3.0",
)


def make_request(model: Path, **changes: Any) -> PackageRequest:
    """Return a request whose model is the file `model`, which is written where it does not exist."""
    if not model.exists():
        model.write_bytes(MODEL_BYTES)
    request = PackageRequest(
        name="digits",
        version="1.0.0",
        vendor="Example AB",
        license="Apache-2.0",
        license_text=None,
        app_name="digits",
        soc=ARTPEC8,
        model_file="model.tflite",
        model_path=model,
        model_digest=digest_bytes(model.read_bytes()),
        preprocessing=(RGB_0_TO_1,),
        labels=("zero", "one", "två"),
        requested_quantization="per-tensor",
        toolchain=ToolchainFacts(name="tf2", tensorflow="2.19.1", lock_sha256="0123456789abcdef" * 4),
        epoch_s=315532800,
    )
    return replace(request, **changes)


def make_spec(model: Path, description: ModelDescription = DESCRIPTION, **changes: Any) -> BundleSpec:
    """Return a spec whose model is the file `model`; `changes` are of the request."""
    return BundleSpec(request=make_request(model, **changes), model=description)


def placeless_spec(description: ModelDescription = DESCRIPTION, **changes: Any) -> BundleSpec:
    """Return a spec whose model lies nowhere, for what never opens it."""
    changes = {"model_digest": digest_bytes(MODEL_BYTES), **changes}
    return make_spec(Path("/dev/null"), description, **changes)
