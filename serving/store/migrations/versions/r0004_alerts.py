"""Alerts: states, transitions, receivers and their channels, the outbox, leases."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TIME = sa.BigInteger
DOCUMENT = sa.Text
WHOLE = sa.Integer
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _name(length: int) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


NAME, NAME_500, NAME_100, WORD_40, WORD = (_name(n) for n in (200, 500, 100, 40, 20))


def upgrade() -> None:
    """Lay the tables of alerts."""
    _states()
    _receivers()
    _outbox()
    _turns()


def _states() -> None:
    """Lay states, transitions and wishes."""
    op.create_table(
        "alert_states",
        sa.Column("account", NAME, primary_key=True),
        sa.Column("level", WHOLE, nullable=False),
        sa.Column("body", DOCUMENT, nullable=False),
    )
    op.create_index("alert_states_by_level", "alert_states", ["level", "account"])
    op.create_table(
        "alert_signals",
        sa.Column("account", NAME, primary_key=True),
        sa.Column("at", TIME, primary_key=True),
        sa.Column("body", DOCUMENT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("alert_signals_by_time", "alert_signals", ["at"])
    op.create_table(
        "alert_transitions",
        sa.Column("account", NAME, primary_key=True),
        sa.Column("episode", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("number", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("was", WHOLE, nullable=False),
        sa.Column("level", WHOLE, nullable=False),
        sa.Column("route", WORD, nullable=False),
        sa.Column("body", DOCUMENT, nullable=False),
    )
    op.create_index("alert_transitions_by_time", "alert_transitions", ["at"])
    op.create_table(
        "alert_wishes",
        sa.Column("account", NAME, primary_key=True),
        sa.Column("acknowledged_episode", WHOLE),
        sa.Column("acknowledged_level", WHOLE),
        sa.Column("muted_until", TIME),
    )


def _receivers() -> None:
    """Lay receivers, what they hear of, their channels and consents."""
    op.create_table(
        "alert_receivers",
        sa.Column("receiver", NAME, primary_key=True),
        sa.Column("audience", WORD, nullable=False),
        sa.Column("language", WORD, nullable=False),
        sa.Column("quiet", DOCUMENT),
        sa.Column("inbox", DOCUMENT),
        sa.Column("waits", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    receiver = "alert_receivers.receiver"
    op.create_table(
        "alert_covered",
        sa.Column("account", NAME, primary_key=True),
        sa.Column("receiver", NAME, sa.ForeignKey(receiver), primary_key=True),
    )
    op.create_index("alert_covered_by_receiver", "alert_covered", ["receiver"])
    op.create_table(
        "alert_channels",
        sa.Column("id", WORD_40, primary_key=True),
        sa.Column("receiver", NAME, sa.ForeignKey(receiver), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("secrets", DOCUMENT, nullable=False),
        sa.Column("rank", WHOLE, nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("code_digest", NAME_100),
        sa.Column("code_until", TIME),
        sa.Column("code_tries", WHOLE, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("alert_channels_by_receiver", "alert_channels", ["receiver"])
    op.create_table(
        "alert_consents",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("receiver", NAME, nullable=False),
        sa.Column("channel", WORD_40, nullable=False),
        sa.Column("action", WORD, nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("detail", DOCUMENT),
    )


def _outbox() -> None:
    """Lay what is to be sent."""
    op.create_table(
        "alert_outbox",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("key", NAME_500, nullable=False),
        sa.Column("channel", WORD_40, sa.ForeignKey("alert_channels.id"), nullable=False),
        sa.Column("receiver", NAME, nullable=False),
        sa.Column("stream", NAME, nullable=False),
        sa.Column("urgency", WHOLE, nullable=False),
        sa.Column("body", DOCUMENT, nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("attempts", WHOLE, nullable=False),
        sa.Column("holder", NAME_100),
        sa.Column("leased_until", TIME),
        sa.Column("settled_at", TIME),
        sa.Column("error", sa.String(500)),
        sa.UniqueConstraint("key", "channel", name="alert_outbox_once"),
    )
    turn, stream = ["status", "urgency", "number"], ["channel", "stream", "status", "number"]
    op.create_index("alert_outbox_by_turn", "alert_outbox", turn)
    op.create_index("alert_outbox_by_stream", "alert_outbox", stream)


def _turns() -> None:
    """Lay leases and heartbeats."""
    op.create_table(
        "leases",
        sa.Column("name", NAME_100, primary_key=True),
        sa.Column("holder", NAME_100, nullable=False),
        sa.Column("until", TIME, nullable=False),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", NAME_100, primary_key=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("detail", DOCUMENT),
    )
