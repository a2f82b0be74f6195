"""Collateral whose price a venue does not read while less covers the debt."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
import venue_bodies

from serving.evaluation import inputs
from serving.evaluation.assess import ForecastOutcome
from serving.evaluation.book_totals import account_totals
from serving.evaluation.item import Item
from serving.evaluation.records import record_of_rules
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.evaluation.stress import SHOCKS, by_shock
from serving.evaluation.triggers import triggers_of
from serving.schemas import requests
from serving.schemas.problems import encode

AT = datetime(2026, 3, 1, tzinfo=UTC)
LINE = Fraction(45_000, 85_400) - 1
"""Move of both collaterals at which .7 of 122,000 is the debt."""


def items() -> list[Item]:
    """Return 45,000 owed against 90,000 and 32,000, each counted at .7."""
    body = venue_bodies.comet_of_two()
    request, _ = requests.parse(encode(body), requests.ScoreBody)
    account = requests.account(body["account"], "/account")
    around = inputs.snapshot(request, now=AT, stored=None, accounts=[account])
    case = inputs.account_input(account, "/account", around)
    return [Item(body=account, case=case, around=around, is_stored=False)]


@pytest.fixture
def judged() -> RuleEvaluation:
    """Return the account, judged."""
    return evaluate_rules(items()[0].case)


def test_a_line_has_both_collaterals(judged: RuleEvaluation) -> None:
    """A move of A1 changes the surplus by .7 of 90,000, one of A2 by .7 of 32,000."""
    assert judged.line is not None
    assert judged.line.surplus == 40_400
    assert {name: judged.line.by_asset[name] for name in ("A1", "A2")} == {
        "A1": 63_000,
        "A2": 22_400,
    }


def test_a_fall_of_the_market_moves_both(judged: RuleEvaluation) -> None:
    """It is liquidatable at -50 % of all, not of A1 alone, wherever a shock is asked for."""
    sums = by_shock([(judged.case, judged.now)])
    fallen = {(each.asset, each.shock) for each in sums if each.accounts}
    assert fallen == {("*", "-0.5")}
    totals = account_totals(
        judged, record_of_rules(judged, ForecastOutcome(), at=AT, model_version=None)
    )
    assert totals is not None
    assert tuple(totals.breached["*"]) == (SHOCKS.index(Fraction(-1, 2)),)


def test_the_shock_trigger_moves_both() -> None:
    """The venue's rules flip where both have fallen by 47.3 %."""
    answer = triggers_of(items()[0], betas=None, search_end=None, request_id="r")
    assert answer.betas == {"A1": "1", "A2": "1"}
    assert answer.shock_trigger is not None
    assert float(answer.shock_trigger.shock) == pytest.approx(float(LINE), abs=1e-6)
