"""The report of a build, from the command line: written, kept, shown again, copied, removed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from dlpubuild.errors import ExitCode
from dlpubuild.resources import schema_path
from tests.factories.fake_project import write_project
from tests.unit.commands.conftest import user_environ

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Tool

FAILING = "import sys\nprint('why <b>it</b> failed', file=sys.stderr)\nsys.exit(3)\n"
NAMES = ["toy-1.0.0-report.html", "toy-1.0.0-report.json", "toy-1.0.0-report.md"]


def reports(tool: Tool) -> list[str]:
    return sorted(path.name for path in tool.folder.glob("dist/[!.]*-report.*"))


def document(tool: Tool) -> dict[str, Any]:
    """The report that lies beside the packages; it is as the schema wants it."""
    told: dict[str, Any] = json.loads((tool.folder / "dist" / NAMES[1]).read_text("utf-8"))
    schema = json.loads(schema_path("report").read_text("utf-8"))
    assert [each.message for each in Draft202012Validator(schema).iter_errors(told)] == []
    return told


def modified(tool: Tool) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in tool.folder.glob("dist/*-report.*")}


def test_a_build_leaves_a_report_and_names_it_last(tool: Tool) -> None:
    done = tool.run("build")
    assert done.code == 0, done.err
    assert reports(tool) == NAMES
    assert done.out.splitlines()[-1] == "report: dist/toy-1.0.0-report.html"
    told = document(tool)
    assert [(each["name"], each["state"]) for each in told["plan"]["steps"]] == [("import", "ran"), ("finish", "ran")]
    assert told["plan"]["steps"][1]["needs"] == [told["plan"]["steps"][0]["key"]]
    (target,) = told["targets"]
    archive = tool.folder / "dist/toy-1.0.0-fake.tar.gz"
    assert target["packages"] == [
        {
            "file": archive.name,
            "bytes": archive.stat().st_size,
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        }
    ]
    assert [each["name"] for each in target["operators"]] == ["CONV_2D", "FULLY_CONNECTED"]
    manifest = (tool.folder / "dlpu.toml").read_bytes()
    inputs = {each["kind"]: each for each in told["provenance"]["inputs"]}
    assert inputs["manifest"]["sha256"] == hashlib.sha256(manifest).hexdigest()
    assert inputs["manifest"]["bytes"] == len(manifest)
    assert inputs["model"]["name"] == "model/toy.keras"


def test_the_json_of_a_build_names_the_report(tool: Tool) -> None:
    told = json.loads(tool.run("build", "--json").out)
    dist = tool.folder / "dist"
    assert told["report"] == {
        "json": str(dist / NAMES[1]),
        "html": str(dist / NAMES[0]),
        "markdown": str(dist / NAMES[2]),
        "written": True,
    }
    assert json.loads(tool.run("build", "--json").out)["report"]["written"] is False


def test_a_build_with_nothing_to_do_leaves_the_report_as_it_is(tool: Tool) -> None:
    tool.run("build")
    before = modified(tool)
    again = tool.run("build")
    assert "nothing had to run" in again.out
    assert modified(tool) == before
    assert document(tool)["plan"]["steps"][0]["state"] == "ran", "it tells of the build that made the packages"


def test_a_report_that_was_changed_or_removed_is_made_again(tool: Tool) -> None:
    tool.run("build")
    page = (tool.folder / "dist" / NAMES[0]).read_bytes()
    (tool.folder / "dist" / NAMES[0]).write_text("mine")
    assert tool.run("build").code == 0
    assert b"toy" in page
    assert b"toy" in (tool.folder / "dist" / NAMES[0]).read_bytes()
    (tool.folder / "dist" / NAMES[2]).unlink()
    assert tool.run("build").code == 0
    assert reports(tool) == NAMES


def test_where_only_the_manifest_says_something_else_the_report_is_new(tool: Tool) -> None:
    tool.run("build")
    first = document(tool)["project"]["manifest_sha256"]
    manifest = tool.folder / "dlpu.toml"
    manifest.write_text(manifest.read_text() + "# a comment\n")
    again = tool.run("build")
    assert "nothing had to run" in again.out
    assert document(tool)["project"]["manifest_sha256"] != first


def test_a_failed_build_tells_why_in_its_report(empty: Tool) -> None:
    write_project(empty.folder, socs=["fake", "two"], scripts={"finish.py": FAILING})
    done = empty.run("build", "--jobs", "1")
    assert done.code == ExitCode.STEP_FAILED
    told = document(empty)
    assert told["ok"] is False
    steps = {each["name"]: each["state"] for each in told["plan"]["steps"]}
    assert steps == {"import:fake": "ran", "finish:fake": "failed", "import:two": "skipped", "finish:two": "skipped"}
    first, second = told["targets"]
    assert (first["state"], first["error"]["code"]) == ("failed", "step-failed")
    assert "exit code 3" in first["error"]["message"]
    assert (second["state"], second["error"]) == ("skipped", None)
    assert first["model"] is None
    assert done.out.splitlines()[-1] == "report: dist/toy-1.0.0-report.html"


def test_a_build_that_cannot_begin_leaves_none(tool: Tool) -> None:
    assert tool.run("build", "--target", "nothing").code == ExitCode.USAGE
    assert not (tool.folder / "dist").exists()


def test_a_build_whose_toolchain_is_missing_tells_so_for_every_target(
    empty: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(empty.folder, socs=["fake", "two"])
    shutil.rmtree(empty.cache / "toolchains")
    monkeypatch.setenv("UV_CACHE_DIR", str(empty.folder / "no cache"))
    done = empty.run("build", "--offline")
    assert done.code == ExitCode.TOOLCHAIN_MISSING
    assert document(empty)["ok"] is False
    assert any(each["error"] is not None for each in document(empty)["targets"])


def test_no_report_is_left_where_none_is_wanted_or_only_a_step_runs(tool: Tool) -> None:
    done = tool.run("build", "--no-report")
    assert done.code == 0
    assert "report:" not in done.out
    assert reports(tool) == []
    assert tool.run("build", "--step", "import").code == 0
    assert reports(tool) == []
    assert json.loads(tool.run("build", "--no-report", "--json").out)["report"] is None


def test_a_report_goes_to_other_files_as_well(tool: Tool) -> None:
    done = tool.run("build", "--report", "out/model.html", "--report", tool.folder / "x.json")
    assert done.code == 0, done.err
    assert (tool.folder / "out/model.html").read_bytes() == (tool.folder / "dist" / NAMES[0]).read_bytes()
    assert (tool.folder / "x.json").read_bytes() == (tool.folder / "dist" / NAMES[1]).read_bytes()
    before = modified(tool)
    (tool.folder / "x.json").unlink()
    assert tool.run("build", "--report", "x.json").code == 0
    assert (tool.folder / "x.json").read_bytes() == (tool.folder / "dist" / NAMES[1]).read_bytes()
    assert modified(tool) == before


def test_a_report_can_go_to_another_file_alone(tool: Tool) -> None:
    assert tool.run("build", "--no-report", "--report", "only.md").code == 0
    assert "toy" in (tool.folder / "only.md").read_text("utf-8")
    assert reports(tool) == []


def test_a_suffix_that_says_no_form_is_refused_before_anything_runs(tool: Tool) -> None:
    done = tool.run("build", "--report", "report.pdf")
    assert done.code == ExitCode.USAGE
    assert ".html, a .json or a .md" in done.err
    assert not (tool.folder / "dist").exists()


def test_a_report_that_cannot_be_written_fails_the_build_but_not_its_packages(tool: Tool) -> None:
    (tool.folder / "dist" / NAMES[0]).mkdir(parents=True)
    done = tool.run("build")
    assert done.code == ExitCode.STEP_FAILED
    assert NAMES[0] in done.err
    assert "Traceback" not in done.err
    assert tool.packages() == ["toy-1.0.0-fake.tar.gz"]
    shutil.rmtree(tool.folder / "dist" / NAMES[0])
    elsewhere = tool.run("build", "--report", "dlpu.toml/x.html")
    assert elsewhere.code == ExitCode.STEP_FAILED
    assert "dlpu.toml/x.html" in elsewhere.err


def test_an_soc_called_report_is_in_nobodys_way(empty: Tool) -> None:
    write_project(empty.folder, socs=["report"])
    assert empty.run("build").code == 0
    assert empty.packages() == ["toy-1.0.0-report.tar.gz"]
    assert reports(empty) == [*NAMES, "toy-1.0.0-report.tar.gz"]
    assert (empty.folder / "dist/toy-1.0.0-report/model.json").is_file()
    assert "nothing had to run" in empty.run("build").out
    assert json.loads(empty.run("report", "--json").out) == document(empty)
    assert empty.run("clean").code == 0
    assert [path.name for path in (empty.folder / "dist").iterdir()] == [".dlpubuild.lock"]


def test_clean_takes_reports_along(tool: Tool) -> None:
    tool.run("build")
    assert tool.run("clean").code == 0
    assert [path.name for path in (tool.folder / "dist").iterdir()] == [".dlpubuild.lock"]


def test_the_last_report_is_shown_as_text_json_markdown_and_html(tool: Tool) -> None:
    tool.run("build")
    dist = tool.folder / "dist"
    text = tool.run("report")
    assert text.code == 0, text.err
    assert "toy 1.0.0" in text.out
    assert "fake" in text.out
    assert json.loads(tool.run("report", "--json").out) == document(tool)
    assert tool.run("report", "--markdown").out == (dist / NAMES[2]).read_text("utf-8")
    assert tool.run("report", "--html", "-").out == (dist / NAMES[0]).read_text("utf-8")
    assert tool.run("report", "dist", "--html", "x.html").code == 0
    assert (tool.folder / "x.html").read_bytes() == (dist / NAMES[0]).read_bytes()


def test_reports_are_looked_for_where_packages_are_written(tool: Tool) -> None:
    tool.run("build", "--output", "elsewhere")
    assert tool.run("report", "--output", "elsewhere").code == 0
    missing = tool.run("report")
    assert missing.code == ExitCode.USAGE
    assert "dlpubuild build" in missing.err


def test_a_package_is_shown_as_far_as_it_goes(tool: Tool) -> None:
    tool.run("build")
    for source in ("dist/toy-1.0.0-fake", "dist/toy-1.0.0-fake.tar.gz"):
        shown = tool.run("report", source)
        assert shown.code == 0, shown.err
        assert "toy 1.0.0" in shown.out
        assert "None" not in shown.out
        assert ">None<" not in tool.run("report", source, "--html", "-").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--markdown"],
        ["--json", "--html", "x.html"],
        ["nothing.json"],
        ["dlpu.toml"],
        ["model/toy.keras"],
        ["."],
        ["x.json", "--compare", "a.json", "b.json"],
        ["--compare", "a.json", "b.json"],
        ["-f", "none.toml"],
    ],
)
def test_what_cannot_be_shown_is_told(tool: Tool, arguments: list[str]) -> None:
    done = tool.run("report", *arguments)
    assert done.code == ExitCode.USAGE, done.err
    assert done.err
    assert "Traceback" not in done.err


def test_a_page_that_cannot_be_written_is_told(tool: Tool) -> None:
    tool.run("build")
    done = tool.run("report", "--html", "dlpu.toml/x.html")
    assert done.code == ExitCode.STEP_FAILED
    assert "Traceback" not in done.err


def test_what_changed_between_two_reports_is_told_in_every_form(tool: Tool) -> None:
    tool.run("build")
    shutil.copy(tool.folder / "dist" / NAMES[1], tool.folder / "old.json")
    manifest = tool.folder / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace('"1.0.0"', '"1.1.0"'))
    tool.run("build")
    new = Path("dist/toy-1.1.0-report.json")
    text = tool.run("report", "--compare", "old.json", new)
    assert text.code == 0, text.err
    assert "1.1.0" in text.out
    told = json.loads(tool.run("report", "--compare", "old.json", new, "--json").out)
    assert "1.1.0" in json.dumps(told)
    assert "1.1.0" in tool.run("report", "--compare", "old.json", new, "--markdown").out
    assert tool.run("report", "--compare", "old.json", new, "--html", "changes.html").code == 0
    assert "1.1.0" in (tool.folder / "changes.html").read_text("utf-8")
    bundles = tool.run("report", "--compare", "dist/toy-1.0.0-fake.tar.gz", "dist/toy-1.1.0-fake")
    assert bundles.code == 0, bundles.err


def test_a_build_with_nothing_to_do_makes_no_page(tool: Tool) -> None:
    assert tool.run("build").code == 0
    program = (
        "import sys\nfrom dlpubuild import cli\n"
        "code = cli.run(['build', '-q'])\n"
        "slow = {'jinja2', 'jsonschema', 'dlpubuild.report.html', 'dlpubuild.report.document_model'}\n"
        "print(sorted(slow & set(sys.modules)))\nsys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tool.folder,
        env=user_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
