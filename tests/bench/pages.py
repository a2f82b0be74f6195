"""Print how soon the book page is there, and what it moves: python tests/bench/pages.py [N].

A store is filled with N accounts, each assessed, and served by the real service; the page is
opened in the system's browser with an empty cache. Interactive: the first page of accounts is
drawn and the search answers. Sizes are bytes on the wire, bodies as they are sent.
"""

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import aims
from browser import launched, watching
from playwright.sync_api import Browser, Response, expect

from serving.evaluation.book_totals import BookTotals
from serving.process import free_port, running
from serving.schemas.stored import Assessed
from serving.settings import Settings
from serving.store import Store, accounts, assessments, book_totals, market, open_store

ACCOUNTS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
AT = datetime(2026, 1, 1, tzinfo=UTC)
CHUNK = 5_000
RUNS = 5
MOST_SECONDS, MOST_KB = 2, 1000
HOST = "127.0.0.1"
CHANCES = ("unattended_1h", "expected_1h", "unattended_24h", "expected_24h", "expected_7d")
WAD = 10**18


def lay(store: Store) -> None:
    """Fill a store with accounts, every one assessed three times."""
    with store.begin() as transaction:
        market.write_notes(transaction, {"simulated": "yes", "clock": AT.isoformat()})
        book_totals.write(
            transaction, BookTotals().document(oldest=AT), at=AT
        )  # as a watch keeps them
    for begin in range(0, ACCOUNTS, CHUNK):
        numbers = range(begin, min(begin + CHUNK, ACCOUNTS))
        with store.begin() as transaction:
            accounts.upsert(transaction, map(held, numbers), at=AT, now=AT)
            for hours in (2, 1, 0):
                told = [said(number, AT - timedelta(hours=hours)) for number in numbers]
                assessments.write(transaction, told, now=AT)


def held(number: int) -> dict[str, Any]:
    """Return an account."""
    legs = [("collateral", "ETH", 10 * WAD), ("debt", "DAI", 10_000 * WAD)]
    return {
        "id": f"account-{number:06d}",
        "venue": "maker",
        "version": "dss",
        "market": "ETH-B",
        "owner": f"owner-{number % 977}",
        "legs": [{"kind": kind, "asset": asset, "quantity": str(n)} for kind, asset, n in legs],
    }


def said(number: int, at: datetime) -> Assessed:
    """Return an assessment as a watch keeps it."""
    chance = (number * 7_919 % ACCOUNTS) / ACCOUNTS
    return Assessed(
        account=f"account-{number:06d}",
        at=at,
        verdict="safe",
        next_verdict="safe",
        ratio=1.3 + chance,
        credit=2e4,
        requirement=1e4,
        collateral_value=10.0 ** (2.0 + 5.0 * (number * 104_729 % ACCOUNTS) / ACCOUNTS),
        distance=chance**2,
        trigger_asset="ETH",
        trigger_side="below",
        trigger_price=1000.0,
        model_version="bench",
        **dict.fromkeys(CHANCES, chance),
    )


def opened(browser: Browser, origin: str) -> tuple[float, float, float, dict[str, int]]:
    """Open the book afresh; return seconds to list, map and an answered search, and sizes."""
    sizes: dict[str, int] = {}
    with watching(browser, origin) as found:

        def weigh(answer: Response) -> None:
            sizes[answer.url.removeprefix(origin)] = answer.request.sizes()["responseBodySize"]

        page = found.page
        page.on("requestfinished", lambda asked: weigh(asked.response()))
        page.goto(f"{origin}/desk", wait_until="commit")
        page.wait_for_selector("#accounts tbody tr")
        listed = page.evaluate("performance.now()") / 1000
        expect(page.locator("#map-note")).to_contain_text("accounts", timeout=60_000)
        drawn = page.evaluate("performance.now()") / 1000
        moved = dict(sizes)
        page.get_by_label("Search").fill("account-000777")
        expect(page.locator("#accounts tbody tr")).to_have_count(1, timeout=30_000)
        searched = page.evaluate("performance.now()") / 1000 - drawn
        page.wait_for_load_state("networkidle")  # what is under way would be weighed too late
        return listed, drawn, searched, moved


def main() -> None:
    """Lay, serve, open, print."""
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/book.sqlite3"
        store = open_store(url)
        lay(store)
        store.close()
        settings = Settings(store=url)
        with (
            (Path(directory) / "log").open("wb") as log,
            running(settings, host=HOST, port=free_port(HOST), log=log) as server,
            launched() as browser,
        ):
            server.wait_ready()
            runs = [opened(browser, server.url) for _ in range(RUNS)]
    sizes = runs[-1][3]
    print(f"accounts                      {ACCOUNTS:>10,}")
    seconds, moved = median(run[0] for run in runs), sum(sizes.values()) / 1e3
    print(
        f"list drawn, median of {RUNS}       {seconds:>10.2f} s"
        f"   {aims.at_most(seconds, MOST_SECONDS, ' s')}"
    )
    print(f"map drawn                     {median(run[1] for run in runs):>10.2f} s")
    print(f"search answered               {median(run[2] for run in runs):>10.2f} s")
    print(f"moved until the map is drawn  {moved:>10.0f} kB  {aims.at_most(moved, MOST_KB, ' kB')}")
    for path, size in sorted(sizes.items(), key=lambda one: -one[1]):
        print(f"  {size / 1e3:>8.1f} kB  {path[:90]}")


if __name__ == "__main__":
    main()
