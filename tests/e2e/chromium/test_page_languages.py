"""The pages in a browser, in German and in a language whose every word is a mark."""

import re
import tomllib
from collections.abc import Iterator

import browser
import httpx
import local
import pytest
from browser import Watched
from playwright.sync_api import Browser

from serving.demo.run import CHAMPION
from serving.pages import files, shells
from serving.words import tables

MARK = "¤"
WORD = re.compile(r"[A-Za-zÀ-ž]+")
TEXT = re.compile(r"(^|\}|>)([^{}<>]+)(?=\{|<|$)")
SENTENCE = re.compile(r"[a-z]{2,} [a-z]{2,}")
TEXTS = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data, parentElement } = walker.currentNode;
    if (!parentElement.closest("script, style, template, pre, textarea")) found.push(data);
  }
  const told = ["aria-label", "title", "placeholder"];
  for (const element of document.querySelectorAll(told.map((name) => `[${name}]`).join()))
    for (const name of told) found.push(element.getAttribute(name) ?? "");
  return found;
}"""
NAMES = re.compile(r"maker dss|collateralization ratio|[a-z]+_[a-z]+: .*")
"""Names of a venue and of its ratio, which are its own, and doubts that the API tells by code."""

PAGES = ("book", "account", "alerts", "risk", "owners", "parameters", "governance", "connect")
PHONE = {"width": 390, "height": 844}


def marked(sentence: object) -> str:
    """Return a sentence as a table holds it, with a mark in place of every word."""
    if isinstance(sentence, list):
        return str([MARK] * len(sentence))
    plain = TEXT.sub(lambda found: found[1] + WORD.sub(MARK, found[2]), str(sentence))
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def table() -> str:
    """Return a table that says nothing but marks, with the gaps of the tables that ship."""
    shipped = [tomllib.loads(file.read_text()) for file in sorted(tables.HERE.glob("*.toml"))]
    groups: dict[str, dict[str, object]] = {}
    for each in shipped:
        for group, words in each.items():
            groups.setdefault(group, {}).update(words)
    groups["format"] = {"name": MARK, "date": "{day} {month} {year}", "months": [MARK] * 12}
    return "".join(
        f"[{group}]\n" + "".join(f"{name} = {marked(text)}\n" for name, text in words.items())
        for group, words in groups.items()
    )


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return where a service listens that speaks marks, too."""
    place = tmp_path_factory.mktemp("marks")
    (place / "eo.toml").write_text(table(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(tables.DIRECTORY, str(place))
        _forget()
        with (
            local.api(place, CHAMPION, simulated=local.book()) as app,
            local.listening(app) as found,
        ):
            yield found
    _forget()


@pytest.fixture(scope="module")
def desktop(chromium: Browser, origin: str) -> Iterator[Watched]:
    """Return a tab that keeps what it has loaded."""
    with browser.watching(chromium, origin) as found:
        yield found


@pytest.fixture(scope="module")
def phone(chromium: Browser, origin: str) -> Iterator[Watched]:
    """Return a narrow tab whose reader prefers German."""
    with browser.watching(chromium, origin, locale="de", viewport=PHONE) as found:
        yield found


def _forget() -> None:
    """Let pages and files be made of the tables that there are now."""
    shells.shell.cache_clear()
    files.static.cache_clear()


def path_of(page: str, origin: str) -> str:
    """Return the path of a page, of the riskiest account."""
    listed = httpx.get(f"{origin}/v1/accounts?order=rank&limit=1", timeout=60.0).json()
    return shells.PAGES[page].replace("{account}", listed["accounts"][0]["account"])


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_said_that_no_table_says(desktop: Watched, page: str) -> None:
    """Once the scripts have drawn: names, numbers and dates are left, and no sentence."""
    shown = desktop.open(f"{path_of(page, desktop.origin)}?lang=eo")
    texts = {NAMES.sub("", text.strip()) for text in shown.evaluate(TEXTS)}
    assert any(MARK in text for text in texts)
    assert [text for text in sorted(texts) if SENTENCE.search(text)] == []


@pytest.mark.parametrize("page", [*PAGES, "model", "rules"])
def test_german_fits_a_phone(phone: Watched, page: str) -> None:
    """Nothing sticks out of the page, no serious fault by axe, and it is said to be German."""
    shown = phone.open(path_of(page, phone.origin))
    assert shown.locator("html").get_attribute("lang") == "de"
    root = "document.documentElement"
    assert shown.evaluate(f"{root}.scrollWidth - {root}.clientWidth") <= 0
    assert phone.grave() == []


def test_a_choice_on_the_page_is_kept(desktop: Watched) -> None:
    """German is chosen once; the next page speaks it, with its numbers and its answers."""
    desktop.forget()
    path = path_of("account", desktop.origin)
    page = desktop.open(path)
    assert page.locator("html").get_attribute("lang") == "en"
    page.select_option("#language", "de")
    page.wait_for_url("**?lang=de")
    desktop.open(path)
    assert page.locator("#verdict-title").inner_text() == "Was die Regeln sagen"
    ends = [page.locator(at).bounding_box() for at in (".brand", "#theme")]
    tops = [box["y"] + box["height"] / 2 for box in ends if box]
    assert abs(tops[0] - tops[1]) < 8  # one line, the button too
    assert "%" in page.locator("#ratio").inner_text()
    assert "," in page.locator("#ratio").inner_text()
    assert page.locator(".chart table").is_visible()
    assert "fallen, um den Liquidationspreis zu erreichen" in page.inner_text("#sentence")
