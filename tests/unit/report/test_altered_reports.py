"""Reports that somebody altered: each is refused with a reason, or shown in every form; nothing crashes."""

from __future__ import annotations

import copy
import json
import random  # noqa: TID251 - seeded, and nothing is sampled for a model
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.errors import UsageError
from dlpubuild.report.compare import compare
from dlpubuild.report.compare_views import compare_markdown, compare_text
from dlpubuild.report.html import compare_html, report_html
from dlpubuild.report.markdown import report_markdown
from dlpubuild.report.saved import read_report
from dlpubuild.report.summary import report_text
from tests.factories.report_documents import rich_document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUNDS = 25
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 10**30, -(10**40), 0.5, 1e308, 5e-324, -0.0),
    *("", "x" * 300, "\x1b[31m\u202e<b>", "dlpu", [], {}),
)


def small_document() -> dict[str, Any]:
    """A report with a little of everything, so that trying it takes milliseconds."""
    document = rich_document()
    document["targets"] = [each for each in document["targets"] if each["soc"] in ("artpec7", "artpec8")]
    document["plan"]["steps"] = document["plan"]["steps"][:5]
    for target in document["targets"]:
        target["operators"] = target["operators"][:4]
        target["lint"]["findings"] = target["lint"]["findings"][:3]
        target["verify"]["layers"] = target["verify"]["layers"][:3]
        for output in target["verify"]["outputs"]:
            for name in ("histogram", "errors"):
                bins = {key: each[: 4 if key == "edges" else 3] for key, each in output[name].items()}
                output[name] = bins
    return document


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from places(each, (*path, key))


def altered(document: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A copy in which one value is gone or another, mostly one of the same type."""
    changed = copy.deepcopy(document)
    *above, last = chance.choice(list(places(changed)))
    part: Any = changed
    for key in above:
        part = part[key]
    if chance.random() < 0.1:
        del part[last]
    else:
        alike = [each for each in VALUES if each is None or type(each) is type(part[last])]
        part[last] = chance.choice(alike if chance.random() < 0.9 else VALUES)
    return changed


@pytest.mark.parametrize("seed", range(4))
def test_an_altered_report_is_refused_or_shown(tmp_path: Path, seed: int) -> None:
    chance, document, shown = random.Random(seed), small_document(), 0
    path = tmp_path / "report.json"
    for _ in range(ROUNDS):
        path.write_text(json.dumps(altered(document, chance)))
        try:
            found = read_report(path)
        except UsageError:
            continue
        shown += 1
        assert report_html(found)
        assert report_markdown(found)
        assert report_text(found, colored=False, width=80)
        for old, new in ((document, found), (found, document)):
            changes = compare(old, new)
            assert compare_html(changes)
            assert compare_markdown(changes)
            assert compare_text(changes, colored=False, width=80)
    assert 0 < shown < ROUNDS
