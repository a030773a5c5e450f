"""A program that is published as an archive: fetched, checked and unpacked into an environment.

In: an `Archive`, which pins URL and content. Out: the files below its `usr/` in a folder of the caller's. Nothing is
unpacked before the hash of all of it was found right, and nothing ever lands outside of the folder. Where the archive
comes from does not matter, so a variable of the user's may name a mirror, or a file.
"""

from __future__ import annotations

import hashlib
import posixpath
import shutil
import ssl
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dlpubuild.errors import ErrorCode, InterruptedBuildError, ToolchainError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

_CHUNK_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 60
# What an archive holds lies below it, as in a package of Debian's; an environment has the same folders at its top.
_ROOT: Final = "usr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A `.tar.gz` by its content: `sha256` in hexadecimal; `url` says where it can be had.

    `variable` names the variable in which the user may name another place.
    """

    url: str
    sha256: str
    variable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSource:
    """How to get at archives: the user's variables, whether the network may be used, whom to tell, when to stop."""

    variables: Mapping[str, str]
    offline: bool
    say: Callable[[str], None]
    cancelled: threading.Event


def install_archive(archive: Archive, name: str, folder: Path, source: ArchiveSource) -> None:
    """Unpack the archive of toolchain `name` into `folder`: `usr/bin/x` becomes `bin/x`.

    Raises:
        ToolchainError: it cannot be had, is not what was pinned, or holds what does not belong into a folder.
        InterruptedBuildError: `source.cancelled` was set.
        OSError: `folder` cannot be written.
    """
    url = source.variables.get(archive.variable) or archive.url
    if source.offline and not url.startswith("file:"):
        raise ToolchainError(
            ErrorCode.TOOLCHAIN_OFFLINE,
            f"toolchain {name} is not prepared, and --offline forbids to fetch {url}",
            hint=f"run once with a network: dlpubuild toolchain prepare {name}; or {_other_ways(archive, name)}",
        )
    path = folder / ".archive.tar.gz"
    source.say(f"toolchain {name}: fetching {url}")
    try:
        found = _fetch(url, path, source, _other_ways(archive, name))
        if found != archive.sha256:
            raise ToolchainError(
                ErrorCode.TOOLCHAIN,
                f"{url} has the sha256 {found}, and {archive.sha256} is pinned",
                hint=f"get the pinned file, and name it with {archive.variable}; to use another one, unpack it "
                f"yourself and name the folder with path under [toolchain.{name}]",
            )
        _unpack(path, folder, url)
    finally:
        path.unlink(missing_ok=True)


def _other_ways(archive: Archive, name: str) -> str:
    return (
        f"name a copy of the file with {archive.variable}, or the folder of an installed one with path "
        f"under [toolchain.{name}]"
    )


def _fetch(url: str, path: Path, source: ArchiveSource, other_ways: str) -> str:
    """Write what is at `url` to `path`; return its sha256."""
    sha = hashlib.sha256()
    try:
        with _opener(source.variables).open(url, timeout=_TIMEOUT_S) as answer, path.open("wb") as sink:
            while chunk := answer.read(_CHUNK_BYTES):
                if source.cancelled.is_set():
                    raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")
                sha.update(chunk)
                sink.write(chunk)
    except urllib.error.HTTPError as error:
        with error:
            raise _unreachable(url, str(error), other_ways) from error
    except (OSError, ValueError) as error:
        raise _unreachable(url, str(getattr(error, "reason", None) or error), other_ways) from error
    return sha.hexdigest()


def _unreachable(url: str, why: str, other_ways: str) -> ToolchainError:
    return ToolchainError(
        ErrorCode.TOOLCHAIN,
        f"{url} cannot be fetched: {why}",
        hint=f"check the network, HTTPS_PROXY and SSL_CERT_FILE; or {other_ways}",
    )


def _opener(variables: Mapping[str, str]) -> urllib.request.OpenerDirector:
    """Return what opens URLs with the proxies and certificates that `variables` name."""
    proxies = {
        scheme: value
        for scheme in ("http", "https")
        if (value := variables.get(f"{scheme}_proxy") or variables.get(f"{scheme.upper()}_PROXY"))
    }
    context = ssl.create_default_context()
    if bundle := variables.get("SSL_CERT_FILE"):
        context.load_verify_locations(bundle)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
    )


def _unpack(path: Path, folder: Path, url: str) -> None:
    # Not by tarfile's own filter: the Python of Debian 12 has none.
    try:
        with tarfile.open(path, "r:gz") as archive:
            count = sum(_place(archive, member, folder) for member in archive)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ToolchainError(ErrorCode.TOOLCHAIN, f"{url} cannot be unpacked: {error}") from error
    if not count:
        raise ToolchainError(ErrorCode.TOOLCHAIN, f"{url} has no file below {_ROOT}/")


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> int:
    """Write one member; return how many files that made. Owners, times and setuid bits are left behind."""
    parts = _inside(member.name)
    if parts is None or not parts:
        return 0
    target = folder.joinpath(*parts)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        linked = _inside(posixpath.join(posixpath.dirname(member.name), member.linkname))
        if linked is None:
            raise tarfile.TarError(f"{member.name} is a link that leads out of {_ROOT}/")
        target.symlink_to(member.linkname)
        return 0
    content = archive.extractfile(member)
    if content is None:
        raise tarfile.TarError(f"{member.name} is neither a file nor a folder")
    with content, target.open("xb") as sink:
        shutil.copyfileobj(content, sink, _CHUNK_BYTES)
    target.chmod(0o755 if member.mode & 0o111 else 0o644)
    return 1


def _inside(name: str) -> tuple[str, ...] | None:
    """Return the parts of a path below `usr/`, None for one that is not there."""
    parts = tuple(posixpath.normpath(name).split("/"))
    return parts[1:] if parts[0] == _ROOT else None
