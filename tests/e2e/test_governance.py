"""Terms under control over HTTP and on the command line: previews, three keys, the log."""

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from governed_books import NOON, body, lay, reprice
from local import Caller
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
from serving.log.merkle import verify_consistency, verify_inclusion
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import Store, keys, market, open_store

CHANGE = {"venue": "maker", "parameter": "mat", "to": "1.34"}
ROLES = {
    "ada": ["read", "propose"],
    "ben": ["read", "approve"],
    "cyd": ["read", "activate"],
    "gov": ["read", "govern"],
}


@dataclass(slots=True)
class Desk:
    """An API over a governed book, with a key per role and a clock that is set by hand."""

    store: Store
    caller: Caller
    place: Path
    now: datetime = NOON
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, role: str, content: Any = None, **headers: str
    ) -> httpx.Response:
        """Return the answer to a role's request."""
        named = {"Authorization": f"Bearer {self.tokens[role]}", **headers}
        options = {} if content is None else {"json": content}
        return self.caller.request(method, path, headers=named, **options)

    def act(self, identity: str, verb: str, role: str, content: Any = None) -> httpx.Response:
        """Return the answer to an act on a proposal, a minute later."""
        self.now += timedelta(minutes=1)
        return self.ask("POST", f"/v1/proposals/{identity}/{verb}", role, content)

    def made(self, to: str = "1.34", **limits: Any) -> dict[str, Any]:
        """Return a proposal, made and simulated."""
        self.now += timedelta(minutes=1)
        answer = self.ask("POST", "/v1/proposals", "ada", body(to, **limits))
        assert answer.status_code == 200, answer.text
        simulated = self.act(answer.json()["id"], "simulate", "ada")
        assert simulated.status_code == 200, simulated.text
        return dict(simulated.json())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Yield an API over a governed book."""
    settings = Settings(store=f"sqlite:///{tmp_path / 'book.sqlite3'}")
    store = open_store(str(settings.store))
    lay(store)
    new_key(tmp_path / "log.key")
    made = Desk(store=store, caller=None, place=tmp_path)  # type: ignore[arg-type]
    for name, scopes in ROLES.items():
        record, made.tokens[name] = issue(name, scopes=scopes, now=NOON - timedelta(days=1))
        with store.begin() as transaction:
            keys.insert(transaction, record)
    service = ScoringService(
        model=read_deployment(None).model,
        store=store,
        clock=lambda: made.now,
        log_keys=LogKeys(key=tmp_path / "log.key", heads=tmp_path / "heads.jsonl"),
    )
    gate = Admission(settings, Keyring(service.keys))
    made.caller = Caller(Api(routes(OPERATIONS), desk=service, gate=gate))
    yield made
    made.caller.close()
    store.close()


def problem(answer: httpx.Response) -> str:
    """Return the kind of a refusal."""
    return str(answer.json()["type"]).rpartition(":")[2]


def test_a_preview_names_who_falls_and_pages_them(desk: Desk) -> None:
    """1.37 takes two of three vaults; a page holds one; the cliff is the first one's ratio."""
    query = {"changes": [{**CHANGE, "to": "1.37"}], "limit": 1}
    first = desk.ask("POST", "/v1/terms/preview", "ada", query).json()
    assert (first["newly_count"], first["newly_debt"], first["passes"]) == (2, "2000", False)
    assert [row["account"] for row in first["newly"]] == ["middling"]
    second = desk.ask("POST", "/v1/terms/preview", "ada", {**query, "after": first["next"]}).json()
    assert ([row["account"] for row in second["newly"]], second["next"]) == (["thin"], None)
    (row,) = first["parameters"]
    # At 1.32 itself the venue rounds the price with the safety margin down, below the debt.
    assert (row["before"], row["to"], row["cliff"]) == ("1.3", "1.37", f"1.31{'9' * 25}")
    assert [step["to"] for step in row["steps"]] == ["1.35", "1.37"]
    assert len(first["reasons"]) == 3
    again = desk.ask("POST", "/v1/terms/preview", "ada", query).json()
    assert again["preview_id"] == first["preview_id"]
    desk.now += timedelta(minutes=1)
    reprice(desk.store, 999, at=desk.now)
    moved = desk.ask("POST", "/v1/terms/preview", "ada", query).json()
    assert moved["preview_id"] != first["preview_id"]


def test_a_capped_price_is_previewed_with_its_snapshot(desk: Desk) -> None:
    """A cap makes accounts fall; a ratio that is not its timestamp's is refused for that, too."""
    oracle = {"venue": "maker", "market": "ETH-B", "asset": "ETH"}
    capped = {
        "oracles": [{**oracle, "price_cap": "980"}],
        "limits": {"accounts": 1, "debt": "1000"},
    }
    answer = desk.ask("POST", "/v1/terms/preview", "ada", capped).json()
    assert ([row["account"] for row in answer["newly"]], answer["passes"]) == (["thin"], True)
    assert desk.ask("POST", "/v1/terms/preview", "ada", {"oracles": [oracle]}).status_code == 422
    snapshot = {
        "before": {"ratio": "115919417", "at": "2026-02-02T02:40:00Z"},
        "to": {"ratio": "119397000", "at": "2026-03-03T01:06:40Z"},
        "growth_bps": 968,
        "decimals": 8,
        "now": {"ratio": "122880000", "at": "2026-03-09T23:46:40Z"},
        "stated_then": "122700000",
        "base": "ETH",
    }
    paired = {"oracles": [{**oracle, "ratio_cap": snapshot}]}
    reasons = desk.ask("POST", "/v1/terms/preview", "ada", paired).json()["reasons"]
    assert "was 122700000, not 119397000" in reasons[0]
    assert "would be cut by" in reasons[1]
    proposal = {**paired, "title": "Cap", "reason": "growth"}
    made = desk.ask("POST", "/v1/proposals", "ada", proposal).json()
    answer = desk.act(made["id"], "simulate", "ada").json()
    assert not answer["simulation"]["passes"]


def test_bad_changes_are_all_listed(desk: Desk) -> None:
    """422 with every fault at its place; 409 for a book that nothing can be said of."""
    rows = [{**CHANGE, "to": "1.3"}, {**CHANGE, "parameter": "dust"}, {**CHANGE, "to": "much"}]
    answer = desk.ask("POST", "/v1/terms/preview", "ada", {"changes": rows})
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [
        "/changes/0/to",
        "/changes/1/parameter",
        "/changes/2/to",
    ]
    assert desk.ask("POST", "/v1/terms/preview", "ada", {}).status_code == 422
    desk.now = NOON + timedelta(days=3)
    stale = desk.ask("POST", "/v1/terms/preview", "ada", {"changes": [CHANGE]})
    assert (stale.status_code, problem(stale)) == (409, "stale-book")


def test_an_account_that_cannot_be_judged_stops_the_gate(desk: Desk) -> None:
    """A gate that skips accounts is no gate."""
    from serving.store import accounts  # noqa: PLC0415

    odd = {
        "id": "odd",
        "venue": "maker",
        "market": "ETH-B",
        "legs": [
            {"kind": "collateral", "asset": "XYZ", "quantity": "5"},
            {"kind": "debt", "asset": "DAI", "quantity": "5"},
        ],
    }
    with desk.store.begin() as transaction:
        accounts.upsert(transaction, [odd], at=NOON, now=NOON)
    answer = desk.ask("POST", "/v1/terms/preview", "ada", {"changes": [CHANGE]})
    assert (answer.status_code, problem(answer)) == (409, "book-incomplete")
    assert answer.json()["errors"][0]["pointer"] == "/accounts/odd"


def test_three_keys_from_proposal_to_rollback(desk: Desk) -> None:
    """Nobody does two of it; the account falls, the rollback frees it, the log tells all."""
    answer = desk.made()
    identity = answer["id"]
    assert answer["simulation"]["newly"] == ["thin"]
    approval = {"binding": answer["binding"]}
    assert desk.act(identity, "approve", "ada", approval).status_code == 403
    assert desk.act(identity, "activate", "cyd").status_code == 409
    assert desk.act(identity, "approve", "ben", {"binding": "0" * 64}).status_code == 409
    assert desk.act(identity, "approve", "ben", approval).json()["state"] == "approved"
    again = desk.act(identity, "approve", "ben", approval)
    assert (again.status_code, problem(again)) == (409, "not-allowed")
    assert desk.act(identity, "schedule", "cyd").json()["state"] == "scheduled"
    early = desk.act(identity, "activate", "cyd")
    assert "may not be activated before" in early.json()["detail"]
    desk.now += timedelta(hours=25)
    reprice(desk.store, 1000, at=desk.now)
    assert desk.act(identity, "activate", "cyd").json()["state"] == "active"
    judged = desk.ask("POST", "/v1/margin", "ada", {"account": "thin"}).json()
    assert judged["standing"]["verdict"] == "liquidatable"
    back = desk.act(identity, "rollback", "ada", {"reason": "too much"}).json()
    assert (back["state"], back["rollback_of"]) == ("proposed", identity)
    binding = desk.act(back["id"], "simulate", "ada").json()["binding"]
    desk.act(back["id"], "approve", "ben", {"binding": binding})
    desk.act(back["id"], "schedule", "cyd")
    desk.now += timedelta(hours=25)
    reprice(desk.store, 1000, at=desk.now)
    assert desk.act(back["id"], "activate", "cyd").json()["state"] == "active"
    assert desk.ask("GET", f"/v1/proposals/{identity}", "ada").json()["state"] == "rolled_back"
    judged = desk.ask("POST", "/v1/margin", "ada", {"account": "thin"}).json()
    assert judged["standing"]["verdict"] == "safe"
    _the_log_is_whole(desk)


def _the_log_is_whole(desk: Desk) -> None:
    """Hold the log to its proofs, and to the command that verifies it offline."""
    head = desk.ask("GET", "/v1/log/head", "ada").json()
    root_, size = bytes.fromhex(head["root"]), head["size"]
    for number in range(size):
        proof = desk.ask("GET", f"/v1/log/proof/{number}", "ada").json()
        steps = [bytes.fromhex(step) for step in proof["proof"]]
        leaf = bytes.fromhex(proof["leaf"])
        assert verify_inclusion(leaf, number, size, steps, root_)
    first = desk.ask("GET", "/v1/log/proof/0?size=3", "ada").json()
    shown = desk.ask("GET", "/v1/log/consistency?from=3", "ada").json()
    assert verify_consistency(
        3,
        size,
        [bytes.fromhex(step) for step in shown["proof"]],
        first_root=bytes.fromhex(first["root"]),
        second_root=root_,
    )
    assert desk.ask("GET", "/v1/log/verify", "ada").json()["is_whole"]
    export = desk.place / "log.jsonl"
    export.write_bytes(desk.ask("GET", "/v1/log/export", "ada").content)
    heads = str(desk.place / "heads.jsonl")
    run = CliRunner()
    command = ["log", "verify", str(export), "--heads", heads]
    assert run.invoke(root(), command).exit_code == 0
    lines = export.read_bytes().splitlines(keepends=True)
    export.write_bytes(b"".join(lines[:-1]))
    cut = run.invoke(root(), command)
    assert cut.exit_code == 3
    assert f"first bad entry {size - 1}" in cut.output
    alone = run.invoke(root(), command[:3])
    assert (alone.exit_code, "cannot tell" in alone.output) == (0, True)
    export.write_bytes(b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    assert "first bad entry 2" in run.invoke(root(), command).output


def test_scopes_are_apart(desk: Desk) -> None:
    """Each key does its own part and no other."""
    identity = desk.made()["id"]
    for verb, role, content in (
        ("simulate", "ben", None),
        ("approve", "cyd", {"binding": "0" * 64}),
        ("schedule", "ada", None),
        ("activate", "ben", None),
    ):
        answer = desk.act(identity, verb, role, content)
        assert (answer.status_code, problem(answer)) == (403, "forbidden"), verb
    for path in ("/v1/terms/bounds", "/v1/governance/policy"):
        assert desk.ask("PUT", path, "cyd", {}).status_code == 403


def test_a_repeated_request_acts_once(desk: Desk) -> None:
    """The same key and body get the same answer; an older version is refused."""
    headers = {"Idempotency-Key": "one"}
    first = desk.ask("POST", "/v1/proposals", "ada", body(), **headers).json()
    second = desk.ask("POST", "/v1/proposals", "ada", body(), **headers).json()
    assert first["id"] == second["id"]
    assert len(desk.ask("GET", "/v1/proposals", "ada").json()["proposals"]) == 1
    stale = desk.ask("POST", f"/v1/proposals/{first['id']}/simulate", "ada", **{"If-Match": '"9"'})
    assert (stale.status_code, problem(stale)) == (409, "not-allowed")
    nobody = desk.ask("GET", "/v1/proposals/nobody", "ada")
    assert nobody.status_code == 404


def test_bounds_and_policy_are_governed(desk: Desk) -> None:
    """They are read as they were put, faults are listed, and the log tells of both."""
    assert desk.ask("GET", "/v1/terms/bounds", "ada").json()["since"] is None
    wide = {"bounds": [{"role": "ratio", "up": "0.5", "down": "0.5"}]}
    put = desk.ask("PUT", "/v1/terms/bounds", "gov", wide)
    assert put.json()["bounds"][0]["up"] == "0.5"
    query = {"changes": [{**CHANGE, "to": "1.6"}], "limits": {"accounts": 9, "debt": "9000"}}
    assert desk.ask("POST", "/v1/terms/preview", "ada", query).json()["passes"]
    bad = {"bounds": [{"role": "x", "up": "-1"}, {"measure": "y"}]}
    answer = desk.ask("PUT", "/v1/terms/bounds", "gov", bad)
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [
        "/bounds/0/role",
        "/bounds/0/up",
        "/bounds/1/measure",
    ]
    policy = desk.ask("PUT", "/v1/governance/policy", "gov", {"approvals": 2}).json()
    assert policy["policy"]["approvals"] == 2
    proposal = desk.made()
    approved = desk.act(proposal["id"], "approve", "ben", {"binding": proposal["binding"]}).json()
    assert (approved["state"], approved["approvals_needed"]) == ("simulated", 2)
    entries = desk.ask("GET", "/v1/log", "ada").json()["entries"]
    assert [entry["entry"]["action"] for entry in entries][:2] == ["bounds put", "policy put"]


def test_breakers_over_http(desk: Desk) -> None:
    """Put, tripped and reset by hand with a reason; what no breaker may do is told why."""
    sound = {
        "signal": "oracle_age",
        "trip": 3600,
        "clear": 600,
        "hold": 2,
        "effects": ["hold_terms", "page"],
    }
    assert desk.ask("PUT", "/v1/breakers/age", "gov", sound).json()["position"] == "closed"
    for change, where in (
        ({"clear": 3600}, "/clear"),
        ({"hold": 0}, "/hold"),
        ({"shortest_seconds": 9, "longest_seconds": 8}, "/longest_seconds"),
        ({"signal": "mood"}, "/signal"),
        ({"effects": ["page", "mute_critical"]}, "/effects/1"),
    ):
        answer = desk.ask("PUT", "/v1/breakers/age", "gov", {**sound, **change})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == where
    wrong = {**sound, "signal": "mood", "clear": 3600, "hold": 0, "effects": ["mute_critical"]}
    errors = desk.ask("PUT", "/v1/breakers/age", "gov", wrong).json()["errors"]
    assert [each["pointer"] for each in errors] == ["/signal", "/effects/0", "/clear", "/hold"]
    assert desk.ask("POST", "/v1/breakers/age/trip", "gov", {}).status_code == 422
    tripped = desk.ask("POST", "/v1/breakers/age/trip", "gov", {"reason": "drill"}).json()
    assert (tripped["position"], tripped["manual"], tripped["reason"]) == ("open", True, "drill")
    listed = desk.ask("GET", "/v1/breakers", "ada").json()
    assert listed["effects"] == ["hold_terms", "page"]
    desk.ask("POST", "/v1/breakers/age/reset", "gov", {"reason": "over"})
    assert desk.ask("GET", "/v1/breakers", "ada").json()["effects"] == []
    missing = desk.ask("POST", "/v1/breakers/none/trip", "gov", {"reason": "x"})
    assert missing.status_code == 404


def test_rules_still_answer_while_forecasts_are_withheld(desk: Desk) -> None:
    """Every verdict is the one without a breaker; every answer names the breaker."""
    question = {"accounts": ["thin", "middling", "thick"]}
    desk.now += timedelta(minutes=1)
    before = desk.ask("POST", "/v1/score", "ada", question)
    breaker = {"signal": "drift", "trip": 2, "clear": 1, "effects": ["rules_only"]}
    desk.ask("PUT", "/v1/breakers/drift", "gov", breaker)
    desk.ask("POST", "/v1/breakers/drift/trip", "gov", {"reason": "drill"})
    after = desk.ask("POST", "/v1/score", "ada", question)
    assert "Forewarn-Breaker" not in before.headers
    assert after.headers["Forewarn-Breaker"] == "drift"
    rules = [[row["rule"] for row in a.json()["assessments"]] for a in (before, after)]
    assert rules[0] == rules[1]
    for row in after.json()["assessments"]:
        assert row["degraded"]
        assert "drift" in json.dumps(row["degraded_reasons"])


def test_a_state_that_is_none_is_refused(desk: Desk) -> None:
    """An empty list would look like no such proposal."""
    assert desk.ask("GET", "/v1/proposals?state=zzz", "ada").status_code == 422
    assert desk.ask("GET", "/v1/proposals?state=active", "ada").status_code == 200


def test_who_waits_for_another_acts_after_them(desk: Desk) -> None:
    """The moment of an act is that of its turn to write: time does not go back for the second."""
    first = desk.made("1.31")
    begin = desk.store.begin

    @contextmanager
    def later() -> Iterator[Any]:
        with begin() as transaction:
            desk.now += timedelta(seconds=5)
            yield transaction

    with mock.patch.object(Store, "begin", side_effect=later):
        row = desk.ask("POST", f"/v1/proposals/{first['id']}/reject", "ben", {"reason": "no"})
    assert row.status_code == 200
    assert datetime.fromisoformat(row.json()["moved_at"]) == desk.now


def test_the_command_ends_with_three_where_the_gate_refuses(desk: Desk) -> None:
    """0 where it passes, 2 for what cannot be read, 1 for a book that is too old."""
    url = str(desk.store.engine.url)
    run = CliRunner()

    def ask(*words: str, days: int = 0) -> Any:
        clock = mock.Mock(wraps=datetime)
        clock.now = lambda tz=None: NOON + timedelta(days=days)  # noqa: ARG005
        with mock.patch("serving.cli.terms.datetime", clock):
            return run.invoke(root(), ["terms", "preview", *words, "--store", url])

    refused = ask("mat=1.34", "--limit-accounts", "0", "--limit-debt", "10000")
    assert refused.exit_code == 3
    assert "falls: thin" in refused.output
    assert ask("mat=1.34", "--limit-accounts", "1", "--limit-debt", "1000").exit_code == 0
    assert ask("maker/ETH-B:mat=1.31").exit_code == 0
    assert ask("wsteth.threshold=0.9").exit_code == 2
    assert ask("mat", "mat=x").exit_code == 2
    assert ask("mat=1.34", days=9).exit_code == 1
    machine = ask("mat=1.34", "--json")
    assert json.loads(machine.output.splitlines()[0])["newly_count"] == 1


def lend(desk: Desk, owed: dict[str, int]) -> None:
    """Lay loans on Aave v3: 10 wstETH at 1,000 with a threshold of 93 % behind each."""
    whose = {"venue": "aave-v3", "market": "core"}
    legs = {
        name: [
            {"kind": "collateral", "asset": "wstETH", "quantity": str(10 * 10**18)},
            {"kind": "debt", "asset": "USDC", "quantity": str(debt * 10**6)},
        ]
        for name, debt in owed.items()
    }
    reserve = {"decimals": 18, "ltv": 7850, "threshold": 9300, "bonus": 10_100}
    other = {"decimals": 6, "ltv": 7500, "threshold": 7800, "bonus": 10_450}
    ray = str(10**27)
    state = {
        f"{a}.{kind}_index": ray for a in ("wstETH", "USDC") for kind in ("liquidity", "borrow")
    }
    at = NOON.isoformat()
    prices = [
        {"asset": "wstETH", "value": str(1_000 * 10**8), "decimals": 8, "observed_at": at},
        {"asset": "USDC", "value": str(10**8), "decimals": 8, "observed_at": at},
    ]
    book = [{"id": n, **whose, "version": "3.3", "legs": part} for n, part in legs.items()]
    terms = {"reserves": {"wstETH": {"id": 0, **reserve}, "USDC": {"id": 1, **other}}}
    since = {"version": "3.3", "valid_from": (NOON - timedelta(days=9)).isoformat()}
    record, token = issue("writer", scopes=["write"], now=NOON - timedelta(days=1))
    with desk.store.begin() as transaction:
        keys.insert(transaction, record)
    desk.tokens["writer"] = token
    for method, path, content in (
        ("PUT", "/v1/accounts", {"as_of": at, "accounts": book}),
        ("POST", "/v1/prices", {"prices": prices}),
        ("POST", "/v1/state", {**whose, "at": at, "state": state}),
        ("POST", "/v1/terms", {**whose, **since, "terms": terms}),
    ):
        answer = desk.ask(method, path, "writer", content)
        assert answer.status_code == 200, answer.text


def test_the_documented_example_is_refused_with_who_falls_and_what_they_owe(desk: Desk) -> None:
    """`forewarn terms preview wsteth.threshold=0.90 --limit-accounts 0 --limit-debt 10000`.

    10 · 1,000 · 0.93 = 9,300 carry 9,100 and 8,900; 9,000 carry 8,900 alone.
    """
    lend(desk, {"near": 9_100, "far": 8_900})
    clock = mock.Mock(wraps=datetime)
    clock.now = lambda tz=None: NOON  # noqa: ARG005
    words = shlex.split("terms preview wsteth.threshold=0.90 --limit-accounts 0 --limit-debt 10000")
    with mock.patch("serving.cli.terms.datetime", clock):
        done = CliRunner().invoke(root(), [*words, "--store", str(desk.store.engine.url)])
    assert done.exit_code == 3, done.output
    refused = [line for line in done.output.splitlines() if line.startswith("refused: ")]
    assert refused == [
        "refused: reserves.wstETH.threshold moves by 0.03, more than 0.005 at once",
        "refused: 1 accounts would become liquidatable, more than 0",
    ]
    assert "falls: near" in done.output
    assert "falls: far" not in done.output


def test_a_recommendation_is_a_resource_that_says_why_it_failed(desk: Desk) -> None:
    """Begun with 202 by who may propose; without candles nothing can be drawn, and it says so."""
    query = {"parameters": [{"venue": "maker", "market": "ETH-B", "parameter": "mat"}]}
    assert desk.ask("POST", "/v1/terms/recommend", "ben", query).status_code == 403
    begun = desk.ask("POST", "/v1/terms/recommend", "ada", query)
    assert begun.status_code == 202, begun.text
    place = begun.headers["location"]
    assert place == f"/v1/terms/recommendations/{begun.json()['id']}"
    for _ in range(100):
        told = desk.ask("GET", place, "ben").json()
        if told["status"] != "running":
            break
        time.sleep(0.05)
    assert (told["status"], told["stands"]) == ("failed", False)
    assert "candles" in told["result"]["error"]
    listed = desk.ask("GET", "/v1/terms/recommendations", "ben").json()["recommendations"]
    assert [row["id"] for row in listed] == [told["id"]]
    assert desk.ask("GET", "/v1/terms/recommendations/none", "ben").status_code == 404


def test_waiting_times_pass_by_the_clock_of_the_book(desk: Desk) -> None:
    """A book whose clock stands at 2030 is governed in 2030, whatever year the service runs in."""
    desk.now = NOON.replace(year=2026)
    with desk.store.begin() as transaction:
        market.write_notes(transaction, {"clock": NOON.isoformat()})
    made = desk.made()
    assert datetime.fromisoformat(made["created_at"]) == NOON
    assert made["request_id"]
    identity = made["id"]
    desk.act(identity, "approve", "ben", {"binding": made["binding"]})
    scheduled = desk.act(identity, "schedule", "cyd").json()
    day = NOON + timedelta(days=1)
    assert datetime.fromisoformat(scheduled["not_before"]) == day
    assert problem(desk.act(identity, "activate", "cyd")) == "not-allowed"
    reprice(desk.store, 1000, at=day)
    with desk.store.begin() as transaction:
        market.write_notes(transaction, {"clock": day.isoformat()})
    assert desk.act(identity, "activate", "cyd").json()["state"] == "active"
    later = {"changes": [{**CHANGE, "to": "1.35"}], "limits": {"accounts": 9, "debt": "9000"}}
    refused = desk.ask("POST", "/v1/terms/preview", "ada", later).json()
    until = (day + timedelta(days=3)).isoformat()
    assert [why.rpartition("not again before ")[2] for why in refused["reasons"]] == [until]
    listed = desk.ask("GET", "/v1/proposals", "ada").json()
    assert [row["request_id"] for row in listed["proposals"]] == [listed["request_id"]]
