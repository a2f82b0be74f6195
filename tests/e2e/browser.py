"""A real browser on the pages, and what it complains about."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    expect,
    sync_playwright,
)

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
LONGEST_MS = 120_000
"""Patience with a busy machine; nothing is measured by it."""

GRAVE = {"serious", "critical"}
OPTIONS: dict[str, Any] = {"resultTypes": ["violations"]}


@dataclass
class Watched:
    """A page, and everything that went wrong on it.

    Parameters
    ----------
    errors
        Of the console, uncaught, and requests to anywhere else.
    sent
        Bytes of bodies that came over the wire, by path.
    """

    page: Page
    origin: str
    errors: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Go to a path of the service and wait until it has drawn what it asked for."""
        self.page.goto(f"{self.origin}{path}")
        self.page.wait_for_load_state("networkidle")
        return self.page

    def forget(self) -> None:
        """Leave the tab as a new one has it: nothing shown, kept or written down."""
        self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
        self.page.unroute_all(behavior="wait")
        self.page.context.clear_cookies()
        self.page.context.clear_permissions()
        self.page.emulate_media(color_scheme="light")
        self.page.goto("about:blank")
        self.errors.clear()

    def grave(self, rules: list[str] | None = None) -> list[str]:
        """Return the serious and critical faults that axe finds by some rules, or by all."""
        chosen = OPTIONS if rules is None else {**OPTIONS, "runOnly": rules}
        violations = Axe().run(self.page, options=chosen).response["violations"]
        return [
            f"{violation['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for violation in violations
            if violation["impact"] in GRAVE
            for node in violation["nodes"]
        ]


def program() -> Path:
    """Return the system's browser, or skip naming it."""
    executable = next((path for name in PROGRAMS if (path := which(name))), None)
    if executable is None:
        pytest.skip(f"no browser: install one of {', '.join(PROGRAMS)}")
    return Path(executable)


@contextmanager
def launched() -> Iterator[Browser]:
    """Yield the system's browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def watching(browser: Browser, origin: str, **options: Any) -> Iterator[Watched]:
    """Yield a fresh page whose every complaint is written down; nothing outside is reached."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(LONGEST_MS)
    expect.set_options(timeout=LONGEST_MS)
    watched = Watched(page=context.new_page(), origin=origin)
    _listen(context, watched)
    yield watched
    context.close()


def _listen(context: BrowserContext, watched: Watched) -> None:
    """Write down errors, and every address outside, which the browser does not find."""
    inside = (f"{watched.origin}/", "data:", "blob:")
    context.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(inside) else watched.errors.append(f"asked {asked.url}")
        ),
    )
    context.on(
        "console",
        lambda said: (
            watched.errors.append(f"{said.location['url']}: {said.text}")
            if said.type == "error"
            else None
        ),
    )
    context.on("weberror", lambda error: watched.errors.append(str(error.error)))
