"""History: every price, position and accumulator with its time; assessments, keys, audit."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

LAID = sa.MetaData()
REPLACED = ("accounts", "events", "candles", "prices", "state", "terms")
TIME = sa.BigInteger
WHOLE = sa.String(100)
DOCUMENT = sa.Text
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _name(length: int) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


NAME, NAME_100, WORD_40, WORD = _name(200), _name(100), _name(40), _name(20)


def _judged() -> list["sa.Column[object]"]:
    """Return the columns of an assessment."""
    horizons = ("1h", "4h", "24h", "7d")
    chances = [f"{kind}_{h}" for kind in ("unattended", "expected") for h in horizons]
    return [
        sa.Column("verdict", WORD, nullable=False),
        sa.Column("next_verdict", WORD),
        sa.Column("ratio", sa.Double),
        *(sa.Column(chance, sa.Double) for chance in chances),
        sa.Column("model_version", NAME),
        sa.Column("degraded", DOCUMENT, nullable=False),
        sa.Column("body", DOCUMENT),
    ]


sa.Table(
    "candles",
    LAID,
    sa.Column("asset", NAME, primary_key=True),
    sa.Column("kind", WORD, primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("opens_at", TIME, primary_key=True),
    sa.Column("open", sa.Double, nullable=False),
    sa.Column("high", sa.Double, nullable=False),
    sa.Column("low", sa.Double, nullable=False),
    sa.Column("close", sa.Double, nullable=False),
    sa.Column("volume", sa.Double),
    sqlite_with_rowid=False,
)

sa.Table(
    "prices",
    LAID,
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

sa.Table(
    "state",
    LAID,
    sa.Column("name", NAME, primary_key=True),
    sa.Column("at", TIME, primary_key=True),
    sa.Column("value", WHOLE, nullable=False),
    sqlite_with_rowid=False,
)

sa.Table(
    "terms",
    LAID,
    sa.Column("market", NAME, primary_key=True),
    sa.Column("valid_from", TIME, primary_key=True),
    sa.Column("body", DOCUMENT, nullable=False),
)

sa.Table(
    "funding",
    LAID,
    sa.Column("asset", NAME, primary_key=True),
    sa.Column("at", TIME, primary_key=True),
    sa.Column("rate", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

sa.Table(
    "open_interest",
    LAID,
    sa.Column("asset", NAME, primary_key=True),
    sa.Column("at", TIME, primary_key=True),
    sa.Column("amount", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

sa.Table(
    "oracle_rounds",
    LAID,
    sa.Column("feed", NAME, primary_key=True),
    sa.Column("round", NAME_100, primary_key=True),
    sa.Column("updated_at", TIME, nullable=False),
    sa.Column("answer", WHOLE, nullable=False),
    sa.Column("decimals", sa.Integer, nullable=False),
    sa.Index("oracle_rounds_by_time", "feed", "updated_at"),
)

sa.Table(
    "reserves",
    LAID,
    sa.Column("venue", NAME, primary_key=True),
    sa.Column("asset", NAME, primary_key=True),
    sa.Column("at", TIME, primary_key=True),
    sa.Column("supplied", sa.Double, nullable=False),
    sa.Column("borrowed", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

sa.Table(
    "liquidations",
    LAID,
    sa.Column("venue", NAME, primary_key=True),
    sa.Column("key", NAME, primary_key=True),
    sa.Column("account", NAME, nullable=False),
    sa.Column("at", TIME, nullable=False),
    sa.Column("collateral_asset", NAME, nullable=False),
    sa.Column("collateral", sa.String(100), nullable=False),
    sa.Column("debt_asset", NAME, nullable=False),
    sa.Column("debt", sa.String(100), nullable=False),
    sa.Index("liquidations_by_time", "venue", "at"),
)

sa.Table(
    "accounts",
    LAID,
    sa.Column("account", NAME, primary_key=True),
    sa.Column("venue", NAME, nullable=False),
    sa.Column("version", NAME),
    sa.Column("market", NAME, nullable=False),
    sa.Column("owner", NAME),
    sa.Column("opened_at", TIME),
    sa.Index("accounts_by_owner", "owner"),
)

sa.Table(
    "positions",
    LAID,
    sa.Column("account", NAME, sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("at", TIME, primary_key=True),
    sa.Column("origin", WORD, nullable=False),
    sa.Column("legs", DOCUMENT, nullable=False),
    sa.Column("options", DOCUMENT, nullable=False),
    sa.Column("terms", DOCUMENT),
    sa.Column("received_at", TIME, nullable=False),
)

sa.Table(
    "holdings",
    LAID,
    sa.Column("asset", NAME, primary_key=True),
    sa.Column("account", NAME, sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("kind", WORD, primary_key=True),
    sa.Index("holdings_by_account", "account"),
    sqlite_with_rowid=False,
)

sa.Table(
    "events",
    LAID,
    sa.Column("account", NAME, sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("key", NAME, primary_key=True),
    sa.Column("at", TIME, nullable=False),
    sa.Column("kind", WORD, nullable=False),
    sa.Column("collateral", WHOLE, nullable=False),
    sa.Column("debt", WHOLE, nullable=False),
    sa.Column("collateral_asset", NAME),
    sa.Column("debt_asset", NAME),
    sa.Column("received_at", TIME, nullable=False),
    sa.Index("events_by_time", "account", "at"),
)

sa.Table(
    "assessments",
    LAID,
    sa.Column("account", NAME, sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("at", TIME, primary_key=True),
    *_judged(),
)

sa.Table(
    "latest_assessments",
    LAID,
    sa.Column("account", NAME, sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("at", TIME, nullable=False),
    *_judged(),
    sa.Index("latest_by_ratio", "ratio", "account"),
    sa.Index("latest_by_expected_24h", "expected_24h", "account"),
)

sa.Table(
    "api_keys",
    LAID,
    sa.Column("id", WORD_40, primary_key=True),
    sa.Column("digest", sa.String(200), nullable=False),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("scopes", DOCUMENT, nullable=False),
    sa.Column("created_at", TIME, nullable=False),
    sa.Column("expires_at", TIME),
    sa.Column("revoked_at", TIME),
)

sa.Table(
    "idempotency",
    LAID,
    sa.Column("actor", NAME, primary_key=True),
    sa.Column("key", NAME, primary_key=True),
    sa.Column("digest", sa.String(200), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("answer", sa.LargeBinary),
    sa.Column("at", TIME, nullable=False),
    sa.Index("idempotency_by_time", "at"),
)

sa.Table(
    "audit",
    LAID,
    sa.Column("number", NUMBER, primary_key=True),
    sa.Column("at", TIME, nullable=False),
    sa.Column("actor", NAME, nullable=False),
    sa.Column("action", NAME, nullable=False),
    sa.Column("subject", sa.String(500), nullable=False),
    sa.Column("request_id", NAME, nullable=False),
    sa.Column("detail", DOCUMENT),
    sa.Index("audit_by_time", "at"),
)


COPIES = (
    """
    INSERT INTO accounts (account, venue, version, market, opened_at)
    SELECT account, venue, version, market, opened_at * 1000000 FROM accounts_0001
    """,
    # A position stood at the latest from the last thing that happened to it.
    """
    INSERT INTO positions (account, at, origin, legs, options, received_at)
    SELECT a.account, 1000000 * COALESCE(
        (SELECT MAX(e.at) FROM events_0001 e WHERE e.account = a.account), a.opened_at, 0
    ), 'stated', a.legs, a.options, 0
    FROM accounts_0001 a
    """,
    """
    INSERT INTO events (account, key, at, kind, collateral, debt, received_at)
    SELECT account, 'row-' || CAST(number AS VARCHAR(20)), at * 1000000, kind, collateral, debt, 0
    FROM events_0001 WHERE account IN (SELECT account FROM accounts_0001)
    """,
    """
    INSERT INTO candles (asset, kind, step, opens_at, open, high, low, close, volume)
    SELECT asset, 'spot', 3600, hour * 3600000000, open, high, low, close, volume
    FROM candles_0001
    """,
    """
    INSERT INTO prices (asset, observed_at, source, value, decimals, next_value, next_at,
        stale_after, disputed, received_at)
    SELECT asset, observed_at * 1000000, source, value, decimals, next_value, next_at * 1000000,
        stale_after * 1000000, disputed, observed_at * 1000000
    FROM prices_0001
    """,
    "INSERT INTO state (name, at, value) SELECT name, 0, value FROM state_0001",
    """
    INSERT INTO terms (market, valid_from, body)
    SELECT market, valid_from * 1000000, body FROM terms_0001
    """,
)
"""Every row of the old tables; amounts of time were whole seconds."""


def upgrade() -> None:
    """Lay the new tables beside the old ones, carry every row over, drop the old ones."""
    op.drop_index("ix_events_account", "events")
    for table in REPLACED:
        op.rename_table(table, f"{table}_0001")
    LAID.create_all(op.get_bind())
    for copy in COPIES:
        op.execute(copy)
    _hold()
    op.execute("DELETE FROM notes WHERE name = 'schema_version'")
    for table in REPLACED:
        op.drop_table(f"{table}_0001")


def _hold() -> None:
    """Note which assets each account holds."""
    positions, holdings = LAID.tables["positions"], LAID.tables["holdings"]
    stored = op.get_bind().execute(sa.select(positions.c.account, positions.c.legs)).all()
    rows = {
        (str(leg["asset"]), str(account), str(leg["kind"]))
        for account, legs in stored
        for leg in json.loads(legs)
    }
    records = [dict(zip(("asset", "account", "kind"), row, strict=True)) for row in sorted(rows)]
    op.bulk_insert(holdings, records)
