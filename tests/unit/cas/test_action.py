from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.action import FORMAT_SALT, Action, ActionResult, Command, OutputFile
from dlpubuild.cas.digest import EMPTY_DIGEST, Digest, digest_bytes
from dlpubuild.cas.reapi import ACTION_RESULT, COMMAND, MessageDecodeError
from dlpubuild.cas.tree import InputFile, build_input_tree

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parents[2] / "golden" / "actions" / "digests.json"

PLATFORM = {"OSFamily": "linux", "container-image": "docker://images/tf2@sha256:" + "1" * 64}
COMMAND_VALUE = Command(
    arguments=("python", "src/step.py", "src/params.json"),
    environment={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"},
    output_paths=("out/step.json", "out/model.tflite"),
    platform=PLATFORM,
)
ACTION_VALUE = Action(command=COMMAND_VALUE.digest, input_root=EMPTY_DIGEST, timeout_s=3600, platform=PLATFORM)
RESULT = ActionResult(
    output_files=(
        OutputFile(path="out/step.json", digest=digest_bytes(b"{}")),
        OutputFile(path="out/model.tflite", digest=digest_bytes(b"TFL3"), is_executable=True),
    ),
    stdout=digest_bytes(b"log"),
    stderr=EMPTY_DIGEST,
    worker="local",
    started_ns=1_700_000_000_000_000_001,
    completed_ns=1_700_000_003_500_000_000,
)


def test_golden_digests(golden: Callable[[Path, str], None]) -> None:
    """A change here makes every result that was ever cached unreachable: it belongs into the changelog."""
    tree = build_input_tree(
        {
            "src/step.py": InputFile(digest_bytes(b"print()\n"), is_executable=True),
            "src/params.json": InputFile(digest_bytes(b"{}\n")),
            "in/calibration/b.png": InputFile(digest_bytes(b"b")),
            "in/calibration/\u00e9.png": InputFile(digest_bytes(b"e")),
            "in/model/saved_model.pb": InputFile(digest_bytes(b"pb")),
        }
    )
    found = {
        "command": str(COMMAND_VALUE.digest),
        "action": str(ACTION_VALUE.digest),
        "action-not-cached": str(replace(ACTION_VALUE, do_not_cache=True, timeout_s=0.25).digest),
        "action-result": str(digest_bytes(RESULT.encode())),
        "empty-tree": str(build_input_tree({}).root),
        "input-tree": str(tree.root),
    }
    golden(GOLDEN, json.dumps(found, indent=2, sort_keys=True) + "\n")


@pytest.mark.parametrize(
    "other",
    [
        replace(COMMAND_VALUE, arguments=("python", "src/step.py")),
        replace(COMMAND_VALUE, arguments=("python", "src/params.json", "src/step.py")),
        replace(COMMAND_VALUE, environment={**COMMAND_VALUE.environment, "TZ": "CET"}),
        replace(COMMAND_VALUE, environment={**COMMAND_VALUE.environment, "X": ""}),
        replace(COMMAND_VALUE, output_paths=("out/model.tflite",)),
        replace(COMMAND_VALUE, working_directory="src"),
        replace(COMMAND_VALUE, platform={"OSFamily": "linux"}),
    ],
)
def test_all_that_a_command_says_is_in_its_digest(other: Command) -> None:
    assert other.digest != COMMAND_VALUE.digest


@pytest.mark.parametrize(
    "other",
    [
        replace(ACTION_VALUE, command=EMPTY_DIGEST),
        replace(ACTION_VALUE, input_root=COMMAND_VALUE.digest),
        replace(ACTION_VALUE, timeout_s=3600.5),
        replace(ACTION_VALUE, salt=FORMAT_SALT + b"x"),
        replace(ACTION_VALUE, platform={}),
        replace(ACTION_VALUE, do_not_cache=True),
    ],
)
def test_all_that_an_action_says_is_in_its_digest(other: Action) -> None:
    assert other.digest != ACTION_VALUE.digest


def test_the_order_in_which_things_are_said_is_not_in_the_digest() -> None:
    for environment in itertools.permutations(COMMAND_VALUE.environment.items()):
        assert replace(COMMAND_VALUE, environment=dict(environment)).digest == COMMAND_VALUE.digest
    reordered = replace(
        COMMAND_VALUE,
        platform=dict(reversed(PLATFORM.items())),
        output_paths=tuple(reversed(COMMAND_VALUE.output_paths)),
    )
    assert reordered.digest == COMMAND_VALUE.digest
    assert replace(ACTION_VALUE, platform=dict(reversed(PLATFORM.items()))).digest == ACTION_VALUE.digest


def test_lists_are_sorted_as_the_api_demands() -> None:
    command = Command(
        arguments=("z", "a"),
        environment={"b": "1", "B": "2", "\u00e9": "3", "a": "4"},
        output_paths=("out/b", "out/B", "out/\U0001f600", "out/\uffff"),
        platform={"p": "1", "P": "2"},
    )
    message = COMMAND.decode(command.encode())
    text = str(message)
    assert list(message.arguments) == ["z", "a"]  # type: ignore[attr-defined]
    assert [each.name for each in message.environment_variables] == ["B", "a", "b", "\u00e9"]  # type: ignore[attr-defined]
    assert list(message.output_paths) == ["out/B", "out/b", "out/\uffff", "out/\U0001f600"]  # type: ignore[attr-defined]
    assert text.index('"P"') < text.index('"p"')


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": ()},
        {"arguments": ("",)},
        {"arguments": ("a\0",)},
        {"arguments": ("\udc80",)},
        {"environment": {"": "x"}},
        {"environment": {"A=B": "x"}},
        {"environment": {"A": "\0"}},
        {"output_paths": ("/out",)},
        {"output_paths": ("out/",)},
        {"output_paths": ("../out",)},
        {"output_paths": ("out", "out")},
        {"output_paths": ("out", "out/model.tflite")},
        {"working_directory": "/"},
        {"platform": {"": "x"}},
    ],
)
def test_a_command_refuses_what_no_engine_can_run(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(COMMAND_VALUE, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout_s", [0, -1, float("inf"), float("nan")])
def test_an_action_needs_a_timeout(timeout_s: float) -> None:
    with pytest.raises(ValueError):
        replace(ACTION_VALUE, timeout_s=timeout_s)


def test_a_result_survives_its_encoding() -> None:
    decoded = ActionResult.decode(RESULT.encode())
    assert decoded == replace(RESULT, output_files=tuple(reversed(RESULT.output_files)))
    assert [output.path for output in decoded.output_files] == ["out/model.tflite", "out/step.json"]
    assert decoded.blobs == (digest_bytes(b"TFL3"), digest_bytes(b"{}"), digest_bytes(b"log"), EMPTY_DIGEST)
    bare = ActionResult(output_files=(), exit_code=-9)
    assert ActionResult.decode(bare.encode()) == bare


def _digest_message(value: Digest) -> dict[str, object]:
    return {"hash": value.hash, "size_bytes": value.size_bytes}


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff",
        RESULT.encode()[:-3],
        ACTION_RESULT.encode(stdout_digest={"hash": "short", "size_bytes": 1}),
        ACTION_RESULT.encode(output_files=[{"path": "out/x"}]),
        ACTION_RESULT.encode(output_files=[{"path": "../x", "digest": _digest_message(EMPTY_DIGEST)}]),
        ACTION_RESULT.encode(output_files=[{"path": "x", "digest": _digest_message(EMPTY_DIGEST)}] * 2),
        ACTION_RESULT.encode(output_directories=[{"path": "out", "tree_digest": _digest_message(EMPTY_DIGEST)}]),
        ACTION_RESULT.encode(output_symlinks=[{"path": "out/x", "target": "/etc/passwd"}]),
    ],
)
def test_what_is_not_a_usable_result_is_refused(data: bytes) -> None:
    with pytest.raises(MessageDecodeError):
        ActionResult.decode(data)
