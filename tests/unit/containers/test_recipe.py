"""What goes into the build of an image: the Dockerfile's rules, arguments, labels, and the files of the context."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dlpubuild.containers.recipe import (
    BASES,
    RECIPES,
    Settings,
    base_image,
    build_arguments,
    build_labels,
    declared_arguments,
    find_recipe,
    lock_sha256,
    parse_pairs,
    write_context,
)
from dlpubuild.errors import ErrorCode, UsageError
from dlpubuild.resources import dockerfile, image_sources
from dlpubuild.toolchains.environment import environment_folder
from dlpubuild.toolchains.pins import load_pin

ROOT = Path(__file__).resolve().parents[3]
TOOLCHAIN_IMAGES = ("tf2", "tf1", "edgetpu", "ambarella")


def _stages() -> dict[str, str]:
    """The text of each stage, without comments, by its name."""
    text = "\n".join(line for line in dockerfile().read_text().splitlines() if not line.startswith("#"))
    parts = re.split(r"^FROM (\S+) AS (\S+)\n", text, flags=re.MULTILINE)
    return {
        name: f"FROM {base}\n{body}" for base, name, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }


def _final() -> dict[str, str]:
    return {name: text for name, text in _stages().items() if text.startswith("FROM scratch\n")}


def test_each_image_is_one_final_stage_of_its_name() -> None:
    assert set(_final()) == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_final_stage_only_copies(name: str) -> None:
    words = {line.split()[0] for line in _final()[name].splitlines() if line and not line.startswith(" ")}
    assert words <= {"FROM", "ARG", "COPY", "ENV", "USER", "CMD", "LABEL"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_final_stage_is_not_run_by_root(name: str) -> None:
    assert "\nUSER 65532:65532\n" in _final()[name]


@pytest.mark.parametrize("name", RECIPES)
def test_labels_name_the_image_and_its_license(name: str) -> None:
    text = _final()[name]
    assert f'org.dlpubuild.image="{name}"' in text
    assert re.search(r'org\.opencontainers\.image\.licenses="[A-Za-z0-9.-]+"', text)
    assert "org.opencontainers.image.description=" in text


@pytest.mark.parametrize("name", TOOLCHAIN_IMAGES)
def test_a_toolchain_image_sets_no_variable_but_path(name: str) -> None:
    lines = [line for line in _final()[name].splitlines() if line.startswith("ENV")]
    assert lines == ["ENV PATH=/opt/tc/bin:/usr/local/bin:/usr/bin:/bin"]


def test_base_images_are_pinned_by_digest() -> None:
    declared = declared_arguments()
    for base in BASES:
        assert re.fullmatch(
            r"\$\{BASE_REGISTRY\}/library/python:\S+@sha256:[0-9a-f]{64}", declared[f"{base.upper()}_IMAGE"]
        )


def test_every_stage_begins_from_nothing_or_from_a_pinned_base() -> None:
    bases = {text.splitlines()[0] for text in _stages().values()}
    assert bases == {"FROM scratch", "FROM ${PYTHON311_IMAGE}", "FROM ${PYTHON37_IMAGE}"}


def test_the_edge_tpu_compiler_is_checked_against_the_known_hash() -> None:
    declared = declared_arguments()
    assert declared["EDGETPU_SHA256"] == "f9a97adbf2ff621d24a91721191264f2abc3c1db31e63d9a266d988f907269ce"
    assert declared["EDGETPU_URL"].startswith("https://")


def test_without_settings_a_build_has_no_arguments() -> None:
    assert build_arguments(find_recipe("tf2"), Settings()) == {}


def test_arguments_are_those_of_the_image_that_is_built() -> None:
    settings = Settings(
        bases={"python311": "base:1", "python37": "base:2"},
        registry="mirror.example/hub/",
        index_url="https://index.example/simple",
        arguments={"EDGETPU_URL": "http://files.example/e.tar.gz"},
        proxies={"HTTPS_PROXY": "http://proxy.example:3128"},
    )
    assert build_arguments(find_recipe("tf1"), settings) == {
        "BASE_REGISTRY": "mirror.example/hub",
        "EDGETPU_URL": "http://files.example/e.tar.gz",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "PIP_INDEX_URL": "https://index.example/simple",
        "PYTHON37_IMAGE": "base:2",
    }


@pytest.mark.parametrize("name", ["EDGETPU", "PIP_INDEX_URL", "PYTHON311_IMAGE", "BASE_REGISTRY"])
def test_an_argument_that_is_not_there_or_has_an_option_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_arguments(find_recipe("edgetpu"), Settings(arguments={name: "x"}))
    assert caught.value.code is ErrorCode.UNKNOWN_VALUE
    assert "EDGETPU_SHA256" in caught.value.hint


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        find_recipe("tf3")
    assert caught.value.code is ErrorCode.UNKNOWN_VALUE
    assert "cli-tf2" in caught.value.hint


def test_labels_of_a_build_from_the_pinned_base() -> None:
    labels = build_labels(find_recipe("tf2"), Settings(), version="1.2.3", base_digest="")
    assert labels == {
        "org.dlpubuild.lock-sha256": load_pin("tf2", machine="x86_64", system="linux").lock_sha256,
        "org.opencontainers.image.base.digest": (
            "sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b"
        ),
        "org.opencontainers.image.base.name": "docker.io/library/python:3.11-slim-bookworm",
        "org.opencontainers.image.source": "pkg:pypi/dlpubuild@1.2.3",
        "org.opencontainers.image.version": "1.2.3",
    }


def test_a_mirror_does_not_show_in_the_labels() -> None:
    recipe = find_recipe("tf2")
    plain = build_labels(recipe, Settings(), version="1", base_digest="")
    mirrored = build_labels(recipe, Settings(registry="mirror.example"), version="1", base_digest="")
    assert plain == mirrored


def test_another_base_shows_in_the_labels_with_what_the_engine_knows_it_by() -> None:
    recipe, settings = find_recipe("tf2"), Settings(bases={"python311": "own:1"})
    labels = build_labels(recipe, settings, version="1", base_digest="sha256:ab")
    assert base_image(recipe, settings) == "own:1"
    assert labels["org.opencontainers.image.base.name"] == "own:1"
    assert labels["org.opencontainers.image.base.digest"] == "sha256:ab"
    without = build_labels(recipe, settings, version="1", base_digest="")
    assert "org.opencontainers.image.base.digest" not in without


def test_an_image_without_packages_has_no_lock() -> None:
    assert lock_sha256(find_recipe("edgetpu")) == ""
    assert "org.dlpubuild.lock-sha256" not in build_labels(
        find_recipe("edgetpu"), Settings(), version="1", base_digest=""
    )


def test_the_environment_of_an_image_has_the_name_and_the_mark_that_the_local_executor_looks_for(
    tmp_path: Path,
) -> None:
    pin = load_pin("tf2", machine="x86_64", system="linux")
    script = (ROOT / "docker" / "python-environment").read_text()
    named = re.search(r'ln -s "\$folder" "/toolchains/(.+)"\n', script)
    assert named is not None
    name = environment_folder(pin, tmp_path).name
    assert named[1] == '$toolchain-py$version-$(echo "$sha256" | cut -c 1-16)'
    assert name == f"tf2-py3.11-{pin.lock_sha256[:16]}"
    assert '{"lock-sha256": "%s", "python": "%s", "toolchain": "%s"}' in script
    assert "dlpubuild-environment.json" in script


def test_pairs_are_read_and_others_refused() -> None:
    assert parse_pairs("--base", ["python37=a=b"], BASES) == {"python37": "a=b"}
    for text in ("python37", "=x", "python37=", "debian=x"):
        with pytest.raises(UsageError) as caught:
            parse_pairs("--base", [text], BASES)
        assert caught.value.code is ErrorCode.USAGE


def test_the_context_has_fixed_times_and_permissions(tmp_path: Path) -> None:
    write_context(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.stat().st_mtime for path in files} == {315_532_800}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644, 0o755}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "docker").iterdir()} == {0o755}
    assert (tmp_path / "Dockerfile").stat().st_mode & 0o777 == 0o644
    assert not [path for path in files if "__pycache__" in path.parts]
    assert (tmp_path / "dlpubuild" / "toolchains" / "locks" / "tf2-linux-x86_64.txt").is_file()


def test_a_build_by_hand_ignores_what_is_not_part_of_the_context() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    tops = {name if name.startswith("requirements/") else name.partition("/")[0] for name in image_sources()}
    assert kept == tops | {".dockerignore"}
