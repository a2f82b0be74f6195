"""Answers kept for the accounts of one request."""

from datetime import UTC, datetime

from serving.evaluation.memo import MOST_REMEMBERED, IdentityMemo

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_same_market_and_moment_are_worked_out_once() -> None:
    """Moments are told apart by value, everything else by identity."""
    asked: list[object] = []

    def work(market: dict[str, int], at: datetime) -> dict[str, int]:
        asked.append(market)
        return {**market, "hour": at.hour}

    known = IdentityMemo(work)
    market, like = {"price": 1}, {"price": 1}
    first = known(market, AT)
    assert known(market, datetime(2026, 1, 1, tzinfo=UTC)) is first
    assert known(like, AT) is not first
    assert known(market, AT.replace(hour=5)) == {"price": 1, "hour": 5}
    assert len(asked) == 3


def test_it_keeps_no_more_than_it_may() -> None:
    """Beyond its size it works again each time, and still answers right."""
    known = IdentityMemo(lambda value: [value])
    kept = [[i] for i in range(MOST_REMEMBERED + 2)]
    told = [known(value) for value in kept]
    assert known(kept[0]) is told[0]
    assert known(kept[-1]) is not told[-1]
    assert known(kept[-1]) == told[-1]
