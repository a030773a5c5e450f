"""Pages of reports and of `inspect` in a headless Chromium: nothing is loaded, all can be read, reached and printed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.report.compare import compare
from dlpubuild.report.html import compare_html, report_html
from dlpubuild.report.inspect_html import Section, inspect_html
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.read import read_model
from tests.factories.report_documents import (
    LONG,
    MARKDOWN,
    RTL,
    SCRIPT,
    minimal_document,
    older_document,
    rich_document,
)
from tests.factories.tflite_factory import custom_model, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from playwright.sync_api import Browser, Dialog, Page, Request

pytestmark = pytest.mark.browser


def _four_socs(document: dict[str, Any]) -> dict[str, Any]:
    """The rich report without two SoCs that show nothing new: the browser takes its time for each."""
    document["targets"] = [each for each in document["targets"] if each["soc"] not in ("cv25", "cpu")]
    return document


def _inspected() -> str:
    model = read_model(encode(custom_model(f"Flex{SCRIPT}{LONG}")))
    section = Section(name=SCRIPT, model=model, facts=summarise(model))
    return "".join(inspect_html(MARKDOWN, [section, Section(name=RTL, text=LONG)]))


PAGES: Mapping[str, Callable[[], str]] = {
    "rich": lambda: report_html(_four_socs(rich_document())),
    "inspect": _inspected,
    "minimal": lambda: report_html(minimal_document()),
    "comparison": lambda: compare_html(compare(older_document(), rich_document())),
}
WIDTHS = (380, 768, 1280)

# Contrast as WCAG 2 defines it, of every piece of text against what lies under it, SVG text too.
CONTRAST = """
() => {
  const parse = (color) => {
    const found = color.match(/[\\d.]+/g).map(Number);
    return { rgb: found.slice(0, 3), alpha: found.length > 3 ? found[3] : 1 };
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((each) => {
      const share = each / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      if (each instanceof SVGElement) {
        const group = each.parentElement?.closest("g.step") ?? each.closest("g.step");
        const box = group?.querySelector("rect.box");
        if (box) return parse(getComputedStyle(box).fill).rgb;
        continue;
      }
      const color = parse(getComputedStyle(each).backgroundColor);
      if (color.alpha === 1) return color.rgb;
      if (color.alpha > 0) throw new Error("half transparent: " + each.outerHTML.slice(0, 80));
    }
    return [255, 255, 255];
  };
  const found = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("script, style, title, desc, .hidden")) continue;
    const style = getComputedStyle(element);
    const color = parse(element instanceof SVGElement ? style.fill : style.color);
    seen += 1;
    const value = ratio(color.rgb, ground(element));
    if (value < 4.5) found.push([value.toFixed(2), element.outerHTML.slice(0, 120)]);
  }
  return { found: found.slice(0, 20), seen };
}
"""

# Everything that a keyboard has to reach.
REACHABLE = "a[href], button, summary, [tabindex='0']"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, made in PAGES.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(made(), encoding="utf-8")
    return found


class Opened:
    """A page with everything that it asked for and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._asked)
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._talked)

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def _talked(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def show(self, path: Path) -> Page:
        self.page.goto(path.as_uri())
        return self.page


@pytest.fixture
def open_page(chromium: Browser, pages: dict[str, Path]) -> Iterator[Any]:
    contexts = []

    def opened(name: str, *, width: int = 1280, height: int = 900, **options: Any) -> Opened:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.route(
            "**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort()
        )
        result = Opened(context.new_page())
        result.show(pages[name])
        return result

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", sorted(PAGES))
def test_all_text_can_be_read_and_nothing_is_loaded(
    open_page: Any, pages: dict[str, Path], screenshots: Path, name: str, scheme: str
) -> None:
    opened = open_page(name, color_scheme=scheme)
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")

    contrast = page.evaluate(CONTRAST)

    assert contrast["found"] == []
    assert contrast["seen"] > 30
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(","))) < 128) == (scheme == "dark")
    page.screenshot(path=screenshots / f"{name}-{scheme}.png", full_page=name != "rich")
    assert opened.complaints == []
    assert opened.requests == [pages[name].as_uri()]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_nothing_reaches_beyond_the_page_at_any_width(open_page: Any, screenshots: Path, name: str) -> None:
    page = open_page(name).page
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        beyond = page.evaluate(
            "() => [...document.querySelectorAll('body *')]"
            ".filter((e) => !e.closest('.scroll, .skip, svg') && e.getBoundingClientRect().right > innerWidth + 0.5)"
            ".map((e) => e.outerHTML.slice(0, 80))"
        )
        assert beyond == []
        page.screenshot(path=screenshots / f"{name}-{width}.png")
    # What is wider scrolls in a box of its own that the keyboard reaches.
    boxes = page.evaluate(
        "() => [...document.querySelectorAll('.scroll')].map((e) => [e.tabIndex, e.getAttribute('role'), e.ariaLabel])"
    )
    assert all(tab == 0 and role == "region" and label for tab, role, label in boxes)


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(open_page: Any) -> None:
    page = open_page("comparison").page
    wanted = page.evaluate(
        f'() => [...document.querySelectorAll("{REACHABLE}")].filter((e) => e.checkVisibility()).length'
    )
    seen = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "() => { const e = document.activeElement; const s = getComputedStyle(e);"
                "return [[...document.querySelectorAll('*')].indexOf(e), e.matches(':focus-visible'),"
                "s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2, e.getBoundingClientRect().bottom > 0] }"
            )
        )
    places = [place for place, *_ in seen]
    assert places == sorted(set(places))
    assert all(focused and outlined and shown for _, focused, outlined, shown in seen)


def test_the_keyboard_skips_to_the_content_and_unfolds_parts(open_page: Any) -> None:
    page = open_page("rich").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    summary = page.locator("#soc-artpec8 summary", has_text="150 operators")
    table = page.locator("#soc-artpec8 table.operators")
    assert not table.is_visible()
    summary.focus()
    page.keyboard.press("Enter")
    assert table.is_visible()


def test_a_table_is_sorted_by_a_click_on_its_head_and_by_the_keyboard(open_page: Any) -> None:
    page = open_page("rich").page
    page.locator("#soc-artpec7 summary", has_text="150 operators").click()
    table = page.locator("#soc-artpec7 table.operators")
    head = table.locator("thead th", has_text="MACs")

    def numbers() -> list[int]:
        cells: list[str] = table.locator("tbody tr td:nth-child(7)").evaluate_all("all => all.map(e => e.dataset.sort)")
        return [int(each) for each in cells]

    before = numbers()
    head.locator("button").click()
    assert numbers() == sorted(before)
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert numbers() == sorted(before, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    assert table.locator("[aria-sort]").count() == 1


def test_a_finding_leads_to_its_operator_in_the_folded_table(open_page: Any) -> None:
    page = open_page("rich").page
    page.locator("#soc-artpec8 details.finding a[href='#soc-artpec8-op-39']").click()
    assert page.locator("#soc-artpec8-op-39").is_visible()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_has_the_structure_that_screen_readers_need(open_page: Any, name: str) -> None:
    page = open_page(name).page
    found = page.evaluate(
        """() => {
          const all = (selector) => [...document.querySelectorAll(selector)];
          const ids = all("[id]").map((e) => e.id);
          const named = (e) => e.getAttribute("aria-labelledby").split(" ")
            .every((id) => document.getElementById(id)?.textContent.trim());
          const bad = (selector, fine) => all(selector).filter((e) => !fine(e)).map((e) => e.outerHTML.slice(0, 120));
          return {
            language: document.documentElement.lang,
            title: document.title.length > 0,
            landmarks: ["header", "main"].map((each) => all(each).length),
            levels: all("h1, h2, h3, h4").map((e) => Number(e.tagName[1])),
            doubled: ids.filter((id, place) => ids.indexOf(id) !== place),
            sections: bad("section", (e) => named(e)),
            tables: bad("table", (e) => e.caption?.textContent.trim()),
            heads: bad("th", (e) => e.scope),
            rows: bad("tbody tr", (e) => e.querySelector("th, td")),
            drawings: bad("svg", (e) => e.getAttribute("aria-hidden") === "true" || (e.getAttribute("role") === "img"
              && named(e) && e.querySelector(":scope > title") && e.querySelector(":scope > desc"))),
            buttons: bad("button, a, summary", (e) => e.textContent.trim()),
            links: bad("a", (e) => !e.hash || e.origin !== location.origin || document.getElementById(e.hash.slice(1))),
            inline: bad("[style], [onclick], [onload], [onerror]", () => false),
          };
        }"""
    )
    levels = found.pop("levels")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert found.pop("language") == "en"
    assert found.pop("title")
    assert found.pop("landmarks") == [1, 1]
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_hostile_names_stay_text(open_page: Any) -> None:
    opened = open_page("rich")
    page = opened.page
    text = page.evaluate("document.body.textContent")
    for name in (SCRIPT, RTL, MARKDOWN, "safe\\u202etxt.exe", "line\\nbreak\\tand\\x1b[31mred"):
        assert name in text
    assert "\u202e" not in text
    assert LONG in text  # in the message of an error, whole
    assert f"{LONG[:54]}…" in text  # in tables, without its middle
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.querySelectorAll('img, iframe, object, embed, form, link, base').length") == 0
    assert page.evaluate(
        "[...document.querySelectorAll('a')].every((e) => /^(#|https?:)/.test(e.getAttribute('href')))"
    )
    assert opened.complaints == []


def test_the_policy_of_the_page_keeps_strange_scripts_and_loads_out(open_page: Any) -> None:
    opened = open_page("minimal")
    opened.page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'changed'";
          document.body.append(script);
          const image = document.createElement("img");
          image.src = "https://example.invalid/x.png";
          document.body.append(image);
        }"""
    )
    assert opened.page.title() == "tiny 1.0.0: build report"
    refused = [each for each in opened.complaints if "Content Security Policy" in each]
    assert any("script-src" in each for each in refused)
    assert any("https://example.invalid/x.png" in each for each in refused)


def test_without_scripts_everything_is_there(open_page: Any) -> None:
    with_scripts, without = open_page("rich").page, open_page("rich", java_script_enabled=False).page
    assert without.locator("main").text_content() == with_scripts.locator("main").text_content()
    without.locator("#soc-artpec8 summary", has_text="150 operators").click()
    assert without.locator("#soc-artpec8 table.operators").is_visible()


@pytest.mark.parametrize("scripts", [True, False])
def test_printed_all_parts_are_unfolded_on_a_light_ground(open_page: Any, screenshots: Path, *, scripts: bool) -> None:
    page = open_page("comparison" if scripts else "rich", java_script_enabled=scripts, color_scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")
    hidden = page.locator("details > *:not(summary)").evaluate_all(
        "all => all.filter((e) => e.getBoundingClientRect().height < 5"
        " || !e.checkVisibility({contentVisibilityAuto: true})).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert hidden == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    document = page.pdf(path=screenshots / f"print-{'comparison' if scripts else 'rich'}.pdf", format="A4")
    pages = document.count(b"/Type /Page\n") + document.count(b"/Type /Page ") or document.count(b"/Type/Page")
    assert pages > (1 if scripts else 4)


def test_opening_the_page_moves_nothing(open_page: Any, pages: dict[str, Path]) -> None:
    opened = open_page("minimal")
    page = opened.page
    page.add_init_script(
        "window.moved = 0;"
        "new PerformanceObserver((list) => { for (const e of list.getEntries()) window.moved += e.value; })"
        ".observe({type: 'layout-shift', buffered: true});"
    )
    opened.show(pages["rich"])
    page.wait_for_timeout(200)
    assert page.evaluate("window.moved") == 0
