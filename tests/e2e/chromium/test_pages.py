"""The pages in a real browser: on a moving simulated book, on real vaults, and under attack."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import browser
import httpx
import local
import pytest
import vaults
from browser import Watched
from playwright.sync_api import Browser, Page, expect

from features.simulate import simulate_onward
from models.alerting.signals import Level
from models.alerting.state import AlertState
from models.domain import Price
from models.margin.rulebook import load_all
from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.demo import market as motion
from serving.demo import venues
from serving.http.app import Api
from serving.http.keys import issue
from serving.pages.files import static
from serving.store import Store, accounts, alerts, consents, keys, market
from serving.store.alerts import DESK, Receiver

FILLED = ("/desk", "/desk/accounts/{}", "/desk/alerts")
"""Pages that tell of the book."""

PAGES = (*FILLED, "/desk/model", "/desk/rules", "/desk/connect", "/desk/owners")
STEPS = 12
"""Of twenty minutes: long enough for the fall of the second hour to be told of."""


@dataclass
class Served:
    """A service that listens, and what tests change behind its back."""

    app: Api
    origin: str

    @property
    def desk(self) -> ScoringService:
        """Return the desk that answers."""
        assert self.app.desk is not None
        return self.app.desk

    def ask(self, path: str, body: object = None) -> dict[str, Any]:
        """Return the JSON that answers a request."""
        method = "GET" if body is None else "POST"
        told = httpx.request(method, f"{self.origin}{path}", json=body, timeout=60.0)
        assert told.status_code == 200, told.text
        found: dict[str, Any] = told.json()
        return found

    def riskiest(self) -> str:
        """Return the key of the account that leads the list."""
        listed = self.ask("/v1/accounts?order=rank&limit=1")["accounts"]
        return str(listed[0]["account"])


@pytest.fixture(scope="module")
def moved(
    chromium: Browser, trained: local.Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Return a service over a simulated book whose price has just fallen by a tenth."""
    assert chromium.is_connected()  # without a browser nothing has to be laid
    drawn = simulate_onward(seed=9, days=40, accounts=30, hours=4, falls={2: -0.11, 3: -0.08})
    with local.api(tmp_path_factory.mktemp("pages"), trained[0], simulated=drawn[0]) as app:
        assert app.desk is not None
        assert app.desk.store is not None
        motion.subscribe(app.desk.store, now=drawn[0].at)
        deafen(app.desk.store, now=drawn[0].at)
        still = venues.nowhere(drawn[1])
        motion.run(
            app.desk.store,
            *drawn,
            venues=still,
            bundle=trained[0],
            rest=lambda _: None,
            most=STEPS,
        )
        with local.listening(app) as origin:
            yield Served(app, origin)


def deafen(store: Store, *, now: datetime) -> None:
    """Add a second desk whose only channel takes nothing, so that there are dead letters."""
    with store.begin() as transaction:
        deaf = Receiver(receiver="deaf", audience=DESK)
        alerts.add_receiver(transaction, deaf, (), now=now)
        channel = consents.add(
            transaction,
            receiver="deaf",
            kind=motion.SINK,
            target=motion.CLOSED,
            secrets_=(),
            rank=0,
            actor="test",
            now=now,
        )
        code = consents.challenge(transaction, channel, actor="test", now=now)
        assert consents.confirm(transaction, channel, code, actor="test", now=now)


@pytest.fixture(scope="module")
def tab(chromium: Browser, moved: Served) -> Iterator[Watched]:
    """Return a tab that keeps what it has loaded of the service."""
    with browser.watching(chromium, moved.origin) as found:
        yield found


@pytest.fixture
def watched(tab: Watched) -> Iterator[Watched]:
    """Return a tab as a new one; at its end it must not have complained."""
    yield tab
    complaints = list(tab.errors)
    tab.forget()
    assert complaints == []


def clipped(page: Page) -> list[str]:
    """Return the tables that do not fit the width that they have."""
    wide = "e.offsetParent && e.scrollWidth > e.clientWidth + 1"
    found = f"[...document.querySelectorAll('.scroll')].filter((e) => {wide})"
    told: list[str] = page.evaluate(f"{found}.map((e) => e.getAttribute('aria-label'))")
    return told


def rows(page: Page, table: str) -> list[str]:
    """Return the first cells of a table's rows."""
    return page.locator(f"#{table} tbody tr > :first-child").all_inner_texts()


def test_the_book_lists_the_riskiest_first(watched: Watched, moved: Served) -> None:
    """The order, the figures and the sums are those of the API."""
    page = watched.open("/desk")
    listed = httpx.get(f"{moved.origin}/v1/accounts?order=rank&limit=50").json()["accounts"]
    assert rows(page, "accounts") == [one["account"] for one in listed]
    expect(page.get_by_text("Simulated.", exact=True)).to_be_visible()
    sums = moved.ask("/v1/book")
    assert rows(page, "expected") == ["1 hour", "4 hours", "24 hours", "7 days"]
    expect(page.locator(".head .note")).to_contain_text(f"{sums['accounts']} accounts;")


def test_the_price_slider_shows_what_the_book_says(watched: Watched, moved: Served) -> None:
    """Each notch is one shock of `/v1/book`, moved by keyboard."""
    page = watched.open("/desk")
    shocks = {
        (one["asset"], one["shock"]): one["accounts"] for one in moved.ask("/v1/book")["shocks"]
    }
    page.locator("#shock-asset").select_option("ETH")
    page.locator("#shock").focus()
    page.keyboard.press("Home")
    expect(page.locator("#shock-text")).to_have_text("−50 %")
    expect(page.locator("#shock-accounts")).to_have_text(str(shocks["ETH", "-0.5"]))
    page.keyboard.press("End")
    expect(page.locator("#shock-accounts")).to_have_text(str(shocks["ETH", "0.5"]))


def test_what_a_budget_of_alerts_buys_is_that_of_the_policy(
    watched: Watched, moved: Served
) -> None:
    """Each budget twice: the policy, and below it the rule alone."""
    page = watched.open("/desk/alerts")
    points = moved.ask("/v1/policy")["frontier"]
    expect(page.locator("#frontier tbody tr")).to_have_count(2 * len(points))
    first, second = (page.locator("#frontier tbody tr").nth(place) for place in (0, 1))
    own, rule = points[0]["policy"], points[0]["rule"]
    for row, name, found in ((first, "policy", own), (second, "rule alone", rule)):
        expect(row.locator("td").nth(1)).to_have_text(name)
        expect(row.locator("td").nth(2)).to_have_text(f"{100 * found['warned']:.3g} %")
        expect(row.locator("td").nth(3)).to_contain_text(f"{found['lead_median_hours']:.1f}")
        expect(row.locator("td").nth(5)).to_have_text(f"{100 * found['precision']:.3g} %")
    expect(first.locator("td").first).to_have_text(f"{100 * points[0]['budget']:.3g} %")


def columns_of(cells: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return columns as rows."""
    names = list(cells)
    return [dict(zip(names, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def test_the_map_shows_where_the_accounts_stand(watched: Watched, moved: Served) -> None:
    """A dot tells what the API says of its place; pressed, the list holds those accounts alone."""
    page = watched.open("/desk")
    told = moved.ask("/v1/book/map")
    expect(page.locator("#map-note")).to_contain_text(f"{told['accounts']} accounts")
    listed = moved.ask("/v1/accounts?limit=1000")["accounts"]
    assert told["accounts"] + told["unplaced"] == len(listed)
    canvas = page.locator("#map")
    box = canvas.bounding_box()
    assert box is not None
    cell = max(columns_of(told["cells"]), key=lambda one: one["distance"])
    logs = [math.log10(value) for value in told["cells"]["value"]]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    across = 8 + math.sqrt(cell["distance"]) * (box["width"] - 16)
    up = (math.log10(cell["value"]) - low) / (high - low)
    spot = {"x": across, "y": 8 + (1 - up) * (box["height"] - 26)}
    canvas.hover(position=spot)
    expect(page.locator("#map-note")).to_contain_text(cell["account"])
    expect(page.locator("#map-note")).to_contain_text(f"{100 * cell['distance']:.3g} %")
    canvas.click(position=spot)
    expect(page.locator("#accounts tbody tr")).to_have_count(1)
    assert rows(page, "accounts") == [cell["account"]]
    page.locator("#unpick").click()
    expect(page.locator("#accounts tbody tr")).to_have_count(min(50, len(listed)))


def test_the_list_is_ordered_by_its_columns(watched: Watched, moved: Served) -> None:
    """Each head orders as the API does, and figures are those of the API."""
    page = watched.open("/desk")
    for order in ("distance", "collateral_value", "ratio"):
        with page.expect_response(lambda told, asked=f"order={order}&": asked in told.url):
            page.locator(f'button[data-order="{order}"]').click()
        expect(page.locator(f'th[aria-sort] button[data-order="{order}"]')).to_be_visible()
        page.wait_for_load_state("networkidle")
        listed = moved.ask(f"/v1/accounts?order={order}&limit=50")["accounts"]
        assert rows(page, "accounts") == [one["account"] for one in listed]
    values = [one["assessed"]["collateral_value"] for one in listed]
    shown = page.locator("#accounts tbody tr td:nth-child(7)").all_inner_texts()
    assert [text == "–" for text in shown] == [value is None for value in values]


def test_the_book_is_looked_back_on(watched: Watched, moved: Served) -> None:
    """An hour ago the list is what the history says of that moment; the way back is a button."""
    page = watched.open("/desk")
    now = datetime.fromisoformat(moved.ask("/v1/book/map")["as_of"])
    then = quote((now - timedelta(hours=2)).isoformat())
    with page.expect_response(lambda told: "/v1/book/map" in told.url and "as_of=" in told.url):
        page.locator("#as-of").fill(str(168 - 2))
    expect(page.locator("#as-of-text")).to_contain_text("before")
    expect(page.locator("#list-title")).to_contain_text("as of")
    page.wait_for_load_state("networkidle")
    listed = moved.ask(f"/v1/accounts?order=rank&limit=50&as_of={then}")["accounts"]
    today = moved.ask("/v1/accounts?order=rank&limit=50")["accounts"]
    assert rows(page, "accounts") == [one["account"] for one in listed]
    judged = [max(one["assessed"]["at"] for one in part) for part in (listed, today)]
    assert judged[0] < judged[1]
    paged, cursor = [], ""
    while cursor is not None:
        part = moved.ask(f"/v1/accounts?order=rank&limit=7&as_of={then}{cursor}")
        paged += part["accounts"]
        cursor = part["next"] and f"&cursor={quote(part['next'])}"
    assert paged[:50] == listed
    assert len({one["account"] for one in paged}) == len(paged)
    refused = httpx.get(f"{moved.origin}/v1/accounts?least_level=watch&as_of={then}")
    assert refused.json()["errors"][0]["pointer"] == "?least_level"
    page.locator("#to-now").click()
    expect(page.locator("#as-of-text")).to_have_text("now")


def test_what_was_expected_stands_beside_what_came(watched: Watched, moved: Served) -> None:
    """The sentence tells the newest sums, and the newest moment whose horizon has passed."""
    page = watched.open("/desk")
    page.locator("#course-horizon").select_option("1h")
    page.wait_for_load_state("networkidle")
    told = moved.ask("/v1/book/course?horizon=1h")
    passed = [place for place, count in enumerate(told["liquidated"]) if count is not None]
    assert passed
    assert told["liquidated"][-1] is None
    expect(page.locator("#course-note")).to_contain_text(f"{told['liquidated'][passed[-1]]} came")
    expect(page.locator("#course-note")).to_contain_text(f"Now {float(told['expected'][-1]):.3g}")


def test_concentration_is_told_by_owner_asset_and_venue(watched: Watched, moved: Served) -> None:
    """The largest stand first, as the API tells them."""
    page = watched.open("/desk")
    told = moved.ask("/v1/book/map")
    for choice in ("assets", "by_venue", "owners"):
        page.locator("#held-by").select_option(choice)
        expect(page.locator("#held tbody tr")).to_have_count(len(told[choice]))
        first = told[choice][0]
        expect(page.locator("#held tbody tr").first).to_contain_text(
            first["name"] or "no owner known"
        )


def test_filters_and_search_narrow_the_list(watched: Watched, moved: Served) -> None:
    """What is left matches; clearing brings the rest back; what matches nothing says so."""
    page = watched.open("/desk")
    whole = rows(page, "accounts")
    one = moved.riskiest()
    page.get_by_label("Search").fill(one[-3:])
    expect(page.locator("#accounts tbody tr")).not_to_have_count(len(whole))
    assert one in rows(page, "accounts")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#accounts tbody tr")).to_have_count(len(whole))
    page.get_by_label("Alert level from").select_option("critical")
    expect(page.locator("#accounts tbody tr")).not_to_have_count(len(whole))
    levels = page.locator("#accounts tbody tr td:nth-child(4)").all_inner_texts()
    assert set(levels) <= {"critical", "liquidated"}
    page.get_by_label("Search").fill("nobody of this name")
    expect(page.locator("#none")).to_be_visible()


def test_the_page_says_what_comes_until_it_has(watched: Watched, moved: Served) -> None:
    """A simulated market's announcement stands in the banner, and goes when its time is there."""
    store, now = moved.desk.store, datetime.fromisoformat(moved.ask("/v1/pulse")["as_of"])
    assert store is not None
    said = {market.ANNOUNCED: "A crash by 13 % begins", market.ANNOUNCED_UNTIL: ""}
    later, before = (now + timedelta(hours=1)).isoformat(), now.isoformat()
    with store.begin() as transaction:
        market.write_notes(transaction, {**said, market.ANNOUNCED_UNTIL: later})
    page = watched.open("/desk")
    expect(page.locator("#announced")).to_have_text("A crash by 13 % begins.")
    with store.begin() as transaction:
        market.write_notes(transaction, {market.ANNOUNCED_UNTIL: before})
    expect(page.locator("#announced")).to_be_hidden()


def test_the_list_is_exported_as_it_is_filtered(watched: Watched, moved: Served) -> None:
    """The file is the API's own."""
    page = watched.open("/desk")
    page.get_by_label("Search").fill(moved.riskiest())
    with page.expect_download() as saved:
        page.get_by_role("button", name="Export CSV").click()
    assert saved.value.suggested_filename == "accounts.csv"
    lines = Path(saved.value.path()).read_text().splitlines()
    assert len(lines) == 2
    assert moved.riskiest() in lines[1]


def test_an_account_shows_verdict_forecast_and_plan(watched: Watched, moved: Served) -> None:
    """Verdict, ratio, trigger and plan are those of the API, the plan's amount exact."""
    one = moved.riskiest()
    page = watched.open(f"/desk/accounts/{one}")
    told = moved.ask("/v1/score", {"account": one})
    rule = told["rule"]
    expect(page.locator("#account")).to_have_text(one)
    expect(page.locator("#verdict")).to_have_text(rule["verdict"].replace("_", " "))
    expect(page.locator("#ratio")).to_have_attribute("title", rule["ratio"]["value"])
    assert rows(page, "forecast") == ["1 hour", "4 hours", "24 hours", "7 days"]
    assert rows(page, "triggers") == ["ETH"]
    assert page.locator("#reasons tbody tr").count() == len(told["reasons"])
    target = {"probability": 0.05, "horizon": "24h", "head": "unattended"}
    plan = moved.ask("/v1/plan", {"account": one, "target": target})
    for action in plan["actions"]:
        expect(page.locator("#plan")).to_contain_text(action["quantity"])
    expect(page.locator(".chart canvas").first).to_be_visible()


def test_an_account_without_its_score_shows_what_the_rules_say(
    watched: Watched, moved: Served
) -> None:
    """Verdict, ratio and triggers stand without a forecast, and why it is missing is said."""
    one = moved.riskiest()
    standing = moved.ask("/v1/margin", {"account": one})["standing"]
    problem = json.dumps({"detail": "the score took too long"})
    page = watched.page
    page.route("**/v1/score", lambda route: route.fulfill(status=504, body=problem))
    watched.open(f"/desk/accounts/{one}")
    expect(page.get_by_text("It cannot be judged: the score took too long")).to_be_visible()
    expect(page.locator("#verdict")).to_have_text(standing["verdict"].replace("_", " "))
    expect(page.locator("#ratio")).to_have_attribute("title", standing["ratio"]["value"])
    assert rows(page, "triggers") == ["ETH"]
    expect(page.locator("#forecast")).to_be_hidden()
    assert watched.errors
    assert all("504" in error for error in watched.errors)
    watched.errors.clear()


def test_the_plan_is_copied_with_its_exact_amounts(watched: Watched, moved: Served) -> None:
    """What is copied names the account and every amount."""
    one = moved.riskiest()
    watched.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = watched.open(f"/desk/accounts/{one}")
    amount = page.locator("#plan .figure").first.inner_text()
    page.locator("#copy-plan").click()
    expect(page.locator("#said")).to_have_text("The plan was copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"{one}\n")
    assert amount in copied


def test_a_dragged_what_if_shows_what_the_api_answers(watched: Watched, moved: Served) -> None:
    """A price and a repayment are dragged; the figures are those of the same question."""
    one = moved.riskiest()
    page = watched.open(f"/desk/accounts/{one}")
    page.locator('[data-lever="price ETH"]').fill("20")
    page.locator('[data-lever="leg 1"]').fill("50")
    account = moved.ask(f"/v1/accounts/{one}")["account"]
    collateral, debt = account["legs"]
    halved = {**debt, "quantity": str(int(debt["quantity"]) * 500 // 1000)}
    body = {"account": one, "shocks": {"ETH": "0.2"}, "changed_legs": {one: [collateral, halved]}}
    after = moved.ask("/v1/what-if", body)["after"]
    expect(page.locator('[data-then="verdict"]')).to_have_text(after["verdict"])
    expect(page.locator('[data-then="ratio"]')).to_have_text(after["ratio"]["text"])


def test_an_alert_is_acknowledged_and_muted(watched: Watched, moved: Served) -> None:
    """The page says so, and so does the store, to whoever asks."""
    one = moved.ask("/v1/alerts/raised?least_level=critical")["accounts"][0]
    page = watched.open(f"/desk/accounts/{one['account']}")
    expect(page.locator("#level")).to_have_text(one["level"])
    page.locator("#acknowledge").click()
    expect(page.locator("#acknowledge")).to_have_text("Acknowledged")
    page.locator("#mute").click()
    expect(page.locator("#muted")).to_contain_text("Muted until")
    told = moved.ask(f"/v1/alerts/raised?account={one['account']}")["accounts"][0]
    assert told["is_acknowledged"] is True
    assert told["muted_until"] is not None


def test_alerts_tell_what_fired_and_whether_it_arrived(watched: Watched, moved: Served) -> None:
    """Changes, newest first, with their deliveries; a dead letter is put back."""
    page = watched.open("/desk/alerts")
    fired = moved.ask("/v1/alerts?order=newest&limit=500")["alerts"]
    episodes = {(one["account"], one["episode"]) for one in fired}
    assert len(rows(page, "fired")) == len(episodes) > 0
    expect(page.locator("#fired tbody tr").first).to_contain_text(fired[0]["account"])
    told = next(one for one in fired if one["account"] == rows(page, "fired")[0])
    level = "over" if told["level"] == "none" else told["level"]
    expect(page.locator("#fired tbody tr").first.locator("td").first).to_have_text(level)
    counts = moved.ask("/v1/alerts/raised")["counts"]
    expect(page.locator("#summary")).to_contain_text(f"{counts['critical']} critical")
    dead = moved.ask("/v1/deliveries?status=dead")["deliveries"]
    expect(page.locator("#dead tbody tr")).to_have_count(len(dead))
    assert clipped(page) == []
    page.locator("#dead button").first.click()
    expect(page.locator("#note")).to_have_text("1 put back to be sent.")
    expect(page.locator("#dead tbody tr")).to_have_count(len(dead) - 1)


def test_a_changed_policy_is_previewed(watched: Watched, moved: Served) -> None:
    """What it would have sent is what the API says; a fault is told with its place."""
    page = watched.open("/desk/alerts")
    policy = moved.ask("/v1/policy")["policy"]
    eager = {**policy, "watch": {**policy["watch"], "digest": False}}
    page.locator("#policy").fill(json.dumps(eager))
    page.locator("#preview").click()
    told = moved.ask("/v1/policy/preview", {"policy": eager})
    counted = [str(told[load]["accounts"]) for load in ("in_force", "proposed")]
    cells = page.locator("#previewed tbody tr").first.locator("td")
    expect(cells.first).to_have_text(counted[0])
    assert cells.all_inner_texts() == counted
    page.locator("#policy").fill('{"watch": {"raise": 1}}')
    page.locator("#preview").click()
    expect(page.locator("#policy-fault")).to_contain_text("/policy/watch")
    assert [error for error in watched.errors if "422" not in error] == []
    watched.errors.clear()  # the browser writes down every refusal, here a wanted one


def test_the_calculator_judges_by_any_rulebook(watched: Watched, moved: Served) -> None:
    """An example is there and can be judged; a fault is told with its place."""
    page = watched.open("/desk/rules")
    known = moved.ask("/v1/rulebooks")["rulebooks"]
    assert rows(page, "rulebooks") == [book["venue"] for book in known]
    for book in ("aave-v3 3.7", "hyperliquid 2026-09", "portfolio-margin scenario-grid"):
        page.locator(f'[data-book="{book}"]').click()
        page.locator("#calculate").click()
        expect(page.locator("#calculated")).to_have_text("safe")
    page.locator("#as-json summary").click()
    page.locator("#body").fill('{"account": {"id": 1}}')
    page.locator("#calculate").click()
    expect(page.locator("#body-fault")).to_contain_text("/account/venue")
    page.locator('[data-record="maker dss ETH-B"]').click()
    expect(page.locator("#terms-note")).to_contain_text("in force at")
    stated = moved.ask("/v1/rulebooks/maker/dss/terms/ETH-B")["terms"]["mat"]
    ratio = page.locator("#terms tr").filter(has=page.get_by_text("mat", exact=True)).locator("td")
    expect(ratio).to_have_text(f"{int(stated) / 10**27:g}")
    expect(ratio).to_have_attribute("title", f"Liquidation ratio, ray: {stated}")
    page.wait_for_load_state("networkidle")
    assert [error for error in watched.errors if "422" not in error] == []
    watched.errors.clear()  # the browser writes down every refusal, here wanted ones


def test_the_calculator_has_a_form_for_every_venue(watched: Watched) -> None:
    """A typed price and quantity are judged as the API judges them; options are described."""
    page = watched.open("/desk/rules")
    page.locator('[data-book="binance-usdm 2026-09"]').click()
    form = page.locator("#calculator-form")
    expect(form).to_contain_text("0 or 1: several assets are margin together")
    form.get_by_label("BTC/USDT:USDT", exact=True).fill("41250.5")
    form.get_by_label("USDT, collateral: quantity").fill("6000")
    form.get_by_label("USDT, collateral: quantity").blur()
    expect(page.locator("#body-fault")).to_contain_text("at most 0 digits")
    form.get_by_label("BTC/USDT:USDT", exact=True).fill("41250")
    form.get_by_label("BTC/USDT:USDT", exact=True).blur()
    page.locator("#calculate").click()
    # 6,000 of margin and a loss of 3,750 on one bitcoin bought at 45,000.
    expect(page.get_by_text("2,250", exact=True).first).to_be_visible()
    page.locator('[data-book="maker dss"]').click()
    for leg in ("debt", "collateral"):
        expect(form).to_contain_text(f"{leg}: quantity")
    page.locator("#add-leg").click()
    body = json.loads(page.locator("#body").input_value())
    assert len(body["account"]["legs"]) == 3


def test_every_rulebook_has_a_form(watched: Watched, moved: Served) -> None:
    """Each has prices and holdings to type, and its example is judged from the form alone."""
    page = watched.open("/desk/rules")
    for book in moved.ask("/v1/rulebooks")["rulebooks"]:
        page.locator(f'[data-book="{book["venue"]} {book["version"]}"]').click()
        groups = page.locator("#calculator-form legend").all_inner_texts()
        assert "What the account holds, smallest units or contracts" in groups, book["venue"]


def test_many_alerts_are_acknowledged_at_once(watched: Watched, moved: Served) -> None:
    """Those chosen and no others; the store holds it."""
    page = watched.open("/desk/alerts")
    page.get_by_label("From level").select_option("watch")
    page.wait_for_load_state("networkidle")
    open_rows = page.locator("#raised input[type=checkbox]:not(:disabled)")
    names = [row.get_attribute("data-account") for row in open_rows.all()][:2]
    assert len(names) == 2
    for name in names:
        page.locator(f'#raised input[data-account="{name}"]').check()
    page.locator("#acknowledge-chosen").click()
    expect(page.locator("#note")).to_have_text("2 accounts: acknowledged.")
    standing = moved.ask("/v1/alerts/raised?least_level=watch&limit=1000")["accounts"]
    assert {one["account"] for one in standing if one["is_acknowledged"]} >= set(names)


def test_a_receiver_and_its_channel_are_written_and_verified(
    watched: Watched, moved: Served
) -> None:
    """By form: the secret is shown once, a wrong code verifies nothing, the right one does."""
    page = watched.open("/desk/alerts")
    page.locator("#read-receivers").click()
    page.locator("#receiver-name").fill("treasury desk")
    page.locator("#receiver-audience").select_option("desk")
    page.locator("#add-receiver").click()
    expect(page.locator("#opened-receiver")).to_have_text("Channels of treasury desk")
    page.locator("#channel-target").fill("https://127.0.0.1/alerts")
    page.locator("#add-channel").click()
    expect(page.locator("#channel-secret")).to_contain_text("whsec_")
    store = moved.desk.store
    assert store is not None
    row = page.locator("#channels tbody tr")
    row.get_by_role("textbox").fill("00000000")
    row.get_by_role("button", name="Verify").click()
    expect(page.locator("#note")).to_contain_text("not right")
    told = moved.ask("/v1/receivers/treasury%20desk")
    channel = told["channels"][0]["channel"]
    with store.begin() as transaction:
        code = consents.challenge(transaction, channel, actor="test", now=moved.desk.clock())
    row.get_by_role("textbox").fill(code)
    row.get_by_role("button", name="Verify").click()
    expect(page.locator("#note")).to_have_text("The channel is verified.")
    expect(row.locator(".tag")).to_have_text("verified")
    assert watched.grave() == []
    assert moved.ask("/v1/receivers/treasury%20desk")["channels"][0]["status"] == "verified"


def test_a_number_of_the_policy_is_changed_in_its_form(watched: Watched, moved: Served) -> None:
    """The text follows the form, and the preview takes it."""
    page = watched.open("/desk/alerts")
    policy = moved.ask("/v1/policy")["policy"]
    first = next(one for one in policy["watch"]["triggers"] if one["signal"] == "sigmas")
    words = "usual daily moves to the line; on markets whose owners the model has seen"
    field = page.get_by_label(f"watch, {words}: Raise")
    expect(field).to_have_value(f"{first['raise']:g}")
    field.fill("3")
    field.blur()
    changed = json.loads(page.locator("#policy").input_value())
    place = policy["watch"]["triggers"].index(first)
    assert changed["watch"]["triggers"][place]["raise"] == 3
    page.locator("#preview").click()
    told = moved.ask("/v1/policy/preview", {"policy": changed})
    cells = page.locator("#previewed tbody tr").first.locator("td")
    counted = [str(told[load]["accounts"]) for load in ("in_force", "proposed")]
    expect(cells.first).to_have_text(counted[0])
    assert cells.all_inner_texts() == counted


def test_an_account_begins_with_one_sentence(watched: Watched, moved: Served) -> None:
    """How far the line is, in the words of the API, and the day's probabilities."""
    one = moved.riskiest()
    told = moved.ask("/v1/score", {"account": one})
    page = watched.open(f"/desk/accounts/{one}")
    distance = next(part["text"] for part in told["reasons"] if part["code"] == "distance")
    expect(page.locator("#sentence")).to_contain_text(f"{distance}.")
    expect(page.locator("#sentence")).to_contain_text("if nobody acts")
    begin = quote((datetime.fromisoformat(told["as_of"]) - timedelta(days=7)).isoformat())
    close = moved.ask(f"/v1/candles?asset=ETH&begin={begin}")["close"][-1]
    expect(page.locator("#close-note")).to_contain_text(f"last close, {close:,.6g}")


def test_a_typed_price_asks_what_if(watched: Watched, moved: Served) -> None:
    """Any price may be typed; figures are those of the same question, and the slider follows."""
    one = moved.riskiest()
    page = watched.open(f"/desk/accounts/{one}")
    price = float(moved.ask("/v1/margin", {"account": one})["prices"][0]["price"])
    field = page.locator('[data-free="price ETH"]')
    with page.expect_response(lambda told: "/v1/what-if" in told.url) as asked:
        field.fill(f"{1.5 * price:.8g}")
        field.blur()
    shock = asked.value.request.post_data_json["shocks"]["ETH"]
    assert abs(float(shock) - 0.5) < 1e-6
    after = moved.ask("/v1/what-if", {"account": one, "shocks": {"ETH": shock}})["after"]
    expect(page.locator('[data-then="ratio"]')).to_have_text(after["ratio"]["text"])
    assert page.locator('[data-lever="price ETH"]').input_value() == "50"


def test_the_model_says_what_it_is_and_what_is_absent(watched: Watched, moved: Served) -> None:
    """Version, card and features are there; what did not come with the bundle is said to lack."""
    page = watched.open("/desk/model")
    version = moved.ask("/v1/models")["in_use"]
    expect(page.locator("#models tbody tr").first).to_contain_text(str(version))
    expect(page.locator("#card")).to_contain_text("Model card")
    expect(page.get_by_text("the service answers from one bundle")).to_be_visible()


def test_every_rulebook_has_an_example_that_can_be_judged(moved: Served) -> None:
    """The examples are those of the rulebooks, no more and no fewer; each is judged."""
    build = static().build
    examples = moved.ask(f"/desk/static/{build}/examples.json")
    assert set(examples) == {f"{venue} {version}" for venue, version in load_all()}
    for name, body in examples.items():
        assert moved.ask("/v1/margin", body)["standing"]["verdict"] == "safe", name


@contextmanager
def changed(served: Served, desk: ScoringService) -> Iterator[None]:
    """Let another desk answer for as long as the context lasts."""
    before = served.desk
    served.app.desk = desk
    yield
    served.app.desk = before


def test_without_its_bundle_the_page_says_degraded(watched: Watched, moved: Served) -> None:
    """The banner comes by itself, and the rules still answer."""
    page = watched.open(f"/desk/accounts/{moved.riskiest()}")
    expect(page.locator("#degraded")).to_be_hidden()
    with changed(moved, replace(moved.desk, model=read_deployment(None).model)):
        expect(page.locator("#degraded")).to_be_visible(timeout=10_000)
        expect(page.locator("#account-degraded")).to_be_visible()
        expect(page.locator("#forecast")).to_be_hidden()
        expect(page.locator("#verdict")).not_to_have_text("–")


def test_prices_that_stop_are_shown_as_stale(watched: Watched, moved: Served) -> None:
    """Hours pass without a price: the banner and the account say so without a reload."""
    assert moved.desk.store is not None
    page = watched.open(f"/desk/accounts/{moved.riskiest()}")
    expect(page.locator("#stale")).to_be_hidden()
    with moved.desk.store.begin() as transaction:
        stood = market.clock(transaction, now=moved.desk.clock())
        later = stood + timedelta(hours=9)
        market.write_notes(transaction, {"clock": later.isoformat()})
    try:
        expect(page.locator("#stale")).to_contain_text("ETH")
        expect(page.locator("#prices")).to_contain_text("stale")
    finally:
        with moved.desk.store.begin() as transaction:
            market.write_notes(transaction, {"clock": stood.isoformat()})


def test_no_page_has_a_grave_fault_of_access(watched: Watched, moved: Served) -> None:
    """Axe finds nothing serious, nor does the other theme take away contrast; a phone fits.

    What a book does not fill is asked of axe whole where its pages are shown in German.
    """
    root = watched.page.locator("html")
    for path in PAGES:
        page = watched.open(path.format(moved.riskiest()))
        expect(root).to_have_attribute("data-theme", "light")
        assert path not in FILLED or watched.grave() == [], path
        page.locator("#theme").click()
        expect(root).to_have_attribute("data-theme", "dark")
        assert watched.grave(["color-contrast"]) == [], path
        page.locator("#theme").click()
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_system_s_until_one_is_chosen(
    watched: Watched, scheme: Literal["light", "dark"]
) -> None:
    """Whoever turns the theme finds it so on the next page."""
    other = {"light": "dark", "dark": "light"}[scheme]
    watched.page.emulate_media(color_scheme=scheme)
    page = watched.open("/desk/owners")
    expect(page.locator("html")).to_have_attribute("data-theme", scheme)
    page.locator("#theme").click()
    watched.open("/desk/rules")
    expect(page.locator("html")).to_have_attribute("data-theme", other)


HARM = "<img src=x onerror=window.harmed=1>"
NAMES = (
    HARM,
    '"><script>window.harmed=1</script>',
    "{{constructor.constructor('window.harmed=1')()}}",
    "'; DROP TABLE accounts; --",
    "javascript:window.harmed=1",
    "../../desk/rules",
    "__proto__",
    "%_\\",
)


@pytest.fixture
def harmful(chromium: Browser, trained: local.Trained, tmp_path: Path) -> Iterator[Watched]:
    """Return a tab on a service whose every name tries to be code."""
    drawn = simulate_onward(seed=3, days=2, accounts=5, hours=1, falls={})[0]
    with (
        local.api(tmp_path, trained[0], simulated=drawn) as app,
        local.listening(app) as origin,
        httpx.Client(base_url=origin, timeout=60.0) as client,
        browser.watching(chromium, origin) as found,
    ):
        body = client.get("/v1/accounts/sim-0001").json()["account"]
        legs = [{"kind": "collateral", "asset": HARM, "quantity": "1"}, *body["legs"][1:]]
        shared = {"venue": "maker", "market": HARM, "owner": HARM, "legs": legs}
        told = {"accounts": [{"id": name, **shared} for name in NAMES]}
        assert client.put("/v1/accounts", json=told).status_code == 200
        price = {"asset": HARM, "value": "1", "observed_at": "2026-01-01T00:00:00Z"}
        prices = {"prices": [{**price, "disputed": HARM, "source": HARM}]}
        assert client.post("/v1/prices", json=prices).status_code == 200
        yield found


def test_whatever_a_name_tries_it_is_text(harmful: Watched) -> None:
    """Names of accounts, owners, assets and markets, and messages about them, run nowhere."""
    page = harmful.open("/desk")
    assert set(NAMES) <= set(rows(page, "accounts"))
    found = {name: page.get_by_role("link", name=name, exact=True) for name in NAMES}
    links = {name: str(link.get_attribute("href")) for name, link in found.items()}
    for name, link in links.items():
        page.goto(f"{harmful.origin}{link}")
        expect(page.locator("#account")).to_have_text(name)
        expect(page.locator("#legs")).to_contain_text(HARM)
    assert page.evaluate("window.harmed") is None
    assert page.locator("img").count() == 0


def test_a_key_is_asked_for_and_used(
    chromium: Browser, trained: local.Trained, tmp_path: Path
) -> None:
    """The page holds no data; without a key it asks, and with one it shows."""
    drawn = simulate_onward(seed=3, days=2, accounts=5, hours=1, falls={})[0]
    with local.api(tmp_path, trained[0], simulated=drawn) as app:
        assert app.desk is not None
        assert app.desk.store is not None
        record, token = issue("desk", scopes=["read"], now=app.desk.clock())
        with app.desk.store.begin() as transaction:
            keys.insert(transaction, record)
        with local.listening(app) as origin, browser.watching(chromium, origin) as found:
            found.page.goto(f"{origin}/desk")
            expect(found.page.get_by_label("Bearer key")).to_be_visible()
            assert rows(found.page, "accounts") == []
            found.page.get_by_label("Bearer key").fill(token)
            found.page.get_by_role("button", name="Use the key").click()
            expect(found.page.locator("#accounts tbody tr")).not_to_have_count(0)
            assert quote(token) not in found.page.url
            _see_a_reader_s_desk(found.page, origin)
    assert all("401" in error for error in found.errors)


def _see_a_reader_s_desk(page: Page, origin: str) -> None:
    """Find what the key may not do off, with why, and a refusal there until it is dismissed."""
    page.goto(f"{origin}/desk/alerts")
    expect(page.locator("#may-not-write")).to_contain_text("needs a key with the scope write")
    expect(page.locator("#read-receivers")).to_be_disabled()
    page.evaluate("dispatchEvent(new CustomEvent('failed', { detail: 'refused' }))")
    with page.expect_response("**/v1/pulse"):
        pass
    with page.expect_response("**/v1/pulse"):
        pass
    expect(page.locator("#fault")).to_have_text("refused")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#fault")).to_be_hidden()
    page.goto(f"{origin}/desk/risk")
    expect(page.locator("#may-not-forecast")).to_have_text("needs a key with the scope write")
    expect(page.locator("#forecast")).to_be_disabled()


def test_a_liquidated_account_that_owes_nothing_is_closed(
    chromium: Browser, trained: local.Trained, tmp_path: Path
) -> None:
    """Neither green nor safe, now and in its past; what was taken is told in tokens."""
    drawn = simulate_onward(seed=3, days=2, accounts=5, hours=1, falls={})[0]
    with local.api(tmp_path, trained[0], simulated=drawn) as app:
        assert app.desk is not None
        assert app.desk.store is not None
        name = str(drawn.accounts["account"].iloc[0])
        with app.desk.store.begin() as transaction:
            now = market.clock(transaction, now=app.desk.clock())
            told = accounts.read(transaction, [name])[name]
            owed = next(int(leg["quantity"]) for leg in told["legs"] if leg["kind"] == "debt")
            taken = {"kind": "liquidate", "at": now, "collateral": 0, "debt": owed}
            accounts.push_events(transaction, [{"account": name, "key": "taken", **taken}], now=now)
            left = [
                {**leg, "quantity": "0"} if leg["kind"] == "debt" else leg for leg in told["legs"]
            ]
            accounts.upsert(
                transaction, [{**told, "legs": left, "opened_at": None}], at=now, now=now
            )
            state = AlertState(level=Level.LIQUIDATED, entered_at=now, episode=1)
            alerts.write_states(transaction, {name: state})
        with local.listening(app) as origin, browser.watching(chromium, origin) as found:
            said = httpx.post(f"{origin}/v1/assessments", json={"accounts": [name]}, timeout=60.0)
            assert said.status_code == 200, said.text
            margin = Served(app, origin).ask("/v1/margin", {"account": name})
            (token,) = [one for one in margin["tokens"] if one["kind"] == "debt"]
            repaid = owed * Fraction(token["per_unit"])
            found.page.goto(f"{origin}/desk/accounts/{quote(name, safe='')}")
            expect(found.page.locator("#level")).to_have_text("liquidated")
            expect(found.page.locator("#verdict")).to_have_text("closed")
            expect(found.page.locator("#verdict")).to_have_class("tag big")
            expect(found.page.locator("#past .tag").first).to_have_text("closed")
            expect(found.page.locator("#happened")).to_contain_text(
                f"liquidate {float(repaid):,.6g} DAI"
            )


def test_real_vaults_are_shown_as_they_stood(
    chromium: Browser, trained: local.Trained, tmp_path: Path
) -> None:
    """The book of a falling market: nothing is called simulated, every page opens."""
    with local.api(tmp_path, trained[0]) as app:
        assert app.desk is not None
        assert app.desk.store is not None
        vaults.lay(app.desk.store)
        with local.listening(app) as origin, browser.watching(chromium, origin) as found:
            served = Served(app, origin)
            listed = served.ask("/v1/accounts?limit=100")["accounts"]
            served.ask("/v1/assessments", {"accounts": [one["account"] for one in listed]})
            page = found.open("/desk")
            assert len(listed) > 10
            told = served.ask("/v1/book/map")
            assert told["accounts"] > 10
            assert min(told["cells"]["distance"]) >= 0.0
            expect(page.locator("#map-note")).to_contain_text(f"{told['accounts']} accounts")
            expect(page.locator("#accounts tbody tr")).to_have_count(min(len(listed), 50))
            expect(page.get_by_text("Simulated.", exact=True)).to_be_hidden()
            one = served.riskiest()
            found.open(f"/desk/accounts/{one}")
            told = served.ask("/v1/score", {"account": one})
            ratio = told["rule"]["ratio"]["value"]
            expect(page.locator("#ratio")).to_have_attribute("title", ratio)
            page.locator('[data-lever="price ETH"]').fill("-30")
            expect(page.locator('[data-then="verdict"]')).to_have_text("liquidatable")
            owed = page.locator("#terms tr").filter(has=page.get_by_text("dust", exact=True))
            expect(owed).to_have_text(re.compile(r"^least debt dust\d{2,5}$"))
    assert found.errors == []


def test_a_perpetual_account_shows_entry_mark_and_profit(watched: Watched, moved: Served) -> None:
    """Short 0.4 of 60,000 at 54,000: 2,400 won, 21,600 of notional on 12,400 of balance."""
    store, now = moved.desk.store, datetime.fromisoformat(moved.ask("/v1/pulse")["as_of"])
    assert store is not None
    price = Price(value=5_400_000, decimals=2, observed_at=now, source="test")
    legs = [
        {"kind": "collateral", "asset": "USDT", "quantity": "10000"},
        {"kind": "position", "asset": "BTC/USDT:USDT", "quantity": "-0.4", "entry": "60000"},
    ]
    body = {"id": "short", "venue": "binance-usdm", "version": "2026-09", "market": "USDT"}
    with store.begin() as transaction:
        market.push_prices(transaction, [("BTC/USDT:USDT", price)], now=now)
        accounts.upsert(transaction, [{**body, "legs": legs}], at=now, now=now)
    page = watched.open("/desk/accounts/short")
    row = page.locator("#positions tbody tr")
    expect(row.locator("th")).to_have_text("BTC/USDT:USDT short")
    expect(page.locator("#legs tbody td").nth(2)).to_have_text("10,000")
    figures = ["0.4", "60,000", "54,000", "21.6K", "2.4K"]
    assert row.locator("td").all_inner_texts() == figures
    expect(page.locator("#positions caption")).to_contain_text("leverage 1.74")
    expect(page.locator("#terms")).to_contain_text("BTC/USDT:USDT")
    expect(page.locator("#terms")).not_to_contain_text("SOL/USDT:USDT")
    page.locator("#all-terms").click()
    expect(page.locator("#terms")).to_contain_text("SOL/USDT:USDT")
