"""What the store remembers of owners' conduct: exposures, actions, liquidations and alerts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from models.conduct.exposures import Kind, Moment
from serving.store.alert_schema import ALERT_TRANSITIONS
from serving.store.engine import Transaction
from serving.store.rows import chunks, insert_new
from serving.store.schema import ACCOUNTS, ASSESSMENTS, EVENTS, OPT_OUTS

LIKELY = 0.5
"""Probability of liquidation within a day, if nobody acts, from which an account is exposed."""

BREACHES = ("liquidatable", "margin_call")
ORDER = {kind: place for place, kind in enumerate((Kind.RELEASED, Kind.EXPOSED))}


def accounts_of(transaction: Transaction, owner: str) -> dict[str, str]:
    """Return the venue of each of an owner's accounts; empty where the owner is not known."""
    chosen = sa.select(ACCOUNTS.c.account, ACCOUNTS.c.venue).where(ACCOUNTS.c.owner == owner)
    rows = transaction.execute(chosen.order_by(ACCOUNTS.c.account))
    return {str(account): str(venue) for account, venue in rows}


def opted_out(transaction: Transaction, owner: str) -> datetime | None:
    """Return since when an owner is not to be scored; None where they may be."""
    chosen = sa.select(OPT_OUTS.c.at).where(OPT_OUTS.c.owner == owner)
    return transaction.execute(chosen).scalar()


def opt_out(transaction: Transaction, owner: str, *, at: datetime) -> None:
    """Note that an owner is not to be scored."""
    insert_new(transaction, OPT_OUTS, [{"owner": owner, "at": at}])


def opt_in(transaction: Transaction, owner: str) -> None:
    """Note that an owner may be scored again."""
    transaction.execute(sa.delete(OPT_OUTS).where(OPT_OUTS.c.owner == owner))


def _is_scored() -> "sa.ColumnElement[bool]":
    """Return the condition that an account's owner, if it has one, did not opt out."""
    absent = sa.select(OPT_OUTS.c.owner).where(OPT_OUTS.c.owner == ACCOUNTS.c.owner)
    return ~absent.exists()


def venues_of(transaction: Transaction, keys: Sequence[str]) -> dict[str, str]:
    """Return the venue of each account that the store knows."""
    venues: dict[str, str] = {}
    for some in chunks(list(dict.fromkeys(keys))):
        chosen = sa.select(ACCOUNTS.c.account, ACCOUNTS.c.venue)
        rows = transaction.execute(chosen.where(ACCOUNTS.c.account.in_(some)))
        venues.update({str(account): str(venue) for account, venue in rows})
    return venues


def exposed_accounts(
    transaction: Transaction, venue: str, *, at: datetime, limit: int
) -> dict[str, str]:
    """Return accounts of a venue that were exposed at some time, with the venue, by key."""
    joined = ASSESSMENTS.join(ACCOUNTS, ACCOUNTS.c.account == ASSESSMENTS.c.account)
    is_exposed = sa.or_(ASSESSMENTS.c.verdict.in_(BREACHES), ASSESSMENTS.c.unattended_24h >= LIKELY)
    chosen = (
        sa.select(ACCOUNTS.c.account)
        .select_from(joined)
        .where(ACCOUNTS.c.venue == venue, ASSESSMENTS.c.at <= at, is_exposed, _is_scored())
        .distinct()
        .order_by(ACCOUNTS.c.account)
        .limit(limit)
    )
    return {str(account): venue for account in transaction.execute(chosen).scalars()}


def moments(
    transaction: Transaction, venues: Mapping[str, str], *, at: datetime
) -> dict[str, list[Moment]]:
    """Return what happened to accounts until a moment, each account's oldest first.

    An account is exposed from an assessment that finds it breached, or likelier than not to be
    liquidated within a day if nobody acts, until the first that does not.

    Of an account whose owner opted out nothing is read.

    Parameters
    ----------
    venues
        Of the accounts, by key.
    """
    rows: dict[str, list[Moment]] = {account: [] for account in venues}
    for every in chunks(list(venues)):
        chosen = sa.select(ACCOUNTS.c.account).where(ACCOUNTS.c.account.in_(every), _is_scored())
        some = [str(account) for account in transaction.execute(chosen).scalars()]
        _add_events(transaction, some, venues, rows, at=at)
        _add_exposures(transaction, some, venues, rows, at=at)
        _add_alerts(transaction, some, venues, rows, at=at)
    return {
        account: sorted(listed, key=lambda m: (m.at, ORDER.get(m.kind, len(ORDER))))
        for account, listed in rows.items()
    }


def _add_events(
    transaction: Transaction,
    some: Sequence[str],
    venues: Mapping[str, str],
    rows: Mapping[str, list[Moment]],
    *,
    at: datetime,
) -> None:
    """Add owners' actions and liquidations."""
    columns = [EVENTS.c[name] for name in ("account", "at", "kind", "collateral", "debt")]
    chosen = sa.select(*columns).where(EVENTS.c.account.in_(some), EVENTS.c.at <= at)
    for row in transaction.execute(chosen.order_by(EVENTS.c.account, EVENTS.c.at)):
        amount = row.collateral if row.kind in {"deposit", "withdraw"} else row.debt
        rows[row.account].append(
            Moment(
                account=row.account,
                venue=venues[row.account],
                at=row.at,
                kind=Kind(row.kind),
                amount=float(amount),
            )
        )


def _add_exposures(
    transaction: Transaction,
    some: Sequence[str],
    venues: Mapping[str, str],
    rows: Mapping[str, list[Moment]],
    *,
    at: datetime,
) -> None:
    """Add where exposures begin and end."""
    names = ("account", "at", "verdict", "unattended_24h")
    chosen = sa.select(*(ASSESSMENTS.c[name] for name in names))
    chosen = chosen.where(ASSESSMENTS.c.account.in_(some), ASSESSMENTS.c.at <= at)
    was_exposed: dict[str, bool] = defaultdict(bool)
    for row in transaction.execute(chosen.order_by(ASSESSMENTS.c.account, ASSESSMENTS.c.at)):
        is_exposed = _is_exposed(row)
        if is_exposed is None or is_exposed == was_exposed[row.account]:
            continue
        was_exposed[row.account] = is_exposed
        kind = Kind.EXPOSED if is_exposed else Kind.RELEASED
        rows[row.account].append(
            Moment(account=row.account, venue=venues[row.account], at=row.at, kind=kind)
        )


def _is_exposed(row: Any) -> bool | None:
    """Whether an assessment finds an account exposed; None where it cannot tell."""
    if row.verdict in BREACHES:
        return True
    if row.verdict == "unevaluable":
        return None
    return bool(row.unattended_24h is not None and row.unattended_24h >= LIKELY)


def _add_alerts(
    transaction: Transaction,
    some: Iterable[str],
    venues: Mapping[str, str],
    rows: Mapping[str, list[Moment]],
    *,
    at: datetime,
) -> None:
    """Add when owners were told."""
    columns = ALERT_TRANSITIONS.c
    chosen = sa.select(columns.account, columns.at).where(
        columns.account.in_(some), columns.at <= at, columns.level > columns.was
    )
    for row in transaction.execute(chosen.order_by(columns.account, columns.at)):
        rows[row.account].append(
            Moment(account=row.account, venue=venues[row.account], at=row.at, kind=Kind.ALERTED)
        )
