from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.package.spec import (
    CPU_DEVICE,
    CompiledFacts,
    PackageRequest,
    ToolchainFacts,
    bundle_key,
    default_app_name,
)
from dlpubuild.resources import templates_dir
from dlpubuild.targets.load import load_socs
from tests.unit.package.specs import COMPILED, CPU, RGB_0_TO_1, placeless_spec

REQUEST = placeless_spec().request

CHANGES: dict[str, Any] = {
    "name": "numbers",
    "version": "1.0.1",
    "vendor": None,
    "license": None,
    "license_text": b"",
    "app_name": "numbers",
    "soc": CPU,
    "model_file": "model.bin",
    "model_digest": digest_bytes(b"another"),
    "preprocessing": (replace(RGB_0_TO_1, color="bgr"),),
    "labels": ("zero", "one"),
    "requested_quantization": "per-channel",
    "toolchain": ToolchainFacts(name="tf2", tensorflow="2.19.1", lock_sha256="f" * 64),
    "epoch_s": 0,
    "accuracy": {},
    "compiled": COMPILED,
    "binary_compiler": COMPILED.compiler,
}


def test_the_key_is_pinned() -> None:
    """A new value means that every package is written again; that is right where the writer changed."""
    key = bundle_key(REQUEST, tool_version="1.2.3")
    assert key == "bdded198932eb0583f886cdc34ac9216625219d0b4256376eb1d4f70adc1fbac"


def test_another_version_of_the_tool_writes_packages_again() -> None:
    assert bundle_key(REQUEST, tool_version="1.2.3") != bundle_key(REQUEST, tool_version="1.2.4")


@pytest.mark.parametrize("name", [field.name for field in fields(PackageRequest) if field.name != "model_path"])
def test_each_field_changes_the_key(name: str) -> None:
    assert bundle_key(replace(REQUEST, **{name: CHANGES[name]})) != bundle_key(REQUEST)


def test_where_the_model_lies_does_not_change_the_key() -> None:
    assert bundle_key(replace(REQUEST, model_path=Path("/nowhere"))) == bundle_key(REQUEST)
    one, other = (replace(COMPILED, source_path=Path(path)) for path in ("/nowhere", "/elsewhere"))
    assert bundle_key(replace(REQUEST, compiled=one)) == bundle_key(replace(REQUEST, compiled=other))


@pytest.mark.parametrize(
    "other",
    [
        replace(COMPILED, source_digest=digest_bytes(b"another")),
        replace(COMPILED, compiler=replace(COMPILED.compiler, version="15.0")),
        replace(COMPILED, mapping=replace(COMPILED.mapping, on_chip_used=1)),
        replace(COMPILED, mapping=replace(COMPILED.mapping, operators=COMPILED.mapping.operators[:1])),
    ],
)
def test_what_is_told_of_the_compilation_changes_the_key(other: CompiledFacts) -> None:
    assert bundle_key(replace(REQUEST, compiled=other)) != bundle_key(replace(REQUEST, compiled=COMPILED))


def test_the_device_of_the_uncompiled_model_is_that_of_the_cpu() -> None:
    assert load_socs([templates_dir()], trusted=templates_dir())["cpu"].larod_device == CPU_DEVICE


def test_the_order_of_accuracy_figures_does_not_change_the_key() -> None:
    one = replace(REQUEST, accuracy={"top1": 0.5, "agreement": 0.9})
    other = replace(REQUEST, accuracy={"agreement": 0.9, "top1": 0.5})
    assert bundle_key(one) == bundle_key(other)


@pytest.mark.parametrize("label", ["a\n", "a\r", "a\r\nb"])
def test_a_label_with_a_line_end_is_a_mistake_of_the_caller(label: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        replace(REQUEST, labels=(label,))


def test_a_time_before_1970_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="1970"):
        replace(REQUEST, epoch_s=-1)


@pytest.mark.parametrize(
    ("project", "app"),
    [
        ("digits", "digits"),
        ("person-car", "person_car"),
        ("3d-pose", "app_3d_pose"),
        ("a", "a_"),
        ("twenty-five-letters-long-x-rest", "twenty_five_letters_long_x"),
    ],
)
def test_an_application_is_named_after_its_project(project: str, app: str) -> None:
    assert default_app_name(project) == app
