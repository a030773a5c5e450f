"""`dlpubuild image`: what it prints, what it refuses, and what of an engine it would remove."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from dlpubuild import __version__
from dlpubuild.commands.image import further_tags
from dlpubuild.commands.imaging import read_settings
from dlpubuild.commands.wiring import read_host
from dlpubuild.containers.recipe import RECIPES, lock_sha256
from dlpubuild.errors import ErrorCode, ExitCode, UsageError
from dlpubuild.project.lock import LockedImage, Pins, read_pins
from tests.doubles.engine import EngineDouble, engine_double, healthy, reply
from tests.factories.small_projects import write_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.commands.conftest import Tool

CURRENT, OLD, LOCKED, PULLED = (f"sha256:{digit * 64}" for digit in "1234")
DIGEST = f"sha256:{'ab' * 32}"
REFERENCE = f"registry.example/tf2@{DIGEST}"


def _image(
    image_id: str,
    *,
    name: str = "tf2",
    version: str = __version__,
    lock: str | None = None,
    tags: tuple[str, ...] = (),
    references: tuple[str, ...] = (),
) -> dict[str, Any]:
    labels = {
        "org.dlpubuild.image": name,
        "org.opencontainers.image.version": version,
        "org.dlpubuild.lock-sha256": lock_sha256(RECIPES[name]) if lock is None else lock,
    }
    return {
        "Id": image_id,
        "RepoTags": list(tags),
        "RepoDigests": list(references),
        "Config": {"Labels": labels},
        "Size": 1 << 30,
        "Created": "1980-01-01T00:00:00Z",
        "RootFS": {"Layers": [DIGEST]},
    }


IMAGES = (
    _image(CURRENT, tags=(f"dlpubuild/tf2:{__version__}",)),
    _image(OLD, version="0.0.1", lock="ab" * 32, tags=("dlpubuild/tf2:0.0.1",)),
    _image(LOCKED, version="0.0.2", lock="cd" * 32),
    _image(PULLED, version="0.0.3", lock="ef" * 32, references=(REFERENCE,)),
)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., EngineDouble]]:
    """Return a function that starts an engine with these images and lets the tool find it."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(*images: dict[str, Any], **more: bytes) -> EngineDouble:
            replies = {**healthy(), "/images/json": reply([{"Id": image["Id"]} for image in images])}
            for image in images:
                for known in (image["Id"], *image["RepoTags"], *image["RepoDigests"]):
                    replies[f"/images/{quote(known, safe='/:')}/json"] = reply(image)
            double = stack.enter_context(engine_double({**replies, **more}))
            monkeypatch.setenv("DOCKER_HOST", double.address.url)
            return double

        yield start


@pytest.mark.parametrize("command", [["list"], ["inspect", "tf2"], ["prune", "-n"], ["build"], ["push", "tf2", "x/y"]])
def test_without_an_engine_the_exit_code_says_so(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    done = tool.run("image", *command)
    assert done.code == ExitCode.ENGINE_MISSING
    assert "unix:///nowhere/docker.sock" in done.err
    assert done.out == ""


def test_an_image_that_is_not_part_of_the_tool_is_refused_before_anything_is_asked(tool: Tool) -> None:
    done = tool.run("image", "build", "tf3")
    assert done.code == ExitCode.USAGE
    assert "there is no image" in done.err


def test_a_floating_tag_is_not_pulled(tool: Tool) -> None:
    done = tool.run("image", "pull", "registry.example/tf2:latest")
    assert done.code == ExitCode.USAGE
    assert "names no digest" in done.err


def test_images_are_listed_with_those_that_are_not_built(tool: Tool, engine: Callable[..., EngineDouble]) -> None:
    engine(*IMAGES)
    lines = tool.run("image", "list").out.splitlines()
    assert lines[0].split() == ["name", "state", "id", "size", "known", "as"]
    assert lines[1].split() == ["tf2", "current", CURRENT[:19], "1.0", "GiB", f"dlpubuild/tf2:{__version__}"]
    assert {line.split()[0] for line in lines if "not built" in line} == set(RECIPES) - {"tf2"}
    assert [line.split()[1:3] for line in lines[2:5]] == [["other", each[:19]] for each in (LOCKED, PULLED, OLD)]


def test_the_list_as_json(tool: Tool, engine: Callable[..., EngineDouble]) -> None:
    engine(IMAGES[0])
    rows = json.loads(tool.run("image", "list", "--json").out)
    assert rows[0] == {
        "name": "tf2",
        "state": "current",
        "id": CURRENT,
        "version": __version__,
        "lock_sha256": lock_sha256(RECIPES["tf2"]),
        "tags": [f"dlpubuild/tf2:{__version__}"],
        "references": [],
        "layers": [DIGEST],
        "labels": IMAGES[0]["Config"]["Labels"],
        "bytes": 1 << 30,
    }
    assert rows[1]["state"] == "missing"
    assert rows[1]["id"] is None


def test_one_image_is_shown_by_the_tools_name_or_by_its_id(tool: Tool, engine: Callable[..., EngineDouble]) -> None:
    engine(*IMAGES)
    assert tool.run("image", "inspect", "tf2").out == tool.run("image", "inspect", CURRENT).out
    shown = json.loads(tool.run("image", "inspect", OLD, "--json").out)
    assert (shown["state"], shown["version"]) == ("other", "0.0.1")


def test_an_image_that_is_not_built_is_no_image_to_show(tool: Tool, engine: Callable[..., EngineDouble]) -> None:
    engine()
    done = tool.run("image", "inspect", "tf1")
    assert done.code == ExitCode.TOOLCHAIN_MISSING
    assert "dlpubuild image build tf1" in done.err


def _project(folder: Path, **locked: LockedImage) -> Path:
    manifest = write_project(folder, "[target.cpu]\n")
    (folder / "dlpu.lock").write_bytes(Pins(values={}).with_images(locked).encode())
    return manifest


def test_prune_keeps_this_version_and_what_the_lock_names(
    tool: Tool, engine: Callable[..., EngineDouble], tmp_path: Path
) -> None:
    engine(*IMAGES)
    by_id = _project(tmp_path / "id", tf2=LockedImage(id=LOCKED))
    by_reference = _project(tmp_path / "reference", tf2=LockedImage(id=OLD, reference=REFERENCE))

    def left(manifest: Path) -> list[str]:
        done = json.loads(tool.run("image", "prune", "--dry-run", "--json", "--manifest", manifest).out)
        assert done["kept"] == []
        return [row["id"] for row in done["removed"]]

    assert left(by_id) == [PULLED, OLD]
    assert left(by_reference) == [LOCKED]
    assert left(tmp_path / "nothing" / "dlpu.toml") == [LOCKED, PULLED, OLD]


def test_a_dry_prune_removes_nothing(tool: Tool, engine: Callable[..., EngineDouble], tmp_path: Path) -> None:
    double = engine(*IMAGES)
    done = tool.run("image", "prune", "--dry-run", "--manifest", tmp_path / "dlpu.toml")
    assert done.out.splitlines()[-1] == "3 images, 3.0 GiB"
    assert f"would remove {OLD}  tf2  dlpubuild/tf2:0.0.1" in done.out.splitlines()
    assert not [line for line in double.asked if line.startswith("DELETE")]


def test_prune_tells_what_a_container_keeps(tool: Tool, engine: Callable[..., EngineDouble], tmp_path: Path) -> None:
    used = reply({"message": "image is being used by running container 0123"}, status="409 Conflict")
    engine(IMAGES[2], **{f"/images/{LOCKED}": used})
    done = tool.run("image", "prune", "--manifest", tmp_path / "dlpu.toml")
    assert done.code == ExitCode.DONE
    assert done.out.splitlines() == [
        f"kept {LOCKED}  tf2: image is being used by running container 0123",
        "0 images, 0 B",
    ]


def test_nothing_to_pull_is_said_with_what_to_do(tool: Tool, tmp_path: Path) -> None:
    done = tool.run("image", "pull", "--manifest", write_project(tmp_path, "[target.cpu]\n"))
    assert done.code == ExitCode.USAGE
    assert "@sha256" in done.err
    done = tool.run("image", "pull", "--manifest", _project(tmp_path, tf2=LockedImage(id=OLD)))
    assert done.code == ExitCode.USAGE
    assert "tf2 by id only" in done.err
    assert "image push" in done.err


def test_the_lock_says_what_to_pull(tool: Tool, engine: Callable[..., EngineDouble], tmp_path: Path) -> None:
    pulled = _image(CURRENT, references=(REFERENCE,))
    double = engine(
        pulled, **{"/images/create": reply(b""), f"/images/{CURRENT}/tag": reply(b"", status="201 Created")}
    )
    manifest = _project(tmp_path, tf2=LockedImage(id=OLD, reference=REFERENCE))
    done = tool.run("image", "pull", "--manifest", manifest, "--json")
    tag = f"dlpubuild/tf2:{__version__}"
    assert json.loads(done.out) == [{"reference": REFERENCE, "id": CURRENT, "tag": tag}]
    assert any("/images/create" in line and "fromImage=registry.example%2Ftf2" in line for line in double.asked)


def test_the_images_that_the_engine_has_are_written_into_the_lock(
    tool: Tool, engine: Callable[..., EngineDouble], tmp_path: Path
) -> None:
    engine(_image(CURRENT, tags=(f"dlpubuild/tf2:{__version__}",), references=(REFERENCE,)))
    manifest = write_project(tmp_path, "[target.cpu]\n")
    (tmp_path / "dlpu.lock").write_bytes(Pins(values={"tool": "0.0.1"}).encode())
    done = tool.run("image", "lock", "--manifest", manifest)
    assert done.code == ExitCode.DONE, done.err
    assert read_pins(tmp_path / "dlpu.lock").values == {
        "image.tf2.id": CURRENT,
        "image.tf2.reference": REFERENCE,
        "tool": "0.0.1",
    }
    assert f"image.tf2.id: new -> {CURRENT}" in done.out.splitlines()
    assert "nothing changed" in tool.run("image", "lock", "--manifest", manifest).out


def test_images_that_are_not_built_cannot_be_locked(
    tool: Tool, engine: Callable[..., EngineDouble], tmp_path: Path
) -> None:
    engine()
    done = tool.run("image", "lock", "--manifest", write_project(tmp_path, "[target.cpu]\n"))
    assert done.code == ExitCode.TOOLCHAIN_MISSING
    assert not (tmp_path / "dlpu.lock").exists()


def test_an_image_of_another_version_does_not_get_the_name_of_this_one(
    tool: Tool, engine: Callable[..., EngineDouble]
) -> None:
    engine(IMAGES[3], **{"/images/create": reply(b"")})
    assert tool.run("image", "pull", REFERENCE).out == f"{REFERENCE}  {PULLED}\n"


def test_a_further_name_is_for_one_image(tmp_path: Path) -> None:
    assert further_tags(["registry.example/tf2", "x:1"], 1) == (f"registry.example/tf2:{__version__}", "x:1")
    for tags, images in ((["x:1"], 2), ([f"x@{DIGEST}"], 1)):
        with pytest.raises(UsageError):
            further_tags(tags, images)


def _settings(**options: Any) -> Any:
    none: dict[str, Any] = {"bases": [], "registry": "", "index_url": "", "ca_bundle": None, "arguments": []}
    return read_settings(read_host(), **{**none, **options})


def test_settings_of_builds_come_from_options_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificates")
    for name in ("HTTP_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "DLPU_BASE_PYTHON311": "env:311",
        "DLPU_BASE_PYTHON37": "env:37",
        "UV_DEFAULT_INDEX": "https://uv.example",
        "PIP_INDEX_URL": "https://pip.example",
        "SSL_CERT_FILE": str(bundle),
        "HTTPS_PROXY": "http://proxy.example:3128",
    }.items():
        monkeypatch.setenv(name, value)
    found = _settings(bases=["python37=option:37"], arguments=["APT_MIRROR=http://debian.example"])
    assert found.bases == {"python311": "env:311", "python37": "option:37"}
    assert found.index_url == "https://uv.example"
    assert found.ca_bundle == bundle
    assert found.arguments == {"APT_MIRROR": "http://debian.example"}
    assert found.proxies == {"HTTPS_PROXY": "http://proxy.example:3128"}
    assert _settings(index_url="https://option.example").index_url == "https://option.example"


def test_a_bundle_that_is_not_there_is_a_fault_only_where_it_was_named_for_this(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    assert _settings().ca_bundle is None
    with pytest.raises(UsageError) as caught:
        _settings(ca_bundle=tmp_path / "gone.pem")
    assert caught.value.code is ErrorCode.PATH_MISSING
