"""The tables of governance: the log, proposals, votes, and what is governed by documents."""

import sqlalchemy as sa

from serving.store.columns import Document, Time, name
from serving.store.schema import METADATA

LOG = sa.Table(
    "log",
    METADATA,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("action", name(), nullable=False),
    sa.Column("subject", sa.String(500), nullable=False),
    sa.Column("entry", sa.LargeBinary, nullable=False),  # canonical JSON, as it is hashed
    sa.Column("chain", sa.String(64), nullable=False),  # after the entry
    sa.Column("edge", sa.Text, nullable=False),  # whole subtrees after the entry
    sa.Index("log_by_subject", "subject", "number"),
)

PROPOSALS = sa.Table(
    "proposals",
    METADATA,
    sa.Column("id", name(40), primary_key=True),
    sa.Column("state", name(20), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("body", Document, nullable=False),
    sa.Index("proposals_by_state", "state", "id"),
)

VOTES = sa.Table(
    "votes",
    METADATA,
    sa.Column("proposal", name(40), sa.ForeignKey("proposals.id"), primary_key=True),
    sa.Column("voter", name(), primary_key=True),
    sa.Column("choice", name(20), nullable=False),
    sa.Column("at", Time, nullable=False),
)

GOVERNED = sa.Table(
    "governed",
    METADATA,
    sa.Column("name", name(), primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("actor", name(), nullable=False),
    sa.Column("body", Document, nullable=False),
)
"""Documents in force by name: bounds, the governance policy, breakers and their states."""
