"""The book over many venues: every account can be judged, sent along or stored, alike."""

import json
from pathlib import Path

import many_venues

from serving.desk import Desk
from serving.registry import deployed
from serving.store import open_store

MODEL = deployed(Path(__file__).parents[2] / "models" / "champion").model


def test_every_account_is_judged_alike_sent_along_and_stored(tmp_path: Path) -> None:
    """Eleven accounts on seven venues; but one, whose asset has no candles, have a forecast."""
    store = open_store(f"sqlite:///{tmp_path}/book.sqlite3")
    many_venues.lay(store)
    desk = Desk(model=MODEL, store=store, clock=lambda: many_venues.AT)
    sent = json.loads(desk.score(json.dumps(many_venues.request()).encode(), "sent"))
    keys = {"accounts": [one["id"] for one in many_venues.book()]}
    stored = json.loads(desk.score(json.dumps(keys).encode(), "stored"))
    store.close()
    told = sent["assessments"]
    assert [one["rule"]["verdict"] for one in told] == ["safe"] * 11
    assert [one["account"] for one in told if not one["forecast"]] == ["hyper, no candles"]
    for one, other in zip(told, stored["assessments"], strict=True):
        assert one["rule"]["surplus"] == other["rule"]["surplus"]
        assert one["rule"]["ratio"] == other["rule"]["ratio"]
