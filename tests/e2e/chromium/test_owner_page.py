"""The page of owners in a browser: orders withdrawn, conduct shown, an allocation proposed."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
from browser import Watched, watching
from governed_books import NOON
from local import listening
from order_books import RULES, SECOND, Clock, give, key_file, lay_owned, watcher
from playwright.sync_api import Browser, expect

from serving.application.scoring import ScoringService
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import open_store
from serving.watch.watcher import cycle

DOCUMENT = Path(__file__).resolve().parents[3] / "models" / "allocation" / "ALLOCATION.md"


@pytest.fixture
def desk(chromium: Browser, tmp_path: Path) -> Iterator[Watched]:
    """Yield a browser on a service over two vaults whose orders are ready."""
    settings = Settings(store=f"sqlite:///{tmp_path / 'book.sqlite3'}")
    store = open_store(str(settings.store))
    lay_owned(store)
    give(store)
    cycle(watcher(store, Clock()))
    ticks = count()
    service = ScoringService(
        model=RULES,
        store=store,
        clock=lambda: NOON + SECOND * 0.001 * next(ticks),
        order_key=key_file(tmp_path),
    )
    gate = Admission(settings, Keyring(service.keys))
    with (
        listening(Api(routes(OPERATIONS), desk=service, gate=gate)) as url,
        watching(chromium, url) as watched,
    ):
        expect.set_options(timeout=20_000)
        yield watched
    store.close()


def test_orders_conduct_and_allocation_are_shown(desk: Watched) -> None:
    """Each in its table; what fails is told, and nothing on the page is at fault."""
    page = desk.open("/desk/owners")
    rows = page.locator("#orders tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("repay")
    rows.first.get_by_role("button").click()
    expect(rows.first).to_contain_text("withdrawn")
    expect(rows.first.get_by_role("button")).to_be_disabled()

    page.locator("#owner").fill("ada")
    page.locator("#look").click()
    expect(page.locator("#score")).to_have_text("no history")
    expect(page.locator("#parts tbody tr")).to_have_count(1)

    example = DOCUMENT.read_text("utf-8").split("```json\n")[1].split("```")[0]
    page.locator("#request").fill(example)
    page.locator("#allocate").click()
    expect(page.locator("#verdict")).to_have_text("optimal: costs 4.5 USD, was 0")
    expect(page.locator("#moves tbody tr")).to_have_count(3)
    expect(page.locator("#prices")).to_contain_text("one more A saves 0.03")
    short = json.loads(example)
    short["venues"][0]["need"] = "300"
    page.locator("#request").fill(json.dumps(short))
    page.locator("#allocate").click()
    expect(page.locator("#verdict")).to_have_text("infeasible: X lacks 170")
    assert desk.grave() == []
    assert desk.errors == []
    page.locator("#request").fill("{")
    page.locator("#allocate").click()
    expect(page.locator("#fault")).to_contain_text("no JSON")


def test_the_order_of_an_account_stands_beside_its_plan(desk: Watched) -> None:
    """With what it does and until when it may be accepted; the same order as the API lists."""
    listed = httpx.get(f"{desk.origin}/v1/orders?limit=1").json()["orders"][0]
    account = listed["order"]["accounts"][0]["account"]
    page = desk.open(f"/desk/accounts/{account}")
    row = page.locator("#account-orders li")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(listed["id"])
    expect(row).to_contain_text(listed["order"]["actions"][0]["asset"])
    expect(row.locator(".tag")).to_have_text(listed["state"])
