"""The stand-ins for Ambarella's programs keep to what is documented of their command lines, and refuse all else."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.factories.ambarella import PROGRAMS, onnx_model, put_toolchain
from tests.factories.tflite_factory import encode, integer_model

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "is:1,3,32,40|iq|idf:0,0,8,0|i:images=list.txt"
PARSE = ("-m", "model.onnx", "-o", "q", "-of", "q", "-odst", "o:output0|odf:fp32")


class Tools:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = put_toolchain(folder / "tools") / "bin"
        (folder / "model.onnx").write_bytes(onnx_model())
        (folder / "one.bin").write_bytes(bytes(3 * 32 * 40))
        (folder / "list.txt").write_text("one.bin\n")

    def __call__(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path)


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_option_that_is_not_documented_is_refused(tools: Tools, program: str) -> None:
    assert tools(program, "--frobnicate").returncode == 2


def test_the_documented_way_ends_in_a_file_that_begins_as_real_ones(tools: Tools) -> None:
    for command in (
        ("onnxparser.py", *PARSE, "-isrc", SOURCE),
        ("vas", "-auto", "-show-progress", "q/q.vas"),
        ("cavalry_gen", "-d", "vas_output/", "-f", "model.bin"),
    ):
        done = tools(*command)
        assert done.returncode == 0, done.stderr
    content = (tools.folder / "model.bin").read_bytes()
    assert content.startswith(bytes.fromhex("0800020203000000"))
    assert b"q_prim_split_0" in content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("images=", "image="), "input image is not in the graph"),
        (("list.txt", "none.txt"), "no such list"),
        (("1,3,32,40", "1,3,40,32"), "shape"),
        (("0,0,8,0", "1,2,3,4"), "data format"),
        (("|iq", ""), "cannot parse"),
        (("idf:0,0,8,0", "ic:255.0|idf:0,0,8,0"), "data format"),
    ],
)
def test_the_parser_refuses(tools: Tools, change: tuple[str, str], said: str) -> None:
    done = tools("onnxparser.py", *PARSE, "-isrc", SOURCE.replace(*change))
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert not (tools.folder / "q/q.vas").exists()


def test_the_parser_refuses_binaries_of_another_size_outputs_that_are_not_there_and_precisions(tools: Tools) -> None:
    assert tools("onnxparser.py", *PARSE[:-1], "o:other|odf:fp32", "-isrc", SOURCE).returncode == 1
    assert tools("onnxparser.py", *PARSE, "-isrc", SOURCE, "-c", "act-force-fx32").returncode == 1
    (tools.folder / "one.bin").write_bytes(b"short")
    assert "has 5 bytes" in tools("onnxparser.py", *PARSE, "-isrc", SOURCE).stderr


def test_the_parser_of_tensorflow_refuses_an_integer_model(tools: Tools) -> None:
    (tools.folder / "model.tflite").write_bytes(encode(integer_model(io="uint8")))
    done = tools(
        "tfparser.py",
        *("-p", "model.tflite", "-o", "q", "-of", "q", "-odst", "o:StatefulPartitionedCall:0|odf:fp32"),
        *("-isrc", "is:1,3,9,9|iq|idf:0,0,0,0|i:serving_default_image:0=list.txt"),
    )
    assert (done.returncode, "is not float" in done.stderr) == (1, True), done.stderr


def test_the_others_refuse_what_is_not_there(tools: Tools) -> None:
    assert tools("vas", "-auto", "none.vas").returncode == 1
    assert tools("cavalry_gen", "-d", "none", "-f", "model.bin").returncode == 1
    lacking = (
        "-f",
        "none",
        "-o",
        "l",
        "-ns",
        "-e",
        ".jpg",
        "-c",
        "0",
        "-d",
        "0,0",
        "-r",
        "8,8",
        "-bf",
        "b",
        "-bo",
        "b/l",
    )
    assert tools("gen_image_list.py", *lacking).returncode == 1
