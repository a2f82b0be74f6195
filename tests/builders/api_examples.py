"""The examples of the API's document: one request per operation, asked of the demonstration's book.

`python tests/builders/api_examples.py` (from the root, in the project's environment) asks them and
writes `serving/http/examples.json`; a test asks them again.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from local import Caller  # noqa: E402 - the caller of the other tests lies in their folder
from order_books import key_file  # noqa: E402

from features.pipeline import BASELINE  # noqa: E402
from features.simulate import simulate  # noqa: E402
from serving.application.deployment import read_deployment  # noqa: E402
from serving.application.governed_log import LogKeys  # noqa: E402
from serving.application.scoring import ScoringService  # noqa: E402
from serving.connect.secrets import VARIABLE  # noqa: E402
from serving.connect.secrets import new_key as sealing_key  # noqa: E402
from serving.demo.run import ACCOUNTS, DAYS, lay_all  # noqa: E402
from serving.http.admission import Admission, Keyring  # noqa: E402
from serving.http.app import Api  # noqa: E402
from serving.http.examples import FILE  # noqa: E402
from serving.http.keys import Scope, issue  # noqa: E402
from serving.http.routing import JSON, Operation, routes  # noqa: E402
from serving.log.heads import new_key  # noqa: E402
from serving.routes import OPERATIONS  # noqa: E402
from serving.settings import DEMO_SEED, Settings  # noqa: E402
from serving.store import keys, open_store  # noqa: E402

CHAMPION = ROOT / "models/champion"
VAULT, LOAN, PERPETUAL = "sim-0121", "compound-v3-0005", "binance-usdm-0005"
OWN = {
    "id": "treasury-1",
    "owner": "treasury",
    "venue": "maker",
    "market": "ETH-B",
    "legs": [
        {"kind": "collateral", "asset": "ETH", "quantity": str(12 * 10**18)},
        {"kind": "debt", "asset": "DAI", "quantity": str(15_000 * 10**18)},
    ],
}
ALLOCATION = {
    "venues": [
        {"id": "perpetuals", "need": "4000", "eligible": {"USDC": {"weight": "1"}}},
        {
            "id": "loans",
            "need": "9000",
            "eligible": {"ETH": {"weight": "0.8"}, "USDC": {"weight": "0.9"}},
        },
    ],
    "assets": {"USDC": {"price": "1", "cost": "0.05"}, "ETH": {"price": "2100", "cost": "0.02"}},
    "inventory": [{"asset": "USDC", "quantity": "6000"}, {"asset": "ETH", "quantity": "8"}],
}
PATIENCE_SECONDS = 1800
"""For a job on a busy machine; nothing is measured by it."""

ENDED = ("done", "failed", "stopped")
MOST_ITEMS = 2
"""Entries of a list that an example shows."""

BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One operation that is asked for.

    Parameters
    ----------
    path, query
        Parameters by name.
    token
        Of the key.
    """

    operation: Operation
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    token: str


Send = Callable[[Question], Any]
"""Asks a service; returns the answer as JSON has it, None where it is of another kind."""


@contextmanager
def directly(app: Api) -> Iterator[Send]:
    """Yield what asks in this process, without a socket."""
    caller = Caller(app)

    def send(asked: Question) -> Any:
        operation = asked.operation
        answer = caller.request(
            operation.method,
            operation.path.format_map(asked.path),
            headers={"Authorization": f"Bearer {asked.token}", "Accept": JSON},
            params=dict(asked.query),
            **({} if asked.body is None else {"json": asked.body}),
        )
        if answer.status_code != operation.status:
            raise ValueError(f"{operation.name}: {answer.status_code} {answer.text}")
        kind = answer.headers.get("content-type", "")
        return answer.json() if kind.startswith(JSON) else None

    try:
        yield send
    finally:
        caller.close()


@dataclass(slots=True)
class Recorder:
    """Asks, and keeps what was asked and answered.

    Parameters
    ----------
    tokens
        By role: `one` may everything, `other` is somebody else.
    now
        The service's clock; a minute passes with each request that is kept. Waiting takes none: a
        job that is silent for long counts as lost.
    """

    send: Send
    tokens: Mapping[str, str]
    now: datetime
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ask(
        self,
        operation: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        role: str = "one",
        keep: bool = True,
        **path: str,
    ) -> Any:
        """Return the answer to an operation, kept as its example where it is the first.

        Raises
        ------
        ValueError
            When it is refused.
        """
        if keep:
            self.now += timedelta(minutes=1)
        asked = Question(
            operation=BY_NAME[operation],
            path=path,
            query=query or {},
            body=body,
            token=self.tokens[role],
        )
        told = self.send(asked)
        if keep and asked.operation.answer_types and told is not None:
            example = {
                "parameters": {**path, **(query or {})},
                "request": body,
                "answer": short(told),
            }
            self.kept.setdefault(
                operation, {k: v for k, v in example.items() if v not in (None, {})}
            )
        return told


@contextmanager
def recorder(
    place: Path, reach: Callable[[Api], AbstractContextManager[Send]] = directly
) -> Iterator[Recorder]:
    """Yield a recorder over the demonstration's book, laid into a directory.

    Parameters
    ----------
    reach
        An API to what asks it.
    """
    url = f"sqlite:///{place / 'book.sqlite3'}"
    settings = Settings(bundle=CHAMPION, store=url, timeout_seconds=600)  # on a busy machine too
    store = open_store(str(settings.store))
    book = simulate(seed=DEMO_SEED, days=DAYS, accounts=ACCOUNTS)
    lay_all(book, store, seed=DEMO_SEED)
    new_key(place / "log.key")
    os.environ.setdefault(VARIABLE, sealing_key())
    tokens = {}
    for role in ("one", "other"):
        record, tokens[role] = issue(role, scopes=[s.value for s in Scope], now=book.at)
        with store.begin() as transaction:
            keys.insert(transaction, record)
    made = Recorder(send=None, tokens=tokens, now=book.at)  # type: ignore[arg-type]
    service = ScoringService(
        model=read_deployment(CHAMPION).model,
        store=store,
        bundle_dir=CHAMPION,
        clock=lambda: made.now,
        order_key=key_file(place),
        log_keys=LogKeys(key=place / "log.key", heads=place / "heads.jsonl"),
    )
    app = Api(routes(OPERATIONS), desk=service, gate=Admission(settings, Keyring(service.keys)))
    try:
        with reach(app) as made.send:
            yield made
    finally:
        store.close()


def wait(ask: Any, operation: str, job: str) -> None:
    """Wait until a job has ended.

    Raises
    ------
    ValueError
        When it has failed, or has not ended for long.
    """
    patient_until = time.monotonic() + PATIENCE_SECONDS
    told = ask(operation, id=job, keep=False)
    while told["status"] not in ENDED and time.monotonic() < patient_until:
        time.sleep(0.1)
        told = ask(operation, id=job, keep=False)
    if told["status"] != "done":
        raise ValueError(f"{operation}: {told}")


def play(ask: Any, *, at: datetime) -> None:
    """Ask one request per operation, in an order in which each is answered.

    Parameters
    ----------
    ask
        As `Recorder.ask`.
    at
        The clock of the book.
    """
    scoring(ask)
    book(ask, at)
    writing(ask, at)
    alerting(ask)
    ordering(ask, at)
    governing(ask)
    for name in (
        "livez",
        "readyz",
        "models",
        "model_moves",
        "model_drift",
        "models_beside",
        "rulebooks",
        "audit",
        "pulse",
    ):
        ask(name)
    ask("terms", venue="maker", version="dss", market="ETH-B")


def scoring(ask: Any) -> None:
    """Ask about single accounts, stored and stated."""
    ask("score", {"account": VAULT})
    ask("margin", {"account": LOAN})
    ask("trigger", {"account": LOAN})
    ask("liquidation", {"account": VAULT})
    ask("what_if", {"account": LOAN, "shock": "-0.18"})
    ask("plan", {"account": VAULT, "target": {"buffer": "0.2"}})
    ask("personal_requirements", {"account": VAULT})
    ask("allocate", ALLOCATION)
    later = ask("begin_allocation", ALLOCATION)["id"]
    wait(ask, "allocation_status", later)
    ask("allocation_status", id=later)
    named = json.loads((CHAMPION / "bundle.json").read_text())["features"]
    row = {name: [0.5] for name in (*named, *BASELINE)}
    ask("score_features", {"columns": row})


def writing(ask: Any, at: datetime) -> None:
    """Write what a user's own feeds would, and look at it."""
    now = iso(at)
    ask("upsert_accounts", {"as_of": now, "accounts": [OWN]})
    ask("push_prices", {"prices": [{"asset": "ETH", "value": "2161.5", "observed_at": now}]})
    opened = iso(at - timedelta(hours=1))
    bar = {"open": [2160.0], "high": [2171.2], "low": [2155.1], "close": [2161.5], "volume": [84.5]}
    ask("push_candles", {"candles": {"AAVE": {"start": opened, **bar}}})
    state = {"venue": "maker", "market": "ETH-C", "at": now, "state": {"ETH-C.rate": str(10**27)}}
    ask("push_state", state)
    stated = ask("terms", venue="maker", version="dss", market="ETH-B")["terms"]
    own = {"venue": "maker", "market": "ETH-C", "valid_from": now, "terms": stated}
    ask("push_terms", own)
    paid = {"at": iso(at - timedelta(hours=1)), "kind": "repay", "debt": str(10**21)}
    ask("push_events", {"events": [{**paid, "account": "treasury-1", "key": "0x5f…/12"}]})
    ask("assess", {"accounts": ["treasury-1"]})
    ask("accounts", query={"limit": 2})
    ask("account", account="treasury-1")
    ask("assessments", account="treasury-1")
    ask("prices")
    ask("candles", query={"asset": "ETH", "begin": opened, "end": now})
    ask("lines", {"accounts": ["treasury-1"], "begin": iso(at - timedelta(days=1))})
    ask("owner_conduct", owner="treasury")
    ask("owner_conduct_history", owner="treasury", query={"points": 2})
    ask("conduct_consent", {"scored": True}, owner="treasury")
    reached = {"rpc": ["https://YOUR-NODE"], "addresses": ["0x" + "ab" * 20]}
    ask("put_connection", {"venue": "aave-v3", "chain": "ethereum", **reached}, connection="mine")
    ask("connections")
    ask("connection", connection="mine")
    ask("delete_connection", connection="mine")


def book(ask: Any, at: datetime) -> None:
    """Ask about the book as a whole."""
    ask("book", query={"venue": "compound-v3"})
    ask("book_map", query={"venue": "compound-v3"})
    ask("book_course", query={"horizon": "24h"})
    amounts = {"100000": "0.002", "1000000": "0.014", "5000000": "0.06"}
    quotes = [{"amount": amount, "impact": impact} for amount, impact in amounts.items()]
    ask("put_impact", {"measured_at": iso(at), "quotes": quotes}, asset="ETH", quote="USDC")
    ask("get_impact", asset="ETH", quote="USDC")
    blocks = {"asset": "ETH", "gas_price_gwei": "30", "block_seconds": 12}
    blocks |= {"free_gas": 15_000_000, "gas_each": 500_000}
    surge = [{"blocks": 5, "times": "3"}, {"blocks": 50, "times": "20"}]
    measured = {"measured_at": iso(at), **blocks, "surge": surge}
    ask("put_block_space", measured, chain="ethereum")
    ask("block_spaces")
    ask("stress_book", {"shocks": [{"name": "fall", "prices": {"ETH": "-0.3", "BTC": "-0.25"}}]})
    begun = ask("begin_book_forecast", {"horizons": ["24h"], "scenarios": 1000, "seed": 1})
    wait(ask, "book_forecast", begun["id"])
    ask("book_forecast", id=begun["id"])
    ask("stop_book_forecast", id=ask("begin_book_forecast", {"scenarios": 5000})["id"])
    ask("book_risk")
    ask("book_risk_history")


def alerting(ask: Any) -> None:
    """Say who is told of what, and what was told."""
    told = {"audience": "desk", "language": "en", "accounts": []}
    ask("put_receiver", told, receiver="risk-desk")
    reached = {"kind": "webhook", "target": "https://hooks.example.com/forewarn"}
    channel = ask("add_channel", reached, receiver="risk-desk")["channel"]
    ask("resend_code", channel=channel)
    ask("confirm_channel", {"code": "40718293"}, channel=channel)
    ask("receivers")
    ask("receiver", receiver="risk-desk")
    ask("rotate_secret", channel=channel)
    ask("stop_channel", channel=channel)
    policy = ask("policy")["policy"]
    ask("preview_policy", {"policy": policy})
    ask("alerts")
    ask("raised_accounts")
    ask("acknowledge_alert", account=VAULT)
    ask("mute_alerts", {"hours": 24}, account=VAULT)
    ask("deliveries")
    ask("replay_deliveries", {"numbers": [1]})


def ordering(ask: Any, at: datetime) -> None:
    """Let a keeper act for an owner, and report."""
    limits = {
        "owner": "treasury",
        "accounts": ["treasury-1"],
        "venues": ["maker"],
        "assets": ["DAI"],
        "kinds": ["repay"],
        "target": {"buffer": "0.3"},
        "per_order": "5000",
        "per_day": "20000",
        "life_seconds": 3600,
        "pause_seconds": 0,
        "expires_at": iso(at + timedelta(days=30)),
    }
    ask("put_mandate", limits, id="night")
    ask("mandate", id="night")
    ask("mandates")
    request = {"mandate": "night", "account": "treasury-1"}
    failed = ask("ask_order", request)["id"]
    ask("order", id=failed)
    ask("accept_order", {}, id=failed)
    ask("order_failed", {"reason": "the wallet refused", "moved": False}, id=failed)
    withdrawn = ask("ask_order", request)["id"]
    ask("withdraw_order", {"reason": "the owner acts"}, id=withdrawn)
    made = ask("ask_order", request)["id"]
    ask("accept_order", {}, id=made)
    ask("order_done", {"receipt": "0x5f…"}, id=made)
    ask("orders")
    ask("end_mandate", id="night")


def governing(ask: Any) -> None:
    """Take a change of terms from its preview to its rollback."""
    change = {"venue": "maker", "market": "ETH-B", "parameter": "mat", "to": "1.305"}
    limits = {"accounts": 10, "debt": "1000000"}
    ask("preview_terms", {"changes": [change], "limits": limits, "scenarios": 200})
    named = {"venue": "maker", "market": "ETH-B", "parameter": "mat"}
    begun = ask("recommend_terms", {"parameters": [named], "scenarios": 200})
    wait(ask, "recommendation", begun["id"])
    ask("recommendation", id=begun["id"])
    ask("recommendations", query={"limit": 1})
    ask("parameters")
    ask("put_bounds", {"bounds": [ask("bounds")["bounds"][0]]})
    rules = {"approvals": 1, "delay_hours": 0, "window_hours": 24}
    ask("put_governance_policy", rules)
    ask("governance_policy")

    def enacted(made: str) -> str:
        binding = ask("simulate_proposal", id=made)["binding"]
        ask("approve_proposal", {"binding": binding}, id=made, role="other")
        ask("schedule_proposal", id=made)
        return str(ask("activate_proposal", id=made)["id"])

    def proposed(**more: Any) -> str:
        reason = {"title": "Raise the ratio of ETH-B", "reason": "ETH is more volatile than it was"}
        body = {"changes": [change], "limits": limits, **reason, **more}
        return str(ask("create_proposal", body)["id"])

    drafted = proposed(draft=True)
    ask("propose_proposal", {"reason": "reviewed"}, id=drafted)
    ask("cancel_proposal", {"reason": "replaced by a wider change"}, id=drafted)
    rejected = proposed()
    ask("simulate_proposal", id=rejected)
    ask("reject_proposal", {"reason": "not this week"}, id=rejected, role="other")
    passed = enacted(proposed())
    reverted = ask("rollback_proposal", {"reason": "too many were warned"}, id=passed)["id"]
    ask("proposals")
    ask("proposal", id=reverted)
    ballot = {
        "quorum": "0.5",
        "threshold": "0.5",
        "period_hours": 1,
        "weights": {"one": "60", "other": "40"},
    }
    ask("put_governance_policy", {**rules, "ballot": ballot})
    voted = proposed(changes=[{**change, "to": "1.31"}])
    ask("simulate_proposal", id=voted)
    ask("votes_proposal", {"voter": "one", "choice": "yes"}, id=voted)
    ask("log", query={"limit": 2})
    ask("log_head")
    ask("log_proof", number="0")
    ask("log_consistency", query={"from": 3})
    ask("log_verify")
    breaker = {
        "signal": "oracle_age",
        "trip": 10_800,
        "clear": 3600,
        "effects": ["hold_terms", "page"],
    }
    ask("put_breaker", breaker, name="stale-oracle")
    ask("trip_breaker", {"reason": "the feed is being replaced"}, name="stale-oracle")
    ask("reset_breaker", {"reason": "the feed is back"}, name="stale-oracle")
    ask("breakers")


def iso(at: datetime) -> str:
    """Return a moment as the API reads it."""
    return at.isoformat().replace("+00:00", "Z")


def short(tree: Any) -> Any:
    """Return an answer with the first entries of each list, and no request's own name."""
    if isinstance(tree, list):
        return [short(part) for part in tree[:MOST_ITEMS]]
    if isinstance(tree, dict):
        return {n: "example" if n == "request_id" else short(p) for n, p in tree.items()}
    return tree


def main() -> None:
    """Ask every example and write the file."""
    with TemporaryDirectory() as directory, recorder(Path(directory)) as made:
        play(made.ask, at=made.now)
    FILE.write_text(json.dumps(made.kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
