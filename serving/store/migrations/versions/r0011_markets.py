"""Markets told apart: state, terms and oracle prices belong to a venue's market on a chain.

Until now a row of state was kept by its name alone, and terms by the name of a market. A row is
given to a market where only one can have been meant: the name says the market itself, or only one
market of the store's accounts has a venue that reads it. What may be of several, or of none that
the store knows, stays with an empty venue and judges nobody. Prices stay spot prices.
"""

import json
import logging
from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

LOG = logging.getLogger("forewarn.store")
NAME = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
CHAIN = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")
TIME = sa.BigInteger
WHOLE = sa.String(100)
Market = tuple[str, str]
MARKET = ("venue", "market", "chain")
LAID = sa.MetaData()

WHOLE_NAMES = {
    "aave-v3": ("liquidation_allowed", "borrow_allowed"),
    "compound-v2": ("seize_paused",),
    "compound-v3": (
        "base_supply_index",
        "base_borrow_index",
        "updated_at",
        "total_supply_base",
        "total_borrow_base",
        "absorb_paused",
    ),
    "euler-v2": ("interest_accumulator", "updated_at", "interest_rate", "liquidate_paused"),
    "fluid": ("supply_exchange_price", "borrow_exchange_price"),
    "hyperliquid": ("partial_liquidation_cooldown",),
    "maker": ("dirt",),
    "morpho-blue": (
        "total_supply_assets",
        "total_borrow_assets",
        "total_borrow_shares",
        "total_supply_shares",
        "borrow_rate_per_second",
        "updated_at",
    ),
}
OF_ASSETS = {
    "aave-v3": (
        "liquidity_index",
        "borrow_index",
        "liquidity_rate",
        "borrow_rate",
        "updated_at",
        "inactive",
        "paused",
        "frozen",
        "grace_until",
        "scaled_supply",
        "scaled_accrued",
        "scaled_debt",
        "isolated_debt",
    ),
    "aave-v4": ("added_assets", "added_shares", "drawn_index", "paused"),
    "compound-v2": ("exchange_rate", "deprecated"),
    "compound-v3": ("total_supply_asset",),
    "dydx-v4": ("funding_index", "open_interest"),
}
OF_MARKETS = {
    "maker": ("rate", "dirt", "stopped"),
    "gmx-v2": (
        "is_disabled",
        *(
            f"{name}.{side}"
            for name in (
                "cumulative_borrowing_factor",
                "borrowing_factor_per_second",
                "funding_fee_amount_per_size",
                "pool_pnl",
                "capped_pool_pnl",
            )
            for side in ("long", "short")
        ),
    ),
}
"""What follows the name of an asset or a market, by the rulebooks of this revision's day."""


def _market() -> list["sa.Column[str]"]:
    """Return the columns of a market."""
    return [
        sa.Column("venue", NAME, primary_key=True),
        sa.Column("market", NAME, primary_key=True),
        sa.Column("chain", CHAIN, primary_key=True),
    ]


PRICES = sa.Table(
    "prices",
    LAID,
    *_market(),
    sa.Column("asset", NAME, primary_key=True),
    sa.Column("observed_at", TIME, primary_key=True),
    sa.Column("source", NAME, primary_key=True),
    sa.Column("value", WHOLE, nullable=False),
    sa.Column("decimals", sa.Integer, nullable=False),
    sa.Column("bid", WHOLE),
    sa.Column("ask", WHOLE),
    sa.Column("next_value", WHOLE),
    sa.Column("next_at", TIME),
    sa.Column("stale_after", sa.BigInteger),
    sa.Column("disputed", sa.String(200)),
    sa.Column("received_at", TIME, nullable=False),
    sqlite_with_rowid=False,
)

STATE = sa.Table(
    "state",
    LAID,
    *_market(),
    sa.Column("name", NAME, primary_key=True),
    sa.Column("at", TIME, primary_key=True),
    sa.Column("value", WHOLE, nullable=False),
    sqlite_with_rowid=False,
)

TERMS = sa.Table(
    "terms",
    LAID,
    *_market(),
    sa.Column("valid_from", TIME, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)


def upgrade() -> None:
    """Lay the tables anew with every row that stood in them."""
    op.add_column("accounts", sa.Column("chain", CHAIN, nullable=False, server_default=""))
    op.create_index("accounts_by_market", "accounts", list(MARKET))
    connection = op.get_bind()
    accounts = sa.table("accounts", *map(sa.column, ("venue", "market")))
    chosen = sa.select(accounts.c.venue, accounts.c.market).distinct()
    markets = {(str(venue), str(market)) for venue, market in connection.execute(chosen)}
    _moved(PRICES, {})
    names = _distinct("state", "name")
    _moved(STATE, {name: market for name in names if (market := state_market(name, markets))})
    named = _terms_of_accounts(connection)
    agreed = {m: market for m in _distinct("terms", "market") if (market := terms_market(m, named))}
    _moved(TERMS, agreed, by="market")
    _tell("state", STATE.c.name)
    _tell("terms", TERMS.c.market)


def _distinct(table: str, column: str) -> list[str]:
    """Return the values of a column, ascending."""
    source = sa.table(table, sa.column(column))
    chosen = sa.select(source.c[column]).distinct()
    return sorted(str(value) for value in op.get_bind().execute(chosen).scalars())


def _terms_of_accounts(connection: sa.Connection) -> set[Market]:
    """Return the venue and the market of the terms that any account is judged by."""
    accounts = sa.table("accounts", *map(sa.column, ("account", "venue", "market")))
    positions = sa.table("positions", *map(sa.column, ("account", "terms")))
    joined = accounts.join(positions, accounts.c.account == positions.c.account)
    chosen = sa.select(accounts.c.venue, accounts.c.market, positions.c.terms).select_from(joined)
    # Terms of an account's own are an object; a text names the market whose terms are meant.
    distinct = chosen.where(
        positions.c.terms.is_(None) | positions.c.terms.not_like("{%")
    ).distinct()
    markets = set()
    for venue, market, terms in connection.execute(distinct):
        named = None if terms is None else json.loads(terms)
        markets.add((str(venue), str(named or market)))
    return markets


def state_market(name: str, markets: set[Market]) -> Market | None:
    """Return the one market that can have been meant by a name of state; None where several."""
    meant: set[Market] = set()
    for venue, tails in OF_MARKETS.items():
        for tail in tails:
            if name.endswith(f".{tail}") and len(name) > len(tail) + 1:
                meant.add((venue, name[: -len(tail) - 1]))
    for venue, market in markets:
        is_whole = name in WHOLE_NAMES.get(venue, ())
        of_asset = any(name.endswith(f".{tail}") for tail in OF_ASSETS.get(venue, ()))
        if is_whole or of_asset:
            meant.add((venue, market))
    return next(iter(meant)) if len(meant) == 1 else None


def terms_market(name: str, named: set[Market]) -> Market | None:
    """Return the one market that can have been meant by terms; None where several."""
    meant = {market for market in named if market[1] == name}
    return next(iter(meant)) if len(meant) == 1 else None


def _moved(table: sa.Table, owners: Mapping[str, Market], *, by: str = "name") -> None:
    """Lay a table anew, with its rows under their markets.

    Parameters
    ----------
    owners
        Market by the value of the column `by`; rows of others keep an empty venue.
    """
    connection, old = op.get_bind(), f"{table.name}_by_name"
    op.rename_table(table.name, old)
    if connection.dialect.name == "postgresql":
        # The new table's key takes the name that the old one's has.
        key = sa.inspect(connection).get_pk_constraint(old)["name"]
        op.execute(f'ALTER TABLE {old} RENAME CONSTRAINT "{key}" TO {old}_pkey')
    table.create(connection)
    columns = [column.name for column in table.columns if column.name not in MARKET]
    source = sa.table(old, *map(sa.column, {*columns, by}))
    parts = [source.c[name] for name in columns]
    into = [*MARKET, *columns]
    for value, (venue, market) in owners.items():
        placed = sa.select(sa.literal(venue), sa.literal(market), sa.literal(""), *parts)
        op.execute(sa.insert(table).from_select(into, placed.where(source.c[by] == value)))
    unsaid: sa.ColumnElement[str] = sa.literal("")
    rest = sa.select(unsaid, source.c.market if by == "market" else unsaid, unsaid, *parts)
    if owners:
        rest = rest.where(source.c[by].not_in(sorted(owners)))
    op.execute(sa.insert(table).from_select(into, rest))
    op.drop_table(old)


def _tell(what: str, column: "sa.Column[str]") -> None:
    """Say which rows could not be given to a market."""
    table = column.table
    chosen = sa.select(column).where(table.c.venue == "").distinct().order_by(column)
    names = [str(name) for name in op.get_bind().execute(chosen).scalars()]
    if names:
        text = "%s that may be of several markets or of none known: %s; push with venue and market"
        LOG.warning(text, what, ", ".join(names[:50]))
