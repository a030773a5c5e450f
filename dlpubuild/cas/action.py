"""Actions and their results: typed values and their encoding as Remote Execution API v2 messages.

In: argv, environment, paths, digests. Out: the bytes of `Command`, `Action` and `ActionResult` in REAPI's
canonical form. The sha256 of an encoded action is the only key under which a result is kept, on this machine
and on any Remote Execution server, so every list is sorted here, at the producer: environment by name,
properties by name, output paths by code point (which is the order of their UTF-8 bytes). Never runs anything
and never touches a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlpubuild.cas.digest import Digest, digest_bytes
from dlpubuild.cas.paths import check_unicode, path_parts
from dlpubuild.cas.reapi import ACTION, ACTION_RESULT, COMMAND, MessageDecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.cas.reapi import DigestMessage, OutputFileMessage, TimestampMessage

FORMAT_SALT = b"dlpubuild-action-1"
"""Part of every action; a new number makes all earlier results unreachable, for when the meaning of an
action changes without a change of its bytes (what executors put into the sandbox, for instance)."""

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is run: argv, the whole environment, and the files it has to leave.

    `output_paths` and `working_directory` are relative to the input root. `environment` is complete: nothing
    of the host is added. `platform` names the toolchain and must equal the platform of the action.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    output_paths: tuple[str, ...]
    working_directory: str = ""
    platform: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.arguments or not self.arguments[0]:
            raise ValueError("a command needs a program to run")
        for text in (*self.arguments, *self.environment, *self.environment.values()):
            if "\0" in text:
                raise ValueError(f"an argument or variable cannot hold a NUL: {text!r}")
            check_unicode(text)
        for name in self.environment:
            if not name or "=" in name:
                raise ValueError(f"not the name of an environment variable: {name!r}")
        if self.working_directory:
            path_parts(self.working_directory)
        _check_output_paths(self.output_paths)
        _check_platform(self.platform)

    def encode(self) -> bytes:
        """Return the bytes of a REAPI `Command`."""
        return COMMAND.encode(
            arguments=self.arguments,
            environment_variables=_name_values(self.environment),
            platform={"properties": _name_values(self.platform)},
            working_directory=self.working_directory,
            output_paths=sorted(self.output_paths),
        )

    @property
    def digest(self) -> Digest:
        """The digest of the encoded command."""
        return digest_bytes(self.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A command on an input tree, with all that its result depends on; `digest` is the cache key.

    `timeout_s` is part of the key: a result obtained with more time says nothing about one with less.
    """

    command: Digest
    input_root: Digest
    timeout_s: float
    salt: bytes = FORMAT_SALT
    platform: Mapping[str, str] = field(default_factory=dict)
    do_not_cache: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.timeout_s < float("inf"):
            raise ValueError(f"a timeout is a positive number of seconds, not {self.timeout_s}")
        _check_platform(self.platform)

    def encode(self) -> bytes:
        """Return the bytes of a REAPI `Action`."""
        seconds, nanos = divmod(round(self.timeout_s * _NS_PER_S), _NS_PER_S)
        return ACTION.encode(
            command_digest=_digest_fields(self.command),
            input_root_digest=_digest_fields(self.input_root),
            timeout={"seconds": seconds, "nanos": nanos},
            do_not_cache=self.do_not_cache,
            salt=self.salt,
            platform={"properties": _name_values(self.platform)},
        )

    @property
    def digest(self) -> Digest:
        """The digest of the encoded action: the key of its result."""
        return digest_bytes(self.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """A file that an action left; `path` is relative to the working directory."""

    path: str
    digest: Digest
    is_executable: bool = False

    def __post_init__(self) -> None:
        path_parts(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """What an action left: output files and logs as digests, where it ran and when.

    `started_ns` and `completed_ns` are nanoseconds since the epoch, 0 where unknown. They describe the run
    that made the result, and nothing that is built may depend on them.
    """

    output_files: tuple[OutputFile, ...]
    exit_code: int = 0
    stdout: Digest | None = None
    stderr: Digest | None = None
    worker: str = ""
    started_ns: int = 0
    completed_ns: int = 0

    def __post_init__(self) -> None:
        paths = [output.path for output in self.output_files]
        if len(set(paths)) != len(paths):
            raise ValueError(f"an output path is given twice: {sorted(paths)}")

    @property
    def blobs(self) -> tuple[Digest, ...]:
        """Every blob without which the result is of no use: outputs in order of path, stdout, stderr."""
        files = sorted(self.output_files, key=lambda output: output.path)
        logs = (log for log in (self.stdout, self.stderr) if log is not None)
        return (*(output.digest for output in files), *logs)

    def encode(self) -> bytes:
        """Return the bytes of a REAPI `ActionResult`."""
        fields: dict[str, object] = {
            "output_files": [
                {
                    "path": output.path,
                    "digest": _digest_fields(output.digest),
                    "is_executable": output.is_executable,
                }
                for output in sorted(self.output_files, key=lambda output: output.path)
            ],
            "exit_code": self.exit_code,
        }
        if self.stdout is not None:
            fields["stdout_digest"] = _digest_fields(self.stdout)
        if self.stderr is not None:
            fields["stderr_digest"] = _digest_fields(self.stderr)
        metadata: dict[str, object] = {"worker": self.worker}
        if self.started_ns:
            metadata["execution_start_timestamp"] = _timestamp_fields(self.started_ns)
        if self.completed_ns:
            metadata["execution_completed_timestamp"] = _timestamp_fields(self.completed_ns)
        return ACTION_RESULT.encode(**fields, execution_metadata=metadata)

    @classmethod
    def decode(cls, data: bytes) -> ActionResult:
        """Return the result that `data` holds.

        Raises:
            MessageDecodeError: `data` is not a REAPI `ActionResult`, or it has output directories or symbolic
                links, which no action of this tool declares.
        """
        message = ACTION_RESULT.decode(data)
        if message.output_directories or message.output_symlinks:
            raise MessageDecodeError("an action result with output directories or symbolic links")
        metadata = message.execution_metadata
        try:
            return cls(
                output_files=tuple(_output_file(output) for output in message.output_files),
                exit_code=message.exit_code,
                stdout=_digest(message.stdout_digest) if message.HasField("stdout_digest") else None,
                stderr=_digest(message.stderr_digest) if message.HasField("stderr_digest") else None,
                worker=metadata.worker,
                started_ns=_nanoseconds(metadata.execution_start_timestamp),
                completed_ns=_nanoseconds(metadata.execution_completed_timestamp),
            )
        except ValueError as error:
            raise MessageDecodeError(f"not an action result: {error}") from error


def _check_output_paths(paths: tuple[str, ...]) -> None:
    declared = set(paths)
    if len(declared) != len(paths):
        raise ValueError(f"an output path is given twice: {sorted(paths)}")
    for path in paths:
        parts = path_parts(path)
        parents = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if not parents.isdisjoint(declared):
            raise ValueError(f"an output path lies inside another one: {path!r}")


def _check_platform(platform: Mapping[str, str]) -> None:
    for name, value in platform.items():
        if not name:
            raise ValueError("a platform property needs a name")
        check_unicode(name)
        check_unicode(value)


def _name_values(pairs: Mapping[str, str]) -> list[dict[str, object]]:
    return [{"name": name, "value": pairs[name]} for name in sorted(pairs)]


def _digest_fields(digest: Digest) -> dict[str, object]:
    return {"hash": digest.hash, "size_bytes": digest.size_bytes}


def _timestamp_fields(time_ns: int) -> dict[str, object]:
    seconds, nanos = divmod(time_ns, _NS_PER_S)
    return {"seconds": seconds, "nanos": nanos}


def _digest(message: DigestMessage) -> Digest:
    return Digest(message.hash, message.size_bytes)


def _output_file(message: OutputFileMessage) -> OutputFile:
    return OutputFile(path=message.path, digest=_digest(message.digest), is_executable=message.is_executable)


def _nanoseconds(message: TimestampMessage) -> int:
    return message.seconds * _NS_PER_S + message.nanos
