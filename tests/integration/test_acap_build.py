"""Applications packed by acap-build in a container of its SDK, for which a stand-in is put into an image."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tarfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import APIError

from dlpubuild.containers.connect import Connection
from dlpubuild.containers.recipe import RECIPES, Settings, base_image
from tests.engine_fixtures import ENVIRON, not_available
from tests.factories.acap_sdk import sdk_image
from tests.factories.fake_project import write_project
from tests.integration.conftest import Done, Tool, _environment
from tests.integration.test_docker_builds import OWNER
from tests.unit.package.eap.requests import own_manifest, write_app

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import DockerClient

    from dlpubuild.containers.address import EngineAddress

NAME = "Counter_2_1_0_aarch64.eap"
MEASURING = "toy_Fake_fake_1_0_0_aarch64.eap"
VENDOR = ('templates = "templates"', 'templates = "templates"\nvendor = "Example AB"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Packer:
    """The tool, a project with an application, and the engine that has the SDK."""

    tool: Tool
    project: Path
    client: DockerClient
    base: str

    def image(self, architecture: str = "aarch64", **config: Any) -> str:
        return sdk_image(self.client, self.base, architecture, **config)

    def write(self, *lines: str, app: bool = True, socs: tuple[str, ...] = ("fake",), files: Any = None) -> None:
        """Write the project; `lines` are of `[package.acap]`."""
        key = 'app = "app"\n' if app else ""
        toml = f'[package]\nformats = ["eap"]\n{key}[package.acap]\n' + "\n".join(lines) + "\n"
        path = write_project(self.project, socs=socs, manifest=toml)
        path.write_text(path.read_text().replace(*VENDOR))
        if app:
            write_app(self.project / "app", files)

    def build(self, *arguments: str) -> Done:
        return self.tool.run("build", *arguments, cwd=self.project)

    def members(self, name: str = NAME) -> dict[str, bytes]:
        with tarfile.open(self.project / "dist" / name) as archive:
            entries = [(entry, archive.extractfile(entry)) for entry in archive]
            return {entry.name: stream.read() if stream is not None else b"" for entry, stream in entries}

    def left(self) -> list[Any]:
        """All containers of the tool's."""
        owner = (self.tool.cache / "owner").read_text().strip()
        return list(self.client.containers.list(all=True, filters={"label": f"{OWNER}={owner}"}, ignore_removed=True))

    def is_packing(self) -> bool:
        """Whether acap-build runs in one of them."""
        if not (self.tool.cache / "owner").exists():
            return False
        for container in self.left():
            # One that has just ended has no processes to list.
            with suppress(APIError):
                if "acap-build" in str(container.top()["Processes"]):
                    return True
        return False


@pytest.fixture
def packer(
    engine_address: EngineAddress, engine_environment: Mapping[str, str], tf2_image: str, tmp_path: Path
) -> Iterator[Packer]:
    assert tf2_image.startswith("sha256:")
    cache = tmp_path / "cache"
    environ = {**_environment(cache), **engine_environment, "DLPU_EXECUTOR": "docker"}
    tool = Tool(cache=cache, environ=environ, python=Path(sys.executable))
    base = ENVIRON.get("DLPU_BASE_PYTHON311") or base_image(RECIPES["tf2"], Settings())
    with Connection(engine_address, dict(os.environ)) as connection:
        client = connection.client()
        if not client.images.list(name=base):
            not_available(f"the engine has no image {base} to put the stand-in for the SDK into; see .ci/engine")
        yield Packer(tool=tool, project=tmp_path / "project", client=client, base=base)


def own_packing(packer: Packer, name: str) -> dict[str, bytes]:
    """What the tool itself packs of the same project."""
    manifest = packer.project / "dlpu.toml"
    text = manifest.read_text()
    manifest.write_text("\n".join(line for line in text.split("\n") if not line.startswith("sdk-")))
    done = packer.build()
    assert done.code == 0, done.err
    manifest.write_text(text)
    return packer.members(name)


def test_acap_build_packs_what_the_tool_would_pack(packer: Packer) -> None:
    files = {"html/index.html": "<html/>", "lib/libx.so.1": "so", "notes.txt": "x", "model/anchors.bin": "a"}
    packer.write(f'sdk-image.aarch64 = "{packer.image()}"', files=files)
    (packer.project / "app" / "lib" / "libx.so").symlink_to("libx.so.1")
    (packer.project / "app" / "empty").mkdir()
    done = packer.build()
    assert done.code == 0, done.err
    assert "acap-build made Counter_2_1_0_aarch64.eap" in done.err
    made = packer.members()
    assert packer.left() == []
    own = own_packing(packer, NAME)
    assert list(made) == list(own)
    assert made == own


def test_the_measuring_application_is_packed_the_same_way(packer: Packer) -> None:
    packer.write(f'sdk-image.aarch64 = "{packer.image()}"', app=False)
    done = packer.build()
    assert done.code == 0, done.err
    made = packer.members(MEASURING)
    assert made == own_packing(packer, MEASURING)


def test_two_builds_give_the_same_bytes_and_a_third_has_nothing_to_do(packer: Packer) -> None:
    packer.write(f'sdk-image.aarch64 = "{packer.image()}"')
    place = packer.project / "dist" / NAME
    assert packer.build().code == 0
    first = place.read_bytes()
    assert packer.tool.run("cache", "clear", cwd=packer.project).code == 0
    place.unlink()
    again = packer.build("--json")
    assert {step["state"] for step in json.loads(again.out)["steps"]} == {"ran"}
    assert place.read_bytes() == first
    idle = packer.build()
    assert "nothing had to run: 3 steps cached, 1 package unchanged" in idle.out


def test_what_the_package_is_made_of_decides_whether_acap_build_runs_again(packer: Packer) -> None:
    packer.write(f'sdk-image.aarch64 = "{packer.image()}"', files={"notes.txt": "x"})
    assert packer.build().code == 0

    def ran(**more: str) -> list[str]:
        done = packer.tool.run("build", "--json", cwd=packer.project, **more)
        assert done.code == 0, done.err
        return [step["name"] for step in json.loads(done.out)["steps"] if step["state"] == "ran"]

    assert ran() == []
    (packer.project / "app" / "notes.txt").write_text("y")
    assert ran() == ["acap-build:fake"]
    assert packer.members()["notes.txt"] == b"y"
    assert ran(SOURCE_DATE_EPOCH="1700000000") == ["acap-build:fake"]
    manifest = packer.project / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace(packer.image(), packer.image(other="image")))
    assert ran() == ["acap-build:fake"]


def test_make_runs_with_the_compiler_of_the_sdk(packer: Packer) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed, so it cannot be put into the image")
    packer.write(
        f'sdk-image.aarch64 = "{packer.image()}"',
        'sdk-add = ["settings"]',
        files={
            "main.c": "int main(void) { return 0; }\n",
            "Makefile": "counter: main.c\n\t$(CC) -o $@ $<\n",
            "settings/a.json": "{}",
        },
    )
    (packer.project / "app" / "counter").unlink()
    assert packer.tool.run("check", cwd=packer.project).code == 0
    done = packer.build()
    assert done.code == 0, done.err
    made = packer.members()
    assert made["counter"][18:20] == b"\xb7\x00"
    assert list(made) == [
        *("counter", "package.conf", "param.conf", "LICENSE", "manifest.json", "settings", "settings/a.json"),
        "model/model.tflite",
    ]
    (packer.project / "app" / "main.c").write_text("nothing\n")
    failed = packer.build()
    assert failed.code == 1, failed.err
    assert "main.c:1:1: error: expected 'int main'" in failed.err
    assert "make failed with exit code 2" in failed.err
    assert packer.left() == []


def test_what_acap_build_refuses_is_shown_in_its_own_words(packer: Packer) -> None:
    packer.write(f'sdk-image.aarch64 = "{packer.image()}"')
    document = {**own_manifest(), "schemaVersion": "2.9.0"}
    (packer.project / "app" / "manifest.json").write_text(json.dumps(document))
    done = packer.build()
    assert done.code == 1, done.err
    assert "No schema matching schema version '2.9.0'" in done.err
    assert "use a newer image or an older schema" in done.err
    assert not list((packer.project / "dist").glob("*.eap"))


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("rubbish", "it left something that is no .eap"),
        ("other-model", "the model/model.tflite in its .eap is not the one that was built"),
        ("none", "left 0 .eap files"),
    ],
)
def test_what_acap_build_left_is_not_believed(packer: Packer, mode: str, words: str) -> None:
    packer.write(f'sdk-image.aarch64 = "{packer.image(mode=mode)}"')
    done = packer.build()
    assert done.code == 1, done.err
    assert words in done.err
    assert not list((packer.project / "dist").glob("*.eap"))


def test_an_image_that_the_engine_lacks_ends_with_exit_code_7(packer: Packer) -> None:
    packer.write(f'sdk-image.aarch64 = "sha256:{"0" * 64}"')
    done = packer.build()
    assert done.code == 7, done.err
    assert "the engine does not have it" in done.err
    assert "one that can be pulled" in done.err
    manifest = packer.project / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace("sha256:", "127.0.0.1:9/sdk@sha256:"))
    assert packer.build("--offline").code == 7


def test_an_image_that_is_no_sdk_is_told(packer: Packer) -> None:
    """Debian has no `python`; all images of the SDK have (Dockerfile of acap-native-sdk)."""
    packer.write(f'sdk-image.aarch64 = "{packer.client.images.get(packer.base).id}"')
    done = packer.build()
    assert done.code == 1, done.err
    assert "toolchain acap-sdk-aarch64 lacks a program: is it the right one?" in done.err


def test_an_sdk_for_another_architecture_is_told(packer: Packer) -> None:
    packer.write(f'sdk-image.aarch64 = "{packer.image("armv7hf")}"')
    done = packer.build()
    assert done.code == 1, done.err
    assert "the SDK of this image builds for armv7hf, not for aarch64" in done.err


def test_each_architecture_is_packed_by_its_own_sdk(packer: Packer) -> None:
    images = [f'sdk-image.{name} = "{packer.image(name)}"' for name in ("aarch64", "armv7hf")]
    packer.write(*images, app=False, socs=("fake", "old"))
    target = packer.project / "templates" / "old" / "target.toml"
    target.write_text(target.read_text().replace('"aarch64"', '"armv7hf"'))
    done = packer.build("--json")
    assert done.code == 0, done.err
    assert [step["name"] for step in json.loads(done.out)["steps"]][-2:] == ["acap-build:fake", "acap-build:old"]
    for name, architecture in ((MEASURING, "aarch64"), ("toy_Fake_old_1_0_0_armv7hf.eap", "armv7hf")):
        manifest = json.loads(packer.members(name)["manifest.json"])
        assert manifest["acapPackageConf"]["setup"]["architecture"] == architecture
    # Without the one, the other is still built.
    manifest_file = packer.project / "dlpu.toml"
    manifest_file.write_text(manifest_file.read_text().replace(packer.image("armv7hf"), f"sha256:{'0' * 64}"))
    shutil.rmtree(packer.project / "dist")
    going = packer.build("--keep-going", "--json")
    assert going.code == 7, going.err
    assert [path.name for path in (packer.project / "dist").glob("*.eap")] == [MEASURING]


def test_an_application_that_waits_for_a_network_has_none(packer: Packer) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed, so it cannot be put into the image")
    probe = "import socket; s = socket.socket(); s.settimeout(2); s.connect(('1.1.1.1', 53))"
    files = {"Makefile": f'counter:\n\tpython3 -c "{probe}"\n'}
    packer.write(f'sdk-image.aarch64 = "{packer.image()}"', files=files)
    (packer.project / "app" / "counter").unlink()
    done = packer.build()
    assert done.code == 1, done.err
    assert "Network is unreachable" in done.err


def test_an_interrupted_build_leaves_no_container(packer: Packer) -> None:
    packer.write(f'sdk-image.aarch64 = "{packer.image(mode="hang")}"')
    process = packer.tool.start("build", cwd=packer.project)
    deadline = time.monotonic() + 60
    while not packer.is_packing():
        assert time.monotonic() < deadline, "never saw acap-build"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert packer.left() == []


def test_it_is_locked_planned_and_pulled_like_any_image(packer: Packer) -> None:
    image = packer.image()
    packer.write(f'sdk-image.aarch64 = "{image}"')
    locked = packer.tool.run("lock", cwd=packer.project)
    assert locked.code == 0, locked.err
    pins = json.loads((packer.project / "dlpu.lock").read_text())["pins"]
    assert pins["image.acap-sdk-aarch64.id"] == image
    assert packer.build("--locked").code == 0
    planned = packer.tool.run("plan", cwd=packer.project)
    assert "acap-build:fake" in planned.out
    other = packer.image(other="image")
    manifest = packer.project / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace(image, other))
    refused = packer.build("--locked")
    assert refused.code == 4, refused.err
    assert "image.acap-sdk-aarch64.id" in refused.err


def test_without_an_engine_it_says_what_to_do(packer: Packer) -> None:
    packer.write(f'sdk-image.aarch64 = "{packer.image()}"')
    local = packer.build("--executor", "local")
    assert local.code == 2, local.err
    assert "acap-build runs in a container, and --executor local has none" in local.err
    assert "dlpu.toml:" in local.err
    nowhere = replace(packer.tool, environ={**packer.tool.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"})
    for executor in ("auto", "docker"):
        done = nowhere.run("build", "--executor", executor, cwd=packer.project)
        assert done.code == 6, done.err
        assert "/nowhere/docker.sock" in done.err
