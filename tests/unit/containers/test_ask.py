"""The one cheap question: what comes back, and what each way of not answering is called."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dlpubuild.containers.address import EngineAddress, TlsFiles
from dlpubuild.containers.ask import Answer, ask, can_ask
from dlpubuild.errors import EngineMissingError, ErrorCode
from tests.doubles.engine import engine_double, reply


def _fault(address: EngineAddress, *, timeout_s: float = 5.0) -> EngineMissingError:
    with pytest.raises(EngineMissingError) as caught:
        ask(address, "/_ping", timeout_s)
    assert caught.value.code is ErrorCode.ENGINE
    assert address.url in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("tcp", [False, True])
def test_an_answer_has_status_and_body(tcp: bool) -> None:
    with engine_double({"/_ping": reply(b"OK")}, tcp=tcp) as double:
        assert ask(double.address, "/_ping") == Answer(status=200, body=b"OK")
        assert ask(double.address, "/images/x/json").status == 404
        assert double.asked == ["GET /_ping HTTP/1.0", "GET /images/x/json HTTP/1.0"]


def test_a_long_answer_comes_whole() -> None:
    body = bytes(range(256)) * 4096
    with engine_double({"/_ping": reply(body)}) as double:
        assert ask(double.address, "/_ping").body == body


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    with engine_double({"/_ping": b"HTTP/1.0 200 OK\r\n\r\nO\r\n\r\nK"}) as double:
        assert ask(double.address, "/_ping").body == b"O\r\n\r\nK"


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 \r\n\r\n", b"\0" * 9]
)
def test_rubbish_is_no_engine(answer: bytes) -> None:
    with engine_double({"/_ping": answer}) as double:
        assert "not as a container engine does" in _fault(double.address).message


def test_an_answer_that_ends_midway_is_a_fault() -> None:
    with engine_double({"/_ping": reply(b"half", length=8)}) as double:
        assert "closed the connection" in _fault(double.address).message


def test_an_engine_that_hangs_is_given_up_in_time() -> None:
    with engine_double({"/_ping": None}) as double:
        started = time.monotonic()
        assert "did not answer in time" in _fault(double.address, timeout_s=0.2).message
        assert time.monotonic() - started < 2


def test_a_socket_that_is_not_there_is_said(tmp_path: Path) -> None:
    error = _fault(EngineAddress(url=f"unix://{tmp_path}/d.sock", source="DOCKER_HOST"))
    assert "no such socket" in error.message
    assert "(DOCKER_HOST)" in error.message


def test_a_socket_that_nobody_listens_on_is_said() -> None:
    with tempfile.TemporaryDirectory(prefix="dlpu-") as folder:
        with socket.socket(socket.AF_UNIX) as orphan:
            orphan.bind(f"{folder}/d.sock")
        error = _fault(EngineAddress(url=f"unix://{folder}/d.sock", source="x"))
    assert "nobody listens" in error.message
    assert "start the engine" in error.hint


def test_a_closed_port_is_said() -> None:
    with engine_double({}, tcp=True) as double:
        pass
    assert "nobody listens" in _fault(double.address).message


def test_a_file_in_place_of_a_socket_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _fault(EngineAddress(url=f"unix://{tmp_path}/file", source="x"))
    _fault(EngineAddress(url=f"unix://{tmp_path}/file/d.sock", source="x"))


def test_a_path_that_is_too_long_for_a_socket_is_said() -> None:
    assert "too long" in _fault(EngineAddress(url=f"unix:///{'a' * 200}", source="x")).message


def test_a_socket_without_permission_is_said(tmp_path: Path) -> None:
    """In a process of another user, because root may do everything."""
    with engine_double({"/_ping": reply(b"OK")}) as double:
        Path(double.address.socket).chmod(0o600)
        Path(double.address.socket).parent.chmod(0o755)
        code = (
            "import os, sys\n"
            "from dlpubuild.containers.address import EngineAddress\n"
            "from dlpubuild.containers.ask import ask\n"
            "from dlpubuild.errors import EngineMissingError\n"
            "if os.geteuid() == 0: os.setuid(65534)\n"
            "else: os.chmod(sys.argv[1], 0)\n"
            "try: ask(EngineAddress(url=f'unix://{sys.argv[1]}', source='x'), '/_ping')\n"
            "except EngineMissingError as error: print(error.code, error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, double.address.socket], capture_output=True, text=True, check=True
        )
    assert done.stdout.startswith("engine ")
    assert "may not use its socket" in done.stdout
    assert "docker" in done.stdout.partition("hint:")[2]


def test_only_sockets_and_plain_tcp_can_be_asked() -> None:
    tls = TlsFiles(folder=Path("/x"), ca=None, certificate=None, key=None, verify=True)
    assert can_ask(EngineAddress(url="unix:///a", source="x"))
    assert can_ask(EngineAddress(url="tcp://a:1", source="x"))
    for address in (
        EngineAddress(url="tcp://a:1", source="x", tls=tls),
        EngineAddress(url="ssh://a", source="x"),
    ):
        assert not can_ask(address)
        with pytest.raises(ValueError, match="Connection"):
            ask(address, "/_ping")


@pytest.mark.parametrize("path", ["_ping", "/a b", "/a\r\nX: y", "/ä"])
def test_a_path_must_be_encoded(path: str) -> None:
    with pytest.raises(ValueError, match="not an encoded path"):
        ask(EngineAddress(url="unix:///a", source="x"), path)


def test_asking_imports_neither_the_sdk_nor_its_http() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dlpubuild.containers.address import find_address\n"
        "from dlpubuild.containers.ask import ask\n"
        "import dlpubuild.containers.connect\n"
        "find_address({'DOCKER_HOST': 'unix:///x'}, Path('/'))\n"
        "print(*sorted({'docker', 'requests', 'urllib3', 'http.client', 'ssl', 'subprocess'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
