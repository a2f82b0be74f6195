"""Where accounts stand: the columns of the store, the map over them and the book's course."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from models.alerting.signals import Level
from models.alerting.state import AlertState
from models.horizons import PROBABILITIES
from serving.ingest import forecast_records
from serving.routes.book_map import _cells, _count, _grouped, _largest
from serving.schemas.stored import Assessed
from serving.store import (
    Store,
    accounts,
    alerts,
    assessments,
    book_course,
    drift_reports,
    forecasts,
    open_store,
    overview,
    schema,
)
from serving.store.assessments import AccountFilter
from serving.store.columns import EPOCH
from serving.store.forecasts import ServedForecast

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LINES = {"a": (0.0, 900.0), "b": (0.023, 1000.0), "c": (0.021, 1010.0), "d": (0.3, 2e6)}


def lay(store: Store) -> None:
    """Lay five accounts of which one has no line, judged at noon and an hour before."""
    with store.begin() as transaction:
        bodies: list[dict[str, Any]] = [
            {
                "id": name,
                "venue": "maker",
                "market": "m",
                "owner": None if name == "a" else "one" if name == "d" else "other",
                "legs": [{"kind": "collateral", "asset": "ETH", "quantity": "1"}],
            }
            for name in "abcde"
        ]
        accounts.upsert(transaction, bodies, at=NOON - 2 * HOUR, now=NOON - 2 * HOUR)
        for at, further in ((NOON - HOUR, 0.1), (NOON, 0.0)):
            said = [_said(name, at, further) for name in "abcde"]
            assessments.write(transaction, said, now=at)
        alerts.write_states(transaction, {"b": AlertState(level=Level.WARNING, entered_at=NOON)})


def _said(name: str, at: datetime, further: float) -> Assessed:
    """Return an assessment; an hour before every line was further away."""
    if name not in LINES:
        return Assessed(account=name, at=at, verdict="unevaluable")
    distance, value = LINES[name]
    return Assessed(
        account=name,
        at=at,
        verdict="safe",
        distance=distance + further,
        collateral_value=value,
        trigger_asset="ETH",
        trigger_side="below",
        trigger_price=1000.0,
    )


def test_like_accounts_are_one_cell(store: Store) -> None:
    """By half a per cent and a twentieth of a power of ten; a level of its own stands apart."""
    lay(store)
    with store.read() as transaction:
        rows = overview.placed(transaction, AccountFilter())
    cells, unplaced = _cells([row for row in rows if row.account != "b"], {"maker": 0})
    assert unplaced == 1
    assert cells.account == ("a", "c", "d")
    together, _ = _cells([row._replace(level=None) for row in rows], {"maker": 0})
    assert together.accounts == (1, 2, 1)
    assert together.account == ("a", None, "d")
    assert abs(together.distance[1] - 0.022) < 1e-12
    assert together.value[1] == 1005.0
    none, left = _cells([], {})
    assert (none.accounts, left) == ((), 0)
    apart, _ = _cells(rows, {"maker": 0})
    assert sorted(apart.level, key=str) == [None, None, None, "warning"]


def test_the_past_is_what_was_said_by_then(store: Store) -> None:
    """The newest by the moment counts, and levels are not told; before the first nothing is."""
    lay(store)
    with store.read() as transaction:
        now = overview.placed(transaction, AccountFilter())
        before = overview.placed(transaction, AccountFilter(), at=NOON - timedelta(minutes=1))
        never = overview.placed(transaction, AccountFilter(), at=NOON - 2 * HOUR)
        listed = assessments.past(transaction, AccountFilter(most_distance=0.2), at=NOON - HOUR)
    assert [row.distance for row in now] == [0.0, 0.023, 0.021, 0.3, None]
    assert [row.distance for row in before[:1]] == [0.1]
    assert {row.level for row in before} == {None}
    assert never == []
    assert sorted(one.account for one in listed) == ["a", "b", "c"]


def test_accounts_are_found_and_ordered_by_their_lines(store: Store) -> None:
    """The nearest line first, the largest value first; without a figure last."""
    lay(store)
    with store.read() as transaction:
        by_distance = assessments.explore(transaction, AccountFilter(), order="distance")
        by_value = assessments.explore(transaction, AccountFilter(), order="collateral_value")
        near = assessments.explore(
            transaction, AccountFilter(least_distance=0.01, most_distance=0.023, least_value=1.0)
        )
    assert "".join(one.account for one in by_distance) == "acbde"
    assert "".join(one.account for one in by_value) == "dcbae"
    assert [one.account for one in near] == ["c"]


def test_holdings_add_up_to_the_venue(store: Store) -> None:
    """Of each venue the largest owner first; shares are of the venue's whole."""
    lay(store)
    with store.read() as transaction:
        rows = overview.placed(transaction, AccountFilter())
        held = overview.assets(transaction, AccountFilter(), near=0.1)
        before = overview.assets(transaction, AccountFilter(), near=0.1, at=NOON - HOUR)
    totals = _grouped((one.venue, one) for one in rows)
    owners = _largest(_grouped((one.owner, one) for one in rows), totals)
    whole = 900.0 + 1000.0 + 1010.0 + 2e6
    assert [(one.name, one.accounts, one.near) for one in owners] == [
        ("one", 1, 0),
        ("other", 3, 2),
        (None, 1, 1),
    ]
    assert owners[0].share == 2e6 / whole
    assert held == [("maker", "ETH", 5, 3, whole)]
    assert [(total.accounts, total.near) for total in before] == [(5, 1)]


def test_the_course_keeps_the_first_word_of_an_hour(store: Store) -> None:
    """A second within the hour changes nothing; the next hour is a point of its own."""

    def sums(chance: float) -> dict[str, Any]:
        part = {"with_forecast": 3, "without_forecast": 0, **dict.fromkeys(PROBABILITIES, chance)}
        return {"chances": {"maker": part}}

    with store.begin() as transaction:
        for minutes, chance in ((5, 0.5), (50, 0.7), (61, 0.9)):
            book_course.keep(transaction, sums(chance), at=NOON + timedelta(minutes=minutes))
        found = book_course.read(transaction, begin=NOON, end=NOON + 2 * HOUR)
        assert [one.chances["expected_24h"] for one in found] == [0.5, 0.9]
        assert book_course.read(transaction, begin=NOON, end=NOON + 2 * HOUR, venue="x") == []
        assert book_course.forget(transaction, before=NOON + HOUR) == 1


def test_an_account_liquidated_twice_came_once() -> None:
    """Within (begin, end], each account once."""
    happened = [(NOON, "a"), (NOON + HOUR, "b"), (NOON + 2 * HOUR, "b"), (NOON + 3 * HOUR, "c")]
    assert _count(happened, NOON, NOON + 2 * HOUR) == 1
    assert _count(happened, NOON, NOON + 3 * HOUR) == 2


def test_who_was_liquidated_is_read_from_the_events(store: Store) -> None:
    """Of the venue asked about, within (begin, end]; what an owner did is none."""
    lay(store)
    with store.begin() as transaction:
        events = [
            {"account": name, "key": f"{name}{place}", "at": at, "kind": kind, "debt": 0}
            | {"collateral": 1, "collateral_asset": None, "debt_asset": None}
            for place, (name, at, kind) in enumerate(
                (
                    ("a", NOON - HOUR, "deposit"),
                    ("b", NOON - HOUR, "liquidate"),
                    ("c", NOON, "liquidate"),
                )
            )
        ]
        transaction.execute(
            schema.EVENTS.insert(), [{**event, "received_at": NOON} for event in events]
        )
        whole = book_course.liquidated(transaction, begin=NOON - 2 * HOUR, end=NOON)
        assert whole == [(NOON - HOUR, "b"), (NOON, "c")]
        late = book_course.liquidated(transaction, begin=NOON - HOUR, end=NOON, venue="maker")
        assert late == [(NOON, "c")]
        assert not book_course.liquidated(transaction, begin=EPOCH, end=NOON, venue="x")


def test_two_bundles_are_set_side_by_side_where_both_spoke(store: Store) -> None:
    """Sums and the mean difference over the same accounts and moments alone."""
    lay(store)

    def said(account: str, version: str, chance: float) -> ServedForecast:
        role = "champion" if version == "one" else "challenger"
        return ServedForecast(
            account=account,
            at=NOON,
            model_version=version,
            role=role,
            probabilities=dict.fromkeys(PROBABILITIES, chance),
        )

    with store.begin() as transaction:
        told = [said("a", "one", 0.25), said("a", "two", 0.5), said("b", "one", 0.5)]
        forecasts.write(transaction, [*told, said("b", "two", 0.125), said("c", "one", 1.0)])
        pair = forecasts.beside(transaction, "one", "two", begin=NOON)
        none = forecasts.beside(transaction, "one", "two", begin=NOON + HOUR)
    assert (pair.pairs, none.pairs) == (2, 0)
    assert pair.champion["expected_24h"] == 0.75
    assert pair.challenger["expected_24h"] == 0.625
    assert pair.apart["expected_24h"] == (0.25 + 0.375) / 2


def test_a_report_of_drift_stands_until_the_next(tmp_path: Path) -> None:
    """By model, with the line of the audit that breakers read."""
    url = f"sqlite:///{tmp_path / 'book.sqlite3'}"
    line = {"actor": "test", "action": "measured drift", "subject": "one", "detail": "0.2500"}
    open_store(url).close()
    for rows in ([0, 0], [1, 2]):
        forecast_records.store(url, begin=NOON, note={**line, "report": {"rows": rows}})
    store = open_store(url)
    with store.read() as transaction:
        kept = drift_reports.read(transaction, "one")
        assert kept is not None
        assert kept[1] == {"rows": [1, 2]}
        assert drift_reports.read(transaction, "two") is None
    store.close()
