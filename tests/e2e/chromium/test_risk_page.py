"""The page of the book at risk in a real browser: its figures are the API's."""

from collections.abc import Iterator

import httpx
import local
import pytest
from browser import Watched, launched, watching
from playwright.sync_api import expect

from features.simulate import simulate
from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.demo.run import lay_all
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import open_store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Return a page over a book of every venue, with curves of impact."""
    book = simulate(seed=9, days=60, accounts=60)
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('risk') / 'book.sqlite3'}")
    lay_all(book, store, seed=9)
    desk = ScoringService(model=read_deployment(None).model, store=store, clock=lambda: book.at)
    app = Api(routes(OPERATIONS), desk, Admission(Settings(), Keyring(desk.keys)))
    with (
        local.listening(app) as origin,
        launched() as chromium,
        watching(chromium, origin) as page,
    ):
        yield page
    store.close()


def test_shocks_rounds_and_forecasts_are_those_of_the_api(watched: Watched) -> None:
    """The first shock, its rounds, a forecast asked for by hand, and no grave fault of access."""
    page = watched.open("/desk/risk")
    page.locator("#risk-repaid").wait_for()
    body = {"shocks": [{"name": "page", "prices": {"*": "-0.20"}}], "owners": "expected"}
    told = httpx.post(f"{watched.origin}/v1/book/stress", json=body, timeout=60).json()["shocks"][0]
    assert page.locator("#risk-accounts").inner_text() == str(told["accounts"])
    assert page.locator("#risk-number").inner_text() == f"{told['reproduction']:.2f}"
    assert page.locator("#round").get_attribute("max") == str(len(told["rounds"]))
    assert len(told["rounds"]) > 1
    names = page.locator("#contributors tbody th").all_inner_texts()
    assert names == [one["account"] for one in told["contributors"]]
    page.locator("#sees").select_option("0")
    expect(page.locator("#round")).to_have_attribute("max", "1")
    page.locator("#forecast").click()
    page.locator("#lar tbody tr").nth(3).wait_for()
    assert page.locator("#lar tbody tr").count() == 4
    assert watched.grave() == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert watched.errors == []
