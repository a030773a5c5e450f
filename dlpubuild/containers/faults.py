"""What goes wrong between us and a container engine, said to a person.

In: an exception of the SDK, of the HTTP libraries below it, or of a socket. Out: an `EngineMissingError` with the
address, what happened, and what to do. Exceptions are known by where they were defined, so nothing of the SDK is
imported: an engine that is not there is reported without it.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError, EngineMissingError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlpubuild.containers.address import EngineAddress

    _Reason = tuple[str, str]

_LIBRARIES = frozenset({"docker", "requests", "urllib3", "http", "ssl"})
_MAX_CHAIN = 32
_REPEAT = "look into the engine's log; run the same command again: finished steps are kept"
_TIMED_OUT = ("it did not answer in time", "is it overloaded, or is a firewall in the way?")
_SYSTEM_REASONS = {
    errno.ENOENT: ("there is no such socket", "start the engine, or set DOCKER_HOST to where it listens"),
    errno.ENOTDIR: ("there is no such socket", "start the engine, or set DOCKER_HOST to where it listens"),
    errno.EACCES: (
        "this user may not use its socket",
        "join the socket's group (sudo usermod -aG docker $USER, then log in again), or use rootless Docker",
    ),
    errno.ECONNREFUSED: ("nobody listens there", "start the engine (sudo systemctl start docker)"),
    errno.EAGAIN: ("it is too busy to take a connection", "try again when it has less to do"),
    errno.ETIMEDOUT: _TIMED_OUT,
}
_CLOSING = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})


class SshError(ConnectionError):
    """The ssh program ended without reaching an engine; the text is what it said."""


@contextmanager
def engine_faults(address: EngineAddress, *, lost: bool = False) -> Iterator[None]:
    """Turn what the SDK raises in the block into an `EngineMissingError`; everything else passes.

    Also an error that the engine answered with is turned, so what an answer means (no such image) is to be caught
    inside the block. `lost` is for blocks that rely on something the engine holds: where the connection fails there,
    the code is `ENGINE_LOST`.
    """
    try:
        yield
    except DlpuError:
        raise
    except Exception as error:
        if not _is_engines(error):
            raise
        raise engine_fault(address, error, lost=lost) from error


def engine_fault(address: EngineAddress, error: BaseException, *, lost: bool = False) -> EngineMissingError:
    """Return the fault that `error`, met at `address`, is to a person."""
    if isinstance(error, EngineMissingError):
        return error
    chain = _chain(error)
    answered = next((link for link in chain if _is_a(link, "APIError")), None)
    if answered is not None:
        return _refusal(address, answered)
    what, hint = _reason(address, chain)
    if lost:
        return EngineMissingError(
            ErrorCode.ENGINE_LOST, f"the container engine at {address} was lost: {what}", hint=_REPEAT
        )
    return EngineMissingError(ErrorCode.ENGINE, f"the container engine at {address} cannot be used: {what}", hint=hint)


def _is_engines(error: BaseException) -> bool:
    library = type(error).__module__.partition(".")[0]
    return library in _LIBRARIES or isinstance(error, (ConnectionError, TimeoutError))


def _is_a(error: BaseException, *names: str) -> bool:
    return any(base.__name__ in names for base in type(error).__mro__)


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and all it was raised for, the outermost first."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < _MAX_CHAIN:
        link = waiting.pop(0)
        if isinstance(link, BaseException) and not any(link is known for known in found):
            found.append(link)
            # urllib3 and requests wrap by argument as often as by cause.
            waiting += [*link.args, getattr(link, "reason", None), link.__cause__]
    return found


def _reason(address: EngineAddress, chain: list[BaseException]) -> _Reason:
    """What happened, and what to do about it: the first that says more than that the connection ended."""
    for recognise in (_ssh_reason, _tls_reason, _proxy_reason, _system_reason, _other_reason):
        for link in chain:
            if (found := recognise(address, link)) is not None:
                return found
    text = _shortened(str(chain[-1]) or type(chain[-1]).__name__)
    return f"it answers, but not as a container engine does ({text})", f"what listens at {address.url}?"


def _ssh_reason(address: EngineAddress, link: BaseException) -> _Reason | None:
    if not isinstance(link, SshError):
        return None
    return f"ssh failed: {_shortened(str(link))}", f"this must work without a password: docker -H {address.url} version"


def _tls_reason(address: EngineAddress, link: BaseException) -> _Reason | None:
    if type(link).__module__ != "ssl":
        return None
    folder = address.tls.folder if address.tls else "DOCKER_CERT_PATH"
    text = _shortened(str(link))
    if _is_a(link, "SSLCertVerificationError"):
        why = str(getattr(link, "verify_message", "")) or text
        return f"its certificate is not trusted: {why}", f"{folder}/ca.pem must be of the authority that signed it"
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER" in text:
        return "it does not speak TLS there", "TLS is mostly on port 2376; without TLS, unset DOCKER_TLS_VERIFY"
    if "ALERT" in text:
        return (
            f"it does not accept our certificate: {text}",
            f"{folder} must hold cert.pem and key.pem, signed by the authority that the engine trusts",
        )
    if _is_a(link, "SSLEOFError", "SSLZeroReturnError"):
        return _closed(address)
    return f"TLS failed: {text}", f"check the files in {folder}"


def _closed(address: EngineAddress) -> _Reason:
    hint = "look into the engine's log"
    if address.tls is not None:
        # It says so first, but the connection can be gone before that is read.
        hint += f"; it also does that where it does not accept the cert.pem and key.pem in {address.tls.folder}"
    return "it closed the connection", hint


def _proxy_reason(address: EngineAddress, link: BaseException) -> _Reason | None:
    if not _is_a(link, "ProxyError"):
        return None
    return (
        f"the proxy on the way to it failed: {_shortened(str(link.args[-1] if link.args else link))}",
        f"if {address.url} can be reached directly, name its host in NO_PROXY",
    )


def _system_reason(address: EngineAddress, link: BaseException) -> _Reason | None:
    """The reason where the operating system says it."""
    if not isinstance(link, OSError):
        return None
    if _is_a(link, "gaierror"):
        return f"its name is not known ({link.strerror})", "is the name right, and does the network work?"
    if link.errno is None:
        if "AF_UNIX path too long" in str(link):
            return "the path of its socket is too long", "the path of a socket has at most 107 bytes: use a shorter one"
        return None
    if link.errno in _CLOSING:
        return _closed(address)
    told = _SYSTEM_REASONS.get(link.errno)
    return told or (link.strerror or str(link), "is the address right, and does the network work?")


def _other_reason(address: EngineAddress, link: BaseException) -> _Reason | None:
    if _is_a(link, "TimeoutError", "Timeout"):
        return _TIMED_OUT
    # Not http.client's answers that make no sense: BadStatusLine is the base of RemoteDisconnected.
    if isinstance(link, ConnectionError) or _is_a(link, "IncompleteRead", "ChunkedEncodingError"):
        return _closed(address)
    return None


def _refusal(address: EngineAddress, error: BaseException) -> EngineMissingError:
    """The fault where the engine answered, with an error."""
    said = str(getattr(error, "explanation", "") or error)
    if "HTTP request to an HTTPS server" in said:
        return EngineMissingError(
            ErrorCode.ENGINE,
            f"the container engine at {address} cannot be used: it speaks TLS only",
            hint="set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem",
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    number = f" {status}" if status else ""
    return EngineMissingError(
        ErrorCode.ENGINE,
        f"the container engine at {address} answered with an error{number}: {_shortened(said)}",
        hint="look into the engine's log",
    )


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:300]}…"  # noqa: PLR2004 - a page of HTML helps nobody
