"""The messages of the Remote Execution API v2, without generated code.

In: field values, or bytes. Out: bytes in REAPI's canonical form, or a parsed message. The messages come from
`reapi.desc` (made from `reapi.proto`) and live in a private descriptor pool: generated code would claim the
API's package name in protobuf's global pool, clash with any other REAPI stub in the process, and tie the tool
to one range of protobuf versions. protobuf is imported on first use (it costs 40 ms). Nothing here sorts:
`dlpubuild.cas.action` and `dlpubuild.cas.tree` hand over what is in REAPI's order already.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    class Message(Protocol):
        """What every message can do; presence is known for fields that hold a message."""

        def HasField(self, field_name: str) -> bool:  # noqa: N802, D102  # protobuf's name
            ...

        def SerializeToString(self, *, deterministic: bool) -> bytes:  # noqa: N802, D102  # protobuf's name
            ...

    class DigestMessage(Message, Protocol):  # noqa: D101
        hash: str
        size_bytes: int

    class TimestampMessage(Message, Protocol):  # noqa: D101
        seconds: int
        nanos: int

    class OutputFileMessage(Message, Protocol):  # noqa: D101
        path: str
        digest: DigestMessage
        is_executable: bool

    class OutputDirectoryMessage(Message, Protocol):  # noqa: D101
        path: str
        tree_digest: DigestMessage

    class OutputSymlinkMessage(Message, Protocol):  # noqa: D101
        path: str
        target: str

    class ExecutedActionMetadataMessage(Message, Protocol):  # noqa: D101
        worker: str
        execution_start_timestamp: TimestampMessage
        execution_completed_timestamp: TimestampMessage

    class ActionResultMessage(Message, Protocol):  # noqa: D101
        output_files: Sequence[OutputFileMessage]
        output_directories: Sequence[OutputDirectoryMessage]
        output_symlinks: Sequence[OutputSymlinkMessage]
        exit_code: int
        stdout_digest: DigestMessage
        stderr_digest: DigestMessage
        execution_metadata: ExecutedActionMetadataMessage


PACKAGE = "build.bazel.remote.execution.v2"
DESCRIPTOR_SET = Path(__file__).with_name("reapi.desc")
M = TypeVar("M", bound="Message")
_LOADING = Lock()


class MessageDecodeError(ValueError):
    """The bytes are not the message they should be: cut short, damaged, or of another kind."""


class MessageType(Generic[M]):
    """One kind of message, such as `Directory`; loaded on first use.

    `M` states the fields that this tool reads; it exists for the type checker only.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def new(self, **fields: object) -> M:
        """Return a message. A field that holds a message takes one, or a mapping of its fields.

        Raises:
            TypeError, ValueError: no such field, or a value of the wrong type or range.
        """
        return cast("Callable[..., M]", _message_class(self.name))(**fields)

    def encode(self, **fields: object) -> bytes:
        """Return the bytes of a message with `fields`, deterministically."""
        return self.new(**fields).SerializeToString(deterministic=True)

    def decode(self, data: bytes) -> M:
        """Return the message that `data` holds; unknown fields are skipped.

        Raises:
            MessageDecodeError: `data` is not such a message.
        """
        from google.protobuf.message import DecodeError  # noqa: PLC0415  # 40 ms, see the module docstring

        try:
            return cast("M", _message_class(self.name).FromString(data))
        except (DecodeError, ValueError) as error:
            raise MessageDecodeError(f"not a {self.name}: {error}") from error


DIGEST: MessageType[DigestMessage] = MessageType("Digest")
COMMAND: MessageType[Message] = MessageType("Command")
ACTION: MessageType[Message] = MessageType("Action")
DIRECTORY: MessageType[Message] = MessageType("Directory")
TREE: MessageType[Message] = MessageType("Tree")
ACTION_RESULT: MessageType[ActionResultMessage] = MessageType("ActionResult")


class _MessageClass(Protocol):
    """The part of protobuf's message classes that is used."""

    def FromString(self, data: bytes) -> object:  # noqa: N802  # protobuf's name
        """Parse `data`."""
        ...


def _message_class(name: str) -> _MessageClass:
    # Two pools would give classes that refuse each other's messages, and `cache` alone lets two threads load.
    with _LOADING:
        return _message_classes()[name]


@cache
def _message_classes() -> dict[str, _MessageClass]:
    from google.protobuf.descriptor_pb2 import FileDescriptorSet  # noqa: PLC0415  # 40 ms
    from google.protobuf.descriptor_pool import DescriptorPool  # noqa: PLC0415  # 40 ms
    from google.protobuf.message_factory import GetMessageClass  # noqa: PLC0415  # 40 ms

    pool = DescriptorPool()
    files = FileDescriptorSet.FromString(DESCRIPTOR_SET.read_bytes()).file
    # --include_imports writes a file after those it imports, the order in which a pool takes them.
    for file in files:
        pool.AddSerializedFile(file.SerializeToString())
    own = next(file for file in files if file.package == PACKAGE)
    return {
        message.name: cast("_MessageClass", GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{message.name}")))
        for message in own.message_type
    }
