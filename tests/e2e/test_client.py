"""The thin client against a listening service, and against one that misbehaves."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import local
import numpy as np
import pyarrow as pa
import pytest
from forewarn_client import AsyncClient, Client, ServiceRefused

from serving.application.sample_book import account_body, market_body
from serving.schemas.arrow import STREAM, read_stream, write_stream


@pytest.fixture(scope="module")
def client(trained: local.Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a client of a service with a model, a store and a book."""
    with (
        local.api(tmp_path_factory.mktemp("client"), trained[0], simulated=local.book()) as app,
        local.listening(app) as url,
        Client(url) as found,
    ):
        yield found


def test_a_book_is_scored_kept_and_searched(client: Client) -> None:
    """Keys lead to assessments; kept ones are found by their probability, riskiest first."""
    keys = [one["account"] for one in client.every_account(limit=7)]
    told = client.assess({"accounts": [*keys[:12], "nobody"]})
    assert ["errors" in one for one in told["assessments"]] == [*[False] * 12, True]
    found = list(client.every_account(least_expected_24h=0.0, order="expected_24h"))
    chances = [one["assessed"]["expected_24h"] for one in found if one["assessed"] is not None]
    assert len(chances) == 12
    assert chances == sorted(chances, reverse=True)
    assert next(client.every_assessment(keys[0]))["at"] == told["as_of"]
    assert client.account(keys[0])["account"]["venue"] == "maker"
    assert client.book(venue="maker")["accounts"] == len(keys)
    assert client.prices()["simulated"] is True


def test_tables_beside_the_candles_are_read(client: Client) -> None:
    """What a perpetual costs and how far it stands from spot are features of the account."""
    held = local.book()
    market = market_body(held)
    paid = [(held.at - timedelta(hours=8 * n)).isoformat() for n in range(3)]
    more = {
        "perpetuals": market["candles"],
        "funding": {"ETH": {"at": paid, "rate": [1e-4, 2e-4, 3e-4]}},
    }
    account = account_body(held, next(one["account"] for one in client.every_account()))
    shared: Any = {"account": account, "as_of": held.at.isoformat(), "features": True}
    without = client.score({**shared, "market": market})["features"] or {}
    told = client.score({**shared, "market": {**market, **more}})["features"] or {}
    assert (without["funding_now"], without["basis"]) == (None, None)
    assert told["basis"] == 0.0
    assert (told["funding_24h"] or 0.0) == pytest.approx(6 * (told["funding_now"] or 0.0))


def test_a_plan_comes_with_the_assessment(client: Client) -> None:
    """An account in warning is told what to do."""
    keys: Any = [one["account"] for one in client.every_account()][:32]
    told: Any = client.score_many({"accounts": keys, "plan": True})["assessments"]
    advised = [one for one in told if one["plan"] is not None]
    spared = [one for one in told if one["plan"] is None]
    assert advised
    assert {one["plan_absence"] for one in advised} == {None}
    assert {one["plan_absence"] for one in spared} <= {"already_there"}
    assert advised[0]["plan"]["actions"][0]["kind"] in {"repay", "add"}


def test_ready_features_get_what_the_account_got(client: Client) -> None:
    """The features that an assessment shows, handed in as columns, give its very probabilities."""
    version = client.models()["models"][0]
    names = [*(one["name"] for one in version["features"]), *version["baselines"]]
    keys = [one["account"] for one in client.every_account()][:5]
    assessed = [client.score({"account": key, "features": True}) for key in keys]
    shown = [one["features"] or {} for one in assessed]
    told = client.score_features(
        {"columns": {name: [row[name] for row in shown] for name in names}}
    )
    columns = {
        name: np.array([np.nan if row[name] is None else row[name] for row in shown], dtype=float)
        for name in names
    }
    streamed = client.ask(
        "POST",
        "/v1/score/features",
        body=write_stream(pa.table(columns)),
        headers={"Content-Type": STREAM, "Accept": STREAM},
    )
    arrow = read_stream(streamed, most_rows=10)
    scored = [(i, one) for i, one in enumerate(assessed) if one["forecast"][2]["source"] == "model"]
    assert scored
    for i, one in scored:
        stated = one["forecast"][2]["expected"]
        assert told["columns"]["expected_24h"][i] == pytest.approx(stated, rel=1e-12)
        assert arrow["expected_24h"][i].as_py() == pytest.approx(stated, rel=1e-12)


def test_ready_features_of_an_unseen_market_take_nobody_to_act(client: Client) -> None:
    """By columns as by account: what owners there do is not known."""
    version = client.models()["models"][0]
    names = [*(one["name"] for one in version["features"]), *version["baselines"]]
    keys = [one["account"] for one in client.every_account()][:5]
    shown = [client.score({"account": key, "features": True})["features"] or {} for key in keys]
    columns: Any = {name: [row[name] for row in shown] for name in names}
    unseen = client.score_features({"columns": columns, "market": "nowhere/X"})["columns"]
    seen = client.score_features({"columns": columns, "market": "maker/ETH-B"})["columns"]
    unsaid = client.score_features({"columns": columns})["columns"]
    for label in ("1h", "4h", "24h", "7d"):
        assert unseen[f"expected_{label}"] == unseen[f"unattended_{label}"]
        assert seen[f"expected_{label}"] == unsaid[f"expected_{label}"]
    assert seen["expected_7d"] != seen["unattended_7d"]


def test_what_can_be_awaited_answers_the_same(client: Client) -> None:
    """Both clients have the same operations, and get the same answers."""

    async def asked() -> tuple[list[str], Any]:
        async with AsyncClient(client.url) as other:
            names = [one["account"] async for one in other.every_account(limit=9)]
            return names, await other.score({"account": names[0]})

    names, told = asyncio.run(asked())
    assert names == [one["account"] for one in client.every_account(limit=9)]
    mine = client.score({"account": names[0]})
    assert {**told, "request_id": ""} == {**mine, "request_id": ""}


def test_a_refusal_is_raised_with_its_faults(client: Client) -> None:
    """Every fault has its place."""
    wrong: Any = {"prices": [{"asset": "X", "value": 1.5}]}
    with pytest.raises(ServiceRefused) as caught:
        client.push_prices(wrong)
    assert caught.value.status == 422
    assert {fault.pointer for fault in caught.value.faults} == {
        "/prices/0/value",
        "/prices/0/observed_at",
    }
    assert "/prices/0/value" in str(caught.value)


def test_a_write_is_asked_again_under_the_same_key() -> None:
    """A broken connection and a busy service are asked again, as told, under one key."""
    seen: list[str] = []
    waited: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Idempotency-Key"])
        if len(seen) == 1:
            raise httpx.ReadError("gone")
        if len(seen) == 2:
            return httpx.Response(503, headers={"Retry-After": "3"})
        return httpx.Response(200, json={"request_id": "r", "added": 1, "known": 0})

    transport = httpx.MockTransport(answer)
    with Client("http://service", transport=transport, sleep=waited.append) as client:
        assert client.push_events({"events": []})["added"] == 1
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert waited == [0.2, 3.0]


def test_another_hand_s_refusal_is_told_by_its_status() -> None:
    """A proxy's page is no problem document."""
    transport = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))
    with (
        Client("http://service", transport=transport) as client,
        pytest.raises(ServiceRefused) as caught,
    ):
        client.prices()
    assert str(caught.value) == "HTTP status 502"
