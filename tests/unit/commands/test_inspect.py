"""`inspect` as a user runs it: tables, JSON, pages, two files side by side, and what it refuses."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.errors import ExitCode
from dlpubuild.tflite import read
from tests.factories.mutations import ODD_NAMES
from tests.factories.tflite_factory import (
    CONV_MACS,
    ModelSpec,
    custom_model,
    encode,
    integer_model,
    with_graph,
    with_tensor,
)

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Tool

EXECUTABLE = bytes(2000)


def write(tool: Tool, name: str, spec: ModelSpec) -> str:
    (tool.folder / name).write_bytes(encode(spec))
    return name


def compiled() -> ModelSpec:
    spec = custom_model("edgetpu-custom-op")
    first, second, last = spec.graphs[0].operators
    return with_graph(spec, operators=(first, second, replace(last, custom_options=EXECUTABLE)))


def told(tool: Tool, *arguments: str) -> Any:
    done = tool.run("inspect", *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def bundle(tool: Tool, name: str, members: dict[str, bytes]) -> str:
    with tarfile.open(tool.folder / name, "w:gz") as archive:
        for member, content in members.items():
            info = tarfile.TarInfo(f"x/model/{member}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return name


def test_the_first_page_is_short_and_the_tables_are_behind_it(empty: Tool) -> None:
    name = write(empty, "m.tflite", integer_model(per_channel=True))
    first = empty.run("inspect", name).out
    assert "in order of execution" not in first
    assert "conv/filters" not in first
    operators = empty.run("inspect", name, "--operators").out
    assert operators.startswith(first)
    assert "kernel 3x3, stride 2x2, VALID" in operators
    tensors = empty.run("inspect", name, "--tensors").out
    assert "0.25 to 2 (8 on axis 0)" in tensors
    everything = empty.run("inspect", name, "--all").out
    assert everything == operators + tensors.removeprefix(first)


def test_every_operator_is_told_with_what_it_costs(empty: Tool) -> None:
    (graph,) = told(empty, write(empty, "m.tflite", integer_model()))["subgraphs"]
    assert graph["operators"][0] == {
        "index": 0,
        "name": "CONV_2D",
        "builtin": "CONV_2D",
        "version": 3,
        "min_runtime": "1.14.0",
        "activation": "RELU6",
        "inputs": [0, 1, 2],
        "input_shapes": [[1, 9, 9, 3], [8, 3, 3, 3], [8]],
        "outputs": [3],
        "output_shapes": [[1, 4, 4, 8]],
        "output_name": "conv/relu6",
        "options": {
            "padding": "VALID",
            "stride_w": 2,
            "stride_h": 2,
            "fused_activation_function": "RELU6",
            "dilation_w_factor": 1,
            "dilation_h_factor": 1,
        },
        "custom_bytes": 0,
        "macs": CONV_MACS,
        "parameter_bytes": 8 * 27 + 8 * 4,
    }


def test_which_operator_version_asks_for_which_tensorflow_is_told(empty: Tool) -> None:
    spec = integer_model()
    first, second = spec.graphs[0].operators
    name = write(empty, "m.tflite", with_graph(spec, operators=(replace(first, version=99), second)))
    page = empty.run("inspect", name).out
    assert "1.14.0, for FULLY_CONNECTED version 4" in page
    assert "the converter noted 2.3.0" in page
    assert "not known: CONV_2D version 99" in page
    assert {"operator": "CONV_2D", "version": 99, "min_runtime": None} in told(empty, name)["operator_versions"]


def test_of_a_compiled_model_it_is_told_what_was_mapped_and_what_was_left(empty: Tool) -> None:
    name = write(empty, "m_edgetpu.tflite", compiled())
    page = empty.run("inspect", name).out
    assert "compiled for it, in 1 part; 2 operators run on the CPU" in page
    assert "what was mapped takes 2.0 KiB" in page
    assert "on the CPU       CONV_2D 1, FULLY_CONNECTED 1" in page
    assert told(empty, name)["mapped"] == {
        "operator": "edgetpu-custom-op",
        "parts": 1,
        "bytes": len(EXECUTABLE),
        "cpu": {"CONV_2D": 1, "FULLY_CONNECTED": 1},
    }


def test_what_is_odd_is_told_on_the_first_page(empty: Tool) -> None:
    spec = integer_model()
    odd = with_tensor(spec, 3, replace(spec.graphs[0].tensors[3], scales=(float("nan"),)))
    name = write(empty, "m.tflite", odd)
    assert "1 tensors with a scale that is not a positive number: tensor 3" in empty.run("inspect", name).out
    document = told(empty, name)
    assert document["oddities"][0]["kind"] == "bad-scale"
    assert document["subgraphs"][0]["tensors"][3]["scales"] == [None]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_reach_neither_a_terminal_nor_a_page(empty: Tool, name: str) -> None:
    spec = integer_model()
    odd = replace(
        with_tensor(spec, 3, replace(spec.graphs[0].tensors[3], name=name)), description=name, metadata={name: b"x"}
    )
    write(empty, "m.tflite", odd)
    text, page = empty.run("inspect", "m.tflite", "--all").out, empty.run("inspect", "m.tflite", "--html", "-").out
    assert text.replace("\n", "").isprintable()
    assert page.replace("\n", "").isprintable()
    assert "<script" not in page
    assert "49" not in page.partition("</style>")[2] or name != "{{ 7 * 7 }}"


def test_a_page_is_written_whole_and_loads_nothing(empty: Tool) -> None:
    name = write(empty, "m.tflite", integer_model(per_channel=True))
    done = empty.run("inspect", name, "--html", "out/m.html")
    assert (done.code, done.out, done.err) == (0, "", "")
    page = (empty.folder / "out" / "m.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert page.rstrip().endswith("</html>")
    assert "default-src 'none'" in page
    for loads in ("http:", "https:", "<script", "<link", "<img", "@import", "url("):
        assert loads not in page, loads
    assert page == empty.run("inspect", name, "--html", "-").out
    assert sorted(path.name for path in (empty.folder / "out").iterdir()) == ["m.html"]


def test_a_page_about_a_model_of_another_format_shows_its_text(empty: Tool) -> None:
    (empty.folder / "m.bin").write_bytes(b"<b>" * 30)
    page = empty.run("inspect", "m.bin", "--html", "-").out
    assert "<pre" in page
    assert "compiled" in page


def test_a_page_that_cannot_be_written_is_told(empty: Tool) -> None:
    name = write(empty, "m.tflite", integer_model())
    (empty.folder / "folder").mkdir()
    done = empty.run("inspect", name, "--html", "folder")
    assert done.code == ExitCode.STEP_FAILED
    assert "folder cannot be written" in done.err


def test_two_files_side_by_side(empty: Tool) -> None:
    old = write(empty, "old.tflite", integer_model())
    new = write(empty, "new.tflite", integer_model(io="uint8", per_channel=True))
    done = empty.run("inspect", old, "--diff", new)
    assert done.code == 0
    assert "operators: 1 the same, 1 changed, 0 removed, 2 added" in done.out
    assert "~ 0 -> 1  CONV_2D" in done.out
    document = told(empty, old, "--diff", new)
    assert (document["old"], document["new"], document["is_same"]) == (old, new, False)
    (changed,) = document["operators"]["changed"]
    assert (changed["name"], changed["old_index"], changed["new_index"]) == ("CONV_2D", 0, 1)
    assert [each["name"] for each in document["operators"]["added"]] == ["QUANTIZE", "QUANTIZE"]


def test_the_exit_code_says_whether_files_are_different_when_asked(empty: Tool) -> None:
    old = write(empty, "old.tflite", integer_model())
    same = write(empty, "same.tflite", integer_model())
    renamed = write(empty, "renamed.tflite", replace(integer_model(), description="made by a tess"))
    codes = [empty.run("inspect", old, "--diff", other, "--exit-code").code for other in (old, same, renamed)]
    assert codes == [0, 0, ExitCode.OUT_OF_DATE]
    assert "the same, byte for byte" in empty.run("inspect", old, "--diff", same).out


def test_packages_are_compared_model_by_model(empty: Tool) -> None:
    members = {"model.tflite": encode(compiled()), "model_uncompiled.tflite": encode(integer_model())}
    old = bundle(empty, "old.tar.gz", members)
    new = bundle(empty, "new.tar.gz", {**members, "model_uncompiled.tflite": encode(integer_model(io="uint8"))})
    document = told(empty, old, "--diff", new)
    assert document["is_same_bytes"]
    (further,) = document["further_models"]
    assert (further["is_same"], len(further["operators"]["added"])) == (False, 2)
    assert empty.run("inspect", old, "--diff", new, "--exit-code").code == ExitCode.OUT_OF_DATE


def test_of_a_package_every_model_is_told(empty: Tool) -> None:
    members = {"model.tflite": encode(compiled()), "model_uncompiled.tflite": encode(integer_model())}
    name = bundle(empty, "old.tar.gz", members)
    (further,) = told(empty, name)["further_models"]
    assert further["file"] == "model/model_uncompiled.tflite"
    assert [each["name"] for each in further["subgraphs"][0]["operators"]] == ["CONV_2D", "FULLY_CONNECTED"]
    page = empty.run("inspect", name, "--html", "-").out
    assert page.count("<section") == 2


def test_only_tflite_files_are_compared(empty: Tool) -> None:
    name = write(empty, "m.tflite", integer_model())
    (empty.folder / "m.bin").write_bytes(b"x" * 90)
    done = empty.run("inspect", name, "--diff", "m.bin")
    assert (done.code, "m.bin" in done.err) == (ExitCode.STEP_FAILED, True)


@pytest.mark.parametrize(
    "arguments",
    [["--html", "-", "--json"], ["--html", "-", "--diff", "m.tflite"], ["--exit-code"]],
    ids=["html-json", "html-diff", "exit-code-alone"],
)
def test_what_cannot_go_together_is_refused(empty: Tool, arguments: list[str]) -> None:
    done = empty.run("inspect", write(empty, "m.tflite", integer_model()), *arguments)
    assert done.code == ExitCode.USAGE
    assert done.out == ""


def test_a_narrow_terminal_gets_narrow_tables(empty: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlpubuild.report.inspect import Shown, inspect_text
    from dlpubuild.tflite.facts import summarise

    model = read.read_model(encode(compiled()))
    shown = Shown(operators=True, tensors=True, width=80)
    page = inspect_text("a/rather/long/path" * 8, model, summarise(model), shown)
    assert max(map(len, page.splitlines())) <= 80


def test_a_file_that_no_camera_could_load_is_not_read(empty: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    with (empty.folder / "huge.tflite").open("wb") as stream:
        stream.write(encode(integer_model())[:8])
        stream.truncate(read.MAX_FILE_BYTES + 1)
    done = empty.run("inspect", "huge.tflite")
    assert done.code == ExitCode.STEP_FAILED
    assert "more than the 512 MiB that are read here" in done.err


def test_a_small_archive_of_huge_models_is_not_unpacked(empty: Tool) -> None:
    header = tarfile.TarInfo("x/model/model.tflite")
    header.size = 1 << 40
    with tarfile.open(empty.folder / "a.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("x/README.md"))
        assert archive.fileobj is not None
        archive.fileobj.write(header.tobuf())
    done = empty.run("inspect", "a.tar.gz")
    assert done.code == ExitCode.STEP_FAILED
    assert "1099511627776 bytes" in done.err


def test_a_model_that_is_piped_in_is_read(empty: Tool) -> None:
    import os
    import threading

    os.mkfifo(empty.folder / "pipe.tflite")
    data = encode(integer_model())
    writer = threading.Thread(target=Path(empty.folder / "pipe.tflite").write_bytes, args=(data,))
    writer.start()
    done = empty.run("inspect", "pipe.tflite", "--json")
    writer.join()
    assert json.loads(done.out)["size_bytes"] == len(data)
