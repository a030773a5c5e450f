"""What lint found is remembered by all that it depends on, and only where that fits."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.cas.memo import Memo
from dlpubuild.package.linted import lint_built, lint_key
from dlpubuild.targets.lint.model import LintSettings, RuleSetting
from dlpubuild.tflite.read import read_model
from tests.factories.lint_tables import head, limit, rule, table_of_toml, toy_soc
from tests.factories.tflite_factory import GraphSpec, ModelSpec, OperatorSpec, TensorSpec, encode, integer_model

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.tflite.model import TfliteModel

SOC = toy_soc(head() + rule("false"))


@pytest.fixture
def memo(tmp_path: Path) -> Memo:
    return Memo(tmp_path / "memo.sqlite3", now_ns=lambda: 0)


def chain(count: int) -> bytes:
    tensors = tuple(TensorSpec(name=f"a/rather/long/name/{i}", shape=(1, 4), scales=(0.5,)) for i in range(count + 1))
    operators = tuple(OperatorSpec(name="ADD", inputs=(i,), outputs=(i + 1,)) for i in range(count))
    graph = GraphSpec(tensors=tensors, operators=operators, inputs=(0,), outputs=(count,))
    return encode(ModelSpec(graphs=(graph,)))


def never() -> TfliteModel:
    raise AssertionError("it was linted before")


@pytest.mark.parametrize("data", [encode(integer_model()), chain(3000)], ids=["small", "large"])
def test_a_model_is_read_and_linted_once(memo: Memo, data: bytes) -> None:
    digest = digest_bytes(data)
    with memo:
        first = lint_built(SOC, digest, lambda: read_model(data), settings=LintSettings(), memo=memo)
        assert lint_built(SOC, digest, never, settings=LintSettings(), memo=memo) == first
    assert first.findings


@pytest.mark.parametrize("damage", [b"", b"rubbish", zlib.compress(b"[]"), zlib.compress(b'{"target": 1}')])
def test_a_damaged_memory_is_made_anew(memo: Memo, damage: bytes) -> None:
    data = encode(integer_model())
    digest, settings = digest_bytes(data), LintSettings()
    with memo:
        first = lint_built(SOC, digest, lambda: read_model(data), settings=settings, memo=memo)
        memo.remember("lint-2", lint_key(SOC, digest, settings), damage)
        assert lint_built(SOC, digest, lambda: read_model(data), settings=settings, memo=memo) == first


def test_whatever_a_report_depends_on_is_in_its_key() -> None:
    digest, other = digest_bytes(b"1"), digest_bytes(b"2")
    silent = LintSettings(rules={"toy/a-rule": RuleSetting(severity="off", reason="x")})
    why = LintSettings(rules={"toy/a-rule": RuleSetting(severity="off", reason="y")})
    keys = [
        lint_key(SOC, digest, LintSettings()),
        lint_key(SOC, other, LintSettings()),
        lint_key(SOC, digest, silent),
        lint_key(SOC, digest, why),
        lint_key(replace(SOC, lint=table_of_toml(head() + limit("true"))), digest, LintSettings()),
        lint_key(replace(SOC, name="other"), digest, LintSettings()),
        lint_key(replace(SOC, allowed_io=("int8",)), digest, LintSettings()),
        lint_key(replace(SOC, gate=replace(SOC.gate, batch=2)), digest, LintSettings()),
    ]
    assert len(set(keys)) == len(keys)
    # From which severity on it fails changes what becomes of the findings, not the findings.
    assert lint_key(SOC, digest, LintSettings(fail_on="never")) == keys[0]
