"""Builds from manifest to packages, with steps that are small scripts."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ExitCode
from tests.factories.fake_project import CONVERT, STEPS, png, write_project
from tests.factories.processes import is_running, wait_until
from tests.factories.tflite_factory import encode, integer_model

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Tool

FAILING = "import sys\nprint('about to fail', flush=True)\nprint('why it failed', file=sys.stderr)\nsys.exit(3)\n"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tar.gz"))}


def states(told: str) -> dict[str, str]:
    return {step["name"]: step["state"] for step in json.loads(told)["steps"]}


def damage(cache: Path, content: bytes) -> None:
    """Change every blob with `content` in place, its size as before."""
    for blob in (cache / "cas").glob("*/*"):
        if blob.read_bytes() == content:
            blob.chmod(0o644)
            blob.write_bytes(b"\0" * len(content))


def test_a_build_makes_a_package_and_the_next_has_nothing_to_do(tool: Tool) -> None:
    first = tool.run("build")
    assert first.code == 0, first.err
    assert tool.packages() == ["toy-1.0.0-fake.tar.gz"]
    assert (tool.folder / "dist/toy-1.0.0-fake/model/model.tflite").is_file()
    assert "3 of 3 samples" in first.err
    assert "1 package built: 2 steps ran" in first.out
    before = {path: path.stat().st_mtime_ns for path in (tool.folder / "dist").rglob("*")}
    second = tool.run("build")
    assert second.code == 0
    assert "nothing had to run: 2 steps cached, 1 package unchanged" in second.out
    assert {path: path.stat().st_mtime_ns for path in (tool.folder / "dist").rglob("*")} == before


def test_the_same_project_elsewhere_gives_the_same_bytes_from_the_cache_and_without(tool: Tool, tmp_path: Path) -> None:
    assert tool.run("build").code == 0
    expected = digests(tool.folder / "dist")
    other = tmp_path / "elsewhere"
    shutil.copytree(tool.folder, other, ignore=shutil.ignore_patterns("dist"))
    cached = tool.run("build", "--json", "-f", other / "dlpu.toml")
    assert set(states(cached.out).values()) == {"cached"}
    assert digests(other / "dist") == expected
    assert tool.run("cache", "clear").code == 0
    shutil.rmtree(other / "dist")
    again = tool.run("build", "--json", "-f", other / "dlpu.toml")
    assert set(states(again.out).values()) == {"ran"}
    assert digests(other / "dist") == expected


def test_the_json_names_the_package(tool: Tool) -> None:
    done = tool.run("build", "--json")
    told = json.loads(done.out)
    assert done.err == ""
    assert told["ok"] is True
    (target,) = told["targets"]
    archive = Path(target["archive"])
    assert archive == tool.folder / "dist/toy-1.0.0-fake.tar.gz"
    assert target["archive_sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert target["operators"] == {"CONV_2D": 1, "FULLY_CONNECTED": 1}
    assert target["quantization"] == "none"


def test_quiet_says_nothing_where_all_goes_well(tool: Tool) -> None:
    done = tool.run("build", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_failed_step_is_told_with_its_log_and_nothing_is_packaged(empty: Tool) -> None:
    write_project(empty.folder, scripts={"finish.py": FAILING})
    done = empty.run("build")
    assert done.code == ExitCode.STEP_FAILED
    assert "step finish failed with exit code 3" in done.err
    assert "    | about to fail\n" in done.err
    assert "    | why it failed\n" in done.err
    assert "rerun it alone: dlpubuild build --step finish\n" in done.err
    assert "Traceback" not in done.err
    log = Path(next(line.split()[1] for line in done.err.splitlines() if line.startswith("  log: ")))
    assert log.is_relative_to(empty.cache / "logs")
    assert "why it failed" in log.read_text()
    assert "failed: 0 of 1 targets built" in done.out
    assert empty.packages() == []


def test_the_command_that_reruns_a_step_names_manifest_and_targets(empty: Tool) -> None:
    write_project(empty.folder / "a b", socs=["fake", "two"], scripts={"finish.py": FAILING})
    done = empty.run("build", "-f", "a b/dlpu.toml", "-t", "two")
    assert "dlpubuild build --manifest 'a b/dlpu.toml' --target two --step finish\n" in done.err


def test_keep_going_builds_what_can_be_built(empty: Tool) -> None:
    write_project(empty.folder, socs=["fake", "two", "soon"])
    (empty.folder / "templates/fake/finish.py").write_text(FAILING)
    target = empty.folder / "templates/soon/target.toml"
    target.write_text('not-yet = "its compiler"\n' + target.read_text())
    # It cannot be built yet, which is a fault of the manifest as long as it is asked for.
    assert empty.run("build").code == ExitCode.USAGE
    done = empty.run("build", "--keep-going", "--json")
    told = json.loads(done.out)
    assert done.code == ExitCode.STEP_FAILED
    assert {target["soc"]: target["state"] for target in told["targets"]} == {
        "soon": "failed",
        "fake": "failed",
        "two": "ran",
    }
    assert sorted(error["code"] for error in told["errors"]) == ["step-failed", "target-unavailable"]
    assert "soon" in done.err.lower()
    assert empty.packages() == ["toy-1.0.0-two.tar.gz"]


def test_a_step_can_be_asked_for_alone(tool: Tool) -> None:
    done = tool.run("build", "--step", "import")
    assert done.code == 0
    assert done.out.startswith("step import is done: 1 ran")
    assert not (tool.folder / "dist").exists()
    assert "1 step ran, 1 cached" in tool.run("build").out


def test_a_step_that_is_not_there_is_told_with_those_that_are(tool: Tool) -> None:
    done = tool.run("build", "--step", "quantise")
    assert done.code == ExitCode.USAGE
    assert "import, finish" in done.err


def test_a_model_that_is_not_what_the_soc_needs_fails_the_gate(empty: Tool) -> None:
    channels = encode(integer_model(per_channel=True, io="uint8"))
    (empty.folder / "channels.tflite").write_bytes(channels)
    script = (
        f"import shutil\nshutil.copy({str(empty.folder / 'channels.tflite')!r}, 'out/model.tflite')\n"
        "open('out/step.json', 'w').write('{}')\n"
    )
    write_project(empty.folder, scripts={"finish.py": script})
    done = empty.run("build")
    assert done.code == ExitCode.GATE_FAILED
    assert "Traceback" not in done.err
    assert empty.packages() == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--target", "fak"], ExitCode.USAGE),
        (["--target", "cpu"], ExitCode.NOTHING_SELECTED),
        (["--locked"], ExitCode.USAGE),
        (["--executor", "docker"], ExitCode.ENGINE_MISSING),
        (["--executor", "remote"], ExitCode.ENGINE_MISSING),
        (["--executor", "dokcer"], ExitCode.USAGE),
        (["-f", "none.toml"], ExitCode.USAGE),
        (["--output", "dlpu.toml"], ExitCode.STEP_FAILED),
    ],
)
def test_what_cannot_be_asked_for_is_told_and_counted(tool: Tool, arguments: list[str], code: ExitCode) -> None:
    done = tool.run("build", *arguments)
    assert done.code == code
    assert done.err
    assert "Traceback" not in done.err
    as_json = tool.run("build", "--json", *arguments)
    assert as_json.code == code
    assert json.loads(as_json.out)["ok"] is False


def test_without_its_toolchain_a_build_stops_and_says_once_what_to_do(
    empty: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(empty.folder, socs=["fake", "two"])
    shutil.rmtree(empty.cache / "toolchains")
    monkeypatch.setenv("UV_CACHE_DIR", str(empty.folder / "no cache"))
    done = empty.run("build", "--offline", "--jobs", "4", "--keep-going")
    assert done.code == ExitCode.TOOLCHAIN_MISSING
    assert len([line for line in done.err.splitlines() if line.startswith("error:")]) == 1
    assert "dlpubuild toolchain prepare tf2" in done.err
    assert "Traceback" not in done.err


def test_a_damaged_result_is_made_again(tool: Tool) -> None:
    assert tool.run("build").code == 0
    expected = digests(tool.folder / "dist")
    damage(tool.cache, (tool.folder / "dist/toy-1.0.0-fake/model/model.tflite").read_bytes())
    shutil.rmtree(tool.folder / "dist")
    done = tool.run("build", "--json")
    assert done.code == 0, done.err
    # Both steps leave the same bytes, so what the first makes again is there for the second.
    assert states(done.out) == {"import": "ran", "finish": "cached"}
    assert digests(tool.folder / "dist") == expected


def test_a_cache_that_cannot_be_written_is_told(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    (tool.folder / "file").write_text("")
    monkeypatch.setenv("DLPU_CACHE_DIR", str(tool.folder / "file"))
    done = tool.run("build")
    assert done.code == ExitCode.STEP_FAILED
    assert "DLPU_CACHE_DIR" in done.err
    assert "Traceback" not in done.err


def test_old_logs_are_pruned(tool: Tool) -> None:
    logs = tool.cache / "logs"
    logs.mkdir()
    for number in range(420):
        (logs / f"old-{number:03}.log").touch()
        os.utime(logs / f"old-{number:03}.log", (number, number))
    assert tool.run("build").code == 0
    kept = sorted(path.name for path in logs.iterdir())
    assert "old-019.log" not in kept
    assert "old-020.log" in kept
    assert len(kept) == 402


def test_the_budget_of_the_cache_is_kept_after_a_build(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLPU_CACHE_BUDGET", "1kB")
    assert tool.run("build").code == 0
    held = json.loads(tool.run("cache", "info", "--json").out)
    assert held["blob_bytes"] + held["result_bytes"] <= 1000


def test_a_project_without_a_home_for_its_cache_is_told(tool: Tool) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("HOME", "DLPU_CACHE_DIR")}
    prefix = ["env", "-i", f"PATH={environ['PATH']}", f"PYTHONPATH={Path(__file__).parents[3]}"]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        prefix = ["setpriv", "--reuid", "4242", *prefix]
    else:
        pytest.skip("a user whom the system does not know needs root and setpriv")
    done = tool.spawn("cache", "info", prefix=prefix)
    if "ermission" in done.err and "Traceback" not in done.err:
        pytest.skip("the interpreter cannot be run by another user")
    assert done.code == ExitCode.USAGE, done.err
    assert "DLPU_CACHE_DIR" in done.err


def hold(folder: Path) -> str:
    """A `finish.py` that waits as long as there is a file `hold`, and says by a file `pid` that it does."""
    return (
        "import os, shutil, time\n"
        f"with open({str(folder / 'pid')!r}, 'w') as stream:\n    stream.write('%d\\n' % os.getpid())\n"
        f"while os.path.exists({str(folder / 'hold')!r}):\n    time.sleep(0.02)\n"
        "shutil.copyfile('in/model.tflite', 'out/model.tflite')\nopen('out/step.json', 'w').write('{}')\n"
    )


@pytest.fixture
def held(empty: Tool) -> Tool:
    """A project whose second step waits for the file `hold` to go."""
    write_project(empty.folder, scripts={"finish.py": hold(empty.folder)})
    (empty.folder / "hold").touch()
    return empty


def wait_for_step(tool: Tool) -> int:
    path = tool.folder / "pid"
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), "the running step")
    return int(path.read_text())


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_build_stops_its_steps_and_goes_on_later(held: Tool, name: str) -> None:
    process = held.start("build")
    pid = wait_for_step(held)
    started_s = time.monotonic()
    process.send_signal(getattr(signal, name))
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED, err
    assert time.monotonic() - started_s < 10
    assert err.endswith("interrupted; what is done stays in the cache\n")
    assert "Traceback" not in err
    assert out == ""
    assert not is_running(pid)
    left = sorted(path.name for path in (held.folder / "dist").iterdir() if not path.name.startswith("."))
    assert left == ["toy-1.0.0-report.html", "toy-1.0.0-report.json", "toy-1.0.0-report.md"]
    told = json.loads((held.folder / "dist/toy-1.0.0-report.json").read_text())
    assert {step["name"]: step["state"] for step in told["plan"]["steps"]} == {"import": "ran", "finish": "pending"}
    assert [(each["state"], each["error"]["code"]) for each in told["targets"]] == [("failed", "interrupted")]
    assert list((held.cache / "scratch").iterdir()) == []
    assert list((held.cache / "running").iterdir()) == []
    (held.folder / "hold").unlink()
    later = held.run("build", "--json")
    assert later.code == 0, later.err
    assert states(later.out) == {"import": "cached", "finish": "ran"}


def test_a_killed_build_takes_its_step_along_and_is_swept(held: Tool) -> None:
    process = held.start("build")
    pid = wait_for_step(held)
    process.kill()
    process.communicate()
    wait_until(lambda: not is_running(pid), "the end of the step")
    assert list((held.cache / "scratch").iterdir()) != []
    (held.folder / "hold").unlink()
    assert held.run("build").code == 0
    assert list((held.cache / "scratch").iterdir()) == []


def test_two_builds_at_once_do_the_work_once(held: Tool) -> None:
    first = held.start("build", "--json")
    wait_for_step(held)
    second = held.start("build", "--json")
    time.sleep(0.3)
    (held.folder / "hold").unlink()
    ended = [process.communicate(timeout=30) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], ended
    assert [states(out) for out, _ in ended] == [
        {"import": "ran", "finish": "ran"},
        {"import": "cached", "finish": "cached"},
    ]
    assert held.packages() == ["toy-1.0.0-fake.tar.gz"]


def test_progress_on_a_closed_pipe_does_not_stop_a_build(held: Tool) -> None:
    process = held.start("build", "--quiet")
    wait_for_step(held)
    assert process.stderr is not None
    process.stderr.close()
    (held.folder / "hold").unlink()
    assert process.wait(30) == 0
    assert process.stdout is not None
    process.stdout.close()
    assert held.packages() == ["toy-1.0.0-fake.tar.gz"]


def test_a_read_only_project_is_told_and_builds_into_another_folder(tool: Tool, tmp_path: Path) -> None:
    prefix: list[str] = []
    if os.geteuid() == 0:
        # Modes do not stop root: a mount does.
        script = f"mount --bind '{tool.folder}' '{tool.folder}' && mount -o remount,ro,bind '{tool.folder}' && "
        prefix = ["unshare", "--mount", "sh", "-c", script + 'cd "$PWD" && exec "$@"', "sh"]
        if shutil.which("unshare") is None or tool.spawn("--version", prefix=prefix).code != 0:
            pytest.skip("a read-only mount cannot be made here")
    else:
        tool.folder.chmod(0o555)
    refused = tool.spawn("build", prefix=prefix)
    assert refused.code == ExitCode.STEP_FAILED, refused.err
    assert "--output" in refused.err
    assert "Traceback" not in refused.err
    done = tool.spawn("build", "--output", tmp_path / "packages", prefix=prefix)
    assert done.code == 0, done.err
    assert [path.name for path in (tmp_path / "packages").glob("*.tar.gz")] == ["toy-1.0.0-fake.tar.gz"]
    if not prefix:
        tool.folder.chmod(0o755)


def test_calibration_images_reach_the_step_in_their_order(empty: Tool) -> None:
    steps = STEPS.replace(
        'inputs = { {{ model.staged }} = "@model" }',
        'inputs = { {{ model.staged }} = "@model", "in/data" = "@calibration" }',
    ).replace("model = {{ model.staged }}\n", "model = {{ model.staged }}\ndata = {{ calibration.data }}\n")
    check = "import json, os, sys\nparams = json.load(open(sys.argv[1]))\n"
    check += "assert params['data']['files'] == ['in/data/' + n for n in sorted(os.listdir('in/data'))], params\n"
    manifest = '\n[calibration]\ndata = "images"\nsamples = 5\n'
    write_project(empty.folder, steps=steps, scripts={"convert.py": check + CONVERT}, manifest=manifest)
    toml = empty.folder / "dlpu.toml"
    toml.write_text(toml.read_text().replace("[target.fake]\n", '[target.fake]\nquantization = "per-tensor"\n'))
    (empty.folder / "images").mkdir()
    for number in range(8):
        (empty.folder / "images" / f"{number}.png").write_bytes(png(number))
    done = empty.run("build", "--step", "import")
    assert done.code == 0, done.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_at_any_moment_leaves_nothing_half_made(tool: Tool, name: str) -> None:
    for milliseconds in range(150, 800, 25):
        tool.run("cache", "clear")
        shutil.rmtree(tool.folder / "dist", ignore_errors=True)
        process = tool.start("build")
        time.sleep(milliseconds / 1000)
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=30)
        # Before the handler is there SIGTERM does what it does to any program, and CPython ends by SIGINT where that
        # came while it ran `exec`, as dataclasses do when they are imported (a shell calls both 130).
        # On a busy machine the interpreter itself may still be starting, and ends before any line of ours has run.
        was_starting = process.returncode == 1 and "KeyboardInterrupt" in err and "/dlpubuild/" not in err
        assert was_starting or process.returncode in (0, ExitCode.INTERRUPTED, -signal.SIGTERM, -signal.SIGINT), err
        assert process.returncode != ExitCode.INTERRUPTED or "Traceback" not in err
        leftovers = [path.name for path in (tool.folder / "dist").glob(".*.tmp-*")]
        scratch = [path.name for path in (tool.cache / "scratch").glob("*")]
        assert (leftovers, scratch) == ([], []), milliseconds
    assert tool.run("build").code == 0
