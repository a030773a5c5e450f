"""The views of report documents: what they say, and that no name becomes structure."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt

from dlpubuild.report import figures
from dlpubuild.report.compare import compare
from dlpubuild.report.compare_views import compare_markdown, compare_text
from dlpubuild.report.html import compare_html, report_html
from dlpubuild.report.markdown import LIMIT, report_markdown, text
from dlpubuild.report.summary import report_text
from dlpubuild.report.text import display_width
from dlpubuild.resources import schema_path
from tests.factories.report_documents import (
    HOSTILE,
    LONG,
    SCRIPT,
    minimal_document,
    older_document,
    rich_document,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCHEMA = json.loads(schema_path("report").read_text(encoding="utf-8"))
VIEWS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "html": report_html,
    "markdown": report_markdown,
    "text": lambda document: report_text(document, colored=True, width=100),
    "comparison html": lambda document: compare_html(compare(document, rich_document())),
    "comparison markdown": lambda document: compare_markdown(compare(rich_document(), document)),
    "comparison text": lambda document: compare_text(compare(document, rich_document()), colored=True, width=100),
}
TAGS = {"table", "thead", "tbody", "tr", "th", "td", "p", "h3", "strong", "em", "code", "br", "ul", "li", "sub"} | {
    "details",
    "summary",
}


class Tags(HTMLParser):
    """Names of all tags, and all text, of rendered Markdown."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[Any] = []
        self.texts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [each for each in attrs if each[0] != "style"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def rendered(markdown: str) -> Tags:
    return Tags(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))


def without(value: Any, part: dict[str, Any], *, deep: bool) -> Any:
    """A document in which everything is null that its schema lets be: whole parts, or with `deep` what is in them."""
    options = [part]
    while any("$ref" in each or "anyOf" in each for each in options):
        options = [
            option
            for each in options
            for option in (
                each["anyOf"]
                if "anyOf" in each
                else [SCHEMA["$defs"][each["$ref"].rpartition("/")[2]]]
                if "$ref" in each
                else [each]
            )
        ]
    kinds = [
        kind
        for each in options
        for kind in ([each["type"]] if isinstance(each.get("type"), str) else each.get("type", ()))
    ]
    if "null" in kinds and (not deep or not isinstance(value, (dict, list))):
        return None
    known = next((each for each in options if "properties" in each or "items" in each), {})
    if isinstance(value, dict):
        properties = known.get("properties", {})
        return {key: without(each, properties.get(key, {}), deep=deep) for key, each in value.items()}
    if isinstance(value, list):
        return [without(each, known.get("items", {}), deep=deep) for each in value]
    return value


@pytest.mark.parametrize("made", [minimal_document, rich_document, older_document])
def test_the_documents_of_the_tests_are_reports(made: Callable[[], dict[str, Any]]) -> None:
    Draft202012Validator(SCHEMA).validate(made())


@pytest.mark.parametrize("view", sorted(VIEWS))
@pytest.mark.parametrize("deep", [False, True])
def test_what_a_report_may_lack_is_missing_in_no_view(view: str, *, deep: bool) -> None:
    document = without(rich_document(), SCHEMA, deep=deep)
    Draft202012Validator(SCHEMA).validate(document)
    shown = VIEWS[view](document)
    assert "None" not in re.sub(r"<[^>]*>", "", shown)
    assert "nan" not in shown.split()


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_a_report_of_nothing_is_shown(view: str) -> None:
    document = minimal_document() | {"targets": []}
    assert VIEWS[view](document)


def hostile(value: Any) -> Any:
    """A document in which every text, what a view decides by included, tries to break out of the page."""
    if isinstance(value, str):
        return f"\x1b[31m'\"--></title></style></script></bdi><img src=x onerror=alert(1)>`|{{{{7*7}}}}\n\u202e{value}"
    if isinstance(value, dict):
        return {key: hostile(each) for key, each in value.items()}
    return [hostile(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_no_text_anywhere_in_a_report_becomes_structure(view: str) -> None:
    document = rich_document()
    placement = document["targets"][0]["placement"]
    placement["cpu"] = {hostile(name): count for name, count in placement["cpu"].items()}
    shown = VIEWS[view](hostile(document))
    assert "49" not in re.findall(r"\d+", "".join(re.findall(r"onerror.{0,40}", shown)))
    if view.endswith("html"):
        comparison = compare_html(compare(older_document(), rich_document()))
        benign, found = Tags(report_html(rich_document()) + comparison), Tags(shown)
        assert found.tags <= benign.tags
        assert {name for name, _ in found.attributes} <= {name for name, _ in benign.attributes}
        assert shown.count("<script>") == 1
    elif view.endswith("markdown"):
        assert rendered(shown).tags <= TAGS
    else:
        assert "\u202e" not in shown
        assert not re.search(r"\x1b(?!\[[\d;]*m)", shown)
        assert "\x1b[31m'" not in shown


def test_a_page_allows_its_own_style_and_script_and_nothing_else() -> None:
    page = report_html(minimal_document())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    for tag in ("style", "script"):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'; ")
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(//|data:|file:)""", page)


def test_a_page_is_the_same_each_time() -> None:
    assert report_html(rich_document()) == report_html(rich_document())


def test_a_page_of_a_huge_model_can_be_opened_and_says_what_it_leaves_out() -> None:
    document = rich_document()
    target = document["targets"][1]
    target["operators"] *= 100
    target["lint"]["findings"] *= 100
    target["verify"]["layers"] *= 200
    document["plan"]["steps"] = [step | {"key": f"{n}"} for n in range(40) for step in document["plan"]["steps"]]
    page = report_html(document | {"targets": [target]})
    assert len(page) < 5_000_000
    assert "13,000 more are in the JSON document." in page
    assert "There are too many steps for a drawing." in page


def test_markdown_keeps_within_what_hosts_take() -> None:
    document = rich_document()
    target = document["targets"][1]
    target["lint"]["findings"] = [each | {"output": "<" * 500} for each in target["lint"]["findings"] * 200]
    target["error"] = {"code": "x", "message": "|" * 100_000, "hint": "`" * 100_000}
    target["notes"] = ["#" * 10_000] * 500
    document["targets"] = [target | {"title": f"{number}{LONG}" * 9} for number in range(150)]
    shown = report_markdown(document)
    assert LIMIT // 2 < len(shown) <= LIMIT
    assert "More did not fit here" in shown
    assert rendered(shown).tags <= TAGS
    assert len(compare_markdown(compare(rich_document(), document))) <= LIMIT


@pytest.mark.parametrize(
    "name", [*HOSTILE, "~~gone~~ **bold** __under__ [a](b) ![i](j) <!-- --> &amp; \\| https://x.invalid"]
)
def test_no_name_is_markdown(name: str) -> None:
    found = rendered(f"| a | b |\n| --- | --- |\n| {text(name)} | c |\n\n- x {text(name)}")
    assert found.tags <= {"table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert found.texts.count("c") == 1


def test_markdown_holds_no_structure_but_its_own() -> None:
    for shown in (report_markdown(rich_document()), compare_markdown(compare(older_document(), rich_document()))):
        found = rendered(shown)
        assert found.tags <= TAGS
        assert found.attributes == []
        assert SCRIPT in "".join(found.texts)


@pytest.mark.parametrize("view", ["html", "markdown", "text"])
def test_that_the_model_before_compilation_was_measured_is_said_of_each_such_soc(view: str) -> None:
    assert VIEWS[view](rich_document()).count("before compilation") >= 2
    assert "before compilation" not in VIEWS[view](minimal_document())


def test_markdown_names_what_failed_and_the_worst_layers() -> None:
    shown = report_markdown(rich_document())
    assert shown.startswith(
        "### ❌ street-objects 2.3.1\n\nBuilt for 4 of 6 SoCs; ARTPEC-9 failed; CV75 was skipped.\n"
    )
    assert "**ARTPEC-9**, gate: top-1 of scene: lost 3.1 points, at most 2.0 allowed" in shown
    assert "<code>artpec9/too-many-parts</code>: 19 parts" in shown
    assert "| 70 | <code>CONV_2D</code> | <code>model/block_17/project/Relu6</code> | 6.9 dB |" in shown


@pytest.mark.parametrize("width", [40, 80, 120])
def test_text_cannot_steer_the_terminal_and_wraps(width: int) -> None:
    document = rich_document()
    for target in document["targets"]:
        target["title"] = "\x1b]0;title\x07" + target["title"]
    shown = report_text(document, colored=False, width=width)
    assert not set(shown) & set("\x1b\x07\u202e")
    failure = shown.partition("  error ")[2].partition("  worst layers")[0].splitlines()[1:]
    assert len(failure) > 5
    assert all(display_width(line) <= width for line in failure)


def test_text_is_colored_only_where_asked_for() -> None:
    colored, plain = (report_text(rich_document(), colored=each, width=None) for each in (True, False))
    assert "\x1b[1;31mfailed\x1b[0m" in colored
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == plain


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (figures.percent_text(0.98489), "98.5 %"),
        (figures.percent_text(None), figures.NOTHING),
        (figures.points_text(-0.0001), "0.0"),
        (figures.points_text(-0.012), "-1.2"),
        (figures.decibel_text(float("inf")), figures.NOTHING),
        (figures.macs_text(1_203_448_832), "1.2 GMAC"),
        (figures.macs_text(12), "12 MAC"),
        (figures.interval_text("top1", {"low": 0.967, "high": 0.993}), "96.7 to 99.3 %"),
        (figures.interval_text("sqnr", {"low": None, "high": 1.0}), ""),
        (figures.listed(["a", "b", "c"]), "a, b and c"),
        (
            figures.gate_text({"metric": "sqnr", "value": None, "limit": 20.0}),
            f"SQNR: {figures.NOTHING}, at least 20.0 dB wanted",
        ),
    ],
)
def test_figures_are_words(shown: str, wanted: str) -> None:
    assert shown == wanted


def test_what_a_compiler_mapped_counts_before_what_was_expected() -> None:
    expected = {"dlpu": {"CONV_2D": 5}, "cpu": {"SOFTMAX": 1}}
    assert figures.placed({"placement": expected}) == (5, 1)
    assert figures.placed({"placement": expected, "compiler": {"mapped": 4, "total": 6}}) == (4, 2)
    assert figures.placed({"placement": expected, "compiler": {"mapped": None, "total": None}}) == (5, 1)
    assert figures.placed({"operators": [{"runs_on": "unknown"}]}) is None
