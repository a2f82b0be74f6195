"""The tables of the store as its newest revision lays them.

Times are microseconds since 1970 (UTC), exact amounts decimal text, trees JSON text. What is
known is added to, not written over: prices, positions, accumulators and terms keep every version
with the time from which it was known, so that a question about the past is answered as it
would have been answered then.

Prices, state and terms carry the venue, market and chain that they belong to. All three are empty
for a spot price, which belongs to its asset alone; an empty venue of state or terms marks what was
written before markets were told apart and could not be placed: it is kept, and judges nobody.

A table whose changes are numbered says so: `topic` names what a change of it is a change of,
`subject` the column that says of which one.
"""

import sqlalchemy as sa

from models.horizons import PROBABILITIES
from serving.store.columns import Document, Duration, Time, Whole, name, number

METADATA = sa.MetaData()
HEAD = "0023"
"""The newest revision in `migrations/versions`."""


def _market() -> list["sa.Column[str]"]:
    """Return the columns of a market, the first of a key."""
    lengths = {"venue": 200, "market": 200, "chain": 40}
    return [sa.Column(part, name(size), primary_key=True) for part, size in lengths.items()]


NOTES = sa.Table(
    "notes",
    METADATA,
    sa.Column("name", name(100), primary_key=True),
    sa.Column("value", sa.String(200), nullable=False),
)

CANDLES = sa.Table(
    "candles",
    METADATA,
    sa.Column("asset", name(), primary_key=True),
    sa.Column("kind", name(20), primary_key=True),  # spot, perp, mark, index
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),  # seconds
    sa.Column("opens_at", Time, primary_key=True),  # known at opens_at + step
    sa.Column("open", sa.Double, nullable=False),
    sa.Column("high", sa.Double, nullable=False),
    sa.Column("low", sa.Double, nullable=False),
    sa.Column("close", sa.Double, nullable=False),
    sa.Column("volume", sa.Double),  # base units; marks and indices have none
    sqlite_with_rowid=False,
    info={"topic": "candles"},
)

PRICES = sa.Table(
    "prices",
    METADATA,
    *_market(),
    sa.Column("asset", name(), primary_key=True),
    sa.Column("observed_at", Time, primary_key=True),
    sa.Column("source", name(), primary_key=True),
    sa.Column("value", Whole, nullable=False),  # at `decimals`, as bid, ask and next_value
    sa.Column("decimals", sa.Integer, nullable=False),
    sa.Column("bid", Whole),
    sa.Column("ask", Whole),
    sa.Column("next_value", Whole),
    sa.Column("next_at", Time),
    sa.Column("stale_after", Duration),
    sa.Column("disputed", sa.String(200)),
    sa.Column("received_at", Time, nullable=False),
    sqlite_with_rowid=False,
    info={"topic": "prices"},
)

STATE = sa.Table(
    "state",
    METADATA,
    *_market(),
    sa.Column("name", name(), primary_key=True),
    sa.Column("at", Time, primary_key=True),
    sa.Column("value", Whole, nullable=False),
    sqlite_with_rowid=False,
    info={"topic": "state"},
)

TERMS = sa.Table(
    "terms",
    METADATA,
    *_market(),
    sa.Column("valid_from", Time, primary_key=True),
    sa.Column("body", Document, nullable=False),  # exact integers as text
    info={"topic": "terms"},
)

FUNDING = sa.Table(
    "funding",
    METADATA,
    sa.Column("asset", name(), primary_key=True),
    sa.Column("at", Time, primary_key=True),
    sa.Column("rate", sa.Double, nullable=False),  # fraction of notional, paid by longs
    sqlite_with_rowid=False,
    info={"topic": "series"},
)

OPEN_INTEREST = sa.Table(
    "open_interest",
    METADATA,
    sa.Column("asset", name(), primary_key=True),
    sa.Column("at", Time, primary_key=True),
    sa.Column("amount", sa.Double, nullable=False),  # base units
    sqlite_with_rowid=False,
    info={"topic": "series"},
)

ORACLE_ROUNDS = sa.Table(
    "oracle_rounds",
    METADATA,
    sa.Column("feed", name(), primary_key=True),
    sa.Column("round", name(100), primary_key=True),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("answer", Whole, nullable=False),  # at `decimals`
    sa.Column("decimals", sa.Integer, nullable=False),
    sa.Index("oracle_rounds_by_time", "feed", "updated_at"),
    info={"topic": "series"},
)

RESERVES = sa.Table(
    "reserves",
    METADATA,
    sa.Column("venue", name(), primary_key=True),
    sa.Column("asset", name(), primary_key=True),
    sa.Column("at", Time, primary_key=True),
    sa.Column("supplied", sa.Double, nullable=False),  # quote units
    sa.Column("borrowed", sa.Double, nullable=False),
    sqlite_with_rowid=False,
    info={"topic": "series"},
)

LIQUIDATIONS = sa.Table(
    "liquidations",
    METADATA,
    sa.Column("venue", name(), primary_key=True),
    sa.Column("key", name(), primary_key=True),
    sa.Column("account", name(), nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("collateral_asset", name(), nullable=False),
    sa.Column("collateral", sa.String(100), nullable=False),  # exact decimal, whole units
    sa.Column("debt_asset", name(), nullable=False),
    sa.Column("debt", sa.String(100), nullable=False),
    sa.Index("liquidations_by_time", "venue", "at"),
)

ACCOUNTS = sa.Table(
    "accounts",
    METADATA,
    sa.Column("account", name(), primary_key=True),
    sa.Column("venue", name(), nullable=False),
    sa.Column("version", name()),
    sa.Column("market", name(), nullable=False),
    sa.Column("chain", name(40), nullable=False, server_default=""),
    sa.Column("owner", name()),
    sa.Column("opened_at", Time),
    sa.Index("accounts_by_owner", "owner"),
    sa.Index("accounts_by_market", "venue", "market", "chain"),
    info={"topic": "accounts", "subject": "account"},
)

POSITIONS = sa.Table(
    "positions",
    METADATA,
    sa.Column("account", name(), sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("at", Time, primary_key=True),  # from when it stood
    sa.Column("origin", name(20), nullable=False),  # stated, or reckoned from events
    sa.Column("legs", Document, nullable=False),  # as in a request
    sa.Column("options", Document, nullable=False),
    sa.Column("terms", Document),
    sa.Column("received_at", Time, nullable=False),
    info={"topic": "accounts", "subject": "account"},
)

HOLDINGS = sa.Table(
    "holdings",
    METADATA,
    sa.Column("asset", name(), primary_key=True),
    sa.Column("account", name(), sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("kind", name(20), primary_key=True),
    sa.Index("holdings_by_account", "account"),
    sqlite_with_rowid=False,
)
"""Which assets the latest position of each account holds, to be searched by asset."""

EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("account", name(), sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("key", name(), primary_key=True),  # such as transaction hash and log index
    sa.Column("at", Time, nullable=False),
    sa.Column("kind", name(20), nullable=False),
    sa.Column("collateral", Whole, nullable=False),  # unsigned, smallest units
    sa.Column("debt", Whole, nullable=False),
    sa.Column("collateral_asset", name()),  # the account's only one when null
    sa.Column("debt_asset", name()),
    sa.Column("received_at", Time, nullable=False),
    sa.Index("events_by_time", "account", "at"),
    info={"topic": "accounts", "subject": "account"},
)


def _judged() -> list["sa.Column[object]"]:
    """Return the columns of an assessment that are searched and drawn."""
    return [
        sa.Column("verdict", name(20), nullable=False),
        sa.Column("next_verdict", name(20)),
        sa.Column("ratio", sa.Double),
        sa.Column("credit", sa.Double),  # quote units, as the next
        sa.Column("requirement", sa.Double),
        sa.Column("collateral_value", sa.Double),
        sa.Column("distance", sa.Double),  # share that the price must move to the line
        sa.Column("trigger_asset", name()),  # null where the whole market moves
        sa.Column("trigger_side", name(8)),  # below or above
        sa.Column("trigger_price", sa.Double),
        *(sa.Column(chance, sa.Double) for chance in PROBABILITIES),
        sa.Column("model_version", name()),
        sa.Column("degraded", Document, nullable=False),  # list of codes
        sa.Column("body", Document),  # the whole answer, where it was kept
    ]


ASSESSMENTS = sa.Table(
    "assessments",
    METADATA,
    sa.Column("account", name(), sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("at", Time, primary_key=True),
    *_judged(),
)

LATEST_ASSESSMENTS = sa.Table(
    "latest_assessments",
    METADATA,
    sa.Column("account", name(), sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("at", Time, nullable=False),
    *_judged(),
    sa.Column("rank", sa.Double, nullable=False, server_default="0"),  # the riskiest is least
    sa.Index("latest_by_ratio", "ratio", "account"),
    sa.Index("latest_by_distance", "distance", "account"),
    sa.Index("latest_by_rank", "rank", "account"),
    sa.Index("latest_by_time", "at"),
)
"""The newest assessment of every account, to be filtered and sorted."""

for _largest_first in ("expected_24h", "collateral_value", "requirement"):
    sa.Index(
        f"latest_by_{_largest_first}",
        LATEST_ASSESSMENTS.c[_largest_first].desc(),
        LATEST_ASSESSMENTS.c.account,
    )

BOOK_SUMS = sa.Table(
    "book_sums",
    METADATA,
    sa.Column("name", name(), primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("body", Document, nullable=False),
)
"""The whole book in sum, as whoever watches it wrote it last."""

BOOK_COURSE = sa.Table(
    "book_course",
    METADATA,
    sa.Column("hour", Time, primary_key=True),
    sa.Column("venue", name(), primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("accounts", sa.Integer, nullable=False),  # that have a forecast
    *(sa.Column(chance, sa.Double, nullable=False) for chance in PROBABILITIES),
)
"""How many liquidations were expected of each venue, as first said within every hour."""

DRIFT_REPORTS = sa.Table(
    "drift_reports",
    METADATA,
    sa.Column("model_version", name(), primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("body", Document, nullable=False),
)
"""What was last found of each model's drift."""

FORECASTS = sa.Table(
    "forecasts",
    METADATA,
    sa.Column("account", name(), sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("at", Time, primary_key=True),
    sa.Column("model_version", name(), primary_key=True),
    sa.Column("role", name(20), nullable=False),  # champion or challenger
    *(sa.Column(chance, sa.Double) for chance in PROBABILITIES),
    sa.Column("features", Document),  # by name; null where another row of the moment has them
    sa.Index("forecasts_by_time", "at"),
)
"""What every bundle in use said of the same account at the same moment, the rule left out."""

API_KEYS = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("id", name(40), primary_key=True),
    sa.Column("digest", sa.String(200), nullable=False),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("scopes", Document, nullable=False),  # list of names
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time),
    sa.Column("revoked_at", Time),
)

IDEMPOTENCY = sa.Table(
    "idempotency",
    METADATA,
    sa.Column("actor", name(), primary_key=True),
    sa.Column("key", name(), primary_key=True),
    sa.Column("digest", sa.String(200), nullable=False),  # of route and body
    sa.Column("status", sa.Integer),  # null until the answer is kept
    sa.Column("answer", sa.LargeBinary),
    sa.Column("at", Time, nullable=False),
    sa.Index("idempotency_by_time", "at"),
)

AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("number", number(), primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("actor", name(), nullable=False),
    sa.Column("action", name(), nullable=False),
    sa.Column("subject", sa.String(500), nullable=False),
    sa.Column("request_id", name(), nullable=False),
    sa.Column("detail", Document),
    sa.Index("audit_by_time", "at"),
)

CHANGES = sa.Table(
    "changes",
    METADATA,
    sa.Column("topic", name(20), primary_key=True),
    sa.Column("subject", name(), primary_key=True),  # empty for a topic as a whole
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("at", Time),  # when it was received, where the writer says so
    sa.Index("changes_by_number", "topic", "number"),
    sqlite_with_rowid=False,
)
"""The number of the last change of everything that is watched; see `changes`."""

CHANGE_COUNT = sa.Table(
    "change_count",
    METADATA,
    sa.Column("name", name(20), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)
"""One row: the number of the last change that was committed."""

IMPACT_QUOTES = sa.Table(
    "impact_quotes",
    METADATA,
    sa.Column("asset", name(), primary_key=True),
    sa.Column("quote", name(), primary_key=True),
    sa.Column("measured_at", Time, primary_key=True),
    sa.Column("received_at", Time, nullable=False),
    sa.Column("quotes", Document, nullable=False),  # [amount, impact] each, in text
    sqlite_with_rowid=False,
)

BLOCK_SPACE = sa.Table(
    "block_space",
    METADATA,
    sa.Column("chain", name(40), primary_key=True),
    sa.Column("measured_at", Time, primary_key=True),
    sa.Column("received_at", Time, nullable=False),
    sa.Column("body", Document, nullable=False),  # as it was pushed
    sqlite_with_rowid=False,
)

BOOK_FORECASTS = sa.Table(
    "book_forecasts",
    METADATA,
    sa.Column("id", name(), primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("status", name(20), nullable=False),  # running, done, stopping, stopped, failed
    sa.Column("done", sa.Double, nullable=False),  # share of the scenarios
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("request", Document, nullable=False),
    sa.Column("body", Document),
    sa.Index("book_forecasts_by_time", "at"),
)

RECOMMENDATIONS = sa.Table(
    "recommendations",
    METADATA,
    sa.Column("id", name(), primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("status", name(20), nullable=False),  # running, done, failed
    sa.Column("tried", sa.Integer, nullable=False),  # candidates judged so far
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("request", Document, nullable=False),
    sa.Column("body", Document),
    sa.Index("recommendations_by_time", "at"),
)


OPT_OUTS = sa.Table(
    "conduct_opt_outs",
    METADATA,
    sa.Column("owner", name(), primary_key=True),
    sa.Column("at", Time, nullable=False),
)
"""Owners who asked that their conduct be not scored."""

ALLOCATIONS = sa.Table(
    "allocations",
    METADATA,
    sa.Column("id", name(), primary_key=True),
    sa.Column("status", name(20), nullable=False),  # running, done, failed
    sa.Column("begun_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("request", Document, nullable=False),
    sa.Column("body", Document),
    sa.Index("allocations_by_time", "begun_at"),
)
"""Allocations that take long, asked for and answered later."""
