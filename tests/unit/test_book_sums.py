"""The book that is kept in sum is the book that is added up account by account."""

from datetime import UTC, datetime

import pytest
import venue_bodies

from models.hazard import LABELS
from serving.alerting.sums import Sums, part
from serving.asked import cases, wire
from serving.history import noted
from serving.http.problems import encode
from serving.judging.assess import Outlook
from serving.judging.at_risk import SHOCKS, by_band, by_shock
from serving.judging.judgement import Judgement, judge
from serving.routes.book import summed
from serving.store.assessments import Assessed

AT = datetime(2026, 3, 1, tzinfo=UTC)


def judged(body: venue_bodies.Body) -> Judgement:
    """Return the account of a request, judged."""
    asked, _ = wire.parse(encode(body), wire.ScoreBody)
    account = wire.account(body["account"], "/account")
    around = cases.surroundings(asked, now=AT, stored=None, accounts=[account])
    return judge(cases.case(account, "/account", around))


def told(one: Judgement) -> Assessed:
    """Return what is kept of an account without a forecast."""
    return noted(one, Outlook(), at=AT, model_version=None)


@pytest.fixture(scope="module")
def book() -> list[Judgement]:
    """Return an account of each of six venues."""
    return [judged(body) for body in venue_bodies.all_venues()]


def summed_up(accounts: list[Judgement]) -> Sums:
    """Return accounts put in one after another."""
    sums = Sums()
    for one in accounts:
        sums.put(one.case.account.id, part(one, told(one)))
    return sums


def test_kept_sums_are_those_of_the_exact_rules(book: list[Judgement]) -> None:
    """Every shock and band of every venue, count and amount, as each account judged anew says."""
    found = summed(summed_up(book).document(oldest=AT), None)
    pairs = [(one.case, one.now) for one in book]
    chances = {one.case.account.id: told(one).expected_24h for one in book}
    assert list(found.shocks) == by_shock(pairs)
    assert list(found.bands) == by_band(pairs, chances)
    assert sum(one.accounts for one in found.shocks) > len(SHOCKS)


def test_an_account_judged_again_counts_once_as_it_is_now(book: list[Judgement]) -> None:
    """What it added before is gone without a trace, also where it can no longer be judged."""
    fallen = judged(venue_bodies.maker("5459442749180869341372"))
    sums = summed_up([*book, fallen])
    anew = [one for one in book if one.case.account.id != "vault"]
    assert (
        sums.document(oldest=AT)["shocks"]
        == summed_up([*anew, fallen]).document(oldest=AT)["shocks"]
    )
    sums.put("vault", None)
    gone = sums.document(oldest=AT)
    assert (gone["unjudged"], gone["unjudged_count"]) == (["vault"], 1)
    assert all(row[4] == 0 for row in gone["shocks"] if row[0] == "maker")


def test_probabilities_are_added_and_taken_out_exactly(book: list[Judgement]) -> None:
    """A tenth put in and taken out ten thousand times leaves what was there."""
    chances = {f"{head}_{label}": 0.1 for head in ("unattended", "expected") for label in LABELS}
    one = Assessed(account="a", at=AT, verdict="safe", **chances)
    sums = Sums()
    sums.put("b", part(book[0], one))
    for _ in range(10_000):
        sums.put("a", part(book[0], one))
    sums.put("a", None)
    venue = sums.document(oldest=AT)["chances"][book[0].case.account.venue]
    assert venue["expected_24h"] == 0.1
    assert venue["with_forecast"] == 1
