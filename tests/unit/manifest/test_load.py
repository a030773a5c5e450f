"""From bytes to a Manifest."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild import resources
from dlpubuild.errors import ErrorCode, Location, ManifestError
from dlpubuild.manifest.load import load_manifest, manifest_from_bytes, template_socs
from dlpubuild.manifest.model import (
    CalibrationSection,
    ModelInput,
    ModelOutput,
    PackageSection,
    TargetSection,
    ToolchainSection,
    VerifySection,
)
from tests.unit.manifest.manifests import SMALLEST, faults, load

EXAMPLE = resources.example_manifest().read_bytes()


def test_the_smallest_manifest_gets_every_default() -> None:
    manifest = load("[calibration]\ndata = 'images'\n[verify]\ndata = 'v'\n[target.artpec8]\n")
    assert manifest.model.format == "auto"
    assert manifest.model.inputs == ()
    assert manifest.calibration == CalibrationSection(data="images", samples=100, seed=0, resize="stretch")
    assert manifest.verify == VerifySection(data="v", metric="top1", max_drop=0.02, min_agreement=0.97)
    assert manifest.targets == (TargetSection(soc="artpec8"),)
    assert manifest.package == PackageSection(formats=("bundle",))


def test_what_is_written_arrives_typed() -> None:
    manifest = load(
        "format = 'keras'\n"
        "[[model.input]]\nname = 'image'\nshape = [1, 8, 8, 3]\nmean = [0, 1, 2]\nstd = [1, 1, 1.5]\n"
        "[[model.output]]\nname = 'classes'\n"
        "[verify]\ndata = 'v'\nmax-drop = 0\n"
        "[target.cpu]\nquantization = 'float16'\n[target.cv25]\n"
        "[calibration]\ndata = 'c'\n"
        "[toolchain.ambarella]\npath = '/opt/ambarella'\n"
        "[package]\nformats = ['eap']\n[package.acap]\napp-name = 'digits'\n"
    )
    assert manifest.model.inputs == (
        ModelInput(name="image", shape=(1, 8, 8, 3), mean=(0.0, 1.0, 2.0), std=(1.0, 1.0, 1.5)),
    )
    assert all(isinstance(mean, float) for mean in manifest.model.inputs[0].mean or ())
    assert manifest.model.outputs == (ModelOutput(name="classes"),)
    assert manifest.verify is not None
    assert isinstance(manifest.verify.max_drop, float)
    assert [target.soc for target in manifest.targets] == ["cpu", "cv25"]
    assert manifest.toolchains == (ToolchainSection(name="ambarella", path="/opt/ambarella"),)
    assert manifest.package.formats == ("eap",)
    assert manifest.package.acap.app_name == "digits"


def test_the_manifest_knows_its_file_and_the_place_of_each_value() -> None:
    manifest = load("[target.cpu]\n")
    assert manifest.path == Path("dlpu.toml")
    assert manifest.folder == Path()
    assert manifest.sha256 == hashlib.sha256(f"{SMALLEST}[target.cpu]\n".encode()).hexdigest()
    assert manifest.locate("model.source") == Location("dlpu.toml", 6, 10)
    assert manifest.locate("target.cpu.io") == Location("dlpu.toml", 7, 1)
    assert manifest.locate("verify.data") == Location("dlpu.toml", 1, 1)


def test_locations_show_the_path_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dlpu.toml").write_text("schema = 2")
    monkeypatch.chdir(tmp_path.parent)
    path = Path(tmp_path.name) / "dlpu.toml"
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert {problem.location.file for problem in caught.value.problems} == {str(path)}


def test_faults_of_schema_and_rules_come_together_and_once() -> None:
    text = "[[model.input]]\nname = 'a'\nstd = [0.0, nan]\nshape = [1, 4, 4, 3]\n[target.cpu]\nio = 'x\\n'\n"
    assert faults(text) == {
        (ErrorCode.MANIFEST_SCHEMA, "model.input[0].std[0]"),
        (ErrorCode.MANIFEST_SCHEMA, "model.input[0].std[1]"),
        (ErrorCode.CONFLICT, "model.input[0].std"),
        (ErrorCode.UNKNOWN_VALUE, "target.cpu.io"),
    }


@pytest.mark.parametrize("soc", ["artpec7", "artpec8", "artpec9", "cv25", "cv75"])
def test_a_quantized_target_needs_calibration(soc: str) -> None:
    assert faults(f"[target.cpu]\n[target.{soc}]\n") == {(ErrorCode.MISSING_KEY, "calibration")}
    load(f"[target.{soc}]\n[calibration]\ndata = 'c'\n")


@pytest.mark.parametrize("quantization", ["none", "float16", "dynamic"])
def test_a_cpu_target_needs_calibration_for_int8_only(quantization: str) -> None:
    load(f"[target.cpu]\nquantization = '{quantization}'\nio = 'float32'\n")
    assert faults("[target.cpu]\nquantization = 'int8'\n") == {(ErrorCode.MISSING_KEY, "calibration")}


@pytest.mark.parametrize("io", ["uint8", "int8"])
def test_only_a_quantized_cpu_model_has_integer_inputs(io: str) -> None:
    load(f"[target.cpu]\nquantization = 'int8'\nio = '{io}'\n[calibration]\ndata = 'c'\n")
    for quantization in ("", "quantization = 'none'\n", "quantization = 'float16'\n", "quantization = 'dynamic'\n"):
        assert faults(f"[target.cpu]\n{quantization}io = '{io}'\n") == {(ErrorCode.CONFLICT, "target.cpu.io")}


def test_a_toolchain_is_an_image_or_a_path_and_for_ambarella_both() -> None:
    both = f"image = 'r/x@sha256:{'0' * 64}'\npath = 'x'\n"
    load(f"[target.cpu]\n[toolchain.ambarella]\n{both}")
    for name in ("tf2", "tf1", "edgetpu", "onnx"):
        assert faults(f"[target.cpu]\n[toolchain.{name}]\n{both}") == {(ErrorCode.CONFLICT, f"toolchain.{name}.path")}


def test_onnx_inputs_may_have_their_channels_first() -> None:
    tables = "[[model.input]]\nname = 'a'\nshape = [1, 3, 8, 8]\nmean = [1, 2, 3]\n[target.cpu]\n"
    load(f"format = 'onnx'\n{tables}")
    assert faults(f"format = 'keras'\n{tables}") == {(ErrorCode.CONFLICT, "model.input[0].mean")}


def test_an_input_that_is_no_image_has_no_channels() -> None:
    load("[[model.input]]\nname = 'a'\nshape = [1, 10]\nmean = [1]\nstd = [2]\n[target.cpu]\n")


def test_project_templates_add_and_replace_socs(tmp_path: Path) -> None:
    text = SMALLEST.replace("[model]", "templates = 'socs'\n[model]") + (
        "[calibration]\ndata = 'c'\n"
        "[target.hailo8]\nactivations = 'fx8'\ntoolchain = 'own'\n[target.artpec8]\nquantization = 'per-channel'\n"
    )
    path = tmp_path / "dlpu.toml"
    path.write_text(text)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert [problem.path for problem in caught.value.problems] == ["target.hailo8", "target.artpec8.quantization"]
    for soc in ("hailo8", "artpec8"):
        (tmp_path / "socs" / soc).mkdir(parents=True)
        (tmp_path / "socs" / soc / "target.toml").touch()
    assert [target.soc for target in load_manifest(path).targets] == ["hailo8", "artpec8"]
    assert load_manifest(path, socs_of=lambda _: ("artpec8", "hailo8")).targets[0].toolchain == "own"


def test_template_folders_without_a_target_file_are_no_socs(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "c" / "target.toml").touch()
    (tmp_path / "a" / "target.toml").touch()
    assert template_socs(tmp_path) == ["a", "c"]
    assert template_socs(tmp_path / "missing") == []


class Recording(set[str]):
    """A memory that counts what is asked of it."""

    hits = 0

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        self.hits += found
        return found


def test_a_manifest_that_was_valid_before_is_not_validated_again() -> None:
    known = Recording()
    for _ in range(2):
        manifest_from_bytes(EXAMPLE, path=Path("dlpu.toml"), known_good=known)
    assert (len(known), known.hits) == (1, 1)
    manifest_from_bytes(EXAMPLE + b"\n", path=Path("dlpu.toml"), known_good=known)
    assert (len(known), known.hits) == (2, 1)


def test_other_socs_make_it_another_manifest() -> None:
    known = Recording()
    for socs in (("a",), ("a", "b"), ("ab",)):
        manifest_from_bytes(EXAMPLE, path=Path("dlpu.toml"), known_good=known, socs_of=lambda _, s=socs: s)  # type: ignore[misc]
    assert (len(known), known.hits) == (3, 0)


def test_a_faulty_manifest_is_not_remembered_and_the_rules_always_run() -> None:
    known = Recording()
    twice = f"{SMALLEST}[[model.output]]\nname = 'a'\n[[model.output]]\nname = 'a'\n[target.cpu]\n".encode()
    for data in (b"schema = 1\n", twice, twice):
        with pytest.raises(ManifestError):
            manifest_from_bytes(data, path=Path("dlpu.toml"), known_good=known)
    assert (len(known), known.hits) == (1, 1)  # the second satisfies the schema, and its names are checked each time


def test_a_known_manifest_loads_without_jsonschema_and_fast() -> None:
    script = (
        "import sys; from pathlib import Path; from dlpubuild.manifest.load import load_manifest\n"
        "class Known:\n  def __contains__(self, key): return True\n  def add(self, key): pass\n"
        "load_manifest(Path(sys.argv[1]), known_good=Known())\n"
        "print([name for name in ('jsonschema', 'difflib', 'rpds') if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", script, str(resources.example_manifest())]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"

    known: set[str] = set()
    durations_s = []
    for _ in range(6):
        start_s = time.perf_counter()
        manifest_from_bytes(EXAMPLE, path=Path("dlpu.toml"), known_good=known)
        durations_s.append(time.perf_counter() - start_s)
    assert min(durations_s) < 0.005


def outcome(data: bytes) -> None:
    """Load `data`, which must end with a manifest or with faults that can be printed."""
    try:
        faults = None
        manifest_from_bytes(data, path=Path("dlpu.toml"))
    except ManifestError as error:
        faults = error
    assert faults is None or all(problem.message in str(faults) for problem in faults.problems)


FUZZ = settings(derandomize=True, database=None, deadline=None, max_examples=60)
VALUES = st.sampled_from(
    [
        *("0", "-1", "1.0", "nan", "-inf", "9999999999999", "true", "1979-05-27", "07:32:00"),
        *("''", "'x'", '"\\u0000"', '"""\\n"""', "'" + "x" * 9000 + "'"),
        *("[]", "[[]]", "[1]", "{}", "{a=1}", "[{name=1},{name=1}]", "[{name='a'},{name='a'}]"),
    ]
)
TABLES = (
    *("schema", "project", "project.templates", "model", "model.input", "model.output", "calibration", "verify"),
    *("target", "target.cpu", "target.artpec8", "toolchain", "toolchain.tf2", "package", "package.acap"),
)


@given(st.binary(max_size=60))
@FUZZ
def test_no_bytes_end_in_a_traceback(data: bytes) -> None:
    outcome(data)


@given(
    st.integers(0, len(EXAMPLE)), st.integers(0, 12), st.sampled_from([b"", b"[", b"=", b'"', b"\xff", b"\n.", b"x"])
)
@FUZZ
def test_no_damage_to_a_manifest_ends_in_a_traceback(at: int, size: int, put: bytes) -> None:
    outcome(EXAMPLE[:at] + put + EXAMPLE[at + size :])


@given(st.lists(st.tuples(st.integers(0, 200), VALUES), min_size=1, max_size=6))
@FUZZ
def test_no_value_ends_in_a_traceback(changes: list[tuple[int, str]]) -> None:
    lines = EXAMPLE.decode().split("\n")
    keys = [number for number, line in enumerate(lines) if " = " in line and line[0] != "#"]
    for which, value in changes:
        number = keys[which % len(keys)]
        lines[number] = f"{lines[number].split(' = ')[0]} = {value}"
    outcome("\n".join(lines).encode())


@given(st.lists(st.tuples(st.integers(0, 20), VALUES), min_size=1, max_size=4))
@FUZZ
def test_no_kind_of_table_ends_in_a_traceback(changes: list[tuple[int, str]]) -> None:
    chosen = {TABLES[which % len(TABLES)]: value for which, value in changes}
    outcome("".join(f"{name} = {value}\n" for name, value in chosen.items()).encode())
