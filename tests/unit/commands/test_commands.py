"""The commands around a build, each on a real project."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.errors import ExitCode
from dlpubuild.toolchains.pins import toolchain_names
from tests.factories import small_projects
from tests.factories.fake_project import CONVERT, keras_archive, png, write_project

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Done, Tool


def rows(done: Done) -> Any:
    assert done.code == 0, done.err
    return json.loads(done.out)


# check ----------------------------------------------------------------------------------------------------------


def test_check_says_what_would_be_built_and_runs_nothing(tool: Tool) -> None:
    done = tool.run("check")
    assert (done.code, done.err) == (0, "")
    assert done.out == "dlpu.toml: nothing is wrong; it builds fake in 2 steps\n"
    assert not (tool.cache / "cas").exists()
    assert not (tool.folder / "dist").exists()


def test_check_tells_every_fault_with_its_place(tool: Tool) -> None:
    manifest = tool.folder / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace('version = "1.0.0"', 'version = "one"\ncolour = "red"'))
    done = tool.run("check")
    assert done.code == ExitCode.USAGE
    assert done.out == ""
    assert re.search(r"^dlpu.toml:\d+:\d+  project.version ", done.err, flags=re.MULTILINE)
    assert re.search(r"^dlpu.toml:\d+:\d+  project.colour ", done.err, flags=re.MULTILINE)
    assert done.err.endswith("2 faults found\n")
    told = json.loads(tool.run("check", "--json").out)
    assert told["ok"] is False
    assert [problem["path"] for problem in told["problems"]] == ["project.version", "project.colour"]
    assert all(problem["line"] for problem in told["problems"])


def test_a_toolchain_that_is_nowhere_is_told_and_keeps_nobody_from_looking(empty: Tool) -> None:
    toml = '[calibration]\ndata = "data"\n[target.cv25]\n[target.cpu]\n'
    small_projects.write_project(
        empty.folder, toml, model='[[model.input]]\nname = "image"\nstd = [255.0, 255.0, 255.0]\n'
    )
    done = empty.run("check")
    assert done.code == 0, done.err
    assert "note: cv25: toolchain ambarella is not here, so a build ends with exit code 7" in done.err
    assert "toolchain ambarella" not in empty.run("check", "--target", "cpu").err
    planned = empty.run("plan", "--executor", "local")
    assert planned.code == 0, planned.err
    assert "compile with the Ambarella toolchain" in planned.out
    assert empty.run("build", "--executor", "local").code == ExitCode.TOOLCHAIN_MISSING


def test_check_as_json_says_that_nothing_is_wrong(tool: Tool) -> None:
    assert rows(tool.run("check", "--json")) == {"schema": 1, "ok": True, "problems": [], "notes": []}


def test_check_as_json_tells_what_is_no_fault_of_the_manifest(tool: Tool) -> None:
    (tool.folder / "templates/fake/steps.toml.j2").write_text("{{ nothing }}")
    done = tool.run("check", "--json")
    assert done.code != 0
    assert json.loads(done.out)["problems"][0]["code"] == "template"


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"\xff\xfe", "UTF-8"), (b"schema = ", "dlpu.toml:1"), (b"", "project")],
    ids=["encoding", "syntax", "empty"],
)
def test_check_tells_what_is_not_a_manifest(tool: Tool, content: bytes, word: str) -> None:
    (tool.folder / "dlpu.toml").write_bytes(content)
    done = tool.run("check")
    assert done.code == ExitCode.USAGE
    assert word in done.err
    assert "Traceback" not in done.err


def test_a_template_folder_that_is_not_there_is_told(tool: Tool) -> None:
    manifest = tool.folder / "dlpu.toml"
    text = manifest.read_text().replace('"templates"', '"tempaltes"').replace("[target.fake]", "[target.cpu]")
    manifest.write_text(text)
    done = tool.run("check")
    assert done.code == ExitCode.USAGE
    assert "tempaltes" in done.err


def test_a_changed_template_is_rendered_again(tool: Tool) -> None:
    template = tool.folder / "templates/fake/steps.toml.j2"
    assert "convert the model" in tool.run("plan").out
    template.write_text(template.read_text().replace("convert the model", "another title"))
    assert "another title" in tool.run("plan").out


def test_a_template_that_became_wrong_is_told_although_it_was_right_before(tool: Tool) -> None:
    template = tool.folder / "templates/fake/steps.toml.j2"
    assert tool.run("check").code == 0
    template.write_text(template.read_text().replace("timeout = 60", 'timeout = "long"'))
    assert tool.run("check").code == ExitCode.USAGE
    target = tool.folder / "templates/fake/target.toml"
    target.write_text(target.read_text().replace('architecture = "aarch64"', 'architecture = "z80"'))
    assert "z80" in tool.run("check").err


# init -----------------------------------------------------------------------------------------------------------


def test_init_writes_a_manifest_that_checks_once_there_are_images(empty: Tool) -> None:
    (empty.folder / "my net.keras").write_bytes(keras_archive())
    done = empty.run("init", "my net.keras", "-t", "cpu", "-t", "artpec8")
    assert done.code == 0, done.err
    text = (empty.folder / "dlpu.toml").read_text()
    assert 'source = "my net.keras"' in text
    assert "[target.artpec8]" in text
    images = empty.folder / "data" / "calibration"
    images.mkdir(parents=True)
    for number in range(100):
        (images / f"{number}.png").write_bytes(png(number))
    assert empty.run("check").code == 0


def test_init_does_not_replace_a_manifest_unless_told_to(empty: Tool) -> None:
    (empty.folder / "net.keras").write_bytes(keras_archive())
    (empty.folder / "dlpu.toml").write_text("mine")
    assert empty.run("init", "net.keras").code == ExitCode.STEP_FAILED
    assert (empty.folder / "dlpu.toml").read_text() == "mine"
    assert empty.run("init", "net.keras", "--force").code == 0
    assert (empty.folder / "dlpu.toml").read_text() != "mine"


@pytest.mark.parametrize(
    ("name", "content", "arguments"),
    [
        ("none.keras", None, []),
        ("net.txt", b"", []),
        ("net.keras", b"not a zip", []),
        ("net.keras", keras_archive(), ["-t", "artpec10"]),
    ],
    ids=["missing", "format", "unreadable", "soc"],
)
def test_init_tells_what_it_cannot_use(empty: Tool, name: str, content: bytes | None, arguments: list[str]) -> None:
    if content is not None:
        (empty.folder / name).write_bytes(content)
    done = empty.run("init", name, *arguments)
    assert done.code == ExitCode.USAGE
    assert "Traceback" not in done.err
    assert not (empty.folder / "dlpu.toml").exists()


# plan and render ------------------------------------------------------------------------------------------------


def test_plan_says_what_is_cached(tool: Tool) -> None:
    assert [re.split("  +", line)[4] for line in tool.run("plan").out.splitlines()] == [
        "status",
        "to run",
        "after others",
    ]
    tool.run("build")
    assert [re.split("  +", line)[4] for line in tool.run("plan").out.splitlines()] == ["status", "cached", "cached"]


def test_plan_is_json_mermaid_dot_and_shell(tool: Tool) -> None:
    told = rows(tool.run("plan", "--format", "json"))
    assert [(step["name"], step["status"]) for step in told["steps"]] == [
        ("import", "to run"),
        ("finish", "after others"),
    ]
    assert tool.run("plan", "--format", "mermaid").out.startswith("flowchart LR\n")
    assert tool.run("plan", "--format", "dot").out.startswith("digraph plan {\n")
    assert tool.run("plan", "--format", "shell").out.startswith("#!/bin/sh\n")
    assert tool.run("plan", "--format", "svg").code == ExitCode.USAGE


def by_hand(*command: str | Path, cwd: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "PYTHON": sys.executable}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_plan_as_shell_script_makes_the_same_model(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "plan.sh").write_text(tool.run("plan", "--format", "shell").out)
    place = tmp_path / "by hand"
    place.mkdir()
    by_hand("sh", tmp_path / "plan.sh", cwd=place)
    tool.run("build")
    built = tool.folder / "dist/toy-1.0.0-fake/model/model.tflite"
    assert (place / "dlpu-steps/finish/out/model.tflite").read_bytes() == built.read_bytes()


def test_rendered_steps_run_by_hand(tool: Tool, tmp_path: Path) -> None:
    done = tool.run("render", tmp_path / "steps")
    folders = [Path(line) for line in done.out.splitlines()]
    assert [folder.name for folder in folders] == ["import", "finish"]
    for folder in folders:
        by_hand(folder / "run", cwd=tmp_path)
    tool.run("build")
    built = tool.folder / "dist/toy-1.0.0-fake/model/model.tflite"
    assert (folders[-1] / "out/model.tflite").read_bytes() == built.read_bytes()


def test_one_step_is_rendered_with_what_it_needs(tool: Tool, tmp_path: Path) -> None:
    done = tool.run("render", tmp_path / "steps", "--step", "import")
    assert [Path(line).name for line in done.out.splitlines()] == ["import"]
    assert tool.run("render", tool.folder / "model").code == ExitCode.STEP_FAILED
    assert (tool.folder / "model/toy.keras").is_file()


# lock -----------------------------------------------------------------------------------------------------------


def test_a_locked_build_refuses_what_is_not_what_was_locked(tool: Tool) -> None:
    written = tool.run("lock")
    assert written.code == 0
    assert "model: new -> sha256:" in written.out
    assert tool.run("lock").out.endswith("nothing changed\n")
    assert tool.run("build", "--locked").code == 0
    model = tool.folder / "model/toy.keras"
    model.write_bytes(model.read_bytes() + b"\0")
    done = tool.run("build", "--locked")
    assert done.code == ExitCode.OUT_OF_DATE
    assert "model: locked sha256:" in done.err
    assert "toolchain.tf2" not in done.err
    assert tool.run("build").code == 0
    assert "model: sha256:" in tool.run("lock").out
    assert tool.run("build", "--locked").code == 0


# clean ----------------------------------------------------------------------------------------------------------


def test_clean_removes_what_builds_made_and_nothing_else(tool: Tool) -> None:
    tool.run("build")
    mine = tool.folder / "dist" / "notes.txt"
    mine.write_text("mine")
    shown = tool.run("clean", "--dry-run")
    assert "would remove" in shown.out
    assert tool.packages() == ["toy-1.0.0-fake.tar.gz"]
    done = tool.run("clean")
    assert done.code == 0
    assert done.out == shown.out.replace("would remove", "removed")
    assert [path.name for path in (tool.folder / "dist").iterdir() if not path.name.startswith(".")] == ["notes.txt"]
    assert tool.run("clean").out.startswith("nothing to remove")
    assert "1 package built: 0 steps ran" in tool.run("build").out


# config ---------------------------------------------------------------------------------------------------------


def test_config_says_where_each_value_comes_from(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLPU_JOBS", "3")
    told = {row["path"]: row for row in rows(tool.run("config", "--json"))}
    assert told["project.name"] == {"path": "project.name", "value": "toy", "source": "manifest dlpu.toml:4"}
    assert (told["jobs"]["value"], told["jobs"]["source"]) == ("3", "environment DLPU_JOBS")
    assert told["cache.dir"]["source"] == "environment DLPU_CACHE_DIR"
    assert told["output"] == {"path": "output", "value": "dist", "source": "default"}
    assert told["target.fake.quantization"]["value"] == "none"
    assert "environment DLPU_JOBS" in tool.run("config").out


# inspect and schema ---------------------------------------------------------------------------------------------


def test_inspect_shows_a_model_a_folder_and_an_archive_alike(tool: Tool) -> None:
    tool.run("build")
    base = Path("dist/toy-1.0.0-fake")
    told = [
        rows(tool.run("inspect", path, "--json"))
        for path in (base / "model/model.tflite", base, base.with_name("toy-1.0.0-fake.tar.gz"))
    ]
    assert told[0] == told[1] == told[2]
    assert told[0]["operator_counts"] == {"CONV_2D": 1, "FULLY_CONNECTED": 1}
    assert "CONV_2D" in tool.run("inspect", base).out


@pytest.mark.parametrize("content", [None, b"", b"TFL3 but no model"])
def test_inspect_tells_what_is_not_a_model(empty: Tool, content: bytes | None) -> None:
    if content is not None:
        (empty.folder / "m.tflite").write_bytes(content)
    done = empty.run("inspect", "m.tflite")
    assert done.code not in (0, ExitCode.INTERNAL)
    assert "m.tflite" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("name", ["dlpu", "model", "steps", "target"])
def test_schema_prints_what_its_help_names(empty: Tool, name: str) -> None:
    assert rows(empty.run("schema", name))["$schema"].startswith("https://json-schema.org/")
    assert name in empty.run("schema", "--help").out


def test_a_schema_that_is_not_there_is_told_with_the_nearest(empty: Tool) -> None:
    done = empty.run("schema", "modle")
    assert done.code == ExitCode.USAGE
    assert 'did you mean "model"?' in done.err


# toolchain ------------------------------------------------------------------------------------------------------


def test_a_prepared_toolchain_is_listed_printed_and_removed(empty: Tool) -> None:
    row = next(row for row in rows(empty.run("toolchain", "list", "--json")) if row["name"] == "tf2")
    assert (row["name"], row["prepared"]) == ("tf2", True)
    printed = empty.run("toolchain", "prepare", "--print-python")
    assert printed.out == row["interpreter"] + "\n"
    assert "tf2" in empty.run("toolchain", "list").out
    assert empty.run("toolchain", "remove", "tf2").code == 0
    assert not Path(row["folder"]).exists()
    assert empty.run("toolchain", "remove", "tf2").out == "tf2: was not prepared\n"
    assert rows(empty.run("toolchain", "list", "--json"))[0]["prepared"] is False


def test_a_toolchain_that_is_not_known_is_told(empty: Tool) -> None:
    done = empty.run("toolchain", "prepare", "tf3")
    assert done.code == ExitCode.TOOLCHAIN_MISSING
    assert f"known toolchains: {', '.join(toolchain_names())}" in done.err


# cache ----------------------------------------------------------------------------------------------------------


def test_the_cache_is_looked_at_checked_shrunk_and_emptied(tool: Tool) -> None:
    nothing = rows(tool.run("cache", "info", "--json"))
    assert (nothing["blobs"], nothing["folder"]) == (0, str(tool.cache))
    tool.run("build")
    assert rows(tool.run("cache", "info", "--json"))["results"] == 2
    assert "action results" in tool.run("cache", "info").out
    assert tool.run("cache", "verify").code == 0
    assert tool.run("cache", "gc", "--budget", "1kB").code == 0
    assert tool.run("cache", "gc", "--budget", "little").code == ExitCode.USAGE
    tool.run("build")
    assert tool.run("cache", "clear").code == 0
    assert rows(tool.run("cache", "info", "--json"))["blobs"] == 0
    with closing(sqlite3.connect(tool.cache / "memo.sqlite3")) as memo:
        assert [memo.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("files", "facts")] == [(0,)] * 2


def test_damage_in_the_cache_is_removed_and_told_by_the_exit_code(tool: Tool) -> None:
    tool.run("build")
    blob = next(iter((tool.cache / "cas").glob("*/*")))
    blob.chmod(0o644)
    blob.write_bytes(bytes(blob.stat().st_size))
    done = tool.run("cache", "verify")
    assert done.code == ExitCode.OUT_OF_DATE
    assert not blob.exists()
    assert tool.run("cache", "verify").code == 0


# doctor ---------------------------------------------------------------------------------------------------------


def test_the_doctor_finds_what_a_build_needs(empty: Tool) -> None:
    found = {row["topic"]: row["state"] for row in rows(empty.run("doctor", "--json"))}
    assert found["cache"] in ("ok", "note")
    assert found["uv"] == "ok"
    assert found["toolchain tf2"] == "ok"
    assert found["target artpec8"] == "ok"
    assert found["target cv25"] == "ok"
    # Nobody can prepare it but the user, and most need it not.
    assert found["toolchain ambarella"] == "note"
    assert "toolchain tf2" in empty.run("doctor").out


def test_the_doctor_says_what_to_do_about_what_is_missing(empty: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(empty.cache / "toolchains")
    (empty.folder / "file").write_text("")
    monkeypatch.setenv("DLPU_CACHE_DIR", str(empty.folder / "file" / "cache"))
    done = empty.run("doctor", "--json")
    assert done.code == ExitCode.TOOLCHAIN_MISSING
    told = {row["topic"]: row for row in json.loads(done.out)}
    assert told["cache"]["state"] == "missing"
    assert "DLPU_CACHE_DIR" in told["cache"]["todo"]
    assert "toolchain prepare tf2" in told["toolchain tf2"]["todo"]


def test_an_environment_that_is_broken_is_found(empty: Tool) -> None:
    (python,) = (empty.cache / "toolchains").glob("*/bin/python")
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    told = {row["topic"]: row for row in json.loads(empty.run("doctor", "--json").out)}
    assert told["toolchain tf2"]["state"] == "missing"


# several SoCs ---------------------------------------------------------------------------------------------------


def test_a_script_that_changed_runs_again_and_no_other(empty: Tool) -> None:
    write_project(empty.folder, socs=["fake", "two"])
    assert empty.run("build").code == 0
    (empty.folder / "templates/two/convert.py").write_text(CONVERT + "# changed\n")
    steps = json.loads(empty.run("build", "--json").out)["steps"]
    # What import makes is the same as before, so finish has nothing new to do.
    assert {step["name"]: step["state"] for step in steps} == {
        "import:fake": "cached",
        "finish:fake": "cached",
        "import:two": "ran",
        "finish:two": "cached",
    }
