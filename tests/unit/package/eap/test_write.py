from __future__ import annotations

import gzip as zlib_gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.cas.digest import digest_bytes, digest_stream
from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.errors import ErrorCode, ManifestError, OutputError, StoreError
from dlpubuild.package.bundle import write_bundle
from dlpubuild.package.eap.check import sound_content
from dlpubuild.package.eap.compressor import Gzip, find_gzip
from dlpubuild.package.eap.stamp import current_eap, eap_key, stamped_eap
from dlpubuild.package.eap.write import write_eap
from dlpubuild.package.tar import TarFile, TarFolder, TarLink
from tests.engine_fixtures import not_available
from tests.unit.package.eap.requests import (
    EPOCH_S,
    ONE,
    TWO,
    eap_request,
    own_manifest,
    read_app,
    write_app,
)
from tests.unit.package.specs import make_spec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.cas.digest import Digest
    from dlpubuild.package.eap.members import EapContent
    from dlpubuild.package.eap.request import EapRequest

PROJECT = Path(__file__).resolve().parents[4]
NAME = "Digits_ARTPEC-8_1_0_0_aarch64.eap"
STAMP = ".digits-1.0.0-artpec8.eap.stamp.json"
LOCK = ".dlpubuild.lock"


@pytest.fixture(scope="session")
def gzip() -> Gzip:
    try:
        return find_gzip(os.environ.get("PATH"))
    except OutputError as error:
        not_available(error.message)


def stage(folder: Path, content: EapContent) -> Path:
    """Make a folder that holds what `content` does, with its modes."""
    for entry in sorted(content.entries, key=lambda each: each.path):
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        match entry:
            case TarFolder(mode=mode):
                path.mkdir(exist_ok=True)
                path.chmod(mode)
            case TarLink(target=target):
                path.symlink_to(target)
            case TarFile(member=member, mode=mode):
                path.write_bytes(member.content if isinstance(member.content, bytes) else member.content.read_bytes())
                path.chmod(mode)
    return folder


def acap_build_tar(folder: Path, names: Sequence[str]) -> bytes:
    """Return what GNU tar and GNU gzip make of a staging folder when called as acap-build calls them."""
    tar = shutil.which("tar")
    if tar is None or b"GNU tar" not in subprocess.run([tar, "--version"], capture_output=True, check=True).stdout:
        not_available("GNU tar is not installed")
    argv = [tar, "--exclude", "*~", "--file", "made.eap", "--format", "gnu", "--group", "0"]
    argv += ["--mtime", f"@{EPOCH_S}", "--owner", "0", "--sort", "name"]
    argv += ["--use-compress-program", "gzip --no-name -9", "--create", "--numeric-owner", "--exclude-vcs"]
    argv += [*names, "--verbose"]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    return (folder / "made.eap").read_bytes()


def listed(path: Path) -> list[str]:
    shown = subprocess.run(
        ["tar", "tvzf", str(path)], capture_output=True, check=True, text=True, env={**os.environ, "TZ": "UTC"}
    )
    return [" ".join(line.split()) for line in shown.stdout.splitlines()]


def visible(out_dir: Path) -> list[str]:
    return sorted(path.name for path in out_dir.iterdir() if path.name != LOCK)


def own_request(tmp_path: Path, **setup: Any) -> EapRequest:
    made = own_manifest(**setup)
    made["acapPackageConf"] |= {
        "installation": {"postInstallScript": "post install.sh".replace(" ", "")},
        "uninstallation": {"preUninstallScript": "bye.sh"},
        "configuration": {"httpConfig": [{"type": "fastCgi", "name": "x.cgi", "access": "viewer"}]},
    }
    folder = write_app(
        tmp_path / "app",
        {
            "manifest.json": json.dumps(made, indent=2),
            "postinstall.sh": "#!/bin/sh\n",
            "bye.sh": "#!/bin/sh\n",
            "model/anchors.bin": bytes(range(256)),
            "html/index.html": "<html/>",
            "html/.gitignore": "*",
            "html/a b/å.html": "å",
            "html.d": "x",
            "lib/libx.so.1": "so" * 5000,
            "lib/old.so~": "",
            "declarations/d.json": "{}",
            "assets/" + "n" * 120 + "/" + "m" * 90: "deep",
            ".git/HEAD": "ref",
        },
    )
    (folder / "empty").mkdir()
    (folder / "lib" / "libx.so").symlink_to("libx.so.1")
    (folder / "lib" / ("l" * 110)).symlink_to("./" * 60 + "libx.so.1")
    (folder / "assets" / ("n" * 120) / ("m" * 90)).chmod(0o700)
    return eap_request(tmp_path / "model", app=read_app(folder))


@pytest.mark.parametrize("acap", [ONE, TWO])
def test_the_test_application_is_byte_for_byte_what_tar_and_gzip_make(tmp_path: Path, gzip: Gzip, acap: Any) -> None:
    request = eap_request(tmp_path / "model", acap)
    written = write_eap(request, tmp_path / "dist", gzip=gzip)
    names = ["digits", "package.conf", "param.conf", "LICENSE", "manifest.json"]
    names += ["label/labels.txt", "model/model.tflite"]
    expected = acap_build_tar(stage(tmp_path / "staged", sound_content(request)), names)
    assert written.path.read_bytes() == expected
    assert written.digest == digest_bytes(expected)


def test_an_own_application_is_byte_for_byte_what_tar_and_gzip_make_of_its_folder(tmp_path: Path, gzip: Gzip) -> None:
    """Staged as acap-build stages it: the user's folder, version control and backups in it, and what is made added."""
    request = own_request(tmp_path)
    written = write_eap(request, tmp_path / "dist", gzip=gzip)
    content = sound_content(request)
    staged = tmp_path / "staged"
    shutil.copytree(tmp_path / "app", staged, symlinks=True)
    for path in staged.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    for entry in content.entries:
        if isinstance(entry, TarFile):
            path = staged / entry.path
            path.parent.mkdir(exist_ok=True)
            found = entry.member.content
            path.write_bytes(found if isinstance(found, bytes) else found.read_bytes())
            path.chmod(entry.mode)
    names = ["counter", "package.conf", "param.conf", "LICENSE", "manifest.json", "postinstall.sh"]
    names += ["assets", "empty", "html.d", "label/labels.txt", "model", "bye.sh"]
    names += ["html", "declarations", "lib", "cgi.conf"]
    assert list(content.names) == names
    assert written.path.read_bytes() == acap_build_tar(staged, names)


def test_tar_lists_the_documented_order_and_modes(tmp_path: Path, gzip: Gzip) -> None:
    written = write_eap(eap_request(tmp_path / "model"), tmp_path / "dist", gzip=gzip)
    rows = [line.split(" ") for line in listed(written.path)]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("-rwxr-xr-x", "0/0", "digits"),
        ("-rw-r--r--", "0/0", "package.conf"),
        ("-rw-r--r--", "0/0", "param.conf"),
        ("-rw-r--r--", "0/0", "LICENSE"),
        ("-rw-------", "0/0", "manifest.json"),
        ("-rw-r--r--", "0/0", "label/labels.txt"),
        ("-rw-r--r--", "0/0", "model/model.tflite"),
    ]
    assert {(row[3], row[4]) for row in rows} == {("2023-11-14", "22:13")}


def test_what_is_left_out_is_not_in_the_archive(tmp_path: Path, gzip: Gzip) -> None:
    written = write_eap(own_request(tmp_path), tmp_path / "dist", gzip=gzip)
    shown = "\n".join(listed(written.path))
    assert ".git" not in shown
    assert "~" not in shown
    assert "lib/libx.so -> libx.so.1" in shown


def run_once(out_dir: Path, *, cwd: Path, env: Mapping[str, str], umask: int) -> str:
    argv = [sys.executable, "-m", "tests.unit.package.eap.write_eap_once", str(out_dir)]
    everything = {**os.environ, "PYTHONPATH": str(PROJECT), **env}
    done = subprocess.run(argv, cwd=cwd, env=everything, capture_output=True, text=True, check=True, umask=umask)
    return done.stdout


@pytest.mark.usefixtures("gzip")
def test_the_bytes_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    """Folder, umask, time zone, locale, hash seed, and what a user gives gzip and tar for options."""
    usual = run_once(tmp_path / "a", cwd=tmp_path, env={}, umask=0o022)
    strange = {
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "7",
        "GZIP": "-1 --name",
        "TAR_OPTIONS": "--posix",
    }
    (tmp_path / "b").mkdir()
    other = run_once(tmp_path / "b" / "dist", cwd=tmp_path / "b", env=strange, umask=0o077)
    assert usual == other
    assert visible(tmp_path / "a") == visible(tmp_path / "b" / "dist")
    for name in visible(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / "dist" / name).read_bytes()


def test_the_file_and_its_stamp_are_all_that_is_left(tmp_path: Path, gzip: Gzip) -> None:
    written = write_eap(eap_request(tmp_path / "model"), tmp_path / "dist", gzip=gzip)
    assert written.path == tmp_path / "dist" / NAME
    assert visible(tmp_path / "dist") == [STAMP, NAME]
    assert stamped_eap(tmp_path / "dist" / STAMP) == written


def test_a_bundle_and_an_eap_live_in_one_folder(tmp_path: Path, gzip: Gzip) -> None:
    out_dir = tmp_path / "dist"
    package = write_bundle(make_spec(tmp_path / "model"), out_dir)
    written = write_eap(eap_request(tmp_path / "model"), out_dir, gzip=gzip)
    write_bundle(make_spec(tmp_path / "model"), out_dir)
    assert written.path.is_file()
    assert package.archive.is_file()


def test_an_eap_of_another_name_goes_when_the_same_target_is_packed_again(tmp_path: Path, gzip: Gzip) -> None:
    out_dir = tmp_path / "dist"
    request = eap_request(tmp_path / "model")
    first = write_eap(request, out_dir, gzip=gzip)
    second = write_eap(replace(request, acap=replace(TWO, friendly_name="Other")), out_dir, gzip=gzip)
    assert (first.path.exists(), second.path.exists()) == (False, True)


def test_an_eap_that_was_changed_since_is_kept(tmp_path: Path, gzip: Gzip) -> None:
    """Signing, for one, changes it."""
    out_dir = tmp_path / "dist"
    request = eap_request(tmp_path / "model")
    first = write_eap(request, out_dir, gzip=gzip)
    first.path.write_bytes(first.path.read_bytes() + b"signature")
    write_eap(replace(request, acap=replace(TWO, friendly_name="Other")), out_dir, gzip=gzip)
    assert first.path.exists()


def test_faults_stop_the_packing_before_anything_is_written(tmp_path: Path, gzip: Gzip) -> None:
    with pytest.raises(ManifestError) as caught:
        write_eap(eap_request(tmp_path / "model", vendor=None), tmp_path / "dist", gzip=gzip)
    assert [each.path for each in caught.value.problems] == ["project.vendor"]
    assert not (tmp_path / "dist").exists()


def test_a_model_that_is_not_what_its_digest_says_leaves_nothing(tmp_path: Path, gzip: Gzip) -> None:
    out_dir = tmp_path / "dist"
    with pytest.raises(StoreError) as caught:
        write_eap(eap_request(tmp_path / "model", model_digest=digest_bytes(b"genuine")), out_dir, gzip=gzip)
    assert caught.value.code is ErrorCode.BLOB_MISSING
    assert visible(out_dir) == []


def test_a_model_that_is_gone_leaves_the_old_package(tmp_path: Path, gzip: Gzip) -> None:
    out_dir = tmp_path / "dist"
    request = eap_request(tmp_path / "model")
    before = write_eap(request, out_dir, gzip=gzip).path.read_bytes()
    (tmp_path / "model").unlink()
    with pytest.raises(BlobMissingError):
        write_eap(request, out_dir, gzip=gzip)
    assert visible(out_dir) == [STAMP, NAME]
    assert (out_dir / NAME).read_bytes() == before


def test_a_folder_in_the_place_of_the_eap_is_not_replaced(tmp_path: Path, gzip: Gzip) -> None:
    (tmp_path / "dist" / NAME).mkdir(parents=True)
    with pytest.raises(OutputError):
        write_eap(eap_request(tmp_path / "model"), tmp_path / "dist", gzip=gzip)
    assert visible(tmp_path / "dist") == [NAME]


def program(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "gzip"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    full = Gzip(
        program=program(tmp_path, "cat >/dev/null", "echo 'gzip: stdout: No space left on device' >&2", "exit 1"),
        version="1",
    )
    with pytest.raises(OutputError) as caught:
        write_eap(eap_request(tmp_path / "model"), tmp_path / "dist", gzip=full)
    assert "No space left on device" in caught.value.message
    assert "--output" in caught.value.hint
    assert visible(tmp_path / "dist") == []


@pytest.mark.parametrize(
    ("ending", "reason"), [("exit 0", "exit code 0"), ("exit 3", "exit code 3"), ("kill -9 $$", "signal 9")]
)
def test_a_gzip_that_ends_early_is_told(tmp_path: Path, ending: str, reason: str) -> None:
    """A model larger than any pipe, so that the writer meets the closed end."""
    model = tmp_path / "model"
    model.write_bytes(bytes(4 << 20))
    early = Gzip(program=program(tmp_path, ending), version="1")
    with pytest.raises(OutputError) as caught:
        write_eap(eap_request(model), tmp_path / "dist", gzip=early)
    assert reason in caught.value.message
    assert visible(tmp_path / "dist") == []


def test_a_killed_build_leaves_a_whole_package_and_the_next_sweeps(tmp_path: Path, gzip: Gzip) -> None:
    out_dir = tmp_path / "dist"
    argv = [sys.executable, "-m", "tests.unit.package.eap.write_eap_once", str(out_dir), "forever"]
    process = subprocess.Popen(
        argv, env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        assert process.stdout is not None
        expected = process.stdout.readline().strip()
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert str(digest_bytes((out_dir / NAME).read_bytes())) == expected
    write_eap(eap_request(tmp_path / "model"), out_dir, gzip=gzip)
    assert [name for name in visible(out_dir) if ".tmp-" in name] == []


def test_a_large_model_is_streamed(tmp_path: Path, gzip: Gzip) -> None:
    model = tmp_path / "model"
    with model.open("wb") as stream:
        stream.truncate(24 << 20)
    with model.open("rb") as stream:
        digest = digest_stream(stream)
    request = eap_request(model, license_text=b"")
    request = replace(request, package=replace(request.package, model_digest=digest))
    tracemalloc.start()
    try:
        write_eap(request, tmp_path / "dist", gzip=gzip)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 6 << 20


def test_every_reader_unpacks_it(tmp_path: Path, gzip: Gzip) -> None:
    written = write_eap(eap_request(tmp_path / "model"), tmp_path / "dist", gzip=gzip)
    assert zlib_gzip.decompress(written.path.read_bytes())[257:265] == b"ustar  \0"
    header = written.path.read_bytes()[:10]
    assert header == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03"
    if shutil.which("busybox") is not None:
        (tmp_path / "out").mkdir()
        subprocess.run(["busybox", "tar", "xzf", str(written.path), "-C", str(tmp_path / "out")], check=True)
        assert (tmp_path / "out" / "model" / "model.tflite").read_bytes() == (tmp_path / "model").read_bytes()


def digest_of(path: Path) -> Digest:
    return digest_bytes(path.read_bytes())


def current(request: EapRequest, out_dir: Path) -> object:
    package = request.package
    return current_eap(sound_content(request), out_dir, package.base_name, digest_of, epoch_s=package.epoch_s)


def test_a_package_that_lies_there_is_known_again(tmp_path: Path, gzip: Gzip) -> None:
    request = eap_request(tmp_path / "model")
    assert current(request, tmp_path / "dist") is None
    written = write_eap(request, tmp_path / "dist", gzip=gzip)
    assert current(request, tmp_path / "dist") == written
    written.path.write_bytes(b"changed")
    assert current(request, tmp_path / "dist") is None
    written.path.unlink()
    assert current(request, tmp_path / "dist") is None


@pytest.mark.parametrize(
    "stamp",
    [b"", b"[]", b"null", b'{"schema": 2}', b'{"schema": 1, "key": "", "file": "../x", "digest": ""}', b"\xff"],
)
def test_a_damaged_stamp_is_no_stamp(tmp_path: Path, stamp: bytes) -> None:
    (tmp_path / STAMP).write_bytes(stamp)
    assert stamped_eap(tmp_path / STAMP) is None


def test_all_that_decides_the_bytes_is_in_the_key(tmp_path: Path) -> None:
    model, other_model = tmp_path / "model", tmp_path / "other"
    other_model.write_bytes(b"other")
    app = read_app(write_app(tmp_path / "app"))
    executable = replace(app, files=tuple(replace(each, executable=True) for each in app.files))
    requests = [
        eap_request(model),
        eap_request(other_model),
        eap_request(model, ONE),
        eap_request(model, replace(TWO, friendly_name="Other")),
        eap_request(model, labels=None),
        eap_request(model, license_text=b"x"),
        eap_request(model, app=app),
        eap_request(model, app=executable),
    ]
    keys = {eap_key(sound_content(each), epoch_s=EPOCH_S) for each in requests}
    keys.add(eap_key(sound_content(requests[0]), epoch_s=EPOCH_S + 1))
    assert len(keys) == len(requests) + 1
    assert eap_key(sound_content(eap_request(model)), epoch_s=EPOCH_S) in keys
