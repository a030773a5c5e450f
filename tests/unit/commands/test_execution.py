"""Which executor runs a build, in which images: chosen by what the user says, the lock, and who answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from dlpubuild import __version__
from dlpubuild.commands.containers import find_images, tool_image
from dlpubuild.commands.execution import LimitOptions, choose_execution, wanted_limits
from dlpubuild.commands.wiring import Host, read_host
from dlpubuild.errors import EngineMissingError, ErrorCode, ExitCode, ToolchainError, UsageError
from dlpubuild.executors.docker.limits import Limits
from dlpubuild.manifest.load import load_manifest
from dlpubuild.manifest.model import LimitsSection
from dlpubuild.project.lock import LockedImage, Pins
from dlpubuild.toolchains.pins import load_pin
from tests.doubles.engine import EngineDouble, engine_double, healthy, reply
from tests.factories.small_projects import write_project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlpubuild.manifest.model import Manifest
    from tests.unit.commands.conftest import Tool

ID = "sha256:" + "a" * 64
OTHER_ID = "sha256:" + "b" * 64
REFERENCE = "r.example/dlpu-tf2@sha256:" + "c" * 64
TF2 = load_pin("tf2", machine="x86_64", system="linux")
NAMES = ("tf2",)


def image(lock: str | None = TF2.lock_sha256, *, references: tuple[str, ...] = ()) -> bytes:
    labels = {} if lock is None else {"org.dlpubuild.lock-sha256": lock}
    return reply({"Id": ID, "RepoDigests": list(references), "Config": {"Labels": labels or None}})


def engine(**images: bytes) -> dict[str, bytes | None]:
    return {**healthy(), **{f"/images/{tool_image(name)}/json": answer for name, answer in images.items()}}


def host_of(double: EngineDouble | None) -> Host:
    url = double.address.url if double else "unix:///nowhere/docker.sock"
    return replace(read_host(), environ=MappingProxyType({"DOCKER_HOST": url}))


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return load_manifest(write_project(tmp_path, "[target.cpu]\n"))


@pytest.fixture
def with_image() -> Iterator[EngineDouble]:
    with engine_double(engine(tf2=image())) as double:
        yield double


def platform(execution: object) -> Mapping[str, str]:
    return dict(execution.pin_of("tf2").platform)  # type: ignore[attr-defined]


def lock(manifest: Manifest, **images: LockedImage) -> None:
    (manifest.folder / "dlpu.lock").write_bytes(Pins(values={}).with_images(images).encode())


def test_auto_takes_docker_where_an_engine_has_the_image(manifest: Manifest, with_image: EngineDouble) -> None:
    execution = choose_execution(host_of(with_image), "auto", manifest, NAMES)
    assert execution.name == "docker"
    assert with_image.address.url in execution.told
    assert platform(execution) == {"ISA": "x86-64", "OSFamily": "linux", "container-image": ID}


def test_auto_takes_this_machine_where_no_engine_answers_and_says_why(manifest: Manifest) -> None:
    execution = choose_execution(host_of(None), "auto", manifest, NAMES)
    assert execution.name == "local"
    assert execution.told.startswith("local (auto: ")
    assert "/nowhere/docker.sock" in execution.told
    assert "container-image" not in platform(execution)


def test_auto_takes_this_machine_where_an_image_is_missing_and_names_the_command(manifest: Manifest) -> None:
    with engine_double(engine()) as double:
        execution = choose_execution(host_of(double), "auto", manifest, NAMES)
    assert execution.name == "local"
    assert "dlpubuild image build tf2" in execution.told


def test_auto_does_not_pass_over_an_image_of_the_projects_own(tmp_path: Path) -> None:
    path = write_project(tmp_path, f'[target.cpu]\n[toolchain.tf2]\nimage = "{REFERENCE}"\n')
    with pytest.raises(EngineMissingError) as caught:
        choose_execution(host_of(None), "auto", load_manifest(path), NAMES)
    assert caught.value.exit_code is ExitCode.ENGINE_MISSING


def test_docker_where_nobody_answers_is_an_error(manifest: Manifest) -> None:
    with pytest.raises(EngineMissingError) as caught:
        choose_execution(host_of(None), "docker", manifest, NAMES).pin_of("tf2")
    assert caught.value.code is ErrorCode.ENGINE


@pytest.mark.parametrize(("lock_sha256", "word"), [("d" * 64, "another lock"), (None, "not made by")])
def test_an_image_that_holds_something_else_is_refused(manifest: Manifest, lock_sha256: str | None, word: str) -> None:
    with engine_double(engine(tf2=image(lock_sha256))) as double, pytest.raises(ToolchainError) as caught:
        choose_execution(host_of(double), "docker", manifest, NAMES).pin_of("tf2")
    assert caught.value.code is ErrorCode.IMAGE_MISMATCH
    assert word in caught.value.message


def test_a_locked_image_goes_before_the_one_that_has_the_name(manifest: Manifest, with_image: EngineDouble) -> None:
    lock(manifest, tf2=LockedImage(id=OTHER_ID))
    execution = choose_execution(host_of(with_image), "docker", manifest, NAMES)
    assert platform(execution)["container-image"] == OTHER_ID
    assert with_image.asked == [], "a lock says it all"


def test_auto_takes_this_machine_where_a_locked_image_is_missing(manifest: Manifest, with_image: EngineDouble) -> None:
    lock(manifest, tf2=LockedImage(id=OTHER_ID))
    execution = choose_execution(host_of(with_image), "auto", manifest, NAMES)
    assert execution.name == "local"
    assert OTHER_ID in execution.told
    lock(manifest, tf2=LockedImage(id=OTHER_ID, reference=REFERENCE))
    assert choose_execution(host_of(with_image), "auto", manifest, NAMES).name == "docker", "it can be pulled"


def test_a_locked_reference_names_the_content_for_any_cluster(manifest: Manifest, with_image: EngineDouble) -> None:
    lock(manifest, tf2=LockedImage(id=OTHER_ID, reference=REFERENCE))
    execution = choose_execution(host_of(with_image), "docker", manifest, NAMES)
    assert platform(execution)["container-image"] == f"docker://{REFERENCE}"


def test_the_manifests_image_goes_before_the_lock(tmp_path: Path, with_image: EngineDouble) -> None:
    manifest = load_manifest(write_project(tmp_path, f'[target.cpu]\n[toolchain.tf2]\nimage = "{REFERENCE}"\n'))
    lock(manifest, tf2=LockedImage(id=OTHER_ID))
    pin = choose_execution(host_of(with_image), "docker", manifest, NAMES).pin_of("tf2")
    assert pin.image is not None
    assert (pin.image.reference, pin.image.is_own) == (REFERENCE, True)


def test_an_image_is_asked_for_once(manifest: Manifest, with_image: EngineDouble) -> None:
    execution = choose_execution(host_of(with_image), "docker", manifest, NAMES)
    assert execution.pin_of("tf2") is execution.pin_of("tf2")
    assert len(with_image.asked) == 1


@pytest.mark.parametrize("answer", [reply(b"<html>"), reply([1]), reply({}), reply(b"", status="500 Oops")])
def test_an_answer_that_no_engine_gives_is_told(manifest: Manifest, answer: bytes) -> None:
    with engine_double(engine(tf2=answer)) as double, pytest.raises(EngineMissingError) as caught:
        choose_execution(host_of(double), "docker", manifest, NAMES).pin_of("tf2")
    assert double.address.url in caught.value.message


@pytest.mark.parametrize(("name", "error"), [("remote", EngineMissingError), ("dokcer", UsageError), ("", UsageError)])
def test_other_executors_are_refused(manifest: Manifest, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        choose_execution(host_of(None), name, manifest, NAMES)


def test_no_engine_is_asked_where_nothing_has_to_run(manifest: Manifest, with_image: EngineDouble) -> None:
    assert choose_execution(host_of(with_image), "auto", manifest, ()).name == "local"
    assert with_image.asked == []


def test_options_go_before_the_manifests_limits() -> None:
    section = LimitsSection(memory="2GiB", cpus=2.0, pids=100)
    assert wanted_limits(section, LimitOptions()) == Limits(memory_bytes=2 << 30, cpus=2.0, pids=100)
    asked = LimitOptions(memory="500MB", cpus=0.5, pids=50)
    assert wanted_limits(section, asked) == Limits(memory_bytes=500_000_000, cpus=0.5, pids=50)
    assert wanted_limits(LimitsSection(), LimitOptions()) == Limits(memory_bytes=None, cpus=None, pids=4096)


def test_a_memory_limit_that_is_no_size_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        wanted_limits(LimitsSection(), LimitOptions(memory="lots"))


def test_a_lock_takes_the_id_and_what_it_can_be_pulled_by(manifest: Manifest) -> None:
    with engine_double(engine(tf2=image(references=(REFERENCE,)))) as double:
        found = find_images(host_of(double), manifest, {"tf2": TF2}, {})
    assert found.images == {"tf2": LockedImage(id=ID, reference=REFERENCE)}
    assert found.notes == ()


def test_a_lock_without_an_engine_keeps_what_was_locked_and_says_so(manifest: Manifest) -> None:
    before = {"tf2": LockedImage(id=OTHER_ID)}
    found = find_images(host_of(None), manifest, {"tf2": TF2}, before)
    assert found.images == before
    assert "stays" in found.notes[0]
    assert find_images(host_of(None), manifest, {"tf2": TF2}, {}).images == {}
    with pytest.raises(EngineMissingError):
        find_images(host_of(None), manifest, {"tf2": TF2}, before, must=True)


def test_a_lock_takes_the_manifests_image_without_an_engine(tmp_path: Path) -> None:
    manifest = load_manifest(write_project(tmp_path, f'[target.cpu]\n[toolchain.tf2]\nimage = "{REFERENCE}"\n'))
    found = find_images(host_of(None), manifest, {"tf2": TF2}, {})
    assert found.images == {"tf2": LockedImage(reference=REFERENCE)}


def test_lock_and_plan_work_on_an_image_of_the_projects_own(tool: Tool) -> None:
    path = tool.folder / "dlpu.toml"
    path.write_text(path.read_text() + f'\n[toolchain.tf2]\nimage = "{REFERENCE}"\n')
    done = tool.run("lock")
    assert done.code == ExitCode.DONE, done.err
    pins = json.loads((tool.folder / "dlpu.lock").read_text())["pins"]
    assert pins["image.tf2.reference"] == REFERENCE
    assert "toolchain.tf2" not in pins
    assert pins["tool"] == __version__
    assert tool.run("check").code == ExitCode.DONE
    planned = tool.run("plan", "--executor", "docker")
    assert planned.code == ExitCode.DONE, planned.err
    refused = tool.run("build", "--executor", "local")
    assert refused.code == ExitCode.USAGE
    assert "--executor docker" in refused.err
