"""The SoCs of one manifest built in containers, each step in the image of its toolchain: the same packages as here."""

from __future__ import annotations

import io
import json
import os
import tarfile
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dlpubuild.containers.connect import Connection
from tests.factories.edgetpu import DOUBLE
from tests.factories.every_soc import (
    FACTS,
    NAME,
    OPEN_SOCS,
    bundle_of,
    checksums,
    described,
    only_targets,
    put_two_heads,
    with_ambarella,
    with_edgetpu,
)
from tests.factories.small_projects import load_linux_pin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dlpubuild.containers.address import EngineAddress
    from tests.integration.conftest import Tool


@pytest.fixture
def edgetpu_double(engine_address: EngineAddress, ambarella_image: str) -> Iterator[str]:
    """The id of an image like `edgetpu`, with a stand-in for the compiler, under a name of its own."""
    name = f"dlpubuild-test/edgetpu-{uuid.uuid4().hex[:12]}"
    program = io.BytesIO()
    with tarfile.open(fileobj=program, mode="w") as archive:
        member = tarfile.TarInfo("usr/bin/edgetpu_compiler")
        content = DOUBLE.read_bytes().replace(b"#!/usr/bin/env python3", b"#!/opt/tc/bin/python", 1)
        member.size, member.mode = len(content), 0o755
        archive.addfile(member, io.BytesIO(content))
    label = f'LABEL org.dlpubuild.edgetpu-sha256="{load_linux_pin("edgetpu").lock_sha256}"'
    with Connection(engine_address, dict(os.environ)) as connection:
        client = connection.client()
        container = client.containers.create(ambarella_image, ["true"])
        try:
            container.put_archive("/", program.getvalue())
            image = container.commit(name, changes=label)
        finally:
            container.remove()
        try:
            yield str(image.id)
        finally:
            client.images.remove(name)


@pytest.fixture
def docker(tool: Tool, engine_environment: Mapping[str, str], tf2_image: str) -> Tool:
    """The tool with an engine that has the tf2 image."""
    assert tf2_image.startswith("sha256:")
    return replace(tool, environ={**tool.environ, **engine_environment, "DLPU_EXECUTOR": "docker"})


def test_containers_give_the_packages_that_this_machine_gives(
    tool: Tool, docker: Tool, edgetpu_double: str, tmp_path: Path
) -> None:
    here, there = put_two_heads(tmp_path / "here"), put_two_heads(tmp_path / "there")
    for project in (here, there):
        only_targets(project, ("artpec7", *OPEN_SOCS))
    with_edgetpu(here)
    (there / "dlpu.lock").write_text(json.dumps({"schema": 1, "pins": {"image.edgetpu.id": edgetpu_double}}))
    assert {step["state"] for step in tool.build(here)["steps"]} == {"ran"}
    built = docker.build(there)
    assert {step["state"] for step in built["steps"]} == {"ran"}, "results of one toolchain never serve another"
    first, second = checksums(here / "dist"), checksums(there / "dist")
    assert len(first) == len(second) == 8
    # The one thing that differs is told: a compiler in the project's folder is pinned by nothing but its own digest.
    different = {name for name in first if first[name] != second[name]}
    assert different == {f"{NAME}-1.0.0-artpec7.tar.gz"}
    files = [bundle_of(project / "dist", "artpec7") for project in (here, there)]
    assert {path for path in files[0] if files[0][path] != files[1][path]} <= {"model.json", "SHA256SUMS"}


def test_all_six_are_built_in_containers_with_the_toolchain_mounted(
    docker: Tool, edgetpu_double: str, onnx_image: str, tmp_path: Path
) -> None:
    assert onnx_image.startswith("sha256:")
    project = put_two_heads(tmp_path / NAME)
    with_ambarella(project)
    (project / "dlpu.lock").write_text(json.dumps({"schema": 1, "pins": {"image.edgetpu.id": edgetpu_double}}))
    built = docker.build(project)
    assert {each["soc"] for each in built["targets"]} == set(FACTS)
    assert {step["state"] for step in built["steps"]} == {"ran"}
    assert len(checksums(project / "dist")) == 12
    for soc, (device, _, file) in FACTS.items():
        told = described(project / "dist", soc)
        assert (told["soc"]["larod-device"], told["model"]["file"]) == (device, f"model/{file}")
    again = docker.run("build", cwd=project)
    assert "nothing had to run" in again.out, again.err
