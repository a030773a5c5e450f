"""Everything that is done with a `.tflite` of unknown origin, done at once.

In: the bytes of a file. Out: whether it is a model. Whatever the bytes are, this ends soon, in a model or in a
`NotAModelError`, and nothing of the file reaches a terminal or a page in a way that steers it: all else is an
`AssertionError`, or what was raised.
"""

from __future__ import annotations

import json
from functools import cache
from html.parser import HTMLParser
from time import process_time
from typing import TYPE_CHECKING

from dlpubuild.report.inspect import Shown, inspect_text
from dlpubuild.report.inspect_diff import diff_json, diff_pieces
from dlpubuild.report.inspect_html import Section, inspect_html
from dlpubuild.report.inspect_json import inspect_json
from dlpubuild.report.json_text import json_chunks
from dlpubuild.report.lint import lint_json, lint_text
from dlpubuild.report.sarif import sarif_log
from dlpubuild.resources import templates_dir
from dlpubuild.targets.gate import ModelNeeds, gate_findings
from dlpubuild.targets.lint.model import LintSettings
from dlpubuild.targets.lint.run import lint_model
from dlpubuild.targets.load import load_socs
from dlpubuild.tflite.compare import compare
from dlpubuild.tflite.constants import values
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.flatbuffer import NotAModelError
from dlpubuild.tflite.read import read_model
from tests.factories.tflite_factory import encode, integer_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.targets.model import Soc
    from dlpubuild.tflite.model import TfliteModel

NEEDS = ModelNeeds(
    quantization="per-tensor", input_type="uint8", output_type="uint8", integer_only=True, static_shapes=True, batch=1
)
# Of this process on a processor, a hundred times what a sound file of some kilobytes takes.
SECONDS = 5.0
_TAGS = frozenset(
    """
    html head meta title style body a main header p h1 h2 h3 section dl dt dd div ul li table caption thead tbody tr th
    td span code bdi details summary meter pre
    """.split()  # noqa: SIM905 - as the template has them
)


def look(data: bytes) -> TfliteModel | None:
    """Read `data` and show it in every way; None where it is no model."""
    begin = process_time()
    try:
        model = read_model(data)
    except NotAModelError as error:
        assert error.message.isprintable(), "an error steers the terminal"  # noqa: PT017 - either is fine
        return None
    else:
        _show(model)
        _compare(model)
        gate_findings(model, NEEDS)
        _lint(model)
        for graph in model.subgraphs:
            for tensor in graph.tensors:
                values(model, tensor)
        return model
    finally:
        assert process_time() - begin < SECONDS, "it takes too long"


def _show(model: TfliteModel) -> None:
    facts = summarise(model)
    for shown in (Shown(), Shown(operators=True, tensors=True), Shown(operators=True, tensors=True, width=80)):
        _assert_harmless(inspect_text("a name", model, facts, shown))
    document = json.loads("".join(json_chunks(inspect_json(model, facts))))
    assert [len(graph["tensors"]) for graph in document["subgraphs"]] == [len(each.tensors) for each in model.subgraphs]
    page = "".join(inspect_html("a name", [Section(name="a name", model=model, facts=facts)]))
    _assert_harmless(page)
    _Page().feed(page)


def _compare(model: TfliteModel) -> None:
    other = _other()
    assert compare(model, model).is_empty
    for pair in ((model, other), (other, model)):
        found = compare(*pair)
        _assert_harmless("".join(diff_pieces(("old", "new"), found, everything=True, width=80)))
        json.loads("".join(json_chunks({"difference": diff_json(found)})))


def _lint(model: TfliteModel) -> None:
    linted = [(soc, lint_model(model, soc, LintSettings())) for soc in _socs().values()]
    _assert_harmless(lint_text("a name", [(soc.title, report) for soc, report in linted], colored=False, width=80))
    reports = [report for _, report in linted]
    json.loads(json.dumps([lint_json("a name", reports), sarif_log("a name", linted)], allow_nan=False))


@cache
def _socs() -> Mapping[str, Soc]:
    return load_socs([templates_dir()], trusted=templates_dir())


@cache
def _other() -> TfliteModel:
    return read_model(encode(integer_model()))


def _assert_harmless(text: str) -> None:
    assert text.replace("\n", "").isprintable(), "what is shown steers the terminal"


class _Page(HTMLParser):
    """Fails on a tag or an attribute that the template does not have."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS, f"<{tag}> comes out of the file"
        assert not any(name.startswith("on") for name, _ in attrs), "a handler comes out of the file"
