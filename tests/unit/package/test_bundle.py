from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.errors import ErrorCode, OutputError, StoreError
from dlpubuild.package.bundle import bundle_members, write_bundle
from dlpubuild.package.output_folder import temporary
from tests.unit.package.specs import COMPILED, MODEL_BYTES, make_spec, placeless_spec

if TYPE_CHECKING:
    from collections.abc import Mapping


BASE = "digits-1.0.0-artpec8"
PROJECT = Path(__file__).resolve().parents[3]
FILES = [
    "LICENSE",
    "README.md",
    "SHA256SUMS",
    "label/labels.txt",
    "manifest.json.fragment",
    "model.json",
    "model/model.tflite",
    "model/model_params.h",
]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run_write_once(out_dir: Path, *, cwd: Path, env: Mapping[str, str]) -> str:
    argv = [sys.executable, "-m", "tests.unit.package.write_once", str(out_dir)]
    everything = {**os.environ, "PYTHONPATH": str(PROJECT), **env}
    return subprocess.run(argv, cwd=cwd, env=everything, capture_output=True, text=True, check=True).stdout.strip()


def assert_sound(folder: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not installed")
    argv = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    checked = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_archive_is_pinned(tmp_path: Path) -> None:
    """Where this fails and the change is wanted, raise WRITER_VERSION: packages written before are out of date."""
    package = write_bundle(make_spec(tmp_path / "blob"), tmp_path / "dist")
    assert str(package.archive_digest) == "fe91c7b1faf157f066869bfd0dc0080c58b047e21966a52296cd4b10619b1e14/102428"


def test_the_members_are_those_of_the_design() -> None:
    members = bundle_members(placeless_spec())
    assert sorted(member.path for member in members) == FILES
    assert not any(member.executable for member in members)


def test_without_labels_there_is_no_labels_file() -> None:
    paths = [member.path for member in bundle_members(placeless_spec(labels=None))]
    assert sorted(paths) == [path for path in FILES if path != "label/labels.txt"]


def test_what_a_compiled_model_was_made_from_is_in_the_bundle(tmp_path: Path) -> None:
    source = tmp_path / "before"
    source.write_bytes(b"before")
    package = write_bundle(
        make_spec(tmp_path / "blob", compiled=replace(COMPILED, source_path=source)), tmp_path / "dist"
    )
    assert tree(package.folder)["model/model_uncompiled.tflite"] == b"before"
    assert sorted(file.path for file in package.files) == sorted([*FILES, "model/model_uncompiled.tflite"])
    assert_sound(package.folder)


def test_a_model_of_another_name_keeps_it() -> None:
    assert "model/model.bin" in {member.path for member in bundle_members(placeless_spec(model_file="model.bin"))}


def test_labels_are_ended_by_newlines() -> None:
    contents = {member.path: member.content for member in bundle_members(placeless_spec())}
    assert contents["label/labels.txt"] == "zero\none\ntvå\n".encode()


def test_a_folder_and_an_archive_of_it_are_written(tmp_path: Path) -> None:
    package = write_bundle(make_spec(tmp_path / "blob"), tmp_path / "dist")
    assert names(tmp_path / "dist") == [f".{BASE}.stamp.json", ".dlpubuild.lock", BASE, f"{BASE}.tar.gz"]
    assert package.folder == tmp_path / "dist" / BASE
    assert sorted(tree(package.folder)) == FILES
    assert tree(package.folder)["model/model.tflite"] == MODEL_BYTES
    assert [file.path for file in package.files] == FILES
    assert {file.path: file.digest for file in package.files} == {
        path: digest_bytes(data) for path, data in tree(package.folder).items()
    }
    assert package.archive_digest == digest_bytes(package.archive.read_bytes())
    assert package.size_bytes == package.archive.stat().st_size
    with tarfile.open(package.archive) as archive:
        contents = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}  # type: ignore[union-attr]
    assert contents == {f"{BASE}/{path}": data for path, data in tree(package.folder).items()}


def test_sha256sum_accepts_the_checksums(tmp_path: Path) -> None:
    assert_sound(write_bundle(make_spec(tmp_path / "blob"), tmp_path / "dist").folder)


def test_a_package_is_the_same_in_every_environment(tmp_path: Path) -> None:
    here = write_bundle(make_spec(tmp_path / "blob"), tmp_path / "här är dist")
    far = tmp_path / "far away"
    far.mkdir()
    umask = os.umask(0o077)
    try:
        env = {"TZ": "Pacific/Chatham", "PYTHONHASHSEED": "4711", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1"}
        there = run_write_once(Path("dist"), cwd=far, env=env)
    finally:
        os.umask(umask)
    assert there == str(here.archive_digest)
    assert tree(far / "dist" / BASE) == tree(here.folder)
    stamp = f".{BASE}.stamp.json"
    assert (far / "dist" / stamp).read_bytes() == (here.folder.parent / stamp).read_bytes()


def test_members_that_exist_in_any_order_on_disk_make_one_archive(tmp_path: Path) -> None:
    first = write_bundle(make_spec(tmp_path / "blob"), tmp_path / "dist")
    for path in sorted(first.folder.rglob("*"), reverse=True):
        if path.is_file():
            path.rename(path.with_name("moved"))
            path.with_name("moved").rename(path)
    assert write_bundle(make_spec(tmp_path / "blob"), tmp_path / "dist") == first


def test_a_new_package_replaces_the_old_one(tmp_path: Path) -> None:
    old = write_bundle(make_spec(tmp_path / "blob"), tmp_path / "dist")
    new = write_bundle(make_spec(tmp_path / "blob", labels=None), tmp_path / "dist")
    assert "label/labels.txt" not in tree(new.folder)
    assert (old.folder, old.archive) == (new.folder, new.archive)
    assert old.archive_digest != new.archive_digest == digest_bytes(new.archive.read_bytes())
    assert names(tmp_path / "dist") == [f".{BASE}.stamp.json", ".dlpubuild.lock", BASE, f"{BASE}.tar.gz"]


def test_packages_of_other_socs_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "notes.txt").write_text("mine")
    spec = make_spec(tmp_path / "blob")
    artpec9 = replace(spec.request, soc=replace(spec.request.soc, name="artpec9"))
    write_bundle(replace(spec, request=artpec9), tmp_path / "dist")
    write_bundle(spec, tmp_path / "dist")
    assert {"notes.txt", "digits-1.0.0-artpec9", BASE} < set(names(tmp_path / "dist"))


def test_a_folder_that_no_build_made_stops_the_write_and_stays(tmp_path: Path) -> None:
    (tmp_path / "dist" / BASE).mkdir(parents=True)
    (tmp_path / "dist" / BASE / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError) as caught:
        write_bundle(make_spec(tmp_path / "blob"), tmp_path / "dist")
    assert caught.value.code is ErrorCode.OUTPUT
    assert tree(tmp_path / "dist" / BASE) == {"thesis.txt": b"years of work"}
    assert names(tmp_path / "dist") == [".dlpubuild.lock", BASE]


def test_a_folder_in_the_place_of_the_archive_stops_the_write(tmp_path: Path) -> None:
    (tmp_path / "dist" / f"{BASE}.tar.gz").mkdir(parents=True)
    with pytest.raises(OutputError):
        write_bundle(make_spec(tmp_path / "blob"), tmp_path / "dist")
    assert not list((tmp_path / "dist").glob(".*.tmp-*"))


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_a_damaged_model_leaves_the_old_package_alone(tmp_path: Path, content: bytes | None) -> None:
    spec = make_spec(tmp_path / "blob")
    old = write_bundle(spec, tmp_path / "dist")
    before = tree(old.folder)
    (tmp_path / "blob").unlink()
    if content is not None:
        (tmp_path / "blob").write_bytes(content)
    with pytest.raises((StoreError, BlobMissingError)) as caught:
        write_bundle(spec, tmp_path / "dist")
    assert caught.value.code is ErrorCode.BLOB_MISSING
    assert tree(old.folder) == before
    assert not list((tmp_path / "dist").glob(".*.tmp-*"))


def test_what_a_killed_build_left_is_swept(tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    temporary(dist, BASE, "new").mkdir()
    temporary(dist, "digits-0.9.0-cpu", "archive").write_bytes(b"half")
    write_bundle(make_spec(tmp_path / "blob"), dist)
    assert names(dist) == [f".{BASE}.stamp.json", ".dlpubuild.lock", BASE, f"{BASE}.tar.gz"]


def test_a_full_disk_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.skip("unshare or mount is not installed")
    mount = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    tiny = 'mount -t tmpfs -o size=100k none "$1"'
    if subprocess.run([*mount, tiny, "sh", tmp_path], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no user namespace to mount a small disk in")
    script = f'{tiny} && "$2" -m tests.unit.package.write_once "$1/dist"; ls -A "$1/dist"'
    argv = [*mount, script, "sh", str(tmp_path), sys.executable]
    ran = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    first, *rest = ran.stdout.splitlines()
    assert first.startswith(f"OutputError output {tmp_path}/dist: "), ran.stderr
    assert "free some space there, or write elsewhere with `--output DIR`" in ran.stdout
    assert rest[-1] == ".dlpubuild.lock"


@pytest.mark.parametrize("delay_s", [0.0, 0.011, 0.023])
def test_a_build_that_is_killed_leaves_whole_packages(tmp_path: Path, delay_s: float) -> None:
    dist = tmp_path / "dist"
    argv = [sys.executable, "-m", "tests.unit.package.write_once", str(dist), "forever"]
    with subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            writer.wait(timeout=delay_s)
        except subprocess.TimeoutExpired:
            writer.kill()
    whole = dist / BASE if (dist / BASE).exists() else temporary(dist, BASE, "old")
    assert_sound(whole)
    with tarfile.open(dist / f"{BASE}.tar.gz") as archive:
        assert len(archive.getmembers()) == len(FILES) + 3
    package = write_bundle(make_spec(tmp_path / "blob"), dist)
    assert_sound(package.folder)
    assert not list(dist.glob(".*.tmp-*"))


def test_two_builds_at_once_leave_one_whole_package(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.unit.package.write_once", str(tmp_path / "dist")]
    writers = [subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {writer.communicate()[0].strip() for writer in writers}
    (digest,) = printed
    assert digest == str(digest_bytes((tmp_path / "dist" / f"{BASE}.tar.gz").read_bytes()))
    assert_sound(tmp_path / "dist" / BASE)


def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    class Interrupting(type(tmp_path)):  # type: ignore[misc]
        """A path whose file is interrupted while it is read."""

        def open(self, *_args: object, **_keywords: object) -> object:
            raise KeyboardInterrupt

    spec = make_spec(tmp_path / "blob")
    request = replace(spec.request, model_path=Interrupting(tmp_path / "blob"))
    with pytest.raises(KeyboardInterrupt):
        write_bundle(replace(spec, request=request), tmp_path / "dist")
    assert names(tmp_path / "dist") == [".dlpubuild.lock"]
