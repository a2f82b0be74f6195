"""Alerts over HTTP, on a book that lived through a crash."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import local
import pytest
from alert_receivers import answers, receiver
from standardwebhooks import Webhook

from features.simulate import simulate_onward
from models.alerting.policy import default, of_tree, tree_of
from serving.application.sample_book import lay
from serving.application.scoring import ScoringService
from serving.demo.market import run, subscribe
from serving.demo.venues import nowhere
from serving.evaluation.assess import Model
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import Store, open_store
from serving.watch.retention import prune


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return the store of a book that fell by a fifth and was watched all along."""
    before, after = simulate_onward(
        seed=9, days=40, accounts=30, hours=12, falls={4: -0.1, 5: -0.12}
    )
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('alerts') / 'book.db'}")
    lay(before, store)
    subscribe(store, now=before.at)
    run(store, before, after, venues=nowhere(after), bundle=None, rest=lambda _: None)
    yield store
    store.close()


@pytest.fixture(scope="module")
def asked(store: Store) -> Iterator[local.Caller]:
    """Return a caller of a service over the store."""
    desk = ScoringService(model=Model(bundle=None), store=store)
    gate = Admission(Settings(), Keyring(desk.keys))
    caller = local.Caller(Api(routes(OPERATIONS), desk=desk, gate=gate))
    yield caller
    caller.close()


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
    assert {sent["receiver"] for sent in told} >= {"desk", "owner-4"}
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


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_what_can_most_be_done_for_is_listed_first(asked: local.Caller, limit: int) -> None:
    """Critical before warning, liquidated last, each once; a cursor belongs to its order."""
    found = pages(asked, "/v1/alerts/raised", "accounts", limit=limit, order="urgency")
    order = ["critical", "warning", "watch", "liquidated"]
    keys = [(order.index(one["level"]), one["account"]) for one in found]
    assert keys == sorted(keys)
    assert {"critical", "liquidated"} < {one["level"] for one in found}
    by_name = pages(asked, "/v1/alerts/raised", "accounts", limit=limit)
    assert [one["account"] for one in by_name] == sorted(one["account"] for one in found)
    wrong = asked.get("/v1/alerts/raised", params={"order": "urgency", "cursor": "sim-0001"})
    assert wrong.status_code == 422


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
    assert told["policy"]["watch"]["dwell"] == "2d"
    assert datetime.fromisoformat(told["since"]).year == 2030
    assert [point["budget"] for point in told["frontier"]] == [0.0025, 0.005, 0.01, 0.02, 0.05]
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


def test_a_channel_is_added_confirmed_rotated_and_stopped_over_http(
    asked: local.Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code reaches a real receiver, signed; nothing is verified by a wrong one."""
    monkeypatch.setenv("FOREWARN_ALERTS_ALLOWED_NETWORKS", "127.0.0.0/8")
    written = asked.put("/v1/receivers/ann", json={"accounts": ["sim-0001"], "language": "de"})
    assert written.status_code == 200
    with receiver(answers(200)) as (url, received):
        body = {"kind": "webhook", "target": url}
        added = asked.post("/v1/receivers/ann/channels", json=body).json()
        again = asked.post(f"/v1/channels/{added['channel']}/resend").json()
    assert (added["outcome"], again["outcome"]) == ("delivered", "delivered")
    path = f"/v1/channels/{added['channel']}"
    headers, text, _ = received.requests[1]
    code = Webhook(added["secret"]).verify(text, headers)["data"]["code"]
    assert asked.post(f"{path}/confirm", json={"code": "00000000"}).json()["done"] is False
    assert asked.post(f"{path}/confirm", json={"code": code}).json()["done"] is True
    fresh = asked.post(f"{path}/rotate").json()["secret"]
    assert fresh.startswith("whsec_")
    assert fresh != added["secret"]
    assert asked.post(f"{path}/stop").json()["done"] is True
    assert asked.post(f"{path}/rotate").status_code == 422
    one = asked.get("/v1/receivers/ann").json()
    assert (one["receiver"]["language"], one["accounts"]) == ("de", ["sim-0001"])
    assert [line["status"] for line in one["channels"]] == ["stopped"]
    assert one["channels"][0]["target"] == "http://127.0.0.1/…"
    actions = ["added", "challenged", "challenged", "verified", "rotated", "stopped"]
    assert [line["action"] for line in one["consents"]] == actions


def test_a_webhook_into_a_private_network_is_refused(asked: local.Caller) -> None:
    """Without the operator's list the guard holds for channels added over HTTP as well."""
    asked.put("/v1/receivers/eve", json={})
    body = {"kind": "webhook", "target": "http://127.0.0.1:9/x"}
    told = asked.post("/v1/receivers/eve/channels", json=body).json()
    assert told["outcome"] == "never"
    assert told["error"] == "127.0.0.1 leads to 127.0.0.1, which is not a public address"
    assert asked.post("/v1/receivers/nobody/channels", json=body).status_code == 404
    assert asked.post("/v1/receivers/eve/channels", json={"kind": "fax"}).status_code == 422


def test_receivers_are_listed_in_pages(asked: local.Caller) -> None:
    """By name, each once."""
    names = [one["receiver"] for one in pages(asked, "/v1/receivers", "receivers", limit=2)]
    assert names == sorted(set(names))
    assert {"desk", "owner-1", "owner-2", "owner-3", "owner-4"} <= set(names)


def test_metrics_tell_of_alerts(asked: local.Caller) -> None:
    """Lag, messages by status and accounts by level are scraped."""
    text = asked.get("/metrics").text
    assert "forewarn_alert_lag_seconds 0.0" in text
    assert 'forewarn_outbox_messages{status="dead"}' in text
    assert 'forewarn_alert_accounts{level="critical"}' in text


def test_what_is_old_is_pruned_and_what_may_be_asked_for_stays(
    asked: local.Caller, store: Store
) -> None:
    """Histories end; transitions, dead letters and the newest of each account stay."""
    before = asked.get("/v1/alerts").json()["alerts"]
    accounts = asked.get("/v1/accounts").json()["accounts"]
    gone = prune(store, before=datetime(2031, 1, 1, tzinfo=UTC))
    assert min(gone.assessments, gone.signals, gone.messages) > 0
    assert [one["key"] for one in asked.get("/v1/alerts").json()["alerts"]] == [
        one["key"] for one in before
    ]
    assert asked.get("/v1/accounts").json()["accounts"] == accounts
    assert set(asked.get("/v1/deliveries").json()["counts"]) <= {"dead", "waiting"}


def test_wishes_about_an_account_that_is_not_there_are_refused(asked: local.Caller) -> None:
    """A misspelt name must not pass for a mute."""
    assert asked.post("/v1/accounts/no-such/acknowledge").status_code == 404
    assert asked.post("/v1/accounts/no-such/mute", json={"hours": 2}).status_code == 404


def test_a_host_that_cannot_be_one_is_refused_at_the_door(asked: local.Caller) -> None:
    """An empty or too long label, and quiet hours with an offset: 422, nothing is written."""
    asked.put("/v1/receivers/fay", json={})
    for host in ("a..example.org", f"{'a' * 64}.example.org"):
        body = {"kind": "webhook", "target": f"https://{host}/x"}
        assert asked.post("/v1/receivers/fay/channels", json=body).status_code == 422
    quiet = {"begin": "22:00+01:00", "end": "07:00+01:00"}
    refused = asked.put("/v1/receivers/fay", json={"quiet": quiet})
    assert [one["pointer"] for one in refused.json()["errors"]] == ["/quiet/begin", "/quiet/end"]
    assert asked.get("/v1/receivers/fay").json()["channels"] == []
