"""Exceptions of the SDK and of sockets as a person reads them."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from pathlib import Path

import docker.errors
import pytest
import requests
import urllib3

from dlpubuild.containers.address import EngineAddress, TlsFiles
from dlpubuild.containers.faults import SshError, engine_fault, engine_faults
from dlpubuild.errors import EngineMissingError, ErrorCode, StoreError

UNIX = EngineAddress(url="unix:///run/d.sock", source="DOCKER_HOST")
TCP = EngineAddress(
    url="tcp://far:2376",
    source="DOCKER_HOST",
    tls=TlsFiles(folder=Path("/certs"), ca=Path("/certs/ca.pem"), certificate=None, key=None, verify=True),
)
POOL = urllib3.HTTPConnectionPool("localhost")


def _os_error(number: int) -> OSError:
    return OSError(number, "words of the system")


def _api_error(status: int, explanation: str) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("failed", response=response, explanation=explanation)


def _wrapped(error: BaseException) -> requests.ConnectionError:
    """As urllib3 and requests hand on what a socket raised."""
    return requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", error))


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        (UNIX, _wrapped(_os_error(errno.ENOENT)), "no such socket"),
        (UNIX, _wrapped(_os_error(errno.EACCES)), "may not use its socket"),
        (UNIX, _wrapped(_os_error(errno.ECONNREFUSED)), "nobody listens there"),
        (UNIX, _wrapped(_os_error(errno.EAGAIN)), "too busy"),
        (UNIX, _wrapped(_os_error(errno.EPIPE)), "closed the connection"),
        (UNIX, ConnectionResetError("reset"), "closed the connection"),
        (UNIX, _wrapped(http.client.RemoteDisconnected("x")), "closed the connection"),
        (
            UNIX,
            requests.ConnectionError(urllib3.exceptions.ProtocolError("x", http.client.IncompleteRead(b""))),
            "closed",
        ),
        (UNIX, requests.exceptions.ChunkedEncodingError("Response ended prematurely"), "closed the connection"),
        (UNIX, _wrapped(http.client.BadStatusLine("SSH-2.0")), "not as a container engine does (SSH-2.0)"),
        (UNIX, requests.exceptions.JSONDecodeError("Expecting value", "x", 0), "not as a container engine does"),
        (UNIX, requests.ReadTimeout(urllib3.exceptions.ReadTimeoutError(POOL, "/", "slow")), "did not answer in time"),
        (UNIX, TimeoutError("timed out"), "did not answer in time"),
        (TCP, _wrapped(socket.gaierror(-2, "Name or service not known")), "its name is not known"),
        (TCP, _wrapped(_os_error(errno.EHOSTUNREACH)), "words of the system"),
        (TCP, _wrapped(_os_error(errno.ETIMEDOUT)), "did not answer in time"),
        (TCP, requests.exceptions.ProxyError(urllib3.exceptions.ProxyError("no tunnel", OSError("x"))), "the proxy"),
        (TCP, requests.exceptions.SSLError(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x")), "does not speak TLS"),
        (TCP, requests.exceptions.SSLError(ssl.SSLError(1, "[SSL] TLSV13_ALERT_X")), "not accept our certificate"),
        (TCP, requests.exceptions.SSLError(ssl.SSLEOFError(8, "EOF occurred")), "it closed the connection"),
        (TCP, requests.exceptions.SSLError(ssl.SSLError(9, "PEM lib")), "TLS failed"),
        (TCP, requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, "self-signed")), "is not trusted"),
        (UNIX, _wrapped(SshError("Permission denied (publickey).")), "ssh failed: Permission denied (publickey)."),
        (UNIX, docker.errors.DockerException("odd"), "not as a container engine does (odd)"),
    ],
)
def test_each_fault_is_said_with_the_address_and_what_to_do(
    address: EngineAddress, error: Exception, said: str
) -> None:
    with pytest.raises(EngineMissingError) as caught, engine_faults(address):
        raise error
    assert caught.value.code is ErrorCode.ENGINE
    assert f"the container engine at {address} cannot be used: " in caught.value.message
    assert said in caught.value.message
    assert caught.value.hint
    assert caught.value.__cause__ is error


def test_an_engine_that_is_lost_midway_has_a_code_of_its_own() -> None:
    with pytest.raises(EngineMissingError) as caught, engine_faults(UNIX, lost=True):
        raise _wrapped(http.client.RemoteDisconnected("x"))
    assert caught.value.code is ErrorCode.ENGINE_LOST
    assert caught.value.message == f"the container engine at {UNIX} was lost: it closed the connection"


@pytest.mark.parametrize("lost", [False, True])
def test_an_error_that_the_engine_answers_with_is_its_own_words(lost: bool) -> None:
    with pytest.raises(EngineMissingError) as caught, engine_faults(UNIX, lost=lost):
        raise _api_error(500, "mkdir /var/lib/docker/x:\n no space left on device")
    assert caught.value.code is ErrorCode.ENGINE
    assert "answered with an error 500: mkdir /var/lib/docker/x: no space left on device" in caught.value.message


def test_a_connection_that_ends_may_mean_that_our_certificate_is_not_accepted() -> None:
    for error in (ssl.SSLEOFError(8, "EOF occurred"), _os_error(errno.EPIPE), http.client.RemoteDisconnected("x")):
        assert "/certs" in engine_fault(TCP, error).hint
        assert "cert.pem" not in engine_fault(UNIX, error).hint


def test_a_page_of_html_is_cut() -> None:
    error = engine_fault(UNIX, _api_error(404, "<html>" * 1000))
    assert len(error.message) < 500


def test_plain_http_to_a_tls_port_is_recognised() -> None:
    error = engine_fault(TCP, _api_error(400, "Client sent an HTTP request to an HTTPS server."))
    assert "speaks TLS only" in error.message
    assert "DOCKER_TLS_VERIFY" in error.hint


@pytest.mark.parametrize(
    "error", [ValueError("ours"), OSError(errno.ENOSPC, "disk full"), FileNotFoundError(2, "x"), KeyboardInterrupt()]
)
def test_what_is_not_the_engines_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, engine_faults(UNIX):
        raise error
    assert caught.value is error


def test_a_fault_that_is_told_already_passes() -> None:
    error = StoreError(ErrorCode.STORE_FULL, "full")
    with pytest.raises(StoreError) as caught, engine_faults(UNIX):
        raise error
    assert caught.value is error
    told = EngineMissingError(ErrorCode.ENGINE_OLD, "old")
    assert engine_fault(UNIX, told) is told


def test_causes_that_lead_in_a_circle_come_to_an_end() -> None:
    first, second = requests.ConnectionError("a"), requests.ConnectionError("b")
    first.__cause__, second.__cause__ = second, first
    assert engine_fault(UNIX, first).code is ErrorCode.ENGINE
