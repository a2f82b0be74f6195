"""The page of the book at risk in a real browser: its figures are the API's."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

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
from serving.store import book_forecasts, open_store

pytestmark = pytest.mark.slow


def quantiles(*values: float) -> list[dict[str, float]]:
    """Return quantiles at both levels as a forecast holds them."""
    return [
        {"level": level, "value": value, "low": value, "high": value, "shortfall": value}
        for level, value in zip((0.95, 0.99), values, strict=True)
    ]


NONE = {"bad_debt": quantiles(0, 0), "mean_bad_debt": 0.0, "mean_liquidated": 0.0}
PAST: Mapping[str, Any] = {
    "horizons": {
        "24h": {
            "stressed": {
                "unattended": {"liquidated": quantiles(3e4, 8e4), **NONE},
                "expected": {"liquidated": quantiles(1e4, 2e4), **NONE},
            }
        }
    },
    "debts": {},
}
"""A forecast of two days ago, after which nobody that it knew was liquidated."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Return a page over a book of every venue, with curves of impact and a past forecast."""
    book = simulate(seed=9, days=60, accounts=60)
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('risk') / 'book.sqlite3'}")
    lay_all(book, store, seed=9)
    at = book.at - timedelta(days=2)
    with store.begin() as transaction:
        book_forecasts.begin(transaction, "past", {"selection": {}}, at=at, now=at)
        status = book_forecasts.DONE
        book_forecasts.update(transaction, "past", done=1.0, now=at, status=status, body=PAST)
    desk = ScoringService(model=read_deployment(None).model, store=store, clock=lambda: book.at)
    app = Api(routes(OPERATIONS), desk, Admission(Settings(), Keyring(desk.keys)))
    with (
        local.listening(app) as origin,
        launched() as chromium,
        watching(chromium, origin) as page,
    ):
        yield page
    store.close()


def short(value: float | str | None) -> str:
    """Return a number in at most four digits, as the page is to write it."""
    if value is None:
        return "–"
    rounded = Decimal(f"{Decimal(value):.4g}")
    for size, name in ((12, "T"), (9, "B"), (6, "M"), (3, "K")):
        if abs(rounded) >= 10**size:
            return f"{plain(rounded.scaleb(-size))}{name}"
    return plain(rounded)


def plain(value: Decimal) -> str:
    """Return a number without an exponent and without zeros at its end."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def percent(share: float) -> str:
    """Return a share, not next to 0 or 1, in per cent with three digits."""
    return f"{plain(Decimal(f'{Decimal(share) * 100:.3g}'))} %"


def cells(page: Any, table: str) -> list[list[str]]:
    """Return the rows of a table's body as texts."""
    rows: list[list[str]] = page.eval_on_selector_all(
        f"#{table} tbody tr",
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))",
    )
    return rows


def stress(watched: Watched, **more: str) -> dict[str, Any]:
    """Return what the API says of the page's first shock."""
    shock = {"name": "page", "prices": {"*": "-0.20"}, **more}
    body = {"shocks": [shock], "owners": "expected"}
    told = httpx.post(f"{watched.origin}/v1/book/stress", json=body, timeout=60)
    shocks: list[dict[str, Any]] = told.json()["shocks"]
    return shocks[0]


def test_shocks_and_rounds_are_those_of_the_api(watched: Watched) -> None:
    """The first shock, its rounds, blocks that are short, and what winners pay."""
    page = watched.open("/desk/risk")
    page.locator("#risk-repaid").wait_for()
    told = stress(watched)
    for name, text in {
        "repaid": short(told["repaid"]),
        "seized": short(told["collateral_at_risk"]),
        "bad": short(told["bad_debt"]),
        "rest": short(told["unliquidated"]),
        "accounts": str(told["accounts"]),
        "number": f"{told['reproduction']:.2f}",
        "amplification": f"{told['amplification']:.2f}",
        "expected": short(told["expected"]["repaid"]),
    }.items():
        expect(page.locator(f"#risk-{name}")).to_have_text(text)
    expect(page.locator("#round")).to_have_attribute("max", str(len(told["rounds"])))
    assert len(told["rounds"]) > 1
    first = told["rounds"][0]
    assert cells(page, "round-assets") == [
        [asset, short(units), short(first["prices"][asset])]
        for asset, units in first["sold"].items()
    ]
    assert cells(page, "contributors") == [
        [one["account"], one["venue"], short(one["repaid"]), short(one["bad_debt"])]
        for one in told["contributors"]
    ]
    assert not page.locator("#crowd").is_visible()
    page.locator("#chain").select_option("simulated")
    page.locator("#deleveraging").select_option("queue")
    page.locator("#crowd").wait_for()
    crowded = stress(watched, block_space="simulated", deleveraging="queue")
    crowd = crowded["congestion"]
    figures = [crowd[name] for name in ("due", "gas", "delay_hours", "smallest")]
    expect(page.locator("#risk-repaid")).to_have_text(short(crowded["repaid"]))
    assert [row[1] for row in cells(page, "crowd")] == [short(figure) for figure in figures]
    names = ("loss", "paid_by_fund", "deleveraged", "unsettled", "closed_count")
    expect(page.locator("#settlements tbody tr")).to_have_count(len(crowded["settlements"]))
    assert cells(page, "settlements") == [
        [one["venue"], *(short(one[name]) for name in names)] for one in crowded["settlements"]
    ]
    page.locator("#chain").select_option("")
    page.locator("#deleveraging").select_option("")
    page.locator("#sees").select_option("0")
    expect(page.locator("#round")).to_have_attribute("max", "1")


def test_a_forecast_and_all_that_follows_from_it_are_those_of_the_api(watched: Watched) -> None:
    """LaR, curve, reproduction number, fan, caps, days to unwind, concentration; and access."""
    page = watched.open("/desk/risk")
    page.locator("#bearable").fill("30000")
    page.locator("#forecast").click()
    page.locator("#lar tbody tr").nth(3).wait_for()
    told = httpx.get(f"{watched.origin}/v1/book/risk", timeout=60).json()["forecast"]["result"]
    expect(page.locator("#lar tbody tr")).to_have_count(4)
    assert cells(page, "lar") == [
        lar_row(horizon, owners, one)
        for horizon, methods in told["horizons"].items()
        for owners, one in methods["stressed"].items()
    ]
    curve = told["curve"]
    spoken = page.locator("#fall").get_attribute("aria-label") or ""
    assert len(spoken.split("; ")) == len(curve) == 36
    half = next(one for one in curve if one["shock"] < -0.4 < one["shock"] + 0.02)
    figures = (
        f"{short(half['repaid'])}, without the cascade {short(half['repaid_without_cascade'])}"
    )
    assert f"−{percent(-half['shock'])}: {figures}" in spoken
    numbers = (page.locator("#numbers").get_attribute("aria-label") or "").split("; ")
    spoken_numbers = [float(part.split(": ")[1]) for part in numbers]
    assert spoken_numbers == pytest.approx([one["reproduction"] for one in curve], rel=5e-3)
    above = [one["shock"] for one in curve if one["reproduction"] >= 1]
    warning = page.locator("#risk-warning").inner_text()
    assert (percent(-above[-1]) in warning) if above else ("come to rest" in warning)
    assert cells(page, "room") == [
        [
            one["venue"] or "all",
            one["asset"] or "all",
            one["side"],
            short(one["amount"]),
            "no limit found" if one["most"] is None else short(one["most"]),
            one["unit"],
            short(one["scale"]),
        ]
        for one in told["headroom"]
    ]
    assert any(one["most"] for one in told["headroom"])
    assert cells(page, "unwinding") == [
        [
            one["asset"],
            f"the {one['depth']}",
            *(short(one[name]) for name in ("units", "daily", "days")),
        ]
        for one in told["unwinding"]
    ]
    few = told["concentration"]
    assert [row[:3] for row in cells(page, "concentration")] == [
        [name, str(one["count"]), one["holders"][0]["name"]] for name, one in few.items()
    ]
    assert [float(row[5]) for row in cells(page, "concentration")] == pytest.approx(
        [one["index"] for one in few.values()], rel=5e-3
    )
    assert cells(page, "holders") == [
        [kind, one["name"], short(one["amount"]), percent(one["share"])]
        for kind in ("account", "owner")
        for one in few[kind]["holders"]
    ]
    fan_is_drawn(watched)
    assert watched.grave() == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    watched.open("/desk")
    page.locator("#fan path.dots").wait_for(state="attached")
    fan_is_drawn(watched)
    expect(page.locator("#fan-note")).to_contain_text("0 USD were liquidated")
    assert watched.grave() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert watched.errors == []


def lar_row(horizon: str, owners: str, told: Mapping[str, Any]) -> list[str]:
    """Return a forecast as its row is to read."""
    low, high = told["liquidated"]
    return [
        {"1h": "1 hour", "4h": "4 hours", "24h": "24 hours", "7d": "7 days"}[horizon],
        owners,
        *(
            f"{short(one['value'])} [{short(one['low'])}, {short(one['high'])}]"
            for one in (low, high)
        ),
        short(low["shortfall"]),
        short(told["bad_debt"][1]["value"]),
        short(told["mean_bad_debt"]),
    ]


def fan_is_drawn(watched: Watched) -> None:
    """Two forecasts, the older one with a dot at nothing: heights are those of the history."""
    told = httpx.get(f"{watched.origin}/v1/book/risk/history", timeout=60).json()["points"]
    older, newer = reversed(told)
    assert (older["realised"], newer["realised"]) == (0.0, None)
    assert older["lar"]["unattended"] == {"0.95": 3e4, "0.99": 8e4}
    top = max(8e4, newer["lar"]["unattended"]["0.99"])
    heights = [96 - 96 * one["lar"]["unattended"]["0.95"] / top for one in (older, newer)]
    path = watched.page.locator("#fan path.stroke").get_attribute("d") or ""
    drawn = [float(point.split(" ")[1]) for point in path.removeprefix("M").split("L")]
    assert drawn == pytest.approx(heights, abs=0.01)
    assert watched.page.locator("#fan path.dots").get_attribute("d") == "M0 96h0"
    spoken = watched.page.locator("#fan").get_attribute("aria-label") or ""
    assert spoken.startswith("Forecasts: 2, of them past: 1.")
