"""The tables of connections: what is followed, how far, and whether the rules agree with it."""

import sqlalchemy as sa

from serving.store.columns import Document, Time, name
from serving.store.schema import METADATA

CONNECTIONS = sa.Table(
    "connections",
    METADATA,
    sa.Column("name", name(100), primary_key=True),
    sa.Column("body", Document, nullable=False),  # what is followed; no secret in it
    sa.Column("sealed", sa.LargeBinary),  # secrets under a key that the store does not have
    sa.Column("created_at", Time, nullable=False),
    sa.Column("status", Document),  # as it was last told; null before it began
    sa.Column("status_at", Time),
)

CONNECTION_BLOCKS = sa.Table(
    "connection_blocks",
    METADATA,
    sa.Column("connection", name(100), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.String(100), nullable=False),
    sa.Column("parent", sa.String(100), nullable=False),
    sa.Column("at", Time, nullable=False),
    sqlite_with_rowid=False,
)
"""The last blocks that were written, by which a re-organisation is recognised."""

RULE_CHECKS = sa.Table(
    "rule_checks",
    METADATA,
    sa.Column("account", name(), sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("connection", name(100), nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("block", sa.BigInteger, nullable=False),
    sa.Column("differs_since", Time),  # null where the rules and the venue agree
    sa.Column("differences", Document, nullable=False),
    sa.Index("rule_checks_by_connection", "connection"),
    sa.Index("rule_checks_that_differ", "differs_since"),
)
"""Whether the rules said of each account what its venue said, when it was last compared."""

RULE_MISMATCHES = sa.Table(
    "rule_mismatches",
    METADATA,
    sa.Column("account", name(), sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("at", Time, primary_key=True),
    sa.Column("connection", name(100), nullable=False),
    sa.Column("block", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(100), nullable=False),
    sa.Column("differences", Document, nullable=False),
)
"""Every block at which they began to differ, or differed otherwise than before."""

VENUE_ACCOUNTS = sa.Table(
    "venue_accounts",
    METADATA,
    sa.Column("account", name(), sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("connection", name(100), nullable=False),
    sa.Column("read_at", Time, nullable=False),  # when all of it was read last
    sa.Column("refused", sa.String(200)),  # why the rules do not judge it; null where they do
    sa.Column("figures", Document, nullable=False),
    sa.Index("venue_accounts_by_connection", "connection"),
    sa.Index("venue_accounts_by_time", "read_at"),
)
"""What exchanges say of their accounts: their own figures beside those of the rules."""
