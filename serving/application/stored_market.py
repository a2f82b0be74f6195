"""The market that the store knows, as an evaluation takes it."""

from collections.abc import Collection
from datetime import datetime, timedelta

from features.inputs import Tables
from models.domain import UNPLACED, MarketId
from serving.evaluation.facts import Facts
from serving.evaluation.inputs import MarketSnapshot
from serving.store.connections import differing
from serving.store.engine import Transaction
from serving.store.market import REFERENCES, feature_tables, notes, quotes, state, terms
from serving.store.venue_accounts import unread_since

UNREAD_AFTER = timedelta(minutes=2)
"""Age of what an exchange's account holds beyond which it is told as stale."""


def stored_snapshot(
    transaction: Transaction,
    *,
    at: datetime,
    assets: Collection[str],
    markets: Collection[MarketId] | None = None,
    read: Tables | None = None,
) -> MarketSnapshot:
    """Return what was known of markets at a moment.

    Parameters
    ----------
    assets
        Of which more than candles is wanted, that of `REFERENCES` as well; candles are those of
        the whole market, over which features take medians, whoever is asked about.
    markets
        Whose state and oracle prices are wanted; all when left out.
    read
        The same as read before, where nothing of it has changed; it is not read again then.
    """
    priced = quotes(transaction, at=at, markets=markets)
    among = None if markets is None else {*markets, UNPLACED}
    stood = state(transaction, at=at, markets=among)
    agreed = terms(transaction, at=at)
    facts = {
        market: Facts(
            prices={} if market == UNPLACED else priced.get(market, {}),
            state=stood.get(market, {}),
            terms=agreed.get(market),
        )
        for market in {*priced, *stood, *agreed}
    }
    return MarketSnapshot(
        at=at,
        prices=priced.get(UNPLACED, {}),
        markets=facts,
        market_tables=feature_tables(transaction, {*assets, *REFERENCES}, at=at)
        if read is None
        else read,
        simulated=notes(transaction).get("simulated") == "yes",
        mismatches={
            check.account: "; ".join(
                f"{each['figure']} {each['theirs']}, not {each['ours']}"
                for each in check.differences
            )
            for check in differing(transaction)
        },
        unread=unread_since(transaction, at - UNREAD_AFTER),
    )
