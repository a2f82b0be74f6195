"""Accounts, markets and the book over the API, on every kind of store."""

import io
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import local
import pyarrow as pa
import pytest
from pyarrow import csv, ipc, parquet

from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.keys import issue
from serving.http.query import to_cursor
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.schemas.stored import Assessed
from serving.settings import Settings
from serving.store import assessments, keys, open_store

VAULT = {
    "id": "vault/1",
    "venue": "maker",
    "market": "ETH-B",
    "owner": "ann",
    "legs": [
        {"kind": "collateral", "asset": "ETH", "quantity": "2000000000000000000"},
        {"kind": "debt", "asset": "DAI", "quantity": "1000000000000000000000"},
    ],
}
TERMS = {
    "mat": "1300000000000000000000000000",
    "duty": "1000000000000000000000000000",
    "dust": "0",
    "chop": "1130000000000000000",
    "hole": "1" + "0" * 53,
    "hole_all": "1" + "0" * 53,
    "buf": "1" + "0" * 27,
    "tail": "8400",
    "cusp": "450000000000000000000000000",
}
FLIPS = "649.999999999999999999"
"""Two units at 650 cover a debt of 1,000 by 130 %; one unit of 18 decimals less does not."""


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.at


@pytest.fixture
def clock() -> Clock:
    """Return a clock that is set by hand."""
    return Clock()


@pytest.fixture(scope="module")
def model(trained: local.Trained) -> Model:
    """Return what judges, read once: no test changes it."""
    return read_deployment(trained[0]).model


@pytest.fixture
def caller(
    store_url: str, clock: Clock, trained: local.Trained, model: Model
) -> Iterator[local.Caller]:
    """Return a caller of a service over an empty store, with a model."""
    settings = Settings(bundle=trained[0], store=store_url)
    store = open_store(store_url)
    desk = ScoringService(
        model=model,
        store=store,
        bundle_dir=trained[0],
        clock=clock,
    )
    asked = local.Caller(Api(routes(OPERATIONS), desk, Admission(settings, Keyring(desk.keys))))
    yield asked
    asked.close()
    store.close()


@pytest.fixture
def laid(caller: local.Caller) -> local.Caller:
    """Return a caller whose store holds a price, an accumulator, terms and one vault."""
    at = "2026-01-01T00:00:00Z"
    push(caller, "prices", {"prices": [{"asset": "ETH", "value": "1000", "observed_at": at}]})
    push(caller, "state", {"at": at, "state": {"ETH-B.rate": "1" + "0" * 27}})
    body = {"venue": "maker", "market": "ETH-B", "valid_from": at, "terms": TERMS}
    push(caller, "terms", body)
    assert caller.put("/v1/accounts", json={"accounts": [VAULT]}).status_code == 200
    return caller


def push(caller: local.Caller, what: str, body: Any) -> None:
    """Push something that is new."""
    answer = caller.post(f"/v1/{what}", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["added"] == 1


def test_an_account_is_written_read_judged_and_looked_back_on(laid: local.Caller) -> None:
    """From the write to the history, one account keeps its exact amounts and its owner."""
    shown = laid.get("/v1/accounts/vault%2F1").json()
    assert shown["account"]["legs"][0]["quantity"] == "2000000000000000000"
    assert shown["assessed"] is None
    told = laid.post("/v1/assessments", json={"accounts": ["vault/1", "nobody"]}).json()
    first, second = told["assessments"]
    assert first["rule"]["verdict"] == "safe"
    assert first["rule"]["ratio"] == {
        "name": "collateralization_ratio",
        "value": "2",
        "text": "200 %",
    }
    assert first["rule"]["trigger"]["price"] == FLIPS
    assert first["degraded"] is True
    assert first["degraded_reasons"][0]["code"] == "candles_missing"
    assert second["errors"][0]["pointer"] == "/accounts/1"
    assert laid.get("/v1/accounts/vault%2F1").json()["assessed"]["ratio"] == 2.0
    assert 'forewarn_position_age_seconds_bucket{le="60.0"}' in laid.get("/metrics").text
    past = laid.get("/v1/accounts/vault%2F1/assessments").json()
    assert past["next"] is None
    standing = laid.get("/v1/accounts?order=distance").json()["accounts"][0]["assessed"]
    assert standing["distance"] == pytest.approx(1.0 - 1.3 / 2.0, abs=1e-9)
    assert (standing["trigger_asset"], standing["trigger_side"]) == ("ETH", "below")
    assert standing["trigger_price"] == pytest.approx(650.0, abs=1e-9)
    assert past["assessments"][0]["body"]["rule"]["trigger"]["price"] == FLIPS


def test_an_account_is_shown_with_its_newest_assessment(laid: local.Caller) -> None:
    """The hourly history may be older than what the watch said last."""
    laid.post("/v1/assessments", json={"accounts": ["vault/1"]})
    desk = laid.app.desk
    assert desk is not None
    assert desk.store is not None
    later = Assessed(account="vault/1", at=datetime(2026, 1, 1, 0, 50, tzinfo=UTC), verdict="x")
    with desk.store.begin() as transaction:
        assessments.renew(transaction, [later], now=later.at)
    shown = laid.get("/v1/accounts/vault%2F1").json()["assessed"]
    listed = laid.get("/v1/accounts").json()["accounts"][0]["assessed"]
    assert (shown["at"], shown["verdict"]) == ("2026-01-01T00:50:00Z", "x")
    assert shown == listed


T = "2026-01-01T00:00:00Z"
NUL = "a\0b"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/accounts", {"accounts": [{**VAULT, "id": NUL}]}),
        ("PUT", "/v1/accounts", {"accounts": [{**VAULT, "owner": NUL}]}),
        ("PUT", "/v1/accounts", {"accounts": [{**VAULT, "terms": NUL}]}),
        ("POST", "/v1/prices", {"prices": [{"asset": NUL, "value": "1", "observed_at": T}]}),
        ("POST", "/v1/state", {"at": T, "state": {NUL: "1"}}),
        ("POST", "/v1/lines", {"accounts": [NUL]}),
        ("POST", "/v1/score", {"account": NUL}),
        ("PUT", "/v1/receivers/a%00b", {}),
        ("GET", "/v1/accounts/a%00", None),
        ("GET", "/v1/accounts?search=%00", None),
        ("GET", "/v1/candles?asset=%00", None),
        ("GET", "/v1/deliveries?receiver=%00", None),
        ("POST", "/v1/channels/a%00/stop", None),
        ("POST", f"/v1/accounts/{'x' * 300}/mute", {"hours": 1}),
        ("POST", f"/v1/accounts/{'x' * 300}/acknowledge", None),
        ("GET", f"/v1/accounts/{'x' * 300}", None),
        ("GET", f"/v1/accounts?cursor={to_cursor([None, chr(0xD800)])}&order=rank", None),
        ("GET", f"/v1/accounts?cursor={to_cursor([None, NUL])}", None),
        ("GET", f"/v1/alerts?cursor={to_cursor([T, 'a', 2**70, 1])}", None),
        ("GET", f"/v1/alerts?cursor={to_cursor([T, 'a', 2**31, 1])}", None),
    ],
)
def test_what_no_database_keeps_is_refused_on_each(
    caller: local.Caller, method: str, path: str, body: Any
) -> None:
    """Texts with U+0000 or half a character, names and numbers that are too long: 422."""
    answer = caller.request(method, path, json=body) if body else caller.request(method, path)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]


def long_name(seed: int) -> str:
    """Return a name of two hundred characters, four bytes each, that no database can press."""
    draw = random.Random(seed)  # noqa: S311 - not a secret
    return "".join(chr(draw.randrange(0x20000, 0x2A000)) for _ in range(200))


def test_the_longest_names_are_kept_on_each(caller: local.Caller) -> None:
    """Two hundred characters outside the basic plane, as many as an index must hold."""
    names = [long_name(seed) for seed in range(6)]
    price = {"asset": names[0], "source": names[1], "value": "1", "observed_at": T}
    whose = {"venue": "maker", "market": names[4], "chain": names[1][:40]}
    account = {**VAULT, **whose, "id": names[2], "owner": names[3], "terms": names[5]}
    terms = {**whose, "valid_from": T, "terms": TERMS}
    named = f"{names[0][:195]}.rate"
    asked = [
        ("POST", "/v1/prices", {"prices": [price, {**price, **whose}]}),
        ("POST", "/v1/state", {"at": T, "state": {named: "1"}}),
        ("POST", "/v1/terms", terms),
        ("PUT", "/v1/accounts", {"accounts": [account]}),
        ("PUT", f"/v1/receivers/{quote(names[0])}", {"accounts": [names[2]]}),
    ]
    for method, path, body in asked:
        answer = caller.request(method, path, json=body)
        assert answer.status_code == 200, (path, answer.text[:300])
    assert caller.get(f"/v1/accounts/{quote(names[2])}").status_code == 200


def test_a_repeat_gets_the_first_answer_and_writes_nothing(laid: local.Caller) -> None:
    """The same key and body: the same bytes; another body: a conflict."""
    body = {"prices": [{"asset": "BTC", "value": "5.5", "observed_at": "2025-12-31T00:00:00Z"}]}
    key = {"Idempotency-Key": "one"}
    first = laid.post("/v1/prices", json=body, headers=key)
    again = laid.post("/v1/prices", json=body, headers=key)
    assert first.content == again.content
    assert first.json()["added"] == 1
    other = laid.post("/v1/prices", json={"prices": [body["prices"][0]] * 2}, headers=key)
    assert other.status_code == 409
    assert other.json()["errors"][0]["pointer"] == "/headers/Idempotency-Key"
    lines = laid.get("/v1/audit").json()["lines"]
    assert [line["action"] for line in lines].count("push prices") == 2


def test_a_price_that_contradicts_is_a_conflict_at_its_place(laid: local.Caller) -> None:
    """A source said another price for the same moment; nothing of the push is kept."""
    at = "2026-01-01T00:00:00Z"
    rows = [
        {"asset": "SOL", "value": "7", "observed_at": at},
        {"asset": "ETH", "value": "999", "observed_at": at},
    ]
    answer = laid.post("/v1/prices", json={"prices": rows})
    assert answer.status_code == 409
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/prices/1"
    assert fault["detail"] == (
        "prices holds (ETH, 2026-01-01 00:00:00+00:00, unstated) with another body"
    )
    told = laid.get("/v1/prices").json()["prices"]
    assert [(one["asset"], one["price"], one["age_seconds"]) for one in told] == [
        ("ETH", "1000", 0.0)
    ]


def test_an_event_is_written_once(laid: local.Caller, clock: Clock) -> None:
    """The same event again is known; of nobody it is refused with its place."""
    clock.at += timedelta(hours=1)
    event = {
        "account": "vault/1",
        "key": "0xabc:1",
        "at": "2026-01-01T00:30:00Z",
        "kind": "repay",
        "debt": "500000000000000000000",
    }
    push(laid, "events", {"events": [event]})
    again = laid.post("/v1/events", json={"events": [event]}).json()
    assert (again["added"], again["known"]) == (0, 1)
    stranger = {**event, "account": "nobody"}
    answer = laid.post("/v1/events", json={"events": [event, stranger]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/events/1/account"


def test_the_book_is_added_up_by_shock_and_band(laid: local.Caller) -> None:
    """At half the price the vault is liquidatable; its debt stands in the sum, exact."""
    laid.post("/v1/assessments", json={"accounts": ["vault/1"]})
    told = laid.get("/v1/book").json()
    shocks = {one["shock"]: one for one in told["shocks"]}
    assert {shock: one["accounts"] for shock, one in shocks.items() if one["accounts"]} == {
        "-0.5": 1
    }
    assert shocks["-0.5"]["requirement"] == shocks["-0.5"]["debt"] == "1000"
    assert (told["accounts"], told["without_forecast"]) == (1, 1)
    assert told["bands"][0]["least"] is None
    assert [one["expected"] for one in told["expected"]] == [0.0] * 4


def test_accounts_are_searched_page_by_page(laid: local.Caller) -> None:
    """Filters restrict, the cursor leads on, and the last page says so."""
    more = [{**VAULT, "id": f"v{i}", "owner": "bob"} for i in range(5)]
    assert laid.put("/v1/accounts", json={"accounts": more}).json()["written"] == 5
    seen, cursor = [], ""
    while cursor is not None:
        path = f"/v1/accounts?owner=bob&limit=2{f'&cursor={cursor}' if cursor else ''}"
        page = laid.get(path).json()
        seen += [one["account"] for one in page["accounts"]]
        cursor = page["next"]
    assert seen == ["v0", "v1", "v2", "v3", "v4"]
    assert laid.get("/v1/accounts?asset=BTC").json()["accounts"] == []
    assert len(laid.get("/v1/accounts?asset=ETH").json()["accounts"]) == 6


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_accounts_are_exported(laid: local.Caller, form: str) -> None:
    """Every form holds the same table."""
    laid.post("/v1/assessments", json={"accounts": ["vault/1"]})
    body = laid.get(f"/v1/export/accounts?format={form}").content
    readers = {
        "csv": lambda: csv.read_csv(io.BytesIO(body)),
        "parquet": lambda: parquet.read_table(io.BytesIO(body)),
        "arrow": lambda: ipc.open_stream(body).read_all(),
    }
    rows = readers[form]().to_pylist()
    assert [(row["account"], row["owner"], row["verdict"], row["ratio"]) for row in rows] == [
        ("vault/1", "ann", "safe", 2.0)
    ]


def test_terms_in_force_come_from_the_store(laid: local.Caller) -> None:
    """What was pushed holds from its moment on, with its origin told."""
    told = laid.get("/v1/rulebooks/maker/dss/terms/ETH-B").json()
    assert (told["origin"], told["valid_from"]) == ("store", "2026-01-01T00:00:00Z")
    assert told["terms"]["mat"] == TERMS["mat"]
    assert laid.get("/v1/rulebooks/maker/dss/terms/ETH-ZZ").status_code == 404


def test_a_clock_that_jumps_is_told_and_never_scored_as_fresh(
    laid: local.Caller, clock: Clock
) -> None:
    """A day ahead the price is stale; a day back it is not known yet."""
    clock.at += timedelta(days=1)
    ahead = laid.post("/v1/score", json={"account": "vault/1"}).json()
    assert ahead["degraded_reasons"][0]["code"] == "price_stale"
    assert ahead["oldest_price_age_seconds"] == 86400.0
    assert ahead["forecast"] == []
    clock.at -= timedelta(days=2)
    back = laid.post("/v1/score", json={"account": "vault/1"})
    assert back.status_code in {404, 422}
    assert laid.get("/v1/prices").json()["prices"] == []


def test_columns_and_arrow_say_what_rows_say(laid: local.Caller) -> None:
    """One account in three forms gets one answer, in the form it came in."""
    legs = {
        "account": [0, 0],
        "kind": ["collateral", "debt"],
        "asset": ["ETH", "DAI"],
        "quantity": [leg["quantity"] for leg in VAULT["legs"]],
    }
    market = {
        "prices": {"ETH": {"value": "1000", "observed_at": "2026-01-01T00:00:00Z"}},
        "state": {"ETH-B.rate": "1" + "0" * 27},
        "terms": {"ETH-B": TERMS},
    }
    shared = {"id": ["a"], "venue": ["maker"], "market": ["ETH-B"]}
    form = {"Content-Type": "application/vnd.forewarn.columns+json"}
    told = laid.request(
        "POST",
        "/v1/margin",
        json={"market": market, "columns": {**shared, "legs": legs}},
        headers=form,
    ).json()
    assert told["columns"]["ratio"] == ["2"]
    table = pa.table({**shared, "legs": [VAULT["legs"]]}).replace_schema_metadata(
        {"forewarn": json.dumps({"market": market})}
    )
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    answer = laid.post(
        "/v1/score",
        content=sink.getvalue().to_pybytes(),
        headers={"Content-Type": "application/vnd.apache.arrow.stream"},
    )
    row = ipc.open_stream(answer.content).read_all().to_pylist()[0]
    assert (row["account"], row["verdict"], row["trigger_price"]) == ("a", "safe", FLIPS)
    assert row["degraded_reasons"] == "candles_missing"


def test_keys_close_the_door_and_scopes_open_parts_of_it(
    caller: local.Caller, store_url: str, clock: Clock
) -> None:
    """With the first key nobody else may ask; a reader may not write, nor see weights."""
    record, token = issue("reader", scopes=["read"], now=clock.at)
    store = open_store(store_url)
    with store.begin() as transaction:
        keys.insert(transaction, record)
    store.close()
    with_key = {"Authorization": f"Bearer {token}"}
    assert caller.get("/v1/models").status_code == 401
    assert caller.get("/livez").status_code == 200
    assert caller.get("/v1/models", headers=with_key).status_code == 200
    assert caller.get("/metrics").status_code == 401
    body = {"prices": [{"asset": "X", "value": "1", "observed_at": "2025-12-31T00:00:00Z"}]}
    answer = caller.post("/v1/prices", json=body, headers=with_key)
    assert answer.status_code == 403
    assert "write is needed" in answer.json()["detail"]
    assert token not in answer.text


def test_reasons_have_weights_only_for_their_scope(tmp_path: Path, trained: local.Trained) -> None:
    """Whoever may not see weights still sees what drives the score, and which way."""
    with local.api(tmp_path, trained[0], simulated=local.book()) as app:
        desk = app.desk
        assert desk is not None
        assert desk.store is not None
        record, token = issue("reader", scopes=["read"], now=desk.clock())
        insider, sesame = issue("insider", scopes=["read", "write", "weights"], now=desk.clock())
        writer, pen = issue("writer", scopes=["write"], now=desk.clock())
        with desk.store.begin() as transaction:
            keys.insert(transaction, record)
            keys.insert(transaction, insider)
            keys.insert(transaction, writer)
        caller = local.Caller(app)
        vault = caller.get("/v1/accounts?limit=1", headers={"Authorization": f"Bearer {token}"})
        body = {"account": vault.json()["accounts"][0]["account"]}
        plain, full = (
            caller.post("/v1/score", json=body, headers={"Authorization": f"Bearer {one}"}).json()
            for one in (token, sesame)
        )
        many = {"accounts": [body["account"]]}
        kept, whole = (
            caller.post(
                "/v1/assessments", json=many, headers={"Authorization": f"Bearer {one}"}
            ).json()["assessments"][0]
            for one in (pen, sesame)
        )
        path = f"/v1/accounts/{body['account']}/assessments?limit=1"
        past, all_of_it = (
            caller.get(path, headers={"Authorization": f"Bearer {one}"}).json()["assessments"][0]
            for one in (token, sesame)
        )
        caller.close()
    for told in (kept, past["body"]):
        assert told["reasons"]
        assert all(one["impact"] is None for one in told["reasons"])
        assert (told["attribution"]["start"], told["attribution"]["others"]) == (None, None)
    for told in (whole, all_of_it["body"]):
        assert any(one["impact"] is not None for one in told["reasons"])
        assert told["attribution"]["start"] is not None
    assert past["expected_24h"] == all_of_it["expected_24h"]
    assert [one["code"] for one in plain["reasons"]] == [one["code"] for one in full["reasons"]]
    assert all(one["impact"] is None for one in plain["reasons"])
    assert any(one["impact"] is not None for one in full["reasons"])
    assert plain["attribution"]["start"] is None
    assert plain["forecast"] == full["forecast"]
