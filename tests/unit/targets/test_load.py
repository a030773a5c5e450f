"""SoC folders become SoCs: those that ship, those of a project, and those that are at fault."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from dlpubuild.errors import DlpuError, ErrorCode, ExitCode, ManifestError
from dlpubuild.plan.render import render_steps
from dlpubuild.resources import locks_dir, schema_path, steps_dir, templates_dir
from dlpubuild.targets.load import check_document, load_socs, read_checked_toml, soc_names
from dlpubuild.targets.model import INTEGER_QUANTIZATIONS, Soc, Target
from dlpubuild.toolchains.pins import toolchain_names

SOCS = load_socs([templates_dir()], trusted=templates_dir())
BUILDABLE = [name for name, soc in SOCS.items() if soc.can_be_built]
MANIFEST_SCHEMA = json.loads(schema_path("dlpu").read_text(encoding="utf-8"))
OWN = (
    (templates_dir() / "artpec9" / "target.toml").read_text(encoding="utf-8").replace('soc = "artpec9"', 'soc = "own"')
)


def combinations(soc: Soc) -> list[Target]:
    """Return a target for every combination of options that an SoC allows."""
    parsers: tuple[Any, ...] = soc.allowed_options.get("parser", ("auto",))
    return [
        Target(soc=soc, quantization=quantization, io=io, toolchain=toolchain, activations="auto", parser=parser)
        for quantization, io, toolchain, parser in product(
            soc.allowed_quantization, soc.allowed_io, soc.allowed_toolchain, parsers
        )
    ]


def context(target: Target, kind: str = "images", *, is_verified: bool = False) -> dict[str, Any]:
    """Return what the planner gives a template, for a model of one input."""
    data = (
        {"kind": "images", "files": ["in/data/00000.png"]}
        if kind == "images"
        else {"kind": kind, "file": f"in/data/samples.{kind}", "indices": [3, 1]}
    )
    return {
        "target": {
            "soc": target.name,
            "quantization": target.quantization,
            "per_channel": target.weight_scheme == "per-channel",
            "io": target.io,
            "toolchain": target.toolchain,
            "activations": target.activations,
            "coefficients": target.coefficients,
            "input_format": target.input_format,
            "parser": target.parser,
            "timeout": target.timeout_s,
            "compiler": dict(target.compiler),
        },
        "model": {
            "format": "keras",
            "state": "float",
            "staged": "in/model.keras",
            "as_is": False,
            "inputs": [{"name": "image"}],
            "onnx_file": "",
            "onnx_inputs": [],
            "outputs": ["y"],
        },
        "calibration": {"inputs": [{"name": "image", "color": "rgb", "resize": "stretch"}], "data": data},
        "verification": {
            "inputs": [{"name": "image", "color": "rgb", "resize": "stretch"}],
            "data": data,
            "labels": {"y": [0, 1]},
            "boxes": None,
            "layer_samples": 16,
        }
        if is_verified
        else None,
    }


# what ships


def test_every_soc_of_the_manifests_schema_is_there() -> None:
    assert set(SOCS) == set(MANIFEST_SCHEMA["properties"]["target"]["properties"])
    assert BUILDABLE == ["artpec7", "artpec8", "artpec9", "cpu", "cv25", "cv75"]


@pytest.mark.parametrize("name", sorted(SOCS))
def test_a_shipped_target_file_satisfies_its_schema(name: str) -> None:
    path = templates_dir() / name / "target.toml"
    read_checked_toml(path, "target", code=ErrorCode.TEMPLATE)
    assert path.read_text(encoding="utf-8").startswith("#:schema ../../schemas/target.schema.json\n")


@pytest.mark.parametrize("name", sorted(SOCS))
def test_a_socs_defaults_are_those_that_the_manifests_schema_tells(name: str) -> None:
    soc = SOCS[name]
    told = MANIFEST_SCHEMA["$defs"][name]["properties"]
    if "quantization" in told:
        assert told["quantization"]["default"] == soc.default_quantization
        assert set(told["quantization"]["enum"]) == set(soc.allowed_quantization)
    for quantization in soc.allowed_quantization:
        assert soc.io_for(quantization) in soc.allowed_io


@pytest.mark.parametrize("name", BUILDABLE)
def test_a_soc_that_can_be_built_has_steps_and_a_toolchain(name: str) -> None:
    soc = SOCS[name]
    assert (soc.folder / "steps.toml.j2").is_file()
    assert set(soc.allowed_toolchain) <= set(toolchain_names())
    assert soc.default_toolchain in soc.allowed_toolchain


def test_a_soc_that_cannot_be_built_yet_says_what_is_missing() -> None:
    assert {name: bool(soc.not_yet) for name, soc in SOCS.items()} == {name: name not in BUILDABLE for name in SOCS}


@pytest.mark.parametrize("name", BUILDABLE)
@pytest.mark.parametrize("kind", ["images", "npy", "npz"])
@pytest.mark.parametrize("is_verified", [False, True])
def test_the_steps_of_every_combination_of_options_satisfy_their_schema(
    name: str, kind: str, is_verified: bool
) -> None:
    for target in combinations(SOCS[name]):
        document = render_steps(target.soc, context(target, kind, is_verified=is_verified), validate=True)
        assert ("verified" in document) is is_verified
        assert list(document["result"]) == [target.soc.model_file]
        integer = target.quantization in INTEGER_QUANTIZATIONS
        assert ("calibrate" in {step["id"] for step in document["step"]}) is integer
        for step in document["step"]:
            for script in (step["script"], *step.get("modules", ())):
                assert (steps_dir() / script).is_file()


def test_artpec8_is_never_per_channel() -> None:
    for target in combinations(SOCS["artpec8"]):
        last = render_steps(target.soc, context(target), validate=False)["step"][-1]
        assert last["params"]["per_channel"] is False


def test_int8_on_a_cpu_is_per_channel() -> None:
    schemes = {target.quantization: target.weight_scheme for target in combinations(SOCS["cpu"])}
    assert schemes.pop("int8") == "per-channel"
    assert schemes == {name: name for name in ("none", "float16", "dynamic", "per-tensor", "per-channel")}


# a project's own


def own(folder: Path, text: str = OWN, name: str = "own", *, steps: bool = True) -> Path:
    """Write a template folder with one SoC."""
    (folder / name).mkdir(parents=True)
    (folder / name / "target.toml").write_text(text, encoding="utf-8")
    if steps:
        (folder / name / "steps.toml.j2").write_text("schema = 1\n")
    return folder


def load(folder: Path) -> dict[str, Soc]:
    return dict(load_socs([templates_dir(), folder], trusted=templates_dir()))


def fault(folder: Path) -> DlpuError:
    with pytest.raises(DlpuError) as caught:
        load(folder)
    assert caught.value.code is ErrorCode.TEMPLATE
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def test_an_own_soc_is_added_and_sorted_among_the_others(tmp_path: Path) -> None:
    assert list(load(own(tmp_path))) == sorted([*SOCS, "own"])


def test_an_own_soc_replaces_the_one_of_its_name(tmp_path: Path) -> None:
    text = OWN.replace('soc = "own"', 'soc = "cpu"').replace('title = "ARTPEC-9"', 'title = "Mine"')
    socs = load(own(tmp_path, text, "cpu"))
    assert socs["cpu"].title == "Mine"
    assert socs["cpu"].folder == tmp_path / "cpu"
    assert socs["artpec8"] == SOCS["artpec8"]


def test_an_own_folder_is_searched_first_and_only_for_its_own_socs(tmp_path: Path) -> None:
    socs = load(own(tmp_path))
    assert socs["own"].search_path == (tmp_path, templates_dir())
    assert socs["artpec8"].search_path == (templates_dir(),)


def test_a_soc_without_a_step_template_cannot_be_built(tmp_path: Path) -> None:
    soc = load(own(tmp_path, steps=False))["own"]
    assert not soc.can_be_built
    assert "steps.toml.j2" in soc.not_yet


def test_folders_without_a_target_file_are_no_socs(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "README.md").write_text("")
    assert soc_names(own(tmp_path)) == ("own",)
    assert soc_names(tmp_path / "nothing") == ()
    assert soc_names(tmp_path / "README.md") == ()


def test_a_target_file_that_is_not_toml_is_told(tmp_path: Path) -> None:
    error = fault(own(tmp_path, "schema = = 1"))
    assert isinstance(error, ManifestError)
    assert error.problems[0].location.file == str(tmp_path / "own" / "target.toml")


def test_a_target_file_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    own(tmp_path)
    (tmp_path / "own" / "target.toml").write_bytes("title = 'ä'".encode("latin-1"))
    fault(tmp_path)


def test_every_fault_against_the_schema_is_told(tmp_path: Path) -> None:
    text = OWN.replace("schema = 1", "schema = 2").replace('"aarch64"', '"mips"').replace("batch = 1", "batch = 0")
    error = fault(own(tmp_path, f"nonsense = 1\n{text}"))
    assert isinstance(error, ManifestError)
    assert [problem.path for problem in error.problems] == ["", "architecture", "gate.batch", "schema"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('soc = "own"', 'soc = "other"', '"other"'),
        ('quantization = "per-channel"', 'quantization = "none"', "defaults.quantization"),
        ('io = "uint8"', 'io = { none = "int8", int8 = "float32" }', ""),
        ('toolchain = "tf2"', 'toolchain = "ambarella"', "defaults.toolchain"),
    ],
)
def test_a_target_file_that_contradicts_itself_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in OWN
    text = OWN.replace(old, new, 1)
    if not said:
        text = text.replace('io = ["uint8", "int8", "float32"]', 'io = ["uint8", "int8"]')
        said = "float32"
    error = fault(own(tmp_path, text))
    assert error.location is not None
    assert error.location.file == str(tmp_path / "own" / "target.toml")
    assert said in error.message


def test_what_was_found_valid_is_not_validated_again(tmp_path: Path) -> None:
    known: set[str] = set()
    folders = [templates_dir(), own(tmp_path)]
    load_socs(folders, trusted=templates_dir(), known_good=known)
    assert len(known) == 1
    load_socs(folders, trusted=templates_dir(), known_good=known)
    assert len(known) == 1
    (tmp_path / "own" / "target.toml").write_text(OWN.replace('"aarch64"', '"mips"'))
    with pytest.raises(ManifestError):
        load_socs(folders, trusted=templates_dir(), known_good=known)


# the schemas themselves


def described(schema: Any, path: str = "") -> list[str]:
    """Return the paths of all properties without a description, `$ref`s being described where they are used."""
    missing = []
    if isinstance(schema, dict):
        for name, part in schema.get("properties", {}).items():
            if not part.get("description"):
                missing.append(f"{path}/{name}")
        for key, part in schema.items():
            missing += described(part, f"{path}/{key}")
    elif isinstance(schema, list):
        for position, part in enumerate(schema):
            missing += described(part, f"{path}/{position}")
    return missing


@pytest.mark.parametrize("name", ["target", "steps"])
def test_every_property_of_a_schema_is_described(name: str) -> None:
    schema = json.loads(schema_path(name).read_text(encoding="utf-8"))
    assert described(schema) == []
    assert schema["description"]


@pytest.mark.parametrize("name", ["target", "steps"])
def test_a_schema_is_a_schema_and_refuses_unknown_keys(name: str) -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(json.loads(schema_path(name).read_text(encoding="utf-8")))
    with pytest.raises(ManifestError) as caught:
        check_document({"unknown": 1}, name, place=Path("x"), code=ErrorCode.TEMPLATE)
    assert any("unknown" in problem.message for problem in caught.value.problems)


PLAIN = OWN.partition("\n[lint]\n")[0]
LINT = """
[lint]
processor = "NPU"
[lint.sources]
ops = "https://example.com"
[[lint.operator]]
names = ["ADD"]
source = "ops"
evidence = "documented"
[[lint.operator.limit]]
rule = "a-limit"
require = "true"
found = "x"
wanted = "y"
change = "z"
"""


def test_the_rules_of_an_own_soc_are_read_with_it(tmp_path: Path) -> None:
    own(tmp_path, PLAIN + LINT)
    table = load(tmp_path)["own"].lint
    assert table is not None
    assert (table.soc, table.processor, table.parts) == ("own", "NPU", "any")
    assert table.file == tmp_path / "own" / "target.toml"
    assert table.operators[0].limits[0].source == "https://example.com"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('processor = "NPU"', "", "processor"),
        ('processor = "NPU"', 'processor = "NPU"\nparts = "all"', "all"),
        ('processor = "NPU"', 'processor = "NPU"\nmax-parts = 0', "0"),
        ('processor = "NPU"', 'processor = "NPU"\ncolour = "red"', "colour"),
        ('rule = "a-limit"', 'rule = "A Limit"', "A Limit"),
        ('rule = "a-limit"', "", "rule"),
        ('require = "true"', "require = true", "True"),
        ('change = "z"', 'change = "z"\nseverity = "off"', "off"),
        ('evidence = "documented"', 'evidence = "guessed"', "guessed"),
        ('names = ["ADD"]', "names = []", "[]"),
        ('names = ["ADD"]', 'names = ["ADD", "ADD"]', "ADD"),
    ],
)
def test_a_faulty_table_of_rules_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in LINT
    own(tmp_path, PLAIN + LINT.replace(old, new))
    error = fault(tmp_path)
    assert error.exit_code == ExitCode.USAGE
    assert said in str(error)


def test_the_data_of_the_tool_is_found() -> None:
    assert schema_path("dlpu").is_file()
    assert (steps_dir() / "stepio.py").is_file()
    assert locks_dir().is_dir()
