"""Write the pictures of the documents: python tests/bench/shots.py [risk].

The pages over a simulated book an hour after its price fell by an eighth, and the book at risk
over a simulated book of every venue; `risk` writes the latter alone.
"""

import io
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import local
from browser import launched, watching
from PIL import Image
from playwright.sync_api import Browser

import models
from features.simulate import simulate, simulate_onward
from serving import pages
from serving.demo import market, venues
from serving.demo.run import lay_all

CHAMPION = Path(models.__file__).parent / "champion"
SHOTS = Path(pages.__file__).parent / "shots"
DESKTOP = {"width": 1280, "height": 860}
COLOURS = 128
TALL = {"width": 1280, "height": 1240}
PHONE = {"width": 360, "height": 740}
VIEWS = (
    ("book", "/desk", DESKTOP, "light"),
    ("account", "/desk/accounts/{}", TALL, "light"),
    ("account-phone", "/desk/accounts/{}", PHONE, "dark"),
    ("alerts", "/desk/alerts", DESKTOP, "dark"),
    ("rules", "/desk/rules", DESKTOP, "light"),
)


def shoot(browser: Browser, origin: str) -> None:
    """Open every view and write its picture."""
    riskiest = ""
    for name, path, size, scheme in VIEWS:
        with watching(browser, origin, viewport=size, color_scheme=scheme) as found:
            page = found.open(path.format(riskiest))
            if not riskiest:
                safe = page.locator("#accounts tbody tr").filter(has_text="safe")
                riskiest = safe.first.locator("a").inner_text()
            if name == "rules":
                page.locator("#calculate").click()
                page.locator("#calculated").wait_for()
            keep(name, page.screenshot())


def keep(name: str, picture: bytes) -> None:
    """Write a picture in few colours."""
    file = SHOTS / f"{name}.png"
    Image.open(io.BytesIO(picture)).quantize(COLOURS).save(file, optimize=True)
    print(f"{file.name:<20} {file.stat().st_size / 1e3:>6.0f} kB")


def shoot_risk() -> None:
    """Lay a book of every venue, have it forecast on its page, and write the whole page."""
    book = simulate(seed=9, days=75, accounts=160)
    with (
        tempfile.TemporaryDirectory() as directory,
        local.api(Path(directory), CHAMPION, simulated=book) as app,
        local.listening(app) as origin,
        launched() as browser,
        watching(browser, origin, viewport=DESKTOP, color_scheme="light") as found,
    ):
        lay_all(book, app.desk.store, seed=9)
        page = found.open("/desk/risk")
        page.locator("#chain").select_option("simulated")
        page.locator("#crowd").wait_for()
        page.locator("#forecast").click()
        page.locator("#lar tbody tr").nth(3).wait_for()
        page.evaluate("document.activeElement.blur()")
        page.wait_for_timeout(1_000)
        keep("risk", page.screenshot(full_page=True))


def main() -> None:
    """Shoot the book at risk; unless only that is asked for, let the market fall and the rest."""
    shoot_risk()
    if sys.argv[1:] == ["risk"]:
        return
    drawn = simulate_onward(seed=9, days=75, accounts=160, hours=7, falls={4: -0.07, 5: -0.06})
    with (
        tempfile.TemporaryDirectory() as directory,
        local.api(Path(directory), CHAMPION, simulated=drawn[0]) as app,
        local.listening(app) as origin,
        launched() as browser,
    ):
        store = app.desk.store
        market.subscribe(store, now=drawn[0].at)
        still = venues.nowhere(drawn[1])
        market.run(store, *drawn, venues=still, bundle=CHAMPION, rest=lambda _: None, most=18)
        SHOTS.mkdir(exist_ok=True)
        shoot(browser, origin)


if __name__ == "__main__":
    main()
