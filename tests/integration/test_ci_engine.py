"""`.ci/engine` with the engine of this machine, and where it has to start one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.doubles.github_runner import ROOT
from tests.engine_fixtures import ENVIRON

SCRIPT = ROOT / ".ci" / "engine"
# A machine without an engine, as far as namespaces give one: its own sockets, images, log and network.
FRESH = """
set -eu
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /var/lib/docker
mount --bind "$DATA" /var/lib/docker
mount -t proc proc /proc
"""


def test_the_second_run_says_the_same_in_under_two_seconds(
    engine_environment: Mapping[str, str], tmp_path: Path
) -> None:
    environ = {**ENVIRON, **engine_environment, "TMPDIR": str(tmp_path)}
    said, took_s = [], []
    for _ in range(2):
        begun = time.monotonic()
        done = subprocess.run([SCRIPT, "--look"], env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
        took_s.append(time.monotonic() - begun)
    assert said[0] == said[1]
    assert "export DLPU_DOCKER=" in said[0]
    assert min(took_s) < 2


def on_a_fresh_machine(script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    if os.geteuid() != 0 or shutil.which("dockerd") is None or not Path("/etc/debian_version").exists():
        pytest.skip("starting an engine needs root, Debian and dockerd")
    environ = {"PATH": ENVIRON["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "DATA": str(tmp_path / "data")}
    (tmp_path / "data").mkdir()
    return subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", FRESH + script],
        env=environ | {"ENGINE": str(SCRIPT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.engine
def test_where_none_answers_one_is_started_that_outlives_the_script(tmp_path: Path) -> None:
    done = on_a_fresh_machine(
        """
        eval "$("$ENGINE" --bases none)"
        echo "$DLPU_DOCKER answers: $(docker version --format '{{.Server.Os}}')"
        "$ENGINE" --bases none
        kill "$(cat /run/docker.pid)"
        while [ -e /run/docker.pid ]; do sleep 0.1; done
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert "answers: linux" in done.stdout
    assert done.stdout.count("engine: dockerd answers; its log is /var/log/dlpubuild-dockerd.log") == 1


@pytest.mark.engine
def test_where_a_privilege_is_missing_it_says_which_and_what_the_engine_said(tmp_path: Path) -> None:
    done = on_a_fresh_machine(
        'exec setpriv --bounding-set=-net_admin --inh-caps=-net_admin "$ENGINE" --bases none', tmp_path
    )
    assert done.returncode == 1
    assert "engine: networks cannot be made here: that takes CAP_NET_ADMIN" in done.stdout
    assert "failed to start daemon" in done.stdout
    assert done.stdout.endswith("engine: no container engine could be started\nfalse\n")
