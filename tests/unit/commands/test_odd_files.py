"""Odd files, names and outputs: none is waited for, replaced or told as it is; none ends in a traceback."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import DlpuError, ErrorCode, ExitCode, Location
from dlpubuild.package import kinds
from dlpubuild.package.sealed import open_sealed
from dlpubuild.report.errors import error_text
from tests.factories.tflite_factory import encode, integer_model

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Tool

MODEL = encode(integer_model(io="uint8"))
ODD = "x\n\x1b]0;t\x07\u202e"
COMMANDS = ("lint", "inspect", "report")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["m.tflite", "b.tar.gz", "m.onnx", "r.json", "b.eap"])
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(empty: Tool, command: str, name: str) -> None:
    os.mkfifo(empty.folder / name)
    done = empty.run(command, name)
    assert done.code in (ExitCode.STEP_FAILED, ExitCode.USAGE)
    assert "Traceback" not in done.err


def test_a_pipe_with_a_writer_is_read(empty: Tool) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as stream:
            stream.write(MODEL)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = empty.run("lint", f"/dev/fd/{reading}", "--target", "artpec8")
    finally:
        writer.join()
        os.close(reading)
    assert done.code == ExitCode.DONE


@pytest.mark.parametrize("command", [*COMMANDS, "verify"])
def test_a_name_that_is_too_long_is_told(empty: Tool, command: str) -> None:
    done = empty.run(command, "n" * 300 + ".tar.gz")
    assert done.code == ExitCode.STEP_FAILED
    assert "File name too long" in done.err
    assert "Traceback" not in done.err


def test_a_name_cannot_steer_the_terminal() -> None:
    error = DlpuError(
        ErrorCode.NOT_A_MODEL, "a\x1b[31m\n  b", location=Location("x\n\x1b]0;t\x07\u202e"), hint="\x1b[2J"
    )
    text = error_text(error, colored=False)
    assert text == "error: x\\n\\x1b]0;t\\x07\\u202e: a\\x1b[31m\n  b\n  hint: \\x1b[2J\n"


@pytest.mark.parametrize("arguments", [("inspect", "m.tflite", "--html"), ("lint", "m.tflite", "--sarif")])
def test_a_device_is_written_to_and_not_replaced(empty: Tool, arguments: tuple[str, ...]) -> None:
    (empty.folder / "m.tflite").write_bytes(MODEL)
    pipe = empty.folder / "out"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    done = empty.run(*arguments, "out")
    assert done.code in (ExitCode.DONE, ExitCode.GATE_FAILED)
    assert len(reader.communicate(timeout=10)[0]) > 1_000
    assert pipe.is_fifo()


def test_a_folder_that_is_no_package_is_not_gone_through(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(DlpuError, match="so it is no bundle"):
        open_sealed(tmp_path)


def test_of_a_folder_no_more_is_read_than_a_camera_could_load(empty: Tool) -> None:
    folder = empty.folder / "b" / "model"
    folder.mkdir(parents=True)
    with (folder / "m.tflite").open("wb") as stream:
        stream.truncate(1 << 40)
    done = empty.run("inspect", "b")
    assert done.code == ExitCode.STEP_FAILED
    assert "its models are 1099511627776 bytes long" in done.err


@pytest.mark.parametrize("command", ["lint", "inspect", "report", "verify"])
@pytest.mark.parametrize("suffix", [".tar.gz", ".eap"])
def test_an_archive_that_claims_to_unpack_to_more_is_not_unpacked(empty: Tool, command: str, suffix: str) -> None:
    header = tarfile.TarInfo("b/junk")
    header.size = kinds.MAX_UNPACKED_BYTES + 1
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as stream:
        stream.write(header.tobuf() + bytes(1 << 20))
    (empty.folder / f"b{suffix}").write_bytes(buffer.getvalue())
    done = empty.run(command, f"b{suffix}")
    assert done.code == ExitCode.STEP_FAILED
    if (command, suffix) != ("report", ".eap"):
        assert "more than 4 GiB" in done.err


def test_files_and_pipes_get_utf8_whatever_the_locale_says(empty: Tool) -> None:
    (empty.folder / "m.tflite").write_bytes(MODEL)
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "dlpubuild", "inspect", "m.tflite", "--html", "-"]
    done = subprocess.run(command, cwd=empty.folder, env=environ, capture_output=True, check=True)
    assert "<meta charset" in done.stdout.decode("utf-8")


def test_a_number_that_counts_nothing_is_no_report(empty: Tool) -> None:
    (empty.folder / "r.json").write_text('{"schema": 1, "bytes": ' + "9" * 400 + "}")
    done = empty.run("report", "r.json")
    assert done.code == ExitCode.USAGE
    assert "99999999999999999999... is more than there is of anything" in done.err
