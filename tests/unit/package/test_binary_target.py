"""What is said of a `.bin`: by the record of the step that made it, or by the manifest; rubbish is a clean error."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.cas.store import Store
from dlpubuild.errors import ErrorCode, GateError, StepFailedError
from dlpubuild.package.binary_target import binary_compiler, binary_description
from dlpubuild.plan.model import Binary
from dlpubuild.toolchains.pins import load_pin
from tests.factories.small_projects import resolve, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.project.model import Project

RECORD = {
    "schema": 1,
    "tools": {"ambarella-cnngen": "2.7"},
    "tensors": {
        "inputs": [{"name": "image", "shape": [1, 3, 30, 20], "layout": "NCHW", "scale": 0.5}],
        "outputs": [{"name": "y", "shape": [1, 10]}, {"name": "open", "shape": [1, -1]}],
    },
    "metrics": {},
}
MODEL = 'format = "auto"\n[[model.input]]\nname = "image"\nshape = [1, 30, 20, 3]\nstd = [255, 255, 255]\n'
OUTPUTS = '[[model.output]]\nname = "y"\nshape = [1, 10]\n'
PIN = load_pin("ambarella", machine="x86_64", system="linux")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", now_ns=lambda: 1)


def kept(store: Store, document: Any, tmp_path: Path) -> Digest:
    path = tmp_path / "record"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return store.put_file(path)


def project(tmp_path: Path, outputs: str = OUTPUTS) -> Project:
    content = bytes.fromhex("0800020203000000") + b"model_prim_split_0\0" * 4
    manifest = write_project(
        tmp_path / "p",
        "[target.cv25]\n[target.cv75]\n",
        source="m.bin",
        model=MODEL + outputs,
        files={"m.bin": content},
    )
    return resolve(manifest)


def test_the_record_says_tensors_scales_and_who_compiled(store: Store, tmp_path: Path) -> None:
    ready = project(tmp_path)
    record = kept(store, RECORD, tmp_path)
    told = binary_description(ready, ready.targets[0], record, store)
    assert [(each.name, each.shape, each.scale) for each in told.inputs] == [("image", (1, 3, 30, 20), 0.5)]
    assert [each.name for each in told.outputs] == ["y"], "sizes that are not known are not made up"
    assert told.inputs[0].memory is not None
    assert (told.inputs[0].memory.pitch_bytes, told.inputs[0].memory.is_inferred) == (32, False)
    facts = binary_compiler(Binary(step="k", toolchain=PIN), record, store)
    assert (facts.name, facts.version) == ("ambarella-cnngen", "2.7")


def test_a_toolchain_without_a_version_is_told_by_its_digest(store: Store, tmp_path: Path) -> None:
    record = kept(store, {**RECORD, "tools": {"ambarella-cnngen": "unknown"}}, tmp_path)
    facts = binary_compiler(Binary(step="k", toolchain=replace(PIN, lock_sha256="ab" * 32)), record, store)
    assert facts.version == "sha256 " + "ab" * 8


def test_a_ready_file_is_described_by_the_manifest(store: Store, tmp_path: Path) -> None:
    ready = project(tmp_path)
    cv25, cv75 = (binary_description(ready, target, None, store) for target in ready.targets)
    assert cv25.inputs[0].shape == (1, 3, 30, 20)
    assert cv25.inputs[0].scale == pytest.approx(1 / 255)
    assert cv25.outputs[0].shape == (1, 10)
    assert [each.inputs[0].memory.is_inferred for each in (cv25, cv75) if each.inputs[0].memory] == [False, True]


@pytest.mark.parametrize(
    "document",
    [
        "rubbish",
        "[]",
        {},
        {**RECORD, "tensors": {"inputs": [{"name": "x"}], "outputs": []}},
        {**RECORD, "tensors": {"inputs": [{"name": "x", "shape": ["a"]}], "outputs": []}},
        {**RECORD, "tensors": {"inputs": [{"name": "x", "shape": [1], "layout": "HWC"}], "outputs": []}},
        {**RECORD, "tensors": {"inputs": 7, "outputs": []}},
    ],
)
def test_a_record_that_is_rubbish_is_told(store: Store, tmp_path: Path, document: Any) -> None:
    ready = project(tmp_path)
    with pytest.raises(StepFailedError) as caught:
        binary_description(ready, ready.targets[0], kept(store, document, tmp_path), store)
    assert caught.value.code is ErrorCode.STEP_OUTPUT


@pytest.mark.parametrize("tools", [None, {}, {"a": "1", "b": "2"}, "x"])
def test_a_record_that_names_no_compiler_is_told(store: Store, tmp_path: Path, tools: Any) -> None:
    record = kept(store, {**RECORD, "tools": tools}, tmp_path)
    with pytest.raises(StepFailedError):
        binary_compiler(Binary(step="k", toolchain=PIN), record, store)


def test_an_input_whose_size_is_open_is_refused(store: Store, tmp_path: Path) -> None:
    ready = project(tmp_path)
    tensors = {"inputs": [{"name": "image", "shape": [1, 3, -1, -1]}], "outputs": []}
    with pytest.raises(GateError):
        binary_description(ready, ready.targets[0], kept(store, {**RECORD, "tensors": tensors}, tmp_path), store)
