"""Write the pictures of the README: python tests/bench/shots.py.

The pages over a simulated book an hour after its price fell by an eighth.
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
from features.simulate import simulate_onward
from serving import pages
from serving.demo import market, venues

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
            file = SHOTS / f"{name}.png"
            shot = Image.open(io.BytesIO(page.screenshot()))
            shot.quantize(COLOURS).save(file, optimize=True)
            print(f"{file.name:<20} {file.stat().st_size / 1e3:>6.0f} kB")


def main() -> None:
    """Let the market fall, then shoot."""
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
