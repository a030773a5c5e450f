"""What must not break a build, or must break it with a clear word: odd images, odd models, full disks, signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import Tool

SOON_S = 60.0


def leftovers(project: Path) -> list[str]:
    """Half-written files in the output folder."""
    return sorted(path.name for path in project.glob("dist/.*.tmp-*"))


def processes_of(cache: Path) -> list[str]:
    """Command lines of processes that run in the scratch folders of a cache."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink().is_relative_to(cache):
                    found.append((entry / "cmdline").read_text())
            except OSError:
                continue
    return found


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, f"never saw: {what}"
        time.sleep(0.02)


def test_odd_images_calibrate(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    folder = project / "data/calibration"
    Image.new("RGB", (1, 1), (9, 9, 9)).save(folder / "one-pixel.png")
    Image.new("CMYK", (40, 30), (10, 200, 30, 4)).save(folder / "print.jpg")
    frames = [Image.new("P", (16, 16), color) for color in range(4)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("I;16", (20, 20), 40000).save(folder / "deep.png")
    (folder / "notes.txt").write_text("not an image, and not taken for one")
    samples = len(list(folder.iterdir()))
    manifest = project / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace("samples = 100", f"samples = {samples}"))
    built = tool.build(project, "--target", "artpec8")
    assert built["ok"]


def test_undecodable_images_are_named_and_counted(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    for name in ("b.jpg", "a.png"):
        (project / "data/calibration" / name).write_bytes(b"\xff\xd8\xff nothing")
    done = tool.run("check", cwd=project)
    assert done.code == 2
    assert "2 of" in done.err
    assert "data/calibration/a.png" in done.err
    assert "data/calibration/b.jpg" in done.err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x89HDF\r\n\x1a\n"])
def test_a_model_that_is_no_model_is_refused_with_a_word(
    tool: Tool, copy_example: Callable[[str], Path], content: bytes
) -> None:
    project = copy_example("digits")
    (project / "model/digits.keras").write_bytes(content)
    done = tool.run("build", cwd=project)
    assert done.code in (1, 2)
    assert "dlpu.toml:" in done.err
    assert "keras" in done.err.lower()
    assert "Traceback" not in done.err


def test_windows_line_ends_in_labels_do_not_reach_the_package(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    labels = project / "model/labels.txt"
    labels.write_bytes(labels.read_bytes().replace(b"\n", b"\r\n"))
    tool.build(project, "--target", "cpu")
    assert b"\r" not in (project / "dist/digits-1.0.0-cpu/label/labels.txt").read_bytes()


def test_a_wrong_number_of_labels_is_told_with_both_numbers(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    with (project / "model/labels.txt").open("a") as labels:
        labels.write("eleven\n")
    done = tool.run("build", cwd=project)
    assert done.code == 2
    assert "11 labels" in done.err
    assert "10" in done.err


SAVE_DYNAMIC = """
import sys, tensorflow as tf
class Net(tf.Module):
    def __init__(self):
        self.w = tf.Variable(tf.random.stateless_normal([3, 3, 3, 8], seed=[1, 2]))
    @tf.function
    def __call__(self, image):
        x = tf.nn.relu(tf.nn.conv2d(image, self.w, 2, "SAME"))
        return {"scores": tf.reduce_mean(x, [1, 2])}
net = Net()
for folder, shape in ((sys.argv[1], [None, 32, 32, 3]), (sys.argv[2], [None, None, None, 3])):
    tf.saved_model.save(net, folder, net.__call__.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="image")))
"""

DYNAMIC_MANIFEST = """schema = 1
[project]
name = "dynamic"
version = "1.0.0"
[model]
source = "{source}"
[[model.input]]
name = "image"
{shape}
mean = [0.0, 0.0, 0.0]
std = [255.0, 255.0, 255.0]
[calibration]
data = "images"
samples = 5
[target.artpec8]
[target.cpu]
"""


def test_saved_models_with_dynamic_sizes(tool: Tool, tmp_path: Path) -> None:
    project = tmp_path / "dynamic"
    (project / "images").mkdir(parents=True)
    for shade in range(5):
        Image.new("RGB", (50, 40), (shade * 50, 10, 200)).save(project / f"images/{shade}.png")
    batch, size = project / "batch", project / "size"
    subprocess.run([str(tool.python), "-c", SAVE_DYNAMIC, str(batch), str(size)], check=True, capture_output=True)
    manifest = project / "dlpu.toml"

    manifest.write_text(DYNAMIC_MANIFEST.format(source="batch", shape=""))
    assert tool.build(project)["ok"]

    manifest.write_text(DYNAMIC_MANIFEST.format(source="size", shape=""))
    refused = tool.run("build", cwd=project)
    assert refused.code == 2
    assert "dynamic dimensions" in refused.err

    manifest.write_text(DYNAMIC_MANIFEST.format(source="size", shape="shape = [1, 24, 48, 3]"))
    assert tool.build(project)["ok"]
    shown = tool.run("inspect", "dist/dynamic-1.0.0-artpec8.tar.gz", cwd=project)
    assert "1x24x48x3" in shown.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing_behind_and_goes_on_later(
    tool: Tool, copy_example: Callable[[str], Path], number: signal.Signals
) -> None:
    project = copy_example("digits")
    for delay_s in (0.2, 1.5):
        process = tool.start("build", cwd=project)
        wait_for(lambda: bool(processes_of(tool.cache)), "a running step")
        time.sleep(delay_s)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        if process.returncode == 0:
            break
        assert process.returncode == 130, err
        assert "Traceback" not in err
        assert processes_of(tool.cache) == []
        assert leftovers(project) == []
    assert tool.build(project)["ok"]


def test_a_killed_build_takes_its_steps_along_and_its_litter_is_swept(
    tool: Tool, copy_example: Callable[[str], Path]
) -> None:
    project = copy_example("digits")
    process = tool.start("build", cwd=project)
    wait_for(lambda: bool(processes_of(tool.cache)), "a running step")
    process.kill()
    process.communicate()
    wait_for(lambda: processes_of(tool.cache) == [], "the step's end")
    assert tool.build(project)["ok"]
    assert list((tool.cache / "scratch").iterdir()) == []
    assert list((tool.cache / "tmp").iterdir()) == []


def test_two_builds_of_one_project_at_once_do_the_work_once(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    both = [tool.start("build", "--json", cwd=project) for _ in range(2)]
    ended = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    steps = [step for out, _ in ended for step in json.loads(out)["steps"]]
    # Each of the four steps ran in one build, and the other found its result.
    assert sorted(step["state"] for step in steps) == ["cached"] * 4 + ["ran"] * 4
    assert leftovers(project) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_cache_disk_is_told_and_nothing_half_written_stays(
    tool: Tool, copy_example: Callable[[str], Path], small_disk: Path
) -> None:
    project = copy_example("digits")
    (small_disk / "toolchains").symlink_to((tool.cache / "toolchains").readlink())
    done = tool.run("build", cwd=project, DLPU_CACHE_DIR=str(small_disk))
    assert done.code == 1, done.err
    assert "Traceback" not in done.err
    assert "space" in done.err.lower()
    assert not list(small_disk.glob("tmp/*"))
    assert not list(small_disk.glob("scratch/*"))


def test_a_full_output_disk_is_told_and_nothing_half_written_stays(
    tool: Tool, copy_example: Callable[[str], Path], small_disk: Path
) -> None:
    project = copy_example("digits")
    (small_disk / "filler").write_bytes(bytes(660_000))
    done = tool.run("build", "--output", str(small_disk / "dist"), cwd=project)
    assert done.code == 1, done.err
    assert "Traceback" not in done.err
    assert "space" in done.err.lower()
    assert leftovers(small_disk) == []


def test_a_read_only_project_builds_into_another_folder(
    tool: Tool, copy_example: Callable[[str], Path], tmp_path: Path
) -> None:
    if os.geteuid() == 0 and shutil.which("unshare") is None:
        pytest.skip("root can write anywhere, and unshare is missing")
    project = copy_example("digits")
    for path in [project, *project.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    out = tmp_path / "packages"
    # Root ignores modes, so the folder is made read-only for real: a bind mount of our own.
    script = f"mount --bind '{project}' '{project}' && mount -o remount,ro,bind '{project}' && exec \"$@\""
    prefix = ["unshare", "--mount", "sh", "-c", script, "sh"] if os.geteuid() == 0 else []

    def build(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*prefix, *tool.command("build", *arguments)],
            cwd=project,
            env=dict(tool.environ),
            capture_output=True,
            text=True,
            check=False,
        )

    refused = build()
    assert refused.returncode == 1, refused.stderr
    assert "--output" in refused.stderr
    done = build("--output", str(out))
    assert done.returncode == 0, done.stderr
    assert len(list(out.glob("*.tar.gz"))) == 3


SAVE_LARGE = """
import sys, keras
inputs = keras.Input((32, 32, 3), name="image")
x = keras.layers.Flatten()(inputs)
x = keras.layers.Dense(16384, kernel_initializer=keras.initializers.RandomUniform(seed=1), name="wide")(x)
outputs = keras.layers.Dense(10, kernel_initializer=keras.initializers.RandomUniform(seed=2), name="probabilities")(x)
keras.Model(inputs, outputs).save(sys.argv[1])
"""


def test_a_200_mb_model_builds(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    model = project / "model/digits.keras"
    subprocess.run([str(tool.python), "-c", SAVE_LARGE, str(model)], check=True, capture_output=True)
    assert model.stat().st_size > 200_000_000
    built = tool.build(project, "--target", "artpec8", "--target", "cpu")
    sizes = {target["soc"]: target["model_bytes"] for target in built["targets"]}
    assert sizes["cpu"] > 200_000_000
    assert sizes["artpec8"] > 50_000_000


def test_a_damaged_blob_is_made_again(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    tool.build(project)
    shutil.rmtree(project / "dist")
    for blob in (tool.cache / "cas").glob("*/*"):
        data = bytearray(blob.read_bytes())
        if data[4:8] == b"TFL3":
            data[-1] ^= 0xFF
            blob.chmod(0o644)
            blob.write_bytes(data)
    built = tool.build(project)
    assert built["ok"]
    assert "ran" in {step["state"] for step in built["steps"]}


def test_offline_builds_work_once_the_toolchain_is_prepared(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("cutting the network off needs root and unshare")
    project = copy_example("digits")
    done = subprocess.run(
        ["unshare", "--net", *tool.command("build", "--offline")],
        cwd=project,
        env=dict(tool.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    nothing = {"DLPU_CACHE_DIR": str(project / "new-cache"), "UV_CACHE_DIR": str(project / "uv")}
    missing = tool.run("build", "--offline", cwd=project, **nothing)
    assert missing.code == 7, missing.err
    assert "toolchain prepare" in missing.err
