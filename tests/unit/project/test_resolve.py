"""A manifest becomes a project, or every fault of what it names is told at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlpubuild.errors import ErrorCode, ExitCode, ManifestError
from dlpubuild.manifest.load import load_manifest
from dlpubuild.plan.toolchains import pin_toolchains, toolchains_named
from dlpubuild.project.resolve import notes_on, resolve_project
from dlpubuild.resources import templates_dir
from dlpubuild.targets.load import load_socs
from dlpubuild.toolchains.pins import ImagePin, ToolchainPin, load_pin
from tests.doubles.memo import MemoryMemo
from tests.factories.small_projects import (
    CALIBRATION,
    fault,
    line_of,
    load_linux_pin,
    problems,
    resolve,
    with_toolchains,
    write_project,
)

SOCS = load_socs([templates_dir()], trusted=templates_dir())


# An SoC that is known and cannot be built yet.
SOON_FILE = "own/soon/target.toml"
SOON = """\
schema = 1
soc = "soon"
title = "Soon"
larod-device = "soon"
architecture = "aarch64"
deep-learning-processor = true
model-file = "model.bin"
not-yet = "its compiler"
defaults = { quantization = "none", io = "float32", toolchain = "tf2" }
allowed = { quantization = ["none"], io = ["float32"], toolchain = ["tf2"] }
gate = { integer-only = false, static-shapes = true }
"""


def test_a_target_has_the_socs_defaults(tmp_path: Path) -> None:
    toml = CALIBRATION + "[target.artpec8]\n[target.artpec9]\n[target.cpu]\n"
    targets = resolve(write_project(tmp_path, toml)).targets
    assert [(each.name, each.quantization, each.io, each.toolchain) for each in targets] == [
        ("artpec8", "per-tensor", "uint8", "tf2"),
        ("artpec9", "per-channel", "uint8", "tf2"),
        ("cpu", "none", "float32", "tf2"),
    ]


@pytest.mark.parametrize(
    ("quantization", "io"), [("none", "float32"), ("float16", "float32"), ("dynamic", "float32"), ("int8", "uint8")]
)
def test_the_io_of_a_cpu_target_follows_its_quantization(tmp_path: Path, quantization: str, io: str) -> None:
    (target,) = resolve(
        write_project(tmp_path, f'{CALIBRATION}[target.cpu]\nquantization = "{quantization}"\n')
    ).targets
    assert target.io == io
    assert target.is_integer is (quantization == "int8")


def test_what_the_manifest_says_wins(tmp_path: Path) -> None:
    toml = CALIBRATION + '[target.artpec9]\nquantization = "per-tensor"\nio = "int8"\n'
    (target,) = resolve(write_project(tmp_path, toml)).targets
    assert (target.quantization, target.io) == ("per-tensor", "int8")


def test_targets_are_those_selected_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    manifest = load_manifest(
        write_project(tmp_path, CALIBRATION + "[target.cpu]\n[target.artpec9]\n[target.artpec8]\n")
    )
    project = resolve_project(manifest, SOCS, selected=["artpec8", "cpu"], memo=MemoryMemo())
    assert [target.name for target in project.targets] == ["cpu", "artpec8"]


def test_calibration_data_is_not_looked_at_where_no_target_needs_it(tmp_path: Path) -> None:
    project = resolve(write_project(tmp_path, '[calibration]\ndata = "nothing"\n[target.cpu]\n'))
    assert project.calibration is None


def test_a_soc_that_cannot_be_built_yet_is_refused_and_says_what_is_missing(tmp_path: Path) -> None:
    manifest = write_project(
        tmp_path, f"{CALIBRATION}[target.cpu]\n[target.soon]\n", project='templates = "own"', files={SOON_FILE: SOON}
    )
    (problem,) = problems(manifest)
    assert (problem.code, problem.path) == (ErrorCode.TARGET_UNAVAILABLE, "target.soon")
    assert problem.location.line == line_of(manifest, "[target.soon]")
    assert "its compiler" in problem.message
    assert "artpec8, artpec9, cpu" in problem.hint


def test_a_soc_that_is_not_known_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    manifest = load_manifest(write_project(tmp_path, CALIBRATION + "[target.artpec8]\n"))
    with pytest.raises(ManifestError) as caught:
        resolve_project(manifest, {"artpec9": SOCS["artpec9"]}, selected=["artpec8"], memo=MemoryMemo())
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == (ErrorCode.UNKNOWN_VALUE, "target.artpec8")
    assert 'did you mean "artpec9"?' in problem.message


def test_a_toolchain_of_the_users_own_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, '[target.cpu]\n[toolchain.tf2]\npath = "venv"\n')
    assert fault(manifest) == (ErrorCode.TOOLCHAIN, "toolchain.tf2.path", line_of(manifest, "path ="))
    unused = write_project(tmp_path, '[target.cpu]\n[toolchain.ambarella]\npath = "/opt/ambarella"\n')
    assert resolve(unused).targets


def test_an_image_is_refused_where_no_engine_is_used(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, f'[target.cpu]\n[toolchain.tf2]\nimage = "r.example/tf2@sha256:{"a" * 64}"\n')
    assert fault(manifest) == (ErrorCode.TOOLCHAIN, "toolchain.tf2.image", line_of(manifest, "image ="))


def test_an_image_of_the_users_own_is_the_toolchain_where_an_engine_is_used(tmp_path: Path) -> None:
    reference = f"r.example/tf2@sha256:{'a' * 64}"
    manifest = load_manifest(write_project(tmp_path, f'[target.cpu]\n[toolchain.tf2]\nimage = "{reference}"\n'))
    own = replace(load_linux_pin("tf2"), image=ImagePin(reference=reference, is_own=True))
    project = with_toolchains(resolve_project(manifest, SOCS, selected=["cpu"], memo=MemoryMemo()), lambda _: own)
    assert dict(project.toolchains["tf2"].platform)["container-image"] == f"docker://{reference}"


def test_a_target_without_its_toolchain_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    manifest = load_manifest(write_project(tmp_path, CALIBRATION + "[target.cpu]\n[target.artpec7]\n"))
    project = resolve_project(manifest, SOCS, selected=["cpu", "artpec7"], memo=MemoryMemo())

    def pin_of(name: str) -> ToolchainPin:
        if name == "edgetpu":
            return load_pin(name, machine="riscv64", system="plan9")
        return load_linux_pin(name)

    found = pin_toolchains(project, toolchains_named(project), pin_of)
    assert [target.name for target in found.project.targets] == ["cpu"]
    assert tuple(found.project.toolchains) == ("tf2",)
    (error,) = found.missing.values()
    assert error.exit_code is ExitCode.TOOLCHAIN_MISSING
    assert error.location == manifest.locate("target.artpec7")


def test_an_integer_target_of_the_projects_own_needs_calibration(tmp_path: Path) -> None:
    manifest = load_manifest(write_project(tmp_path))
    (target,) = manifest.targets
    integer = replace(manifest, targets=(replace(target, quantization="int8"),))
    with pytest.raises(ManifestError) as caught:
        resolve_project(integer, SOCS, selected=["cpu"], memo=MemoryMemo())
    assert [(each.code, each.path) for each in caught.value.problems] == [(ErrorCode.MISSING_KEY, "target.cpu")]


def test_a_license_file_is_read_as_it_is(tmp_path: Path) -> None:
    manifest = write_project(tmp_path, project='license-file = "LICENSE"', files={"LICENSE": b"\xff any bytes\r\n"})
    assert resolve(manifest).license_text == b"\xff any bytes\r\n"
    (tmp_path / "LICENSE").unlink()
    assert fault(manifest) == (ErrorCode.PATH_MISSING, "project.license-file", line_of(manifest, "license-file"))


def test_every_fault_is_told_at_once_and_in_file_order(tmp_path: Path) -> None:
    manifest = write_project(
        tmp_path,
        '[calibration]\ndata = "empty"\n[target.soon]\n[target.artpec8]\ntoolchain = "tf1"\n',
        project='license-file = "nothing"\ntemplates = "own"',
        model='labels = "labels.txt"\n[[model.input]]\nname = "x"\n',
        files={"labels.txt": "one\n", "empty/.keep": b"", SOON_FILE: SOON},
    )
    found = problems(manifest)
    assert [(each.code, each.path) for each in found] == [
        (ErrorCode.PATH_MISSING, "project.license-file"),
        (ErrorCode.LABEL_COUNT, "model.labels"),
        (ErrorCode.UNKNOWN_VALUE, "model.input[0].name"),
        (ErrorCode.CALIBRATION_EMPTY, "calibration.data"),
        (ErrorCode.TARGET_UNAVAILABLE, "target.soon"),
        (ErrorCode.CONFLICT, "target.artpec8.toolchain"),
    ]
    assert [each.location.line for each in found] == sorted(each.location.line for each in found)
    assert {each.location.file for each in found} == {str(manifest)}


def test_a_project_below_a_folder_with_spaces_and_other_letters_is_resolved(tmp_path: Path) -> None:
    project = resolve(write_project(tmp_path / "mitt projekt åäö 模型", CALIBRATION + "[target.artpec8]\n"))
    assert project.calibration is not None
    assert project.folder.name == "mitt projekt åäö 模型"


def test_a_project_reached_by_a_link_is_the_same_project(tmp_path: Path) -> None:
    write_project(tmp_path / "real", CALIBRATION + "[target.artpec8]\n")
    (tmp_path / "link").symlink_to("real")
    assert resolve(tmp_path / "link" / "dlpu.toml").folder == tmp_path / "real"


def test_notes_tell_what_is_no_fault(tmp_path: Path) -> None:
    toml = (
        '[calibration]\ndata = "data"\nsamples = 50\n[verify]\ndata = "data"\nmetric = "agreement"\n[target.artpec8]\n'
    )
    notes = notes_on(resolve(write_project(tmp_path, toml)))
    assert [next(word for word in ("3 samples", "mean") if word in note) for note in notes] == [
        "3 samples",
        "mean",
    ]


def test_nothing_is_noted_where_all_is_said(tmp_path: Path) -> None:
    model = '[[model.input]]\nname = "image"\nmean = [0, 0, 0]\nstd = [255, 255, 255]\n'
    toml = '[calibration]\ndata = "data"\nsamples = 3\n[target.artpec8]\n'
    assert notes_on(resolve(write_project(tmp_path, toml, model=model))) == ()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(
        tmp_path_factory.mktemp("any"),
        CALIBRATION + "[target.artpec8]\n",
        project='license-file = "LICENSE"',
        model='labels = "labels.txt"',
    )


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.text(max_size=12)
    | st.text(alphabet="./*?[]!-~ ab\\", max_size=12)
    | st.sampled_from(["", ".", "..", "/", "\0", "\ud800", "a\0b", "x" * 300, "a/" * 3000, "[", "**", "**/**/**/*.png"])
)
def test_any_text_as_a_path_is_found_or_a_fault_of_the_manifest(place: Path, text: str) -> None:
    manifest = load_manifest(place)
    section = manifest.calibration
    assert section is not None
    for changed in (
        replace(manifest, calibration=replace(section, data=text)),
        replace(manifest, model=replace(manifest.model, source=text)),
        replace(manifest, model=replace(manifest.model, labels=text)),
        replace(manifest, project=replace(manifest.project, license_file=text, allow_outside=(text,))),
    ):
        with pytest.raises(ManifestError) as caught:
            resolve_project(changed, SOCS, selected=["artpec8"], memo=MemoryMemo())
        for problem in caught.value.problems:
            assert problem.location.line
            assert problem.message
