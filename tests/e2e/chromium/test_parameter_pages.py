"""One story in a browser with three keys: recommend, propose, approve, activate, roll back."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import Watched, launched, watching
from governed_books import NOON, lay
from local import listening
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

from models.command import root
from serving.application.deployment import read_deployment
from serving.application.governed_log import LogKeys
from serving.application.scoring import ScoringService
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.keys import issue
from serving.http.routing import routes
from serving.log.heads import new_key
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import keys, market, open_store, proposals

CARRIED = ["ada simulated", "ben approval", "cyd scheduled", "cyd terms changed", "cyd active"]
LINES = [
    "ada proposed",
    "ada simulated",
    "ada proposed",
    *CARRIED,
    "ada proposed",
    *CARRIED,
    "cyd rolled back",
]
ROLES = {"ada": ["read", "propose"], "ben": ["read", "approve"], "cyd": ["read", "activate"]}


@dataclass(frozen=True, slots=True)
class Service:
    """A service over a governed book that waits for nothing between schedule and activation."""

    url: str
    tokens: dict[str, str]
    place: Path


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Yield a service; every look at its clock is a second later than the one before."""
    settings = Settings(store=f"sqlite:///{tmp_path / 'book.sqlite3'}")
    store = open_store(str(settings.store))
    lay(store)
    with store.begin() as transaction:
        market.push_candles(transaction, candles())
    tokens = {}
    with store.begin() as transaction:
        for name, scopes in ROLES.items():
            record, tokens[name] = issue(name, scopes=scopes, now=NOON - timedelta(days=1))
            keys.insert(transaction, record)
        policy = {"delay_hours": 0}
        proposals.govern(transaction, "governance/policy", policy, actor="test", at=NOON)
    new_key(tmp_path / "log.key")
    ticks = count()
    desk = ScoringService(
        model=read_deployment(None).model,
        store=store,
        clock=lambda: NOON + timedelta(milliseconds=50 * next(ticks)),
        log_keys=LogKeys(key=tmp_path / "log.key", heads=tmp_path / "heads.jsonl"),
    )
    gate = Admission(settings, Keyring(desk.keys))
    with listening(Api(routes(OPERATIONS), desk=desk, gate=gate)) as url:
        yield Service(url=url, tokens=tokens, place=tmp_path)
    store.close()


@pytest.fixture
def role(service: Service) -> Iterator[dict[str, Watched]]:
    """Yield a page per role, each with its own key."""
    with launched() as browser, ExitStack() as stack:
        pages = {}
        for name, token in service.tokens.items():
            pages[name] = stack.enter_context(watching(browser, service.url))
            script = f"sessionStorage.setItem('forewarn.key', '{token}')"
            pages[name].page.context.add_init_script(script)
        expect.set_options(timeout=20_000)
        yield pages


def candles() -> pd.DataFrame:
    """Return 40 days of hours of ETH that end at 1,000 and move by a per cent or two."""
    moves = np.random.default_rng(3).normal(0.0, 0.01, 40 * 24)
    close = 1000.0 * np.exp(np.cumsum(moves) - moves.sum())
    before = np.concatenate([close[:1], close[:-1]])
    sides = {"high": np.maximum(before, close), "low": np.minimum(before, close)}
    begun = NOON - timedelta(hours=close.size)
    times = [begun + timedelta(hours=hour) for hour in range(close.size)]
    return pd.DataFrame(
        {"symbol": "ETH", "open_time": times, "open": before, "close": close, **sides}
    )


def press(page: Page, button: str, state: str) -> None:
    """Press a button of a proposal and wait for where that leads."""
    page.locator(f"#act-{button}").click()
    expect(page.locator("#state")).to_have_text(state)


def cells(page: Page, table: str) -> list[list[str]]:
    """Return what a table shows."""
    rows = page.locator(f"#{table} tbody tr")
    expect(rows).not_to_have_count(0)
    shown = rows.evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.innerText))")
    return [[str(cell) for cell in row] for row in shown]


def changed(page: Page) -> list[list[str]]:
    """Return the parameters of the chosen proposal with what stood and what is to stand."""
    return cells(page, "changes")


def timeline(page: Page) -> list[tuple[str, str]]:
    """Return who did what, the newest first; numbers fall and times do not rise."""
    rows = cells(page, "log")
    assert [int(row[0]) for row in rows] == sorted((int(row[0]) for row in rows), reverse=True)
    return [(row[2], row[3]) for row in rows]


def carry(role: dict[str, Watched], first: str) -> None:
    """Carry the newest proposal from its preview to its activation, each step by its role."""
    page = role["ada"].open("/desk/governance")
    expect(page.locator("#state")).to_have_text(first)
    press(page, "simulate", "simulated")
    page = role["ben"].open("/desk/governance")
    expect(page.locator("#act-activate, #act-schedule")).to_have_count(0)
    press(page, "approve", "approved")
    page = role["cyd"].open("/desk/governance")
    press(page, "schedule", "scheduled")
    press(page, "activate", "active")


def propose_recommended(watched: Watched) -> None:
    """Propose what is recommended, as it was filled in, and see what it changes."""
    page = watched.open("/desk/parameters")
    page.locator("#recommend").click()
    expect(page.locator("#recommended")).to_contain_text("1.3 → 1.25 (search)")
    expect(page.locator("#decision")).to_have_text("passes")
    expect(page.locator("#to")).to_have_value("1.25")
    expect(page.get_by_label("Title")).to_have_value("Change mat from 1.3 to 1.25")
    expect(page.get_by_label("Reason")).to_have_value(
        re.compile(r"^Recommended \(\w+\): 1.3 → 1.25")
    )
    page.locator("#propose").click()
    expect(page.get_by_text("is proposed")).to_be_visible()
    page = watched.open("/desk/governance")
    press(page, "simulate", "simulated")
    assert changed(page) == [["maker ETH-B mat", "1.3", "1.25"]]
    expect(page.locator("#previews tbody tr")).to_have_count(1)
    page.locator("#now").click()
    expect(page.locator("#previews tbody tr")).to_have_count(2)
    assert {tuple(row[1:]) for row in cells(page, "previews")} == {("0", "0", "passes")}


def test_one_story_with_three_keys(service: Service, role: dict[str, Watched]) -> None:
    """An account falls by a change and is freed by its rollback; the log tells of all of it."""
    propose_recommended(role["ada"])
    page = role["ada"].open("/desk/parameters")
    page.locator("#to").fill("1.34")
    page.get_by_label("Accounts that may fall").fill("1")
    page.get_by_label("What they may owe").fill("1000")
    page.locator("#preview").click()
    expect(page.locator("#newly")).to_have_text("1")
    expect(page.locator("#decision")).to_have_text("passes")
    expect(page.locator("#fallen")).to_contain_text("thin")
    expect(page.locator("#cliff")).to_contain_text("1.31999")
    assert role["ada"].grave() == []
    page.get_by_label("Reason").fill("volatility")
    page.locator("#propose").click()
    expect(page.get_by_text("is proposed")).to_be_visible()
    carry(role, "proposed")
    page = role["ada"].open("/desk/governance")
    assert changed(page) == [["maker ETH-B mat", "1.3", "1.34"]]
    page = role["ada"].open("/desk/parameters")
    expect(page.locator("form .figure").first).to_have_text("1.34")
    page = role["ada"].open("/desk/governance")
    page.locator("#why").fill("too much")
    page.locator("#act-rollback").click()
    expect(page.locator("#state")).to_have_text("proposed")
    carry(role, "proposed")
    page = role["ada"].open("/desk/governance")
    expect(page.locator("#proposals")).to_contain_text("rolled back")
    assert changed(page) == [["maker ETH-B mat", "1.34", "1.3"]]
    names = {token.split("_")[1]: name for name, token in service.tokens.items()}
    lines = [f"{names[actor]} {action}" for actor, action in reversed(timeline(page))]
    assert lines == LINES, lines
    page.locator("#verify").click()
    expect(page.locator("#verified")).to_contain_text("heads vouch for all of them")
    assert role["ada"].grave() == []
    with page.expect_download() as download:
        page.locator("#export").click()
    export = service.place / "log.jsonl"
    download.value.save_as(export)
    heads = str(service.place / "heads.jsonl")
    done = CliRunner().invoke(root(), ["log", "verify", str(export), "--heads", heads])
    assert done.exit_code == 0, done.output
    for watcher in role.values():
        assert watcher.errors == []
