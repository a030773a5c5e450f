"""The connection: which version is spoken, what is read of the engine, and how one that is not well is reported."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dlpubuild.containers.address import EngineAddress
from dlpubuild.containers.connect import Connection, EngineFacts, describe_engine
from dlpubuild.containers.ssh import ssh_command
from dlpubuild.containers.transport import proxy_for
from dlpubuild.errors import EngineMissingError, ErrorCode
from tests.doubles.engine import INFO, VERSION, engine_double, healthy, reply

FACTS = EngineFacts(
    version="99.1",
    api="1.41",
    is_podman=False,
    is_rootless=False,
    remaps_users=False,
    memory_bytes=16 << 30,
    cores=8,
    architecture="x86_64",
    name="double",
    unlimited=(),
    cgroups=2,
)


def _fault(connection: Connection) -> EngineMissingError:
    with pytest.raises(EngineMissingError) as caught:
        connection.facts()
    return caught.value


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [
        ("1.40", "1.12", "1.40"),
        ("1.41", "1.12", "1.41"),
        ("1.44", "1.24", "1.44"),
        ("1.52", "1.44", "1.44"),
        ("2.1", "1.50", "1.50"),
        ("1.43", None, "1.43"),
    ],
)
def test_the_newest_version_that_both_sides_know_is_spoken(newest: str, oldest: str | None, spoken: str) -> None:
    with (
        engine_double(healthy(ApiVersion=newest, MinAPIVersion=oldest)) as double,
        Connection(double.address, {}) as connection,
    ):
        assert connection.client().api.api_version == spoken
        assert connection.facts().api == spoken
        assert f"GET /v{spoken}/info HTTP/1.1" in double.asked


@pytest.mark.parametrize("newest", ["1.39", "1.9", "0.1"])
def test_an_engine_that_is_too_old_is_refused(newest: str) -> None:
    with (
        engine_double(healthy(ApiVersion=newest, Version="18.09")) as double,
        Connection(double.address, {}) as connection,
    ):
        error = _fault(connection)
    assert error.code is ErrorCode.ENGINE_OLD
    assert "18.09" in error.message
    assert newest in error.message
    assert "1.40" in error.message


def test_facts_are_what_the_engine_says() -> None:
    with engine_double(healthy()) as double, Connection(double.address, {}) as connection:
        assert connection.facts() == FACTS
        assert connection.facts() is connection.facts()


@pytest.mark.parametrize(
    ("version", "info", "change"),
    [
        ({"Components": [{"Name": "Podman Engine"}]}, {}, {"is_podman": True}),
        ({"Components": None}, {}, {}),
        ({}, {"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}, {"is_rootless": True}),
        ({}, {"Rootless": True, "Architecture": "arm64"}, {"is_rootless": True, "architecture": "aarch64"}),
        ({}, {"Architecture": "amd64"}, {}),
        ({}, {"SecurityOptions": ["name=userns"]}, {"remaps_users": True}),
        ({}, {"SecurityOptions": None, "CgroupVersion": ""}, {"cgroups": 0}),
        ({}, {"CpuCfsQuota": False, "MemoryLimit": False}, {"unlimited": ("cpus", "memory")}),
    ],
)
def test_kinds_of_engines_are_told_apart(
    version: dict[str, object], info: dict[str, object], change: dict[str, object]
) -> None:
    replies = {**healthy(**version), "/info": reply({**INFO, **info})}
    with engine_double(replies) as double, Connection(double.address, {}) as connection:
        assert connection.facts() == replace(FACTS, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "replies",
    [
        {"/version": b"SSH-2.0-OpenSSH_9.2\r\n"},
        {"/version": b""},
        {"/version": reply(b"<html>hello</html>")},
        {"/version": reply(["a list"])},
        {"/version": reply({**VERSION, "ApiVersion": 3})},
        {"/version": reply({**VERSION, "ApiVersion": "new"})},
        {"/version": reply(VERSION, length=5000)},
        {"/version": reply({"message": "no"}, status="500 Internal Server Error")},
        {"/version": reply(VERSION), "/info": reply("?")},
        {"/version": reply(VERSION), "/info": reply({**INFO, "NCPU": 0})},
        {"/version": reply(VERSION), "/info": reply({**INFO, "MemTotal": "much"})},
        {"/version": reply(VERSION), "/info": reply(INFO, length=5000)},
        {"/version": reply(VERSION)},
        {},
    ],
)
def test_what_is_no_engine_or_breaks_off_is_a_fault(replies: dict[str, bytes | None]) -> None:
    with engine_double(replies) as double, Connection(double.address, {}) as connection:
        error = _fault(connection)
        assert error.code is ErrorCode.ENGINE
        assert double.address.url in error.message
        assert error.hint


def test_an_engine_of_windows_containers_is_refused() -> None:
    with engine_double(healthy(Os="windows")) as double, Connection(double.address, {}) as connection:
        assert "windows" in _fault(connection).message


def test_an_engine_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with Connection(EngineAddress(url=f"unix://{tmp_path}/no.sock", source="DOCKER_HOST"), {}) as connection:
        error = _fault(connection)
    assert error.code is ErrorCode.ENGINE
    assert "no such socket" in error.message


def test_a_name_that_nobody_has_is_a_fault() -> None:
    with Connection(EngineAddress(url="tcp://no.such.host.invalid:2375", source="DOCKER_HOST"), {}) as connection:
        assert "name is not known" in _fault(connection).message


def test_an_engine_that_comes_up_later_is_reached_by_the_same_connection() -> None:
    with engine_double({}) as double, Connection(double.address, {}) as connection:
        _fault(connection)
        double.replies = healthy()
        assert connection.facts() == FACTS


def test_a_closed_connection_opens_again() -> None:
    with engine_double(healthy()) as double, Connection(double.address, {}) as connection:
        connection.client()
        connection.close()
        connection.close()
        assert connection.client().ping() is True


def test_making_a_connection_connects_nothing() -> None:
    with engine_double(healthy()) as double:
        Connection(double.address, {}).close()
        assert double.connections == 0


def test_all_requests_of_one_thread_share_a_connection() -> None:
    with engine_double(healthy()) as double, Connection(double.address, {}) as connection:
        connection.facts()
        connection.client().ping()
        assert double.connections == 1


def test_threads_share_a_client_and_keep_their_connections() -> None:
    with engine_double(healthy()) as double, Connection(double.address, {}) as connection:
        start = threading.Barrier(24)

        def work(_: int) -> EngineFacts:
            start.wait()
            for _ in range(5):
                assert connection.client().ping()
            return connection.facts()

        with ThreadPoolExecutor(24) as pool:
            assert set(pool.map(work, range(24))) == {FACTS}
        assert double.connections <= 24


@pytest.mark.parametrize("tcp", [False, True])
def test_no_proxy_is_asked_for_an_engine_on_this_machine(tcp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    proxies = dict.fromkeys(names, "http://127.0.0.1:9")
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with engine_double(healthy(), tcp=tcp) as double, Connection(double.address, proxies) as connection:
        assert connection.facts() == FACTS


def test_a_far_engine_is_reached_through_the_proxy_that_is_set() -> None:
    with engine_double({"http://engine.example:2375/version": reply(VERSION)}, tcp=True) as proxy:
        environ = {"HTTP_PROXY": proxy.address.url.replace("tcp", "http")}
        far = EngineAddress(url="tcp://engine.example:2375", source="DOCKER_HOST")
        with Connection(far, environ) as connection:
            assert connection.client().api.api_version == "1.41"


@pytest.mark.parametrize(
    ("host", "environ", "proxy"),
    [
        ("far", {}, ""),
        ("far", {"HTTP_PROXY": "p"}, "p"),
        ("far", {"http_proxy": "q", "HTTP_PROXY": "p"}, "q"),
        ("far", {"HTTPS_PROXY": "p"}, ""),
        ("far", {"HTTP_PROXY": "p", "NO_PROXY": "near, far"}, ""),
        ("far", {"HTTP_PROXY": "p", "NO_PROXY": "ar"}, "p"),
        ("a.far", {"HTTP_PROXY": "p", "no_proxy": ".FAR"}, ""),
        ("a.far", {"HTTP_PROXY": "p", "no_proxy": "*.far"}, ""),
        ("far", {"HTTP_PROXY": "p", "NO_PROXY": "*"}, ""),
        ("far", {"HTTP_PROXY": "p", "NO_PROXY": ",,"}, "p"),
        ("10.1.2.3", {"HTTP_PROXY": "p", "NO_PROXY": "10.0.0.0/8"}, ""),
        ("11.1.2.3", {"HTTP_PROXY": "p", "NO_PROXY": "10.0.0.0/8"}, "p"),
        ("localhost", {"HTTP_PROXY": "p"}, ""),
        ("127.9.9.9", {"HTTP_PROXY": "p"}, ""),
        ("::1", {"HTTP_PROXY": "p"}, ""),
    ],
)
def test_proxies_are_chosen_as_the_docker_program_does(host: str, environ: dict[str, str], proxy: str) -> None:
    assert proxy_for("http", host, environ) == proxy


def test_a_configuration_that_the_sdk_cannot_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text('{"auths": {"registry.example": 3}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with engine_double(healthy()) as double, Connection(double.address, {}) as connection:
        assert str(tmp_path / "config.json") in _fault(connection).message


def test_an_engine_that_accepts_but_never_answers_can_be_given_up() -> None:
    with engine_double({**healthy(), "/_ping": None}) as double, Connection(double.address, {}) as connection:
        client = connection.client()
        client.api.timeout = 1
        started = time.monotonic()
        with pytest.raises(Exception, match="timed out") as caught:
            client.ping()
        assert type(caught.value).__name__ == "ReadTimeout"
        assert time.monotonic() - started < 10


class TestSsh:
    """With a program in place of ssh; the real one is in the integration tests."""

    def test_the_command_asks_nothing_and_cannot_be_given_options(self) -> None:
        words = ssh_command(EngineAddress(url="ssh://me@far:2222/run/d.sock", source="x"))
        assert words[:2] == ["ssh", "-T"]
        assert "BatchMode=yes" in words
        assert words[-7:] == [
            *("-l", "me", "-p", "2222"),
            *("--", "far", "docker --host unix:///run/d.sock system dial-stdio"),
        ]
        assert ssh_command(EngineAddress(url="ssh://far", source="x"))[-3:] == ["--", "far", "docker system dial-stdio"]

    @staticmethod
    def _program(folder: Path, script: str) -> dict[str, str]:
        path = folder / "ssh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return {"PATH": f"{folder}:{os.environ['PATH']}"}

    def _relay(self, folder: Path, socket: str) -> dict[str, str]:
        """An ssh that takes its input to `socket`, and its answers back."""
        relay = folder / "relay.py"
        relay.write_text(
            "import os, socket, sys, threading\n"
            "far = socket.socket(socket.AF_UNIX); far.connect(sys.argv[1])\n"
            "def up():\n"
            "    while data := os.read(0, 65536): far.sendall(data)\n"
            "    far.shutdown(socket.SHUT_WR)\n"
            "threading.Thread(target=up, daemon=True).start()\n"
            "while data := far.recv(65536): os.write(1, data)\n"
        )
        return self._program(folder, f"echo $$ >> {folder}/pids; exec {sys.executable} {relay} {socket}")

    def test_an_engine_is_reached_through_the_programs_input_and_output(self, tmp_path: Path) -> None:
        with engine_double(healthy()) as double:
            environ = self._relay(tmp_path, double.address.socket)
            with Connection(EngineAddress(url="ssh://me@far", source="x"), environ) as connection:
                assert connection.facts() == FACTS
                assert connection.client().ping() is True
                pids = (tmp_path / "pids").read_text().split()
                assert len(pids) == 1
                # Ctrl-C on the terminal does not reach it: containers are removed through it.
                assert os.getsid(int(pids[0])) == int(pids[0])
            assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []

    @pytest.mark.parametrize(
        ("script", "said"),
        [
            ("echo 'me@far: Permission denied (publickey).' >&2; exit 255", "me@far: Permission denied (publickey)."),
            ("echo a >&2; echo b >&2; echo c >&2; echo; echo d >&2; exit 1", "b; c; d"),
            ("exit 127", "exit code 127"),
        ],
    )
    def test_the_programs_own_words_are_shown(self, tmp_path: Path, script: str, said: str) -> None:
        environ = self._program(tmp_path, f"exec 3>&1 1>/dev/null; {script}")
        with Connection(EngineAddress(url="ssh://me@far", source="x"), environ) as connection:
            error = _fault(connection)
        assert error.code is ErrorCode.ENGINE
        assert "ssh failed: " in error.message
        assert said in error.message
        assert "docker -H ssh://me@far version" in error.hint

    def test_a_missing_program_is_said(self, tmp_path: Path) -> None:
        with Connection(EngineAddress(url="ssh://me@far", source="x"), {"PATH": str(tmp_path)}) as connection:
            assert 'the program "ssh" cannot be started' in _fault(connection).message

    def test_a_far_side_that_just_ends_has_closed_the_connection(self, tmp_path: Path) -> None:
        environ = self._program(tmp_path, "exit 0")
        with Connection(EngineAddress(url="ssh://far", source="x"), environ) as connection:
            assert "closed the connection" in _fault(connection).message


def test_an_engine_is_described_in_one_line() -> None:
    address = EngineAddress(url="unix:///run/d.sock", source="DOCKER_HOST")
    assert (
        describe_engine(FACTS, address)
        == "Docker 99.1 (API 1.41) at unix:///run/d.sock (DOCKER_HOST), x86_64, 8 cores, 16.0 GiB"
    )
    odd = replace(FACTS, is_podman=True, is_rootless=True, remaps_users=True, cores=1, unlimited=("cpus", "memory"))
    assert describe_engine(odd, address) == (
        "Podman 99.1 (API 1.41) at unix:///run/d.sock (DOCKER_HOST), x86_64, 1 core, 16.0 GiB, rootless, maps users, "
        "cannot limit cpus, memory"
    )
