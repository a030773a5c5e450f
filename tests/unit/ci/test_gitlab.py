"""The template for GitLab: the jobs it offers, and that what they keep is what they make."""

from __future__ import annotations

import re

import pytest

from tests.doubles.github_runner import read_yaml
from tests.doubles.gitlab_runner import TEMPLATE, gitlab_job

JOBS = (".dlpubuild-local", ".dlpubuild-dind", ".dlpubuild-socket")


def test_it_has_these_jobs_and_runs_none_by_itself() -> None:
    names = list(read_yaml(TEMPLATE.read_text(encoding="utf-8")))
    assert names == [".dlpubuild", *JOBS]


@pytest.mark.parametrize("name", JOBS)
def test_packages_and_results_are_where_the_job_keeps_them(name: str) -> None:
    job = gitlab_job(name, project="/builds/group/project")
    assert job.variables["DLPU_OUTPUT_DIR"] == "/builds/group/project/dist"
    assert job.keys["artifacts"]["paths"] == ["dist/"]
    assert job.variables["DLPU_CACHE_DIR"] == "/builds/group/project/.dlpu-cache"
    assert job.keys["cache"]["paths"] == [".dlpu-cache/cas/", ".dlpu-cache/ac/"]


def test_only_the_job_without_an_engine_uses_the_local_executor() -> None:
    executors = {name: gitlab_job(name, project="/p").variables["DLPU_EXECUTOR"] for name in JOBS}
    assert executors == {".dlpubuild-local": "local", ".dlpubuild-dind": "docker", ".dlpubuild-socket": "docker"}


@pytest.mark.parametrize("name", JOBS)
def test_no_image_is_named_by_a_tag_alone(name: str) -> None:
    job = gitlab_job(name, project="/p")
    assert job.keys["image"]["name"] == "$DLPUBUILD_IMAGE"
    for service in job.keys.get("services", ()):
        assert re.fullmatch(r"docker:\d+\.\d+\.\d+-dind@sha256:[0-9a-f]{64}", service["name"])
