"""A market's past as the store tells it: what accounts held, and what was done."""

import pandas as pd
import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.schema import ACCOUNTS, EVENTS, POSITIONS, STATE, TERMS


def statements(transaction: Transaction, market: str) -> pd.DataFrame:
    """Return what every account of a market held and from when, stated or reckoned.

    Returns
    -------
    pandas.DataFrame
        `account`, `venue`, `version`, `at`, `legs` (as in a request), oldest first.
    """
    joined = POSITIONS.join(ACCOUNTS, ACCOUNTS.c.account == POSITIONS.c.account)
    names = [ACCOUNTS.c.account, ACCOUNTS.c.venue, ACCOUNTS.c.version]
    chosen = sa.select(*names, POSITIONS.c.at, POSITIONS.c.legs).select_from(joined)
    wanted = chosen.where(ACCOUNTS.c.market == market)
    return _frame(transaction, wanted.order_by(POSITIONS.c.at, POSITIONS.c.account))


def events(transaction: Transaction, market: str) -> pd.DataFrame:
    """Return `account`, `at` and `kind` of what happened on a market, oldest first."""
    joined = EVENTS.join(ACCOUNTS, ACCOUNTS.c.account == EVENTS.c.account)
    chosen = sa.select(EVENTS.c.account, EVENTS.c.at, EVENTS.c.kind).select_from(joined)
    wanted = chosen.where(ACCOUNTS.c.market == market)
    return _frame(transaction, wanted.order_by(EVENTS.c.at, EVENTS.c.account, EVENTS.c.key))


def state(transaction: Transaction) -> pd.DataFrame:
    """Return `name`, `at` and `value` of every accumulator, oldest first."""
    return _frame(transaction, sa.select(STATE).order_by(STATE.c.at, STATE.c.name))


def terms(transaction: Transaction, market: str) -> pd.DataFrame:
    """Return `valid_from` and `body` of a market's terms, oldest first."""
    chosen = sa.select(TERMS.c.valid_from, TERMS.c.body).where(TERMS.c.market == market)
    return _frame(transaction, chosen.order_by(TERMS.c.valid_from))


def _frame(transaction: Transaction, chosen: sa.Executable) -> pd.DataFrame:
    """Return rows as a frame of plain values."""
    result = transaction.execute(chosen)
    rows = [dict(row) for row in result.mappings()]
    return pd.DataFrame(rows, columns=list(result.keys()), dtype=object)
