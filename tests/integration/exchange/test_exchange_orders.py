"""Orders carried out at an exchange: a keeper passes our requests to its own client, once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import ccxt
import httpx
import pytest
from local import Caller
from many_venues import BINANCE
from order_books import KEY, NOON, RULES, Clock, key_file, watcher
from reference_keepers import Failed, Keeper
from sandbox_exchange import Exchange, listening

from models.domain import Price
from serving.application.scoring import ScoringService
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import Store, accounts, market, open_store
from serving.watch.watcher import cycle

BTC = "BTC/USDT:USDT"
SECOND = timedelta(seconds=1)
TRUSTED = KEY.public_key().public_bytes_raw().hex()


@dataclass
class Scene:
    """A sandbox exchange, a store that tells what it holds, a watcher, and the service."""

    exchange: Exchange
    store: Store
    caller: Caller
    clock: Clock

    def tell(self) -> None:
        """Write into the store what the exchange holds, and its mark."""
        held = self.exchange
        legs = [
            {"kind": "collateral", "asset": "USDT", "quantity": decimal(held.wallet)},
            {
                "kind": "position",
                "asset": BTC,
                "quantity": decimal(held.size),
                "entry": decimal(held.entry),
            },
        ]
        body = {
            "id": "cross",
            "venue": "binance-usdm",
            "market": "USDT",
            "owner": "ada",
            "legs": legs,
            "terms": BINANCE,
        }
        mark = Price(value=int(held.mark * 10**8), decimals=8, observed_at=self.clock.now)
        now = self.clock.now
        with self.store.begin() as transaction:
            accounts.upsert(transaction, [body], at=now, now=now)
            market.push_prices(transaction, [(BTC, mark)], now=now)

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Ask the service."""
        return self.caller.request(method, path, **({} if body is None else {"json": body}))

    def give(self, **changes: Any) -> None:
        """Put a mandate over the account in force."""
        body = {
            "owner": "ada",
            "accounts": ["cross"],
            "venues": ["binance-usdm"],
            "assets": [BTC, "USDT"],
            "kinds": ["reduce"],
            "trigger": {"buffer": "0.05"},
            "target": {"buffer": "0.1"},
            "means": {"steps": {BTC: "0.001"}, "costs": {"reduce": {"rate": "0.0005"}}},
            "per_order": "20000",
            "per_day": "40000",
            "expires_at": "2031-01-01T00:00:00Z",
            **changes,
        }
        answer = self.ask("PUT", "/v1/mandates/m", body)
        assert answer.status_code == 200, answer.text


def decimal(value: Fraction) -> str:
    """Return an exact amount with ten decimals at most."""
    scaled = value * 10**10
    assert scaled.denominator == 1
    return f"{scaled.numerator // 10**10}.{scaled.numerator % 10**10:010d}"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Yield a long of .2 BTC from 62,000 on 900 USDT, at a mark of 58,000."""
    settings = Settings(store=f"sqlite:///{tmp_path / 'book.sqlite3'}")
    store = open_store(str(settings.store))
    clock = Clock(NOON)
    desk = ScoringService(model=RULES, store=store, clock=clock, order_key=key_file(tmp_path))
    caller = Caller(
        Api(routes(OPERATIONS), desk=desk, gate=Admission(settings, Keyring(desk.keys)))
    )
    held = Exchange(
        mark=Fraction(58_000),
        size=Fraction(1, 5),
        entry=Fraction(62_000),
        wallet=Fraction(900),
        spot=Fraction(5_000),
    )
    with listening(held) as exchange:
        made = Scene(exchange, store, caller, clock)
        made.tell()
        yield made
    caller.close()
    store.close()


def client(exchange: Exchange) -> ccxt.binanceusdm:
    """Return the keeper's own client, with its own keys."""
    made = ccxt.binanceusdm({"apiKey": "key", "secret": "secret", "enableRateLimit": False})
    made.has["fetchCurrencies"] = False
    made.options["fetchMarkets"] = {"types": ["linear"]}
    for name, url in made.urls["api"].items():
        if isinstance(url, str):
            made.urls["api"][name] = f"{exchange.url}/{url.split('/', 3)[3]}"
    return made


def keeper(scene: Scene) -> Keeper:
    """Return a keeper at the exchange."""
    api = client(scene.exchange)

    def act(order: Mapping[str, Any]) -> str:
        receipts = []
        for request in order["requests"]:
            try:
                done = getattr(api, request["method"])(**request["arguments"])
            except ccxt.BaseError as error:
                raise Failed(str(error), has_moved=bool(receipts)) from None
            if request["method"] == "create_order" and done["status"] != "closed":
                raise Failed(f"not filled: {done['status']}", has_moved=bool(receipts))
            receipts.append(str(done["id"]))
        return " ".join(receipts)

    return Keeper(ask=scene.ask, trusted=TRUSTED, act=act)


def test_a_position_is_reduced_as_planned(scene: Scene) -> None:
    """Sold to reduce alone, at most 1 % under the mark; what is left is the plan's, exactly."""
    scene.give()
    watching = watcher(scene.store, scene.clock)
    cycle(watching)
    (answer,) = scene.ask("GET", "/v1/orders?state=ready").json()["orders"]
    (request,) = answer["order"]["requests"]
    arguments = request["arguments"]
    assert (request["method"], arguments["side"], arguments["price"]) == (
        "create_order",
        "sell",
        "57420",
    )
    assert arguments["params"]["reduceOnly"] is True
    assert answer["order"]["calls"] == []
    sold = Fraction(arguments["amount"])
    assert sold % Fraction(1, 1000) == 0
    # 10 % lower, at 52,200, the rest still covers .4 % of itself: by the least step.
    assert is_covered(sold)
    assert not is_covered(sold - Fraction(1, 1000))
    scene.clock.now += SECOND
    (done,) = keeper(scene).turn()
    assert done["state"] == "done", done
    assert scene.exchange.size == Fraction(1, 5) - sold
    scene.clock.now += SECOND
    scene.tell()
    cycle(watching)
    (judged,) = scene.ask("GET", "/v1/orders?state=judged").json()["orders"]
    outcome = judged["course"]["outcome"]
    assert outcome["said"] == "as_planned"
    assert outcome["health"] > outcome["health_without"]


def is_covered(sold: Fraction) -> bool:
    """Return whether the account stands at a mark 10 % lower once so much was sold at 58,000."""
    left = Fraction(1, 5) - sold
    wallet = 900 + sold * (58_000 - 62_000) - Fraction(1, 2000) * sold * 58_000
    low = Fraction(52_200)
    return wallet + left * (low - 62_000) > Fraction(4, 1000) * left * low


def test_margin_is_added_by_a_transfer(scene: Scene) -> None:
    """From the spot wallet to that of futures, as the interface names them."""
    scene.give(kinds=["add"], means={"steps": {"USDT": "0.01"}})
    watching = watcher(scene.store, scene.clock)
    cycle(watching)
    scene.clock.now += SECOND
    (done,) = keeper(scene).turn()
    assert done["state"] == "done", done
    assert scene.exchange.wallet > 900
    scene.clock.now += SECOND
    scene.tell()
    cycle(watching)
    (judged,) = scene.ask("GET", "/v1/orders?state=judged").json()["orders"]
    assert judged["course"]["outcome"]["said"] == "as_planned"


def test_an_order_that_is_not_filled_has_failed_and_its_budget_is_free(scene: Scene) -> None:
    """The mark fell through the limit before the keeper came; nothing was sold."""
    scene.give()
    cycle(watcher(scene.store, scene.clock))
    scene.exchange.mark = Fraction(57_000)
    scene.clock.now += SECOND
    (told,) = keeper(scene).turn()
    assert (told["state"], told["course"]["reason"]) == ("failed", "not filled: expired")
    assert scene.exchange.size == Fraction(1, 5)
    assert scene.ask("GET", "/v1/mandates/m").json()["spent"] == "0"


def test_a_request_that_is_sent_twice_is_taken_once(scene: Scene) -> None:
    """The order's id is the exchange's, too."""
    scene.give()
    cycle(watcher(scene.store, scene.clock))
    (answer,) = scene.ask("GET", "/v1/orders?state=ready").json()["orders"]
    (request,) = answer["order"]["requests"]
    api = client(scene.exchange)
    api.create_order(**request["arguments"])
    left = scene.exchange.size
    with pytest.raises(ccxt.BaseError, match="duplicated"):
        api.create_order(**request["arguments"])
    assert scene.exchange.size == left
