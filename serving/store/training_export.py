"""A market's past as the store tells it: what accounts held, and what was done."""

import pandas as pd
import sqlalchemy as sa

from models.domain import MarketId
from serving.store import accounts
from serving.store.engine import Transaction
from serving.store.schema import ACCOUNTS, EVENTS, POSITIONS, STATE, TERMS


def markets(transaction: Transaction, name: str) -> list[MarketId]:
    """Return the markets of accounts that a name may mean: alone, or with its venue and chain."""
    return sorted(
        market for market in accounts.markets(transaction) if name in {market.market, str(market)}
    )


def statements(transaction: Transaction, market: MarketId) -> pd.DataFrame:
    """Return the positions of every account of a market with their start, stated or reckoned.

    Returns
    -------
    pandas.DataFrame
        `account`, `venue`, `version`, `at`, `legs` (as in a request), oldest first.
    """
    joined = POSITIONS.join(ACCOUNTS, ACCOUNTS.c.account == POSITIONS.c.account)
    names = [ACCOUNTS.c.account, ACCOUNTS.c.venue, ACCOUNTS.c.version]
    chosen = sa.select(*names, POSITIONS.c.at, POSITIONS.c.legs).select_from(joined)
    of_market = chosen.where(*_of(ACCOUNTS, market))
    return _frame(transaction, of_market.order_by(POSITIONS.c.at, POSITIONS.c.account))


def events(transaction: Transaction, market: MarketId) -> pd.DataFrame:
    """Return `account`, `at` and `kind` of what happened on a market, oldest first."""
    joined = EVENTS.join(ACCOUNTS, ACCOUNTS.c.account == EVENTS.c.account)
    chosen = sa.select(EVENTS.c.account, EVENTS.c.at, EVENTS.c.kind).select_from(joined)
    of_market = chosen.where(*_of(ACCOUNTS, market))
    return _frame(transaction, of_market.order_by(EVENTS.c.at, EVENTS.c.account, EVENTS.c.key))


def state(transaction: Transaction, market: MarketId) -> pd.DataFrame:
    """Return `name`, `at` and `value` of a market's state, oldest first."""
    chosen = sa.select(STATE.c.name, STATE.c.at, STATE.c.value).where(*_of(STATE, market))
    return _frame(transaction, chosen.order_by(STATE.c.at, STATE.c.name))


def terms(transaction: Transaction, market: MarketId) -> pd.DataFrame:
    """Return `valid_from` and `body` of a market's terms, oldest first."""
    chosen = sa.select(TERMS.c.valid_from, TERMS.c.body).where(*_of(TERMS, market))
    return _frame(transaction, chosen.order_by(TERMS.c.valid_from))


def _of(table: sa.Table, market: MarketId) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that a row is of a market."""
    return [table.c[part] == value for part, value in market._asdict().items()]


def _frame(transaction: Transaction, chosen: sa.Executable) -> pd.DataFrame:
    """Return rows as a frame of plain values."""
    result = transaction.execute(chosen)
    rows = [dict(row) for row in result.mappings()]
    return pd.DataFrame(rows, columns=list(result.keys()), dtype=object)
