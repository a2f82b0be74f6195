"""Alerts over HTTP, on a book that lived through a crash."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import local
import pytest

from features.simulate import simulate_onward
from models.alerting.policy import default, of_tree, tree_of
from serving.api import Api
from serving.assess import Model
from serving.book import lay
from serving.desk import Desk
from serving.gate import Gate, Keyring
from serving.motion import run, subscribe
from serving.operations import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import open_store


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.Caller]:
    """Return a caller of a service whose book fell by a fifth and was watched all along."""
    before, after = simulate_onward(
        seed=9, days=40, accounts=30, hours=12, falls={4: -0.1, 5: -0.12}
    )
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('alerts') / 'book.db'}")
    lay(before, store)
    subscribe(store, now=before.at)
    run(store, before, after, bundle=None, rest=lambda _: None)
    desk = Desk(model=Model(bundle=None), store=store)
    gate = Gate(Settings(), Keyring(desk.keys))
    caller = local.Caller(Api(routes(OPERATIONS), desk=desk, gate=gate))
    yield caller
    caller.close()
    store.close()


def pages(asked: local.Caller, path: str, part: str, **query: Any) -> list[dict[str, Any]]:
    """Return every item of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = asked.get(path, params={**query, **cursor}).json()
        found.extend(answer[part])
        if answer["next"] is None:
            return found
        cursor = {"before" if part == "deliveries" else "cursor": answer["next"]}


def test_changes_are_told_in_pages_with_what_became_of_them(asked: local.Caller) -> None:
    """Page by page as all at once; every change that left names who was told and whether."""
    whole = asked.get("/v1/alerts").json()["alerts"]
    assert pages(asked, "/v1/alerts", "alerts", limit=3) == whole
    assert pages(asked, "/v1/alerts", "alerts", limit=3, order="newest") == whole[::-1]
    critical = [one for one in whole if one["level"] == "critical" and one["kind"] == "raised"]
    assert [one["account"] for one in critical] == ["sim-0021", "sim-0009"]
    told = [sent for one in whole for sent in one["told"]]
    assert {sent["status"] for sent in told} == {"sent", "dead"}
    assert {sent["receiver"] for sent in told} >= {"desk", "owner-1"}
    assert {cause["signal"] for one in critical for cause in one["causes"]} >= {"next_verdict"}


def test_changes_are_filtered(asked: local.Caller) -> None:
    """By level, kind, route and account; an unknown filter is a fault."""
    found = asked.get("/v1/alerts", params={"least_level": "liquidated"}).json()["alerts"]
    assert {"liquidated"} == {one["level"] for one in found if one["kind"] == "raised"}
    silent = asked.get("/v1/alerts", params={"route": "now", "kind": "raised"}).json()["alerts"]
    assert {(one["route"], one["kind"]) for one in silent} == {("now", "raised")}
    one = found[0]["account"]
    own = asked.get("/v1/alerts", params={"account": one}).json()["alerts"]
    assert {line["account"] for line in own} == {one}
    refused = asked.get("/v1/alerts", params={"level": "critical", "cursor": "x"})
    assert refused.status_code == 422
    assert asked.get("/v1/alerts", params={"cursor": "WzFd"}).status_code == 422


def test_an_acknowledgement_and_a_mute_are_seen_beside_the_level(asked: local.Caller) -> None:
    """Both hold by the store's own clock, which is not the wall's."""
    lines = asked.get("/v1/alerts/raised").json()
    assert sum(lines["counts"].values()) == len(lines["accounts"])
    name = lines["accounts"][0]["account"]
    assert lines["accounts"][0]["is_acknowledged"] is False
    assert asked.post(f"/v1/accounts/{name}/acknowledge").status_code == 200
    muted = asked.post(f"/v1/accounts/{name}/mute", json={"hours": 2}).json()
    assert muted["muted_until"] == "2030-02-10T14:00:00Z"
    after = asked.get("/v1/alerts/raised").json()["accounts"][0]
    assert (after["is_acknowledged"], after["muted_until"]) == (True, "2030-02-10T14:00:00Z")


def test_dead_letters_are_listed_and_put_back(asked: local.Caller) -> None:
    """The closed channel's letters wait again, under their keys, once."""
    dead = asked.get("/v1/deliveries", params={"status": "dead"}).json()
    assert dead["counts"]["dead"] == len(dead["deliveries"]) > 0
    assert {one["receiver"] for one in dead["deliveries"]} == {"owner-4"}
    number, key = dead["deliveries"][0]["number"], dead["deliveries"][0]["key"]
    again = asked.post("/v1/deliveries/replay", json={"numbers": [number]})
    assert again.json()["replayed"] == 1
    waiting = asked.get("/v1/deliveries", params={"status": "waiting"}).json()["deliveries"]
    assert [one["key"] for one in waiting] == [key]
    assert asked.post("/v1/deliveries/replay", json={"numbers": [number]}).json()["replayed"] == 0
    assert asked.post("/v1/deliveries/replay", json={"numbers": []}).status_code == 422


def test_messages_are_told_in_pages(asked: local.Caller) -> None:
    """Newest first, each once, whatever the size of the page."""
    found = pages(asked, "/v1/deliveries", "deliveries", limit=2)
    numbers = [one["number"] for one in found]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == sum(asked.get("/v1/deliveries").json()["counts"].values())


def test_the_policy_in_force_can_be_changed_and_tried(asked: local.Caller) -> None:
    """What is told can be sent back; a policy that raises nothing early says less."""
    told = asked.get("/v1/policy").json()
    assert of_tree(told["policy"]) == default()
    assert told["policy"]["watch"]["dwell"] == "4d"
    assert datetime.fromisoformat(told["since"]).year == 2030
    lazy = tree_of(default())
    lazy["warning"]["triggers"] = [{"signal": "buffer", "raise": 0.0001, "clear": 0.0002}]
    both = asked.post("/v1/policy/preview", json={"policy": lazy}).json()
    assert both["in_force"]["changes"]["warning"] > both["proposed"]["changes"]["warning"]
    assert both["in_force"]["accounts"] >= both["proposed"]["accounts"] > 0


def test_a_policy_that_cannot_be_used_is_refused_with_its_faults(asked: local.Caller) -> None:
    """Every fault at its place, and a period that is too long."""
    tree = tree_of(default())
    tree["warning"]["triggers"] = [{"signal": "buffer", "raise": 0.2, "clear": 0.1}]
    refused = asked.post("/v1/policy/preview", json={"policy": tree})
    assert refused.status_code == 422
    assert [one["pointer"] for one in refused.json()["errors"]] == [
        "/policy/warning/triggers/0/clear"
    ]
    period = {"begin": "2029-01-01T00:00:00Z", "end": "2030-01-01T00:00:00Z"}
    refused = asked.post("/v1/policy/preview", json={"policy": tree_of(default()), **period})
    assert [one["pointer"] for one in refused.json()["errors"]] == ["/begin"]


def test_every_duration_of_the_policy_survives_its_text() -> None:
    """Written in the largest whole unit."""
    tree = tree_of(default())
    assert (tree["repeat_every"], tree["patience"], tree["desk"]["gather"]) == ("30m", "6h", "1m")
    tree["patience"] = "90m"
    assert of_tree(tree).patience == timedelta(minutes=90)
    assert tree_of(of_tree(tree))["patience"] == "90m"
