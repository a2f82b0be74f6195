"""The tables of orders: what owners allow keepers, and every order with what became of it."""

import sqlalchemy as sa

from serving.store.columns import Document, Time, name
from serving.store.schema import METADATA

MANDATES = sa.Table(
    "mandates",
    METADATA,
    sa.Column("id", name(40), primary_key=True),
    sa.Column("owner", name(), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Column("ended_at", Time),  # before it expired, by whom allowed it
    sa.Column("body", Document, nullable=False),
    sa.Index("mandates_by_owner", "owner", "id"),
)

MANDATE_ACCOUNTS = sa.Table(
    "mandate_accounts",
    METADATA,
    sa.Column("account", name(), sa.ForeignKey("accounts.account"), primary_key=True),
    sa.Column("mandate", name(40), sa.ForeignKey("mandates.id"), primary_key=True),
    sa.Index("mandate_accounts_by_mandate", "mandate"),
)
"""Which accounts a mandate covers, to be searched by account."""

ORDERS = sa.Table(
    "orders",
    METADATA,
    sa.Column("id", name(40), primary_key=True),
    sa.Column("mandate", name(40), sa.ForeignKey("mandates.id"), nullable=False),
    sa.Column("account", name(), nullable=False),  # empty where it covers several
    sa.Column("trigger", name(260), nullable=False),
    sa.Column("live", name(260), unique=True),  # the trigger while it is held, null afterwards
    sa.Column("state", name(20), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("made_at", Time, nullable=False),
    sa.Column("moved_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Column("value", sa.String(300), nullable=False),  # quote units, exact
    sa.Column("counts", sa.Boolean, nullable=False),  # against the budget
    sa.Column("body", Document, nullable=False),  # as it was signed
    sa.Column("seal", Document),  # signature; null where it was refused
    sa.Column("course", Document, nullable=False),  # what became of it
    sa.Index("orders_by_state", "state", "id"),
    sa.Index("orders_by_account", "account", "id"),
    sa.Index("orders_by_mandate", "mandate", "made_at"),
    sa.Index("orders_by_trigger", "trigger", "id"),
)
