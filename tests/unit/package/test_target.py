"""A built model becomes the package of its target, or is refused; with nothing to do, nothing is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from dlpubuild.cas.digest import Digest
from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.cas.store import Store
from dlpubuild.errors import ErrorCode, ExitCode, GateError, ManifestError, StepFailedError
from dlpubuild.package.compiled import BuiltModel
from dlpubuild.package.needs import hold_against_needs, model_needs
from dlpubuild.package.target import PackagedTarget, package_target
from dlpubuild.plan.model import PlannedTarget
from dlpubuild.plan.planner import plan_build
from dlpubuild.project.model import Project
from dlpubuild.tflite.read import read_model
from dlpubuild.tflite.runtime import min_runtime
from dlpubuild.toolchains.pins import ImagePin, ToolchainPin
from tests.doubles.memo import MemoryMemo
from tests.factories.model_factory import classifier, keras_archive
from tests.factories.small_projects import CALIBRATION, resolve, write_project
from tests.factories.tflite_factory import encode, float_model, integer_model, with_dynamic_batch

EPOCH_S = 315_532_800
# The factory's network takes 9 x 9 x 3 and has 10 classes.
KERAS = {"model.keras": keras_archive(classifier(shape=(None, 9, 9, 3), classes=10))}
PER_TENSOR = encode(integer_model(io="uint8"))
PER_CHANNEL = encode(integer_model(per_channel=True, io="uint8"))
FLOAT = encode(float_model())
INPUT = '[[model.input]]\nname = "image"\nmean = [0, 0, 0]\nstd = [255, 255, 255]\n'


def project(folder: Path, toml: str, **changes: Any) -> Project:
    return resolve(write_project(folder, toml, files={**KERAS, **changes.pop("files", {})}, **changes))


class Packing:
    """A store and a memo, and what is packed with them."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "cache", now_ns=lambda: 0)
        self.memo = MemoryMemo()
        self.dist = folder / "dist"

    def pack(self, made: Project, model: bytes, target: str, measured: object = None) -> PackagedTarget:
        """Pack a model; `measured` is the record of the step that measured it, where one did."""
        put = self.store.put_bytes
        checked = put(measured if isinstance(measured, bytes) else encoded(measured)) if measured is not None else None
        return package_target(
            made,
            planned(made, target),
            BuiltModel(model=put(model), checked=checked),
            store=self.store,
            memo=self.memo,
            out_dir=self.dist,
            epoch_s=EPOCH_S,
        )

    def pack_compiled(self, made: Project, source: bytes, record: object) -> PackagedTarget:
        """Pack what the compiling step of ARTPEC-7 left; the compiled file is none that anybody reads."""
        put = self.store.put_bytes
        built = BuiltModel(
            model=put(b"compiled"),
            source=put(source),
            record=put(record if isinstance(record, bytes) else encoded(record)),
        )
        return package_target(
            made,
            planned(made, "artpec7"),
            built,
            store=self.store,
            memo=self.memo,
            out_dir=self.dist,
            epoch_s=EPOCH_S,
        )


def planned(made: Project, name: str) -> PlannedTarget:
    (found,) = [each for each in plan_build(made).targets if each.target.name == name]
    return found


def encoded(record: object) -> bytes:
    return json.dumps(record).encode()


def step_record(*, mapped: int = 4, milliseconds: int = 542, first_failure: str = "") -> dict[str, Any]:
    """Return the record of a compilation of four operators, of which the first `mapped` run on the accelerator."""
    rows = [(1, "Mapped to Edge TPU", True)] * mapped + [(1, "Operation not supported", False)] * (4 - mapped)
    return {
        "tools": {"edgetpu-compiler": "16.0.384591198"},
        "metrics": {
            "mapping": {
                "total": 4,
                "mapped": mapped,
                "operators": [
                    {"operator": f"OP_{number}", "count": count, "status": status, "mapped": is_mapped}
                    for number, (count, status, is_mapped) in enumerate(rows)
                ],
                "subgraphs": 1,
                "on_chip_used_bytes": 1000,
                "on_chip_remaining_bytes": 7000,
                "off_chip_streamed_bytes": 0,
            },
            "run": {
                "milliseconds": milliseconds,
                "first_failure": {"code": "compiler-internal", "message": first_failure} if first_failure else None,
            },
        },
    }


def measured_record(*, distinct: int = 16, spread: float = 0.9) -> dict[str, Any]:
    """Return the record of quantizing: one output that takes `distinct` values over 16 samples."""
    wanted = {"low": 0.0, "high": 1.0, "spread": spread, "distinct": 16}
    found = {**wanted, "distinct": distinct, "step": 0.004, "expected": 16, "sqnr_db": 30.0, "explained": 0.9}
    output = {"name": "scores", "float": wanted, "integer": {"per-tensor": {**found, "agreement": None}}}
    check = {"samples": 16, "distinct": 16, "scheme": "per-tensor", "outputs": [output], "unmeasured": []}
    return {"metrics": {"check": {**check, "failures": {}}}}


@pytest.fixture
def packing(tmp_path: Path) -> Packing:
    return Packing(tmp_path)


def model_json(package: PackagedTarget) -> dict[str, Any]:
    assert package.package is not None
    document: dict[str, Any] = json.loads((package.package.folder / "model.json").read_bytes())
    return document


def test_a_model_that_fits_becomes_a_package(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n", model=INPUT)
    done = packing.pack(made, PER_TENSOR, "artpec8")
    assert (done.soc, done.written, done.quantization) == ("artpec8", True, "per-tensor")
    assert done.model_bytes == len(PER_TENSOR)
    assert done.operators["CONV_2D"] == 1
    assert done.package is not None
    assert (done.package.folder / "model" / "model.tflite").read_bytes() == PER_TENSOR
    told = model_json(done)
    assert told["toolchain"]["tensorflow"] == "2.19.1"
    assert told["inputs"][0]["name"] == "image"


def test_a_package_made_in_an_image_is_told_by_what_is_known_of_it(packing: Packing, tmp_path: Path) -> None:
    """The tool's own image holds what its lock says; of a project's image only the reference is known."""
    made = project(tmp_path, "[target.cpu]\n")
    pin = made.toolchains["tf2"]

    def told(image: ImagePin) -> object:
        inside = replace(made, toolchains=MappingProxyType({"tf2": replace(pin, image=image)}))
        return model_json(packing.pack(inside, FLOAT, "cpu"))["toolchain"]

    lock = {"name": "tf2", "tensorflow": "2.19.1", "lock-sha256": pin.lock_sha256, "image": None}
    assert told(ImagePin(id="sha256:" + "a" * 64)) == lock
    reference = "r.example/own@sha256:" + "b" * 64
    assert told(ImagePin(reference=reference, is_own=True)) == {
        "name": "tf2",
        "tensorflow": None,
        "lock-sha256": None,
        "image": reference,
    }


def test_a_package_that_lies_there_is_left_alone(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n")
    first = packing.pack(made, PER_TENSOR, "artpec8")
    packing.store = _Unreadable(packing.store.folder.root)
    again = packing.pack(made, PER_TENSOR, "artpec8")
    assert not again.written
    assert again.package == first.package
    assert (again.quantization, again.operators) == (first.quantization, first.operators)


class _Unreadable(Store):
    """A store that must not be read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, now_ns=lambda: 0)

    def read(self, digest: Digest) -> bytes:
        raise AssertionError(f"{digest} was read")


def test_a_package_that_was_changed_is_written_again(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n")
    first = packing.pack(made, PER_TENSOR, "artpec8")
    assert first.package is not None
    (first.package.folder / "README.md").write_text("changed")
    again = packing.pack(made, PER_TENSOR, "artpec8")
    assert again.written
    assert again.package == first.package


@pytest.mark.parametrize(
    ("toml", "target", "model"),
    [
        ("[target.artpec8]\n", "artpec8", PER_CHANNEL),
        ("[target.artpec8]\n", "artpec8", FLOAT),
        ("[target.artpec9]\n", "artpec9", FLOAT),
        ('[target.artpec8]\nio = "int8"\n', "artpec8", PER_TENSOR),
        ("[target.artpec9]\n", "artpec9", encode(with_dynamic_batch(integer_model(per_channel=True, io="uint8")))),
        ("[target.cpu]\n", "cpu", PER_TENSOR),
        ('[target.cpu]\nquantization = "int8"\n', "cpu", FLOAT),
    ],
)
def test_a_model_that_is_not_what_the_soc_needs_is_refused_each_time(
    packing: Packing, tmp_path: Path, toml: str, target: str, model: bytes
) -> None:
    made = project(tmp_path, CALIBRATION + toml)
    for _ in range(2):
        with pytest.raises(GateError) as caught:
            packing.pack(made, model, target)
        assert caught.value.code is ErrorCode.GATE
        # The table as it is written in the manifest.
        assert f"[target.{target}]" in caught.value.hint
    assert not packing.dist.exists()


def test_labels_that_do_not_fit_the_built_model_are_refused(packing: Packing, tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "labels.txt": "a\nb\n",
        "model.keras": keras_archive({"class_name": "Mine"}),
    }
    made = resolve(
        write_project(tmp_path, CALIBRATION + "[target.artpec8]\n", model='labels = "labels.txt"', files=files)
    )
    with pytest.raises(ManifestError) as caught:
        packing.pack(made, PER_TENSOR, "artpec8")
    assert caught.value.code is ErrorCode.LABEL_COUNT


def test_what_passed_is_not_held_against_the_rules_again_until_these_change(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n")
    packing.pack(made, PER_TENSOR, "artpec8")
    passed = len(packing.memo.facts)
    packing.pack(made, PER_TENSOR, "artpec8")
    assert len(packing.memo.facts) == passed
    labelled = replace(made, labels=tuple("abcdefghij"))
    packing.pack(labelled, PER_TENSOR, "artpec8")
    assert len(packing.memo.facts) == passed + 1


def test_a_model_that_is_not_in_the_store_is_told(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n")
    with pytest.raises(BlobMissingError):
        package_target(
            made,
            planned(made, "artpec8"),
            BuiltModel(model=Digest("0" * 64, 7)),
            store=packing.store,
            memo=packing.memo,
            out_dir=packing.dist,
            epoch_s=EPOCH_S,
        )


def test_a_package_does_not_depend_on_the_targets_built_beside_it(tmp_path: Path) -> None:
    digests = set()
    for name, toml in (("alone", "[target.cpu]\n"), ("both", CALIBRATION + "[target.artpec8]\n[target.cpu]\n")):
        made = project(tmp_path / name, toml, model=INPUT)
        package = Packing(tmp_path / name).pack(made, FLOAT, "cpu").package
        digests.add(package.archive_digest if package is not None else None)
    assert len(digests) == 1


def test_a_package_says_how_images_were_fed_only_where_they_were(packing: Packing, tmp_path: Path) -> None:
    toml = '[calibration]\ndata = "data"\nresize = "crop"\n[target.artpec8]\n[target.cpu]\n'
    made = project(tmp_path, toml, model=INPUT)
    resizes = [
        model_json(packing.pack(made, model, target))["inputs"][0]["preprocessing"]["image"]["resize"]
        for model, target in ((PER_TENSOR, "artpec8"), (FLOAT, "cpu"))
    ]
    assert resizes == ["crop", None]


def test_what_calibration_fed_is_told_though_the_manifest_says_nothing(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n[target.cpu]\n")
    assert (
        model_json(packing.pack(made, PER_TENSOR, "artpec8"))["inputs"][0]["preprocessing"]["image"]["color"] == "rgb"
    )
    assert model_json(packing.pack(made, FLOAT, "cpu"))["inputs"][0]["preprocessing"] is None


@pytest.mark.parametrize(
    ("toml", "name", "scheme", "io", "integer"),
    [
        ("[target.artpec8]\n", "artpec8", "per-tensor", "uint8", True),
        ('[target.artpec9]\nio = "float32"\n', "artpec9", "per-channel", "float32", True),
        ("[target.cpu]\n", "cpu", "none", "float32", False),
        ('[target.cpu]\nquantization = "dynamic"\n', "cpu", "dynamic", "float32", False),
        ('[target.cpu]\nquantization = "int8"\n', "cpu", "per-channel", "uint8", True),
    ],
)
def test_what_a_model_must_be_follows_from_the_targets_options(
    tmp_path: Path, toml: str, name: str, scheme: str, io: str, integer: bool
) -> None:
    made = project(tmp_path, CALIBRATION + toml)
    needs = model_needs(planned(made, name).target)
    assert (needs.quantization, needs.input_type, needs.output_type) == (scheme, io, io)
    assert needs.integer_only is integer
    assert needs.static_shapes
    assert needs.batch == 1


def test_all_that_is_wrong_with_a_model_is_told_at_once(tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n")
    with pytest.raises(GateError) as caught:
        hold_against_needs(made, planned(made, "artpec8").target, read_model(encode(with_dynamic_batch(float_model()))))
    assert caught.value.message.count("\n") > 4


def test_a_model_whose_output_stands_still_is_refused_each_time(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n")
    for _ in range(2):
        with pytest.raises(GateError, match=r"artpec8/model\.tflite") as caught:
            packing.pack(made, PER_TENSOR, "artpec8", measured_record(distinct=1))
        assert caught.value.exit_code is ExitCode.GATE_FAILED
    assert not packing.dist.exists()


def test_another_record_of_the_same_model_is_judged_anew(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n")
    done = packing.pack(made, PER_TENSOR, "artpec8", measured_record())
    assert (done.written, done.notes) == (True, ())
    assert done.check is not None
    assert done.check.outputs[0].integer["per-tensor"].sqnr_db == 30.0
    with pytest.raises(GateError):
        packing.pack(made, PER_TENSOR, "artpec8", measured_record(distinct=1))


def test_what_was_measured_is_told_and_no_part_of_the_package(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n")
    first = packing.pack(made, PER_TENSOR, "artpec8", measured_record())
    again = packing.pack(made, PER_TENSOR, "artpec8", measured_record(distinct=1, spread=0.01))
    assert (again.written, again.package) == (False, first.package)
    (note,) = again.notes
    assert "moves by 2.5 of 255 steps" in note


@pytest.mark.parametrize("record", [b"{", b"[]", b"[" * 100_000, {"metrics": {}}])
def test_a_record_without_figures_is_the_fault_of_the_step(packing: Packing, tmp_path: Path, record: object) -> None:
    with pytest.raises(StepFailedError) as caught:
        packing.pack(project(tmp_path, CALIBRATION + "[target.artpec8]\n"), PER_TENSOR, "artpec8", record)
    assert caught.value.code is ErrorCode.STEP_OUTPUT


ARTPEC7 = CALIBRATION + "[target.artpec7]\n"


def test_of_a_compiled_model_the_one_before_is_described(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, ARTPEC7, model=INPUT)
    done = packing.pack_compiled(made, PER_CHANNEL, step_record())
    assert (done.quantization, done.notes) == ("per-channel", ())
    assert done.model_bytes == len(b"compiled")
    assert done.operators["CONV_2D"] == 1
    assert done.package is not None
    assert (done.package.folder / "model" / "model.tflite").read_bytes() == b"compiled"
    assert (done.package.folder / "model" / "model_uncompiled.tflite").read_bytes() == PER_CHANNEL
    told = model_json(done)
    assert told["inputs"][0]["name"] == "image"
    assert told["compiler"]["archive-sha256"] == made.toolchains["edgetpu"].lock_sha256
    assert (told["mapping"]["mapped"], told["mapping"]["on-chip-remaining"]) == (4, 7000)


def test_of_a_compiler_of_the_projects_own_no_archive_is_told(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, ARTPEC7)
    pin = made.toolchains["edgetpu"]
    reference = "r.example/own@sha256:" + "b" * 64
    image = replace(pin, image=ImagePin(reference=reference, is_own=True))
    program = replace(pin, archive=None, own_programs=MappingProxyType({"bin/edgetpu_compiler": Path("/x")}))
    inside = replace(pin, image=ImagePin(id="sha256:" + "a" * 64))

    def told(other: ToolchainPin) -> object:
        toolchains = MappingProxyType({**made.toolchains, "edgetpu": other})
        done = packing.pack_compiled(replace(made, toolchains=toolchains), PER_CHANNEL, step_record())
        return model_json(done)["compiler"]["archive-sha256"]

    assert [told(each) for each in (image, program, inside)] == [None, None, pin.lock_sha256]


def test_a_model_that_the_compiler_took_is_still_held_against_the_needs(packing: Packing, tmp_path: Path) -> None:
    with pytest.raises(GateError) as caught:
        packing.pack_compiled(project(tmp_path, ARTPEC7), FLOAT, step_record())
    assert "artpec7/model.tflite" in caught.value.message


def test_a_model_of_which_nothing_is_mapped_is_refused_each_time(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, ARTPEC7)
    for _ in range(2):
        with pytest.raises(GateError) as caught:
            packing.pack_compiled(made, PER_CHANNEL, step_record(mapped=0))
        assert caught.value.exit_code is ExitCode.GATE_FAILED
    assert not packing.dist.exists()


def test_a_share_asked_for_later_is_held_against_a_model_that_passed(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path / "one", ARTPEC7)
    done = packing.pack_compiled(made, PER_CHANNEL, step_record(mapped=3))
    assert done.notes == (
        "1 of 4 operators run on the CPU, which is slower: 1 OP_3",
        "lint expected nothing on the CPU, and the compiler left 1 OP_3 there",
    )
    with pytest.raises(GateError) as caught:
        packing.pack_compiled(
            project(tmp_path / "two", f"{ARTPEC7}min-mapped = 1.0\n"), PER_CHANNEL, step_record(mapped=3)
        )
    assert "[target.artpec7]" in caught.value.hint


def test_another_record_is_another_package_where_what_it_says_is_told(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, ARTPEC7)
    first = packing.pack_compiled(made, PER_CHANNEL, step_record())
    same = packing.pack_compiled(made, PER_CHANNEL, step_record(milliseconds=9, first_failure="it stopped"))
    assert (same.written, same.package) == (False, first.package)
    assert len(same.notes) == 1
    assert "it stopped" in same.notes[0]
    other = packing.pack_compiled(made, PER_CHANNEL, step_record(mapped=3))
    assert other.written
    assert other.package is not None
    assert first.package is not None
    assert other.package.archive_digest != first.package.archive_digest


@pytest.mark.parametrize("record", [b"{", b"[]", b"[" * 100_000, {"metrics": {}}])
def test_a_record_that_says_nothing_is_the_fault_of_the_step(packing: Packing, tmp_path: Path, record: object) -> None:
    with pytest.raises(StepFailedError) as caught:
        packing.pack_compiled(project(tmp_path, ARTPEC7), PER_CHANNEL, record)
    assert caught.value.code is ErrorCode.STEP_OUTPUT


def test_without_a_note_of_its_converter_a_models_oldest_runtime_is_that_of_its_operators(
    packing: Packing, tmp_path: Path
) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n")
    told = [
        model_json(packing.pack(made, encode(model), "artpec8"))["model"]["min-runtime"]
        for model in (integer_model(io="uint8"), replace(integer_model(io="uint8"), metadata={}))
    ]
    assert told[0] == "2.3.0"
    assert told[1] == min_runtime(read_model(PER_TENSOR)).version


# What lint finds.


def test_a_package_comes_with_what_lint_found(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n")
    packed = packing.pack(made, PER_TENSOR, "artpec8")
    assert packed.lint is not None
    assert packed.lint.soc == "artpec8"
    assert packed.lint.placement is not None
    # Remembered, and the same.
    assert packing.pack(made, PER_TENSOR, "artpec8").lint == packed.lint


def test_a_finding_that_the_manifest_makes_an_error_fails_the_target_each_time(
    packing: Packing, tmp_path: Path
) -> None:
    rule = '[lint.rules."artpec8/filters-multiple-of-6"]\nseverity = "error"\nreason = "ours"\n'
    made = project(tmp_path, CALIBRATION + "[target.artpec8]\n" + rule)
    for _ in range(2):
        with pytest.raises(GateError) as caught:
            packing.pack(made, PER_TENSOR, "artpec8")
        assert caught.value.exit_code is ExitCode.GATE_FAILED
        text = str(caught.value)
        assert "artpec8/filters-multiple-of-6 (1)" in text
        assert "operator 1 CONV_2D: found 8 filters" in text
        assert "[lint.rules]" in text
    assert not packing.dist.exists()
    never = project(tmp_path / "never", CALIBRATION + '[target.artpec8]\n[lint]\nfail-on = "never"\n' + rule)
    packed = packing.pack(never, PER_TENSOR, "artpec8")
    assert packed.lint is not None
    assert packed.lint.counts["error"] == 1
    assert any("1 warning" in note or "filters-multiple-of-6" in note for note in packed.notes)


def test_a_change_of_the_settings_is_seen_though_the_model_was_linted(packing: Packing, tmp_path: Path) -> None:
    first = packing.pack(project(tmp_path / "a", CALIBRATION + "[target.artpec8]\n"), PER_TENSOR, "artpec8").lint
    rule = '[lint.rules."artpec8/filters-multiple-of-6"]\nseverity = "off"\nreason = "ours"\n'
    made = project(tmp_path / "b", CALIBRATION + "[target.artpec8]\n" + rule)
    second = packing.pack(made, PER_TENSOR, "artpec8").lint
    assert first is not None
    assert second is not None
    assert len(first.findings) == len(second.findings) + 1
    assert [(each.rule, each.count) for each in second.silenced] == [("artpec8/filters-multiple-of-6", 1)]


def test_a_compiled_model_is_linted_as_it_was_before(packing: Packing, tmp_path: Path) -> None:
    made = project(tmp_path, CALIBRATION + "[target.artpec7]\n")
    packed = packing.pack_compiled(made, PER_CHANNEL, step_record())
    assert packed.lint is not None
    assert packed.lint.placement is not None
    assert packed.lint.placement.cpu == {}
    assert sum(packed.lint.placement.dlpu.values()) == 4
