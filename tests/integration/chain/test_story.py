"""The whole: an address is connected, its owner is warned and repays, and a fork undoes it."""

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import Message
from importlib import resources
from pathlib import Path
from shutil import which
from urllib.parse import quote

import aave_market
import chain_node
import httpx
import pytest
from aave_market import AaveMarket
from alert_receivers import Mailbox, answers, mail_server, payload, receiver, text_of
from browser import PROGRAMS, launched, watching
from chain_reading import CHAIN_ID, funded
from playwright.sync_api import expect
from services import command, serving
from standardwebhooks import Webhook

from models.alerting.state import REST
from serving.notify.subscriptions import ChannelRequest, add
from serving.settings import alert_settings
from serving.store import Store, accounts, alerts, connections, consents, open_store
from serving.store.alerts import OWNER, Receiver

pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")
LONGEST = 150.0
QUICK = {
    "dwell": '"0s"',
    "cool_down": '"0s"',
    "patience": '"0s"',
    "falls_now_from": '"watch"',
}
"""Times that levels are held for, and from which level on a fall is told at once."""

WETH, USDC = 10**18, 10**6


@contextlib.contextmanager
def running(*arguments: str, environment: dict[str, str], log: Path) -> Iterator[None]:
    """Run `forewarn …` for as long as the context lasts."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command(*arguments), env=environment, stdout=sink, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()


def until(is_done: Callable[[], bool], *logs: Path) -> float:
    """Wait for something and return how long it took, s; or show the logs."""
    begun = time.monotonic()
    while not is_done():
        assert time.monotonic() < begun + LONGEST, "\n".join(log.read_text() for log in logs)
        time.sleep(0.1)
    return time.monotonic() - begun


def quick_policy(place: Path) -> Path:
    """Write the shipped policy for one that tells every change at once, and return its file."""
    text = resources.files("models.alerting").joinpath("default.toml").read_text("utf-8")
    lines = []
    for line in text.splitlines():
        name = line.partition(" = ")[0]
        lines.append(f"{name} = {QUICK[name]}" if name in QUICK else line)
    place.write_text("\n".join(lines))
    return place


def test_an_address_is_enough_to_be_warned(tmp_path: Path) -> None:
    """Nobody writes anything into the store: the chain does, and a fork takes it back."""
    with chain_node.running() as node:
        story(aave_market.deployed(node), tmp_path)


def story(aave: AaveMarket, place: Path) -> None:
    """Tell the story on a deployed market."""
    url, node = f"sqlite:///{place / 'book.db'}", aave.node
    (user,) = funded(aave, 1, seed=31)
    aave.supply("WETH", 10 * WETH, user)
    node.mine()
    aave.borrow("USDC", 14_000 * USDC, user)
    node.mine()
    store = open_store(url)
    key = f"aave-v3:test:core:{user}"
    logs = place / "connect.log", place / "watch.log"
    with receiver(answers(200)) as (hook, received), mail_server() as (port, box):
        environment = {
            **os.environ,
            "FOREWARN_STORE": url,
            "FOREWARN_ALERTS_MAIL_URL": f"mailto://127.0.0.1:{port}/?from=f@x.org&mode=insecure",
            "FOREWARN_ALERTS_ALLOWED_NETWORKS": "127.0.0.0/8",
            "FOREWARN_ALERTS_PUBLIC_URL": "https://alerts.example.org",
        }
        connecting = (
            *("connect", "aave-v3", "--rpc", node.url, "--chain", "test"),
            *("--chain-id", str(CHAIN_ID), "--contract", aave.pool.address),
            *(
                "--address",
                user,
                "--poll",
                "0.2",
                "--no-candles",
                "--ws",
                node.url.replace("http", "ws"),
            ),
        )
        watching = ("watch", "--policy", str(quick_policy(place / "policy.toml")))
        with (
            serving(place / "serve.log", "--store", url) as client,
            running(*connecting, environment=environment, log=logs[0]),
        ):
            seconds = until(lambda: is_listed(client, key), *logs)
            print(f"on the desk {seconds:.1f} s after forewarn connect was started")  # noqa: T201
            read_on_the_desk(client, key)
            secret = subscribed(store, key, hook, environment, lambda: code_of(received.requests))
            mailed(store, environment, box)
            with running(*watching, environment=environment, log=logs[1]):
                until(lambda: level_of(store, key) is not None, *logs)
                assert level_of(store, key) == 0
                before, mails = len(received.requests), len(box.messages)
                aave.set_price("WETH", 1_720 * 10**8)
                node.mine()
                until(lambda: warned(received.requests[before:], key), *logs)
                until(lambda: has_mail(box, mails, key), *logs)
                is_safe_still(aave, user)
                headers, body, _ = next(
                    each for each in received.requests[before:] if warned([each], key)
                )
                assert Webhook(secret).verify(body, headers)
                assert_has_plan(body)
                assert_says_what_to_do(box.messages[mails:])
                aave.repay("USDC", 7_000 * USDC, user)
                node.mine()
                until(lambda: level_of(store, key) == 0, *logs)
                before, mails = len(received.requests), len(box.messages)
                node.ask("anvil_reorg", 1, [])
                node.ask("anvil_dropAllTransactions")
                node.mine()
                until(lambda: (level_of(store, key) or 0) > 0, *logs)
                until(lambda: warned(received.requests[before:], key), *logs)
                until(lambda: has_mail(box, mails, key), *logs)
    stands_as_if_never_repaid(store, key)
    store.close()


def stands_as_if_never_repaid(store: Store, key: str) -> None:
    """Hold the store to the chain: no repayment, nothing that differs, no endpoint in the clear."""
    with store.read() as transaction:
        status = connections.read(transaction, "aave-v3-test-core")
        (body_now,) = accounts.read(transaction, [key]).values()
        assert connections.differing(transaction) == []
    assert status is not None
    assert not {"rpc", "ws"} & status.body.keys()
    assert [event["kind"] for event in body_now["events"]] == ["deposit", "borrow"]


def is_listed(client: httpx.Client, key: str) -> bool:
    """Return whether the service lists an account, and no other."""
    answer = client.get("/v1/accounts", params={"venue": "aave-v3"}).json()
    return [each["account"] for each in answer["accounts"]] == [key]


def level_of(store: Store, key: str) -> int | None:
    """Return the level of an account's alert; None where nothing watched it yet."""
    with store.read() as transaction:
        if not alerts.states(transaction, [key]) and not alerts_ran(store):
            return None
        return int(alerts.states(transaction, [key]).get(key, REST).level)


def alerts_ran(store: Store) -> bool:
    """Return whether a pass was written."""
    from serving.store import leases  # noqa: PLC0415

    with store.read() as transaction:
        return leases.TURN in leases.beats(transaction)


def subscribed(
    store: Store, key: str, hook: str, environment: dict[str, str], code: Callable[[], str]
) -> str:
    """Add the owner's webhook, confirm it by the code it got, and return its secret."""
    now = datetime.now(tz=UTC)
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="me", audience=OWNER), (key,), now=now)
    added = add(
        store,
        ChannelRequest(receiver="me", kind="webhook", target=hook),
        alert_settings(environment),
        actor="test",
        now=now,
    )
    with store.begin() as transaction:
        assert consents.confirm(transaction, added.channel, code(), actor="test", now=now)
    assert added.secret is not None
    return added.secret


def mailed(store: Store, environment: dict[str, str], box: Mailbox) -> None:
    """Add the owner's mail, and confirm it by the code it got."""
    wanted = ChannelRequest(receiver="me", kind="mail", target="owner@example.org")
    now = datetime.now(tz=UTC)
    added = add(store, wanted, alert_settings(environment), actor="test", now=now)
    assert added.sent.outcome == "delivered", added.sent
    code = text_of(box.messages[0]).split("code ")[1][:8]
    with store.begin() as transaction:
        assert consents.confirm(transaction, added.channel, code, actor="test", now=now)


def has_mail(box: Mailbox, first: int, key: str) -> bool:
    """Return whether a mail from the first on speaks of an account's warning."""
    return any(
        "warning" in str(mail["Subject"]) and key in text_of(mail) for mail in box.messages[first:]
    )


def assert_says_what_to_do(mails: list[Message]) -> None:
    """Hold a mail to its plan, in words."""
    text = "\n".join(text_of(mail) for mail in mails)
    assert "USDC" in text
    assert "No warning can promise time" in text


def code_of(requests: list[tuple[dict[str, str], str, float]]) -> str:
    """Return the code of the first message."""
    return requests[0][1].split('"code":"')[1][:8]


def warned(requests: list[tuple[dict[str, str], str, float]], key: str) -> bool:
    """Return whether a message says that an account rose to warning."""
    return any(key in body and '"warning"' in body for _, body, _ in requests)


def read_on_the_desk(client: httpx.Client, key: str) -> None:
    """Let the desk show the account: ten ether against fourteen thousand dollars."""
    scored = client.post("/v1/score", json={"account": key}).json()
    assert scored["rule"]["verdict"] == "safe"
    assert scored["rule"]["ratio"]["value"].startswith("1.1857")
    told = client.post("/v1/margin", json={"account": key}).json()["tokens"]
    amounts = {each["asset"]: float(each["amount"]) for each in told}
    assert amounts == pytest.approx({"WETH": 10, "USDC": 14_000}, rel=1e-4)
    if not any(map(which, PROGRAMS)):
        return
    origin = str(client.base_url).rstrip("/")
    with launched() as browser, watching(browser, origin) as tab:
        page = tab.open(f"/desk/accounts/{quote(key, safe='')}")
        rows = page.locator("#legs tbody tr")
        expect(rows.nth(0)).to_contain_text("WETH")
        expect(rows.nth(0).locator("td").nth(1)).to_have_text("10")
        expect(rows.nth(1)).to_contain_text("USDC")
        expect(rows.nth(1).locator("td").nth(1)).to_have_text(re.compile(r"14,000(\.\d+)?"))
        expect(page.locator("#verdict")).to_have_text("safe")


def is_safe_still(aave: AaveMarket, user: str) -> None:
    """Hold the chain to it: the warning came before the account could be liquidated."""
    assert aave.node.read(aave.pool, "getUserAccountData", user)[5] > 10**18


def assert_has_plan(body: str) -> None:
    """Hold a message to its plan: what to do, and what comes of it."""
    stated = json.dumps(payload(body))
    assert '"plan' in stated
    assert "USDC" in stated
