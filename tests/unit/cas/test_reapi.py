"""The messages on the wire, held against an encoder of our own written from the protobuf specification."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dlpubuild.cas.digest import EMPTY_DIGEST
from dlpubuild.cas.reapi import (
    ACTION,
    ACTION_RESULT,
    COMMAND,
    DESCRIPTOR_SET,
    DIGEST,
    DIRECTORY,
    TREE,
    MessageDecodeError,
)

ZEROS = "0" * 64


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def text(field: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def digest(value: str, size: int) -> bytes:
    return text(1, value) + number(2, size)


def test_the_descriptor_set_is_what_protoc_makes_of_the_proto(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools rebuilds the descriptor set")
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    source = DESCRIPTOR_SET.with_suffix(".proto")
    google = Path(protoc.__file__).parent / "_proto"
    rebuilt = tmp_path / "reapi.desc"
    arguments = ["protoc", f"-I{source.parent}", f"-I{google}", "--include_imports"]
    assert protoc.main([*arguments, f"--descriptor_set_out={rebuilt}", str(source)]) == 0

    def files(path: Path) -> dict[str, object]:
        found = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file
        # Of google's own files the messages count: their language options differ between versions of protoc.
        return {file.name: file if file.name == "reapi.proto" else list(file.message_type) for file in found}

    assert files(rebuilt) == files(DESCRIPTOR_SET)


def test_the_descriptor_set_holds_no_source_info() -> None:
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTOR_SET.read_bytes()).file
    assert not any(file.HasField("source_code_info") for file in files)


def test_field_numbers_of_command() -> None:
    encoded = COMMAND.encode(
        arguments=["a", "b"],
        environment_variables=[{"name": "N", "value": "V"}],
        platform={"properties": [{"name": "p", "value": "q"}]},
        working_directory="w",
        output_paths=["o"],
    )
    platform = text(1, text(1, "p") + text(2, "q"))
    environment = text(1, "N") + text(2, "V")
    assert encoded == (
        text(1, "a") + text(1, "b") + text(2, environment) + text(5, platform) + text(6, "w") + text(7, "o")
    )


def test_field_numbers_of_action() -> None:
    encoded = ACTION.encode(
        command_digest={"hash": ZEROS, "size_bytes": 1},
        input_root_digest={"hash": ZEROS, "size_bytes": 300},
        timeout={"seconds": 7, "nanos": 5},
        do_not_cache=True,
        salt=b"s",
        platform={"properties": [{"name": "p", "value": "q"}]},
    )
    assert encoded == (
        text(1, digest(ZEROS, 1))
        + text(2, digest(ZEROS, 300))
        + text(6, number(1, 7) + number(2, 5))
        + number(7, 1)
        + text(9, "s")
        + text(10, text(1, text(1, "p") + text(2, "q")))
    )


def test_field_numbers_of_directory_and_tree() -> None:
    fields: dict[str, object] = {
        "files": [{"name": "f", "digest": {"hash": ZEROS, "size_bytes": 1}, "is_executable": True}],
        "directories": [{"name": "d", "digest": {"hash": ZEROS, "size_bytes": 2}}],
        "symlinks": [{"name": "s", "target": "t"}],
    }
    encoded = (
        text(1, text(1, "f") + text(2, digest(ZEROS, 1)) + number(4, 1))
        + text(2, text(1, "d") + text(2, digest(ZEROS, 2)))
        + text(3, text(1, "s") + text(2, "t"))
    )
    assert DIRECTORY.encode(**fields) == encoded
    assert TREE.encode(root=fields, children=[fields]) == text(1, encoded) + text(2, encoded)


def test_field_numbers_of_action_result() -> None:
    stamps = {
        "queued": 2,
        "worker_start": 3,
        "worker_completed": 4,
        "input_fetch_start": 5,
        "input_fetch_completed": 6,
        "execution_start": 7,
        "execution_completed": 8,
        "output_upload_start": 9,
        "output_upload_completed": 10,
    }
    encoded = ACTION_RESULT.encode(
        output_files=[{"path": "f", "digest": {"hash": ZEROS, "size_bytes": 1}, "is_executable": True}],
        output_directories=[{"path": "d", "tree_digest": {"hash": ZEROS, "size_bytes": 2}}],
        exit_code=3,
        stdout_digest={"hash": ZEROS, "size_bytes": 4},
        stderr_digest={"hash": ZEROS, "size_bytes": 5},
        execution_metadata={
            "worker": "w",
            **{f"{name}_timestamp": {"seconds": field} for name, field in stamps.items()},
        },
        output_symlinks=[{"path": "s", "target": "t"}],
    )
    metadata = text(1, "w") + b"".join(text(field, number(1, field)) for field in stamps.values())
    assert encoded == (
        text(2, text(1, "f") + text(2, digest(ZEROS, 1)) + number(4, 1))
        + text(3, text(1, "d") + text(3, digest(ZEROS, 2)))
        + number(4, 3)
        + text(6, digest(ZEROS, 4))
        + text(8, digest(ZEROS, 5))
        + text(9, metadata)
        + text(12, text(1, "s") + text(2, "t"))
    )


def test_an_empty_directory_is_the_empty_blob() -> None:
    assert DIRECTORY.encode() == b""
    assert EMPTY_DIGEST.size_bytes == 0


def test_unknown_fields_are_skipped() -> None:
    message = DIGEST.decode(digest(ZEROS, 9) + text(99, "later"))
    assert (message.hash, message.size_bytes) == (ZEROS, 9)


@pytest.mark.parametrize("data", [b"\xff", text(1, b"\xff\xfe"), digest(ZEROS, 1)[:-1]])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MessageDecodeError):
        DIGEST.decode(data)


def test_an_unknown_field_is_a_mistake() -> None:
    with pytest.raises(ValueError):
        DIGEST.new(colour="red")


def _run(code: str) -> str:
    root = Path(__file__).parents[3]
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_messages_leave_the_global_descriptor_pool_alone() -> None:
    code = (
        "from google.protobuf import descriptor_pool\n"
        "from dlpubuild.cas.reapi import DIGEST, PACKAGE\n"
        "DIGEST.encode(size_bytes=1)\n"
        "try: descriptor_pool.Default().FindMessageTypeByName(PACKAGE + '.Digest')\n"
        "except KeyError: print('absent')\n"
    )
    assert _run(code) == "absent"


def test_protobuf_is_imported_on_first_use_only() -> None:
    code = (
        "import sys\n"
        "import dlpubuild.cas.collect, dlpubuild.cas.memo, dlpubuild.cas.store, dlpubuild.cas.verify\n"
        "print([name for name in ('google.protobuf', 'sqlite3', 'concurrent.futures') if name in sys.modules])\n"
    )
    assert _run(code) == "[]"
