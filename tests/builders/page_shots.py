"""Pictures of every page of the desk: desktop and phone, light and dark, in every language.

`python tests/builders/page_shots.py PLACE [PAGE ...]` (from the root, in the project's environment)
lays the demonstration's book, lets it live through its crash, and writes
`PLACE/PAGE-SIZE-THEME-LANGUAGE.png`. The book is kept in PLACE, so that a second run draws it at
once.
"""

import sys
from itertools import product
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import httpx  # noqa: E402 - as below
from browser import launched, watching  # noqa: E402 - the browser of the other tests lies there
from local import api, listening  # noqa: E402
from playwright.sync_api import Browser  # noqa: E402

from features.simulate import simulate_onward  # noqa: E402
from serving.demo import market as motion  # noqa: E402
from serving.demo import run as demo  # noqa: E402
from serving.demo import venues  # noqa: E402
from serving.settings import DEMO_SEED  # noqa: E402
from serving.store import open_store  # noqa: E402

CRASH = 20
"""Hours until the crash; the pictures are of the hours after it."""

STEPS = 100
LEADING = {"vault": "maker", "loan": "compound-v3", "perpetual": "hyperliquid"}
"""Pages of the riskiest account of a venue."""

PAGES = {
    "book": "/desk",
    "closed": "/desk/accounts/sim-0121",
    "risk": "/desk/risk",
    "alerts": "/desk/alerts",
    "model": "/desk/model",
    "rules": "/desk/rules",
    "owners": "/desk/owners",
    "parameters": "/desk/parameters",
    "governance": "/desk/governance",
    "connect": "/desk/connect",
    "docs": "/docs",
}
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
THEMES = ("light", "dark")
LANGUAGES = ("en", "de")


def lay(place: Path) -> None:
    """Lay the demonstration's book into a directory and let it live through its crash."""
    store = open_store(f"sqlite:///{place / 'book.sqlite3'}")
    falls = demo.falls(CRASH)
    before, after = simulate_onward(
        seed=DEMO_SEED, days=demo.DAYS, accounts=demo.ACCOUNTS, hours=demo.HOURS, falls=falls
    )
    demo.lay_all(before, store, seed=DEMO_SEED)
    motion.subscribe(store, now=before.at)
    motion.run(
        store,
        before,
        after,
        venues=venues.draw(after, seed=DEMO_SEED, at=len(before.candles), falls=falls),
        bundle=demo.CHAMPION,
        rest=lambda _: None,
        most=STEPS,
        is_foreseen=True,
    )
    store.close()


def riskiest(origin: str, venue: str) -> str:
    """Return the page of the riskiest account of a venue."""
    path = f"/v1/accounts?order=rank&limit=1&venue={venue}"
    told = httpx.get(f"{origin}{path}", timeout=60.0).json()
    return f"/desk/accounts/{quote(told['accounts'][0]['account'], safe='')}"


def draw(browser: Browser, origin: str, place: Path, page: str) -> list[str]:
    """Write the pictures of one page and return what it complained about."""
    path = riskiest(origin, LEADING[page]) if page in LEADING else PAGES[page]
    errors: list[str] = []
    for (size, (width, height)), theme, language in product(SIZES.items(), THEMES, LANGUAGES):
        shape = {"width": width, "height": height}
        options = {"viewport": shape, "color_scheme": theme, "locale": language}
        with watching(browser, origin, **options) as found:
            found.open(path)
            name = f"{page}-{size}-{theme}-{language}"
            found.page.screenshot(path=place / f"{name}.png", full_page=True)
        errors += [f"{name}: {error}" for error in found.errors]
    return errors


def main(place: Path, pages: list[str]) -> None:
    """Lay, serve, draw."""
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "book.sqlite3").is_file():
        lay(place)
    with (
        api(place, demo.CHAMPION) as app,
        listening(app) as origin,
        launched() as browser,
    ):
        for page in pages or (*PAGES, *LEADING):
            for error in draw(browser, origin, place, page):
                sys.stderr.write(f"{error}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
