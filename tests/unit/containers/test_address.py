"""Finding the engine as the `docker` program does."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.containers.address import EngineAddress, TlsFiles, find_address
from dlpubuild.errors import EngineMissingError, ErrorCode, ExitCode

HOME = Path("/nowhere/home")


def _find(**environ: str) -> EngineAddress | None:
    """Find on a machine where no usual socket is."""
    return find_address(environ, HOME, exists=lambda _: False)


def _url(**environ: str) -> str:
    address = _find(**environ)
    assert address is not None
    return address.url


def _refused(**environ: str) -> EngineMissingError:
    with pytest.raises(EngineMissingError) as caught:
        _find(**environ)
    assert caught.value.code is ErrorCode.ENGINE
    assert caught.value.exit_code is ExitCode.ENGINE_MISSING
    return caught.value


def _context(home: Path, name: str, endpoint: object, *, tls: tuple[str, ...] = ()) -> Path:
    """Write a context as `docker context create` does; return the folder of its PEM files."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = home / ".docker" / "contexts" / "meta" / key
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoint}))
    folder = home / ".docker" / "contexts" / "tls" / key / "docker"
    for file in tls:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def _config(home: Path, content: str) -> Path:
    path = home / ".docker" / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("unix:///run/user/1000/docker.sock", "unix:///run/user/1000/docker.sock"),
        ("unix://", "unix:///var/run/docker.sock"),
        ("  unix:///a b/c.sock ", "unix:///a b/c.sock"),
        ("tcp://docker:2375", "tcp://docker:2375"),
        ("tcp://docker", "tcp://docker:2375"),
        ("tcp://docker/", "tcp://docker:2375"),
        ("tcp://", "tcp://127.0.0.1:2375"),
        ("tcp://:4000", "tcp://127.0.0.1:4000"),
        ("tcp://[::1]:2375", "tcp://[::1]:2375"),
        ("tcp://[fe80::1]", "tcp://[fe80::1]:2375"),
        ("http://10.0.0.5", "tcp://10.0.0.5:80"),
        ("https://build.example", "tcp://build.example:443"),
        ("https://build.example:2376/", "tcp://build.example:2376"),
        ("ssh://build.example", "ssh://build.example"),
        ("ssh://me@build.example:2222/", "ssh://me@build.example:2222"),
        ("ssh://me@[::1]:22/run/user/7/docker.sock", "ssh://me@[::1]:22/run/user/7/docker.sock"),
    ],
)
def test_docker_host_is_understood_in_every_form(host: str, url: str) -> None:
    address = _find(DOCKER_HOST=host)
    assert address is not None
    assert (address.url, address.source) == (url, "DOCKER_HOST")


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("fd://", "unix:///var/run/docker.sock"),
        ("npipe:////./pipe/docker_engine", "Windows"),
        ("/var/run/docker.sock", "unix:///var/run/docker.sock"),
        ("docker:2375", "tcp://docker:2375"),
        ("build.example", "tcp://build.example"),
        ("unix://run/docker.sock", "unix:///run/docker.sock"),
        ("unix:/run/docker.sock", "addresses look like"),
        ("tcp://docker:99999", "addresses look like"),
        ("tcp://docker:0", "addresses look like"),
        ("tcp://docker:2375/v1.41", "addresses look like"),
        ("tcp://user@docker:2375", "addresses look like"),
        ("ssh://me:secret@host", "password"),
        ("ssh://-oProxyCommand=evil", "addresses look like"),
        ("ssh://-l@host", "addresses look like"),
        ("ssh://host:99999", "addresses look like"),
        ("ssh://", "addresses look like"),
        ("gopher://hole", "addresses look like"),
        ("ssh://ho\0st", "addresses look like"),
        ("unix:///a\0b", "absolute path"),
    ],
)
def test_what_is_no_address_is_refused_with_the_right_form(host: str, hint: str) -> None:
    error = _refused(DOCKER_HOST=host)
    assert f'DOCKER_HOST: "{host}"' in error.message
    assert hint in error.hint


@settings(derandomize=True, database=None, deadline=None)
@given(scheme=st.sampled_from(["", "tcp://", "ssh://", "unix://", "http://", "https://"]), rest=st.text(max_size=30))
def test_whatever_docker_host_holds_it_is_an_address_or_refused(scheme: str, rest: str) -> None:
    with suppress(EngineMissingError):
        address = _find(DOCKER_HOST=scheme + rest)
        if address is None:
            assert not (scheme + rest).strip()
            return
        assert address.scheme == scheme.removesuffix("://").replace("https", "tcp").replace("http", "tcp")
        assert {"unix": address.url[7:], "ssh": address.url[6:], "tcp": address.url[6:]}[address.scheme]
        if address.scheme == "ssh":
            assert address.ssh[1]
        if address.tls is None:
            # What was understood once is understood the same again.
            assert _url(**address.variables) == address.url


def test_an_empty_docker_host_is_none() -> None:
    assert _find(DOCKER_HOST="") is None
    assert _find(DOCKER_HOST="  ", DOCKER_CONTEXT="") is None


def test_parts_of_an_address_are_what_a_client_needs() -> None:
    unix = EngineAddress(url="unix:///a/b.sock", source="x")
    assert (unix.scheme, unix.socket, dict(unix.variables)) == ("unix", "/a/b.sock", {"DOCKER_HOST": unix.url})
    assert str(unix) == "unix:///a/b.sock (x)"
    tcp = EngineAddress(url="tcp://[::1]:2376", source="x")
    assert (tcp.scheme, tcp.socket, tcp.endpoint) == ("tcp", "", ("::1", 2376))
    ssh = EngineAddress(url="ssh://me@Host-1:22/a.sock", source="x")
    assert (ssh.scheme, ssh.ssh) == ("ssh", ("me", "Host-1", 22, "/a.sock"))
    assert EngineAddress(url="ssh://[::1]", source="x").ssh == ("", "::1", 0, "")


class TestTls:
    def test_docker_tls_verify_takes_the_files_of_docker_cert_path(self, tmp_path: Path) -> None:
        for name in ("ca.pem", "cert.pem", "key.pem"):
            (tmp_path / name).touch()
        environ = {"DOCKER_HOST": "tcp://docker", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
        address = find_address(environ, HOME)
        assert address == EngineAddress(
            url="tcp://docker:2376",
            source="DOCKER_HOST",
            tls=TlsFiles(
                folder=tmp_path,
                ca=tmp_path / "ca.pem",
                certificate=tmp_path / "cert.pem",
                key=tmp_path / "key.pem",
                verify=True,
            ),
        )
        assert dict(address.variables) == environ | {"DOCKER_HOST": "tcp://docker:2376"}

    def test_the_folder_of_dockers_configuration_is_the_default(self, tmp_path: Path) -> None:
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker" / "ca.pem").touch()
        address = find_address({"DOCKER_HOST": "tcp://docker", "DOCKER_TLS_VERIFY": "yes"}, tmp_path)
        assert address is not None
        assert address.tls is not None
        assert (address.tls.ca, address.tls.certificate) == (tmp_path / ".docker" / "ca.pem", None)

    def test_a_folder_of_certificates_without_verify_means_tls_that_is_not_verified(self, tmp_path: Path) -> None:
        address = find_address({"DOCKER_HOST": "tcp://docker:1", "DOCKER_CERT_PATH": str(tmp_path)}, HOME)
        assert address is not None
        assert address.tls is not None
        assert not address.tls.verify
        assert address.variables["DOCKER_TLS"] == "1"

    def test_https_without_files_trusts_the_systems_authorities(self) -> None:
        address = _find(DOCKER_HOST="https://build.example")
        assert address is not None
        assert address.tls is not None
        assert (address.tls.verify, address.tls.ca) == (True, None)

    def test_sockets_ssh_and_http_take_no_tls(self, tmp_path: Path) -> None:
        more = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
        for host in ("unix:///a.sock", "ssh://host", "http://docker:2375"):
            address = find_address({"DOCKER_HOST": host, **more}, HOME)
            assert address is not None
            assert address.tls is None

    def test_a_missing_authority_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(EngineMissingError, match=r"there is no .*/ca\.pem") as caught:
            find_address(
                {"DOCKER_HOST": "tcp://docker", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}, HOME
            )
        assert caught.value.code is ErrorCode.ENGINE

    def test_a_missing_folder_is_named(self) -> None:
        error = _refused(DOCKER_HOST="tcp://docker", DOCKER_CERT_PATH="/no/such")
        assert "DOCKER_CERT_PATH=/no/such" in error.message

    @pytest.mark.parametrize(("there", "missing"), [("cert.pem", "key.pem"), ("key.pem", "cert.pem")])
    def test_half_a_certificate_is_refused(self, tmp_path: Path, there: str, missing: str) -> None:
        (tmp_path / there).touch()
        with pytest.raises(EngineMissingError) as caught:
            find_address({"DOCKER_HOST": "tcp://docker", "DOCKER_CERT_PATH": str(tmp_path)}, HOME)
        assert str(tmp_path / missing) in caught.value.message


class TestContexts:
    def test_docker_context_names_one(self, tmp_path: Path) -> None:
        _context(tmp_path, "far", {"docker": {"Host": "ssh://me@far", "SkipTLSVerify": False}})
        address = find_address({"DOCKER_CONTEXT": "far"}, tmp_path)
        assert address == EngineAddress(url="ssh://me@far", source='Docker context "far", DOCKER_CONTEXT')

    def test_the_configuration_names_one(self, tmp_path: Path) -> None:
        _context(tmp_path, "rootless", {"docker": {"Host": "unix:///run/user/1/docker.sock"}})
        path = _config(tmp_path, '{"currentContext": "rootless"}')
        address = find_address({}, tmp_path)
        assert address == EngineAddress(
            url="unix:///run/user/1/docker.sock", source=f'Docker context "rootless", {path}'
        )

    def test_docker_config_moves_the_folder(self, tmp_path: Path) -> None:
        _context(tmp_path, "far", {"docker": {"Host": "tcp://far:1"}})
        _config(tmp_path, '{"currentContext": "far"}')
        address = find_address({"DOCKER_CONFIG": str(tmp_path / ".docker")}, HOME)
        assert address is not None
        assert (address.url, address.tls) == ("tcp://far:1", None)

    def test_docker_host_goes_before_a_context_and_a_broken_configuration(self, tmp_path: Path) -> None:
        _config(tmp_path, "broken")
        address = find_address({"DOCKER_HOST": "unix:///a", "DOCKER_CONTEXT": "no-such"}, tmp_path)
        assert address is not None
        assert address.url == "unix:///a"

    def test_docker_context_goes_before_the_configuration(self, tmp_path: Path) -> None:
        _context(tmp_path, "a", {"docker": {"Host": "unix:///a"}})
        _context(tmp_path, "b", {"docker": {"Host": "unix:///b"}})
        _config(tmp_path, '{"currentContext": "a"}')
        address = find_address({"DOCKER_CONTEXT": "b"}, tmp_path)
        assert address is not None
        assert address.url == "unix:///b"

    def test_a_contexts_own_files_give_tls(self, tmp_path: Path) -> None:
        folder = _context(tmp_path, "tls", {"docker": {"Host": "tcp://far"}}, tls=("ca.pem", "cert.pem", "key.pem"))
        address = find_address({"DOCKER_CONTEXT": "tls"}, tmp_path)
        assert address is not None
        assert address.url == "tcp://far:2376"
        assert address.tls == TlsFiles(
            folder=folder,
            ca=folder / "ca.pem",
            certificate=folder / "cert.pem",
            key=folder / "key.pem",
            verify=True,
        )

    def test_a_context_can_skip_verification(self, tmp_path: Path) -> None:
        _context(tmp_path, "lax", {"docker": {"Host": "tcp://far:5", "SkipTLSVerify": True}})
        address = find_address({"DOCKER_CONTEXT": "lax"}, tmp_path)
        assert address is not None
        assert address.tls is not None
        assert not address.tls.verify

    @pytest.mark.parametrize("name", ["default", ""])
    def test_the_default_context_is_the_usual_socket(self, tmp_path: Path, name: str) -> None:
        _config(tmp_path, json.dumps({"currentContext": name}))
        usual = {"/var/run/docker.sock", str(tmp_path / ".docker" / "config.json")}
        address = find_address({"DOCKER_CONTEXT": name}, tmp_path, exists=usual.__contains__, may_use=lambda _: True)
        assert address == EngineAddress(url="unix:///var/run/docker.sock", source="Docker's usual socket")

    def test_a_context_without_a_host_is_the_usual_socket(self, tmp_path: Path) -> None:
        _context(tmp_path, "empty", {"docker": {"Host": ""}})
        assert find_address({"DOCKER_CONTEXT": "empty"}, tmp_path, exists=lambda _: False) is None

    def test_a_context_that_does_not_exist_is_named_with_what_chose_it(self, tmp_path: Path) -> None:
        path = _config(tmp_path, '{"currentContext": "gone"}')
        with pytest.raises(EngineMissingError) as caught:
            find_address({}, tmp_path)
        assert '"gone"' in caught.value.message
        assert str(path) in caught.value.message
        assert "docker context ls" in caught.value.hint

    @pytest.mark.parametrize("endpoints", [None, [], {}, {"docker": 3}, {"docker": {"Host": 3}}, {"kubernetes": {}}])
    def test_a_context_without_a_docker_endpoint_is_refused(self, tmp_path: Path, endpoints: Any) -> None:
        _context(tmp_path, "odd", endpoints)
        with pytest.raises(EngineMissingError, match="no Docker endpoint"):
            find_address({"DOCKER_CONTEXT": "odd"}, tmp_path)

    def test_a_context_with_nonsense_for_an_address_is_named(self, tmp_path: Path) -> None:
        _context(tmp_path, "odd", {"docker": {"Host": "fd://"}})
        with pytest.raises(EngineMissingError, match='Docker context "odd": "fd://"'):
            find_address({"DOCKER_CONTEXT": "odd"}, tmp_path)

    @pytest.mark.parametrize("content", ["", "{", "[]", '"x"', '{"currentContext": 3}', "\udce9", "[" * 100_000])
    def test_a_broken_configuration_is_named(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / ".docker" / "config.json"
        path.parent.mkdir()
        path.write_bytes(os.fsencode(content))
        with pytest.raises(EngineMissingError) as caught:
            find_address({}, tmp_path)
        assert str(path) in caught.value.message
        assert caught.value.code is ErrorCode.ENGINE
        assert caught.value.hint

    def test_a_configuration_that_is_a_folder_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / ".docker" / "config.json"
        path.mkdir(parents=True)
        with pytest.raises(EngineMissingError, match="cannot be read") as caught:
            find_address({}, tmp_path)
        assert str(path) in caught.value.message


class TestUsualSockets:
    DOCKER = "/var/run/docker.sock"
    ROOTLESS = "/run/user/7/docker.sock"
    PODMAN = "/run/user/7/podman/podman.sock"
    ROOT_PODMAN = "/run/podman/podman.sock"

    @pytest.mark.parametrize("place", [DOCKER, ROOTLESS, PODMAN, ROOT_PODMAN])
    def test_each_is_found(self, place: str) -> None:
        address = find_address({"XDG_RUNTIME_DIR": "/run/user/7"}, HOME, exists=place.__eq__, may_use=lambda _: True)
        assert address is not None
        assert address.url == f"unix://{place}"

    def test_they_are_looked_for_in_order(self) -> None:
        there = {self.DOCKER, self.ROOTLESS, self.PODMAN, self.ROOT_PODMAN}
        found = []
        while there:
            address = find_address(
                {"XDG_RUNTIME_DIR": "/run/user/7"}, HOME, exists=there.__contains__, may_use=lambda _: True
            )
            assert address is not None
            found.append(address.socket)
            there.discard(address.socket)
        assert found == [self.DOCKER, self.ROOTLESS, self.PODMAN, self.ROOT_PODMAN]

    def test_one_that_may_be_used_goes_before_one_that_may_not(self) -> None:
        there = {self.DOCKER, self.ROOTLESS}
        address = find_address(
            {"XDG_RUNTIME_DIR": "/run/user/7"}, HOME, exists=there.__contains__, may_use=self.ROOTLESS.__eq__
        )
        assert address is not None
        assert (address.socket, address.source) == (self.ROOTLESS, "the socket of rootless Docker")

    def test_one_that_may_not_be_used_is_found_so_that_the_fault_says_why(self) -> None:
        address = find_address({}, HOME, exists=self.DOCKER.__eq__, may_use=lambda _: False)
        assert address is not None
        assert address.socket == self.DOCKER

    def test_none_of_them_is_no_engine(self) -> None:
        assert _find() is None
        assert _find(XDG_RUNTIME_DIR="/run/user/7") is None

    def test_a_runtime_folder_that_is_not_absolute_is_not_looked_into(self) -> None:
        there = {"./docker.sock", "./podman/podman.sock"}
        assert find_address({"XDG_RUNTIME_DIR": "."}, HOME, exists=there.__contains__) is None
