"""Every way to a real engine: socket, TCP with TLS, ssh, Podman, rootless Docker; and what each says when it is barred.

Everything listens on the loopback interface or on a socket; certificates and keys are made for the test.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import struct
import subprocess
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.containers.address import EngineAddress, find_address
from dlpubuild.containers.ask import ask
from dlpubuild.containers.connect import Connection, describe_engine
from dlpubuild.containers.faults import engine_faults
from dlpubuild.containers.transport import CONNECT_TIMEOUT_S
from dlpubuild.errors import EngineMissingError, ErrorCode
from tests.engine_fixtures import ENVIRON
from tests.factories.engines import podman_engine, private_engine, remapping_engine, rootless_engine
from tests.factories.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from docker.models.containers import Container
    from requests import Response

    from tests.factories.engines import PrivateEngine

pytestmark = pytest.mark.engine

LINES = 2000


@pytest.fixture(scope="session")
def small_archive(engine_address: EngineAddress, small_image: str) -> bytes:
    """The small image as `docker load` takes it."""
    with Connection(engine_address, ENVIRON) as connection:
        return b"".join(connection.client().images.get(small_image).save(named=True))


def _load(connection: Connection, archive: bytes) -> str:
    return str(connection.client().images.load(archive)[0].id)


@contextmanager
def _container(connection: Connection, image: str, script: str) -> Iterator[Container]:
    container = connection.client().containers.create(
        image, ["-c", script], entrypoint="/bin/sh", network_mode="none", volumes=["/w"], use_config_proxy=False
    )
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def _exercise(connection: Connection, image: str) -> None:
    """Do what a step needs: files in, a stream of output, the exit code, files out."""
    client = connection.client()
    script = f"cat /w/in; seq {LINES}; echo err >&2; cp /w/in /w/out; exit 3"
    with _container(connection, image, script) as container:
        assert container.put_archive("/w", _archive("in", b"hello\n"))
        with closing(_attach(connection, container)) as stream:
            container.start()
            frames = stream.raw.read()
        out, err = _output(frames)
        assert out.split() == [b"hello", *(str(number).encode() for number in range(1, LINES + 1))]
        assert err == b"err\n"
        assert client.api.wait(str(container.id), timeout=60)["StatusCode"] == 3
        chunks, _ = container.get_archive("/w/out")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile("out")
            assert member is not None
            assert member.read() == b"hello\n"


def _attach(connection: Connection, container: Container) -> Response:
    """The response whose body is the container's output; the SDK's own function leaves its socket open."""
    api = connection.client().api
    url = f"{api.base_url}/v{api.api_version}/containers/{container.id}/attach"
    response = api.post(url, params={"stdout": 1, "stderr": 1, "stream": 1}, stream=True)
    assert response.status_code == 200
    return response


def _output(frames: bytes) -> tuple[bytes, bytes]:
    """Standard output and error of a container: each frame has a head of eight bytes."""
    found = {1: b"", 2: b""}
    while frames:
        stream, length = struct.unpack(">BxxxL", frames[:8])
        found[stream] += frames[8 : 8 + length]
        frames = frames[8 + length :]
    return found[1], found[2]


def _archive(name: str, content: bytes) -> bytes:
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w") as archive:
        archive.addfile(_member(name, len(content)), io.BytesIO(content))
    return result.getvalue()


def _member(name: str, size_bytes: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    return member


def _fault(address: EngineAddress | None, environ: Mapping[str, str]) -> EngineMissingError:
    assert address is not None
    with Connection(address, environ) as connection, pytest.raises(EngineMissingError) as caught:
        connection.facts()
    assert caught.value.code is ErrorCode.ENGINE
    assert address.url in caught.value.message
    assert caught.value.hint
    return caught.value


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _stands_still(engine: PrivateEngine) -> bool:
    tasks = Path(f"/proc/{engine.process.pid}/task").iterdir()
    return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks} == {"T"}


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TestThisMachinesEngine:
    def test_it_is_found_and_asked_and_described(self, engine_address: EngineAddress) -> None:
        with Connection(engine_address, ENVIRON) as connection:
            facts = connection.facts()
            assert connection.client().ping() is True
        assert tuple(map(int, facts.api.split("."))) >= (1, 40)
        assert facts.cores >= 1
        assert facts.memory_bytes > 1 << 28
        assert facts.architecture in {"x86_64", "aarch64"}
        assert facts.version in describe_engine(facts, engine_address)

    def test_it_runs_what_a_step_needs(self, engine_address: EngineAddress, small_image: str) -> None:
        with Connection(engine_address, ENVIRON) as connection:
            _exercise(connection, small_image)

    def test_many_threads_share_one_connection(self, engine_address: EngineAddress, small_image: str) -> None:
        with Connection(engine_address, ENVIRON) as connection, ThreadPoolExecutor(16) as pool:
            ids = set(pool.map(lambda _: connection.client().images.get(small_image).id, range(64)))
        assert ids == {small_image}


class TestOtherEngines:
    @pytest.mark.parametrize("start", [private_engine, remapping_engine, rootless_engine, podman_engine])
    def test_each_kind_is_told_and_runs_what_a_step_needs(
        self, start: Callable[[Path], AbstractContextManager[PrivateEngine]], tmp_path: Path, small_archive: bytes
    ) -> None:
        with start(tmp_path) as engine, Connection(engine.address, ENVIRON) as connection:
            facts = connection.facts()
            assert facts.is_podman == (start is podman_engine)
            assert facts.is_rootless == (start is rootless_engine)
            assert facts.remaps_users == (start is remapping_engine)
            assert facts.cores == os.cpu_count()
            _exercise(connection, _load(connection, small_archive))

    def test_an_engine_that_is_killed_midway_is_lost(self, tmp_path: Path, small_archive: bytes) -> None:
        with private_engine(tmp_path) as engine, Connection(engine.address, ENVIRON) as connection:
            image = _load(connection, small_archive)
            client = connection.client()
            container = client.containers.create(image, ["sleep", "600"], network_mode="none")
            container.start()
            killer = threading.Timer(0.5, engine.kill)
            killer.start()
            with pytest.raises(EngineMissingError) as caught, engine_faults(engine.address, lost=True):
                client.api.wait(str(container.id), timeout=None)
            killer.join()
            assert caught.value.code is ErrorCode.ENGINE_LOST
            assert "closed the connection" in caught.value.message
            assert "nobody listens there" in _fault(engine.address, ENVIRON).message

    def test_an_engine_that_stands_still_is_given_up_in_time(self, tmp_path: Path) -> None:
        with private_engine(tmp_path) as engine:
            engine.process.send_signal(signal.SIGSTOP)
            try:
                wait_until(lambda: _stands_still(engine), "an engine that stands still")
                started = time.monotonic()
                with pytest.raises(EngineMissingError, match="did not answer in time"):
                    ask(engine.address, "/_ping", timeout_s=0.5)
                assert time.monotonic() - started < 5
            finally:
                engine.process.send_signal(signal.SIGCONT)
            assert ask(engine.address, "/_ping").body == b"OK"

    @pytest.mark.parametrize("has_connection", [False, True])
    def test_an_upload_survives_an_engine_that_pauses_longer_than_a_connection_may_take(
        self, tmp_path: Path, small_archive: bytes, has_connection: bool
    ) -> None:
        # The end of an archive is two blocks of zeros; a member more goes before them, and docker load passes over it.
        padded = io.BytesIO(small_archive)
        with tarfile.open(fileobj=padded, mode="a") as archive:
            archive.addfile(_member("padding", 64 << 20), io.BytesIO(bytes(64 << 20)))
        with (
            private_engine(tmp_path) as engine,
            Connection(engine.address, ENVIRON) as connection,
            ExitStack() as stack,
        ):
            client = connection.client()
            if not has_connection:
                # A stream takes the one in the pool, and the upload has to make its own.
                stack.enter_context(closing(client.api.get(f"{client.api.base_url}/events", stream=True)))
            engine.process.send_signal(signal.SIGSTOP)
            wait_until(lambda: _stands_still(engine), "an engine that stands still")
            going_on = threading.Timer(CONNECT_TIMEOUT_S + 1, engine.process.send_signal, [signal.SIGCONT])
            going_on.start()
            assert client.images.load(padded.getvalue())
            going_on.join()

    def test_a_refusal_is_in_the_engines_own_words(self, tmp_path: Path, small_archive: bytes) -> None:
        with private_engine(tmp_path) as engine, Connection(engine.address, ENVIRON) as connection:
            image = _load(connection, small_archive)
            client = connection.client()
            with pytest.raises(EngineMissingError) as caught, engine_faults(engine.address):
                client.containers.create(image, ["true"], mem_limit="1k")
            assert "answered with an error 400" in caught.value.message
            assert "memory limit" in caught.value.message


@dataclass(frozen=True)
class TlsEngine:
    port: int
    folder: Path

    def environ(self, certificates: str, **more: str) -> dict[str, str]:
        return {
            "DOCKER_HOST": f"tcp://127.0.0.1:{self.port}",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(self.folder / certificates),
            **more,
        }


def _openssl(*arguments: str, cwd: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


def _authority(folder: Path) -> None:
    folder.mkdir(parents=True)
    key = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    _openssl(*key, "-subj", "/CN=test authority", "-keyout", "ca-key.pem", "-out", "ca.pem", cwd=folder)


def _certificate(authority: Path, folder: Path, *extensions: str) -> None:
    """Write cert.pem and key.pem, signed by `authority`, and its ca.pem, into `folder`."""
    folder.mkdir(parents=True)
    (folder / "extensions").write_text("\n".join(extensions))
    request = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test")
    _openssl(*request, "-keyout", "key.pem", "-out", "request.pem", cwd=folder)
    signing = ("-CA", f"{authority}/ca.pem", "-CAkey", f"{authority}/ca-key.pem", "-CAcreateserial", "-days", "2")
    _openssl("x509", "-req", "-in", "request.pem", *signing, "-extfile", "extensions", "-out", "cert.pem", cwd=folder)
    shutil.copy(authority / "ca.pem", folder / "ca.pem")


@pytest.fixture(scope="module")
def tls_engine(tmp_path_factory: pytest.TempPathFactory, engine_address: EngineAddress) -> Iterator[TlsEngine]:
    """An engine that asks its clients for a certificate, and folders of files that fit or do not."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with openssl")
    folder = tmp_path_factory.mktemp("tls")
    ours, others = folder / "authority", folder / "other-authority"
    _authority(ours)
    _authority(others)
    _certificate(ours, folder / "server", "subjectAltName=IP:127.0.0.1", "extendedKeyUsage=serverAuth")
    _certificate(ours, folder / "right", "extendedKeyUsage=clientAuth")
    _certificate(others, folder / "stranger", "extendedKeyUsage=clientAuth")
    shutil.copy(ours / "ca.pem", folder / "stranger" / "ca.pem")
    _certificate(others, folder / "wrong-authority", "extendedKeyUsage=clientAuth")
    (folder / "none").mkdir()
    shutil.copy(ours / "ca.pem", folder / "none" / "ca.pem")
    port = _free_port()
    server = folder / "server"
    arguments = [
        *("--tlsverify", f"--tlscacert={server}/ca.pem", f"--tlscert={server}/cert.pem", f"--tlskey={server}/key.pem"),
        f"--host=tcp://127.0.0.1:{port}",
    ]
    with private_engine(folder, extra_args=arguments):
        yield TlsEngine(port, folder)


class TestTls:
    def test_the_right_certificate_lets_in(self, tls_engine: TlsEngine, small_archive: bytes) -> None:
        address = find_address(tls_engine.environ("right"), Path("/nowhere"))
        assert address is not None
        with Connection(address, ENVIRON) as connection:
            _exercise(connection, _load(connection, small_archive))

    def test_a_bundle_of_the_process_does_not_take_the_place_of_the_engines_authority(
        self, tls_engine: TlsEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
        address = find_address(tls_engine.environ("right"), Path("/nowhere"))
        assert address is not None
        with Connection(address, {"HTTPS_PROXY": "http://127.0.0.1:9"}) as connection:
            assert connection.client().ping() is True

    @pytest.mark.parametrize("certificates", ["none", "stranger"])
    def test_without_a_certificate_that_the_engine_trusts_it_is_barred(
        self, tls_engine: TlsEngine, certificates: str
    ) -> None:
        error = _fault(find_address(tls_engine.environ(certificates), Path("/nowhere")), ENVIRON)
        # With TLS 1.3 the refusal comes after the handshake, and the end of the connection can overtake it.
        assert "does not accept our certificate" in error.message or "closed the connection" in error.message
        assert "cert.pem and key.pem" in error.hint
        assert str(tls_engine.folder / certificates) in error.hint

    def test_an_engine_of_another_authority_is_not_trusted(self, tls_engine: TlsEngine) -> None:
        error = _fault(find_address(tls_engine.environ("wrong-authority"), Path("/nowhere")), ENVIRON)
        assert "its certificate is not trusted" in error.message
        assert str(tls_engine.folder / "wrong-authority" / "ca.pem") in error.hint

    def test_an_engine_of_another_name_is_not_trusted(self, tls_engine: TlsEngine) -> None:
        environ = tls_engine.environ("right", DOCKER_HOST=f"tcp://localhost:{tls_engine.port}")
        error = _fault(find_address(environ, Path("/nowhere")), ENVIRON)
        assert "its certificate is not trusted: Hostname mismatch" in error.message

    def test_without_verify_its_certificate_is_not_looked_at(self, tls_engine: TlsEngine) -> None:
        environ = tls_engine.environ("right", DOCKER_TLS_VERIFY="", DOCKER_HOST=f"tcp://localhost:{tls_engine.port}")
        address = find_address(environ, Path("/nowhere"))
        assert address is not None
        with Connection(address, ENVIRON) as connection:
            assert connection.client().ping() is True

    def test_without_tls_it_says_that_it_wants_tls(self, tls_engine: TlsEngine) -> None:
        environ = {"DOCKER_HOST": f"tcp://127.0.0.1:{tls_engine.port}"}
        assert "it speaks TLS only" in _fault(find_address(environ, Path("/nowhere")), ENVIRON).message

    def test_tls_to_an_engine_without_is_said(self, tls_engine: TlsEngine, tmp_path: Path) -> None:
        port = _free_port()
        with private_engine(tmp_path, extra_args=["--host", f"tcp://127.0.0.1:{port}"]):
            plain = find_address({"DOCKER_HOST": f"tcp://127.0.0.1:{port}"}, Path("/nowhere"))
            assert plain is not None
            assert ask(plain, "/_ping").body == b"OK"
            environ = tls_engine.environ("right", DOCKER_HOST=f"tcp://127.0.0.1:{port}")
            assert "does not speak TLS" in _fault(find_address(environ, Path("/nowhere")), ENVIRON).message

    def test_files_that_are_none_are_said(self, tls_engine: TlsEngine, tmp_path: Path) -> None:
        for name in ("ca.pem", "cert.pem", "key.pem"):
            (tmp_path / name).write_text("no certificate\n")
        environ = tls_engine.environ("right", DOCKER_CERT_PATH=str(tmp_path))
        assert str(tmp_path) in _fault(find_address(environ, Path("/nowhere")), ENVIRON).hint

    def test_a_context_of_the_docker_program_leads_there(self, tls_engine: TlsEngine, tmp_path: Path) -> None:
        if shutil.which("docker") is None:
            pytest.skip("contexts are made with the docker program")
        files = tls_engine.folder / "right"
        endpoint = f"host=tcp://127.0.0.1:{tls_engine.port},ca={files}/ca.pem,cert={files}/cert.pem,key={files}/key.pem"
        environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": ENVIRON["PATH"], "HOME": str(tmp_path)}
        for words in (["create", "far", "--docker", endpoint], ["use", "far"]):
            subprocess.run(["docker", "context", *words], env=environ, check=True, capture_output=True)
        address = find_address({"DOCKER_CONFIG": str(tmp_path)}, Path("/nowhere"))
        assert address is not None
        assert address.source.startswith('Docker context "far"')
        with Connection(address, ENVIRON) as connection:
            assert connection.client().ping() is True
        # The same engine for the docker program, through variables.
        said = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            env={"PATH": ENVIRON["PATH"], "HOME": str(tmp_path), **address.variables},
            check=True,
            capture_output=True,
            text=True,
        )
        assert said.stdout.strip()


@dataclass(frozen=True)
class SshServer:
    """An sshd for one test; `environ` has an ssh on PATH that uses the test's key and known hosts only."""

    port: int
    folder: Path
    engine: PrivateEngine
    process: subprocess.Popen[bytes]
    environ: Mapping[str, str]

    def address(self, path: str = "") -> EngineAddress:
        address = find_address({"DOCKER_HOST": f"ssh://root@127.0.0.1:{self.port}{path}"}, Path("/nowhere"))
        assert address is not None
        return address

    def settings(self, text: str) -> None:
        (self.folder / "config").write_text(
            f"Host *\n  UserKnownHostsFile {self.folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
            f"  IdentitiesOnly yes\n  IdentityAgent none\n{text}"
        )


@pytest.fixture
def ssh_server(tmp_path: Path, engine_address: EngineAddress) -> Iterator[SshServer]:
    sshd, ssh = shutil.which("sshd", path="/usr/sbin:/usr/bin"), shutil.which("ssh")
    if sshd is None or ssh is None or shutil.which("docker") is None or os.geteuid() != 0:
        pytest.skip("an ssh server of the test's own needs root, openssh-server and the docker program")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    port = _free_port()
    # A folder without rights, in which sshd's unprivileged part is shut; Debian's service makes it.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with private_engine(tmp_path) as engine:
        (tmp_path / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n"
            f"PermitRootLogin prohibit-password\nSetEnv DOCKER_HOST={engine.address.url}\n"
        )
        process = subprocess.Popen(
            [sshd, "-D", "-e", "-f", tmp_path / "sshd_config"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        (tmp_path / "bin").mkdir()
        wrapper = tmp_path / "bin" / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {ssh} -F {tmp_path}/config "$@"\n')
        wrapper.chmod(0o755)
        host_key = (tmp_path / "host.pub").read_text()
        (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
        environ = {**ENVIRON, "PATH": f"{tmp_path}/bin:{ENVIRON['PATH']}"}
        server = SshServer(port, tmp_path, engine, process, environ)
        server.settings(f"  IdentityFile {tmp_path}/user\n")
        try:
            wait_until(lambda: _listens(port), "the ssh server")
            yield server
        finally:
            process.terminate()
            process.wait()


class TestSsh:
    def test_an_engine_is_reached_and_runs_what_a_step_needs(self, ssh_server: SshServer, small_archive: bytes) -> None:
        with Connection(ssh_server.address(), ssh_server.environ) as connection:
            assert connection.facts().name == socket.gethostname()
            _exercise(connection, _load(connection, small_archive))

    def test_the_address_can_name_the_far_socket(self, ssh_server: SshServer) -> None:
        with Connection(ssh_server.address(ssh_server.engine.address.socket), ssh_server.environ) as connection:
            assert connection.client().ping() is True
        error = _fault(ssh_server.address("/nowhere/d.sock"), ssh_server.environ)
        assert "/nowhere/d.sock" in error.message

    def test_threads_have_connections_of_their_own(self, ssh_server: SshServer) -> None:
        with Connection(ssh_server.address(), ssh_server.environ) as connection, ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: connection.client().ping(), range(16))) == {True}

    def test_a_missing_key_is_said_in_sshs_words(self, ssh_server: SshServer) -> None:
        ssh_server.settings("  IdentityFile /nowhere/key\n")
        error = _fault(ssh_server.address(), ssh_server.environ)
        assert "ssh failed: root@127.0.0.1: Permission denied (publickey)." in error.message
        assert "without a password" in error.hint

    def test_an_unknown_host_is_said_in_sshs_words(self, ssh_server: SshServer) -> None:
        (ssh_server.folder / "known_hosts").write_text("")
        assert "Host key verification failed" in _fault(ssh_server.address(), ssh_server.environ).message

    def test_a_closed_port_is_said_in_sshs_words(self, ssh_server: SshServer) -> None:
        ssh_server.process.terminate()
        ssh_server.process.wait()
        assert "Connection refused" in _fault(ssh_server.address(), ssh_server.environ).message

    def test_a_far_engine_that_does_not_run_is_said(self, ssh_server: SshServer) -> None:
        ssh_server.engine.stop()
        assert "ssh failed" in _fault(ssh_server.address(), ssh_server.environ).message

    def test_an_engine_that_dies_behind_ssh_is_lost(self, ssh_server: SshServer, small_archive: bytes) -> None:
        with Connection(ssh_server.address(), ssh_server.environ) as connection:
            image = _load(connection, small_archive)
            container = connection.client().containers.create(image, ["sleep", "600"], network_mode="none")
            container.start()
            killer = threading.Timer(0.5, ssh_server.engine.kill)
            killer.start()
            with pytest.raises(EngineMissingError) as caught, engine_faults(ssh_server.address(), lost=True):
                connection.client().api.wait(str(container.id), timeout=None)
            killer.join()
        assert caught.value.code is ErrorCode.ENGINE_LOST
