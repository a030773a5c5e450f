"""What is in the key of an action and what is not; the digests are pinned, since every cache is keyed on them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.cas.action import ActionResult, OutputFile
from dlpubuild.cas.digest import digest_bytes
from dlpubuild.engine.bind import bind_step, output_digest, params_json
from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.plan.model import FilesInput
from tests.factories.plans import OUTPUT, make_pin, make_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlpubuild.plan.model import Step

GOLDEN = Path(__file__).parents[2] / "golden" / "actions" / "bound.json"
RESULT = ActionResult(output_files=(OutputFile(path=OUTPUT, digest=digest_bytes(b"made")),))


def one_step(folder: Path, **changes: Any) -> Step:
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.bin"
    if not model.exists():
        model.write_bytes(b"model")
    settings: dict[str, Any] = {
        "needs": ["before"],
        "script": "print(1)\n",
        "params": {"b": [1, 2.5], "a": "ü"},
        "files": {"in/model": model},
    }
    return make_step("step", folder, **{**settings, **changes})


def digest_of(step: Step) -> str:
    return bind_step(step, {"before": RESULT}).digest.hash


def test_the_digests_are_those_that_caches_know(tmp_path: Path, golden: Callable[[Path, str], None]) -> None:
    bound = bind_step(one_step(tmp_path), {"before": RESULT})
    found = {
        "action": str(bound.digest),
        "command": str(bound.command.digest),
        "input-root": str(bound.tree.root),
        "params": bound.content[bound.tree.files["src/params.json"].digest].decode(),  # type: ignore[union-attr]
    }
    golden(GOLDEN, json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def test_the_command_is_that_which_every_engine_can_run(tmp_path: Path) -> None:
    bound = bind_step(one_step(tmp_path), {"before": RESULT})
    assert bound.command.arguments == ("python", "src/step.py", "src/params.json")
    assert sorted(bound.tree.files) == ["in/before", "in/model", "src/params.json", "src/step.py"]
    assert bound.command.output_paths == ("out/made", "out/step.json")
    assert bound.command.platform == bound.action.platform
    assert bound.command.platform["venv-lock"].startswith("sha256:")
    assert bound.action.timeout_s == 60.0
    assert bound.mnemonic == "step step"


def test_the_place_of_the_checkout_is_not_in_the_key(tmp_path: Path) -> None:
    assert digest_of(one_step(tmp_path / "here")) == digest_of(one_step(tmp_path / "the other place"))


def test_who_asks_and_how_it_is_shown_is_not_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = one_step(tmp_path)
    before = digest_of(step)
    monkeypatch.setenv("USER", "somebody")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "sv_SE.UTF-8")
    other = replace(step, key="k", id="i", name="n", title="another title", targets=("a", "b"))
    assert digest_of(other) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"script": "print(2)\n"},
        {"script_name": "other.py"},
        {"params": {"b": [1, 2.5], "a": "u"}},
        {"params": {}},
        {"files": {}},
        {"outputs": [OUTPUT, "out/more"]},
        {"timeout_s": 61},
        {"needs": []},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_all_that_makes_a_step_is_in_the_key(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert digest_of(one_step(tmp_path, **changes)) != digest_of(one_step(tmp_path))


def test_input_bytes_names_and_modes_are_in_the_key(tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    digests = [digest_of(one_step(tmp_path)), digest_of(one_step(tmp_path, files={"in/renamed": model}))]
    executable = one_step(tmp_path)
    inputs = [
        replace(each, files=tuple(replace(file, is_executable=True) for file in each.files))
        if isinstance(each, FilesInput)
        else each
        for each in executable.inputs
    ]
    digests.append(digest_of(replace(executable, inputs=tuple(inputs))))
    model.write_bytes(b"other")
    digests.append(digest_of(one_step(tmp_path)))
    assert len(set(digests)) == 4


def test_the_output_of_an_earlier_step_is_in_the_key(tmp_path: Path) -> None:
    other = ActionResult(output_files=(OutputFile(path=OUTPUT, digest=digest_bytes(b"other")),))
    step = one_step(tmp_path)
    assert bind_step(step, {"before": other}).digest.hash != digest_of(step)


@pytest.mark.parametrize("change", ["lock", "python", "isa", "environment"])
def test_the_toolchain_is_in_the_key(tmp_path: Path, change: str) -> None:
    pin = make_pin(tmp_path)
    others = {
        "lock": make_pin(tmp_path / "other", lock=b"numpy==2.0\n"),
        "python": replace(pin, python="3.12"),
        "isa": replace(pin, isa="aarch64"),
        "environment": replace(pin, environment={**pin.environment, "TZ": "UTC"}),
    }
    assert digest_of(one_step(tmp_path, pin=others[change])) != digest_of(one_step(tmp_path, pin=pin))


def test_parameters_have_one_encoding(tmp_path: Path) -> None:
    one = make_step("s", tmp_path, params={"a": 1, "b": "ü"})
    other = make_step("s", tmp_path, params={"b": "ü", "a": 1})
    assert params_json(one) == params_json(other)
    assert json.loads(params_json(one)) == {"a": 1, "b": "ü"}


@pytest.mark.parametrize(
    "changes",
    [{"outputs": ["out/a", "out/a/b"]}, {"outputs": ["out/../../x"]}, {"outputs": ["out/step.json"]}],
    ids=["nested", "outside", "twice"],
)
def test_output_paths_that_cannot_be_are_told(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(DlpuError) as caught:
        digest_of(one_step(tmp_path, **changes))
    assert caught.value.code is ErrorCode.PATH_KIND
    assert "step step" in caught.value.message


def test_a_file_name_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    model.write_bytes(b"")
    with pytest.raises(DlpuError) as caught:
        digest_of(one_step(tmp_path, files={"in/caf\udce9": model}))
    assert caught.value.code is ErrorCode.PATH_KIND


def test_a_script_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    step = one_step(tmp_path)
    step.scripts[0].unlink()
    with pytest.raises(DlpuError) as caught:
        digest_of(step)
    assert caught.value.code is ErrorCode.INPUT_UNREADABLE


def test_a_result_without_the_output_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        output_digest(RESULT, "out/none")
