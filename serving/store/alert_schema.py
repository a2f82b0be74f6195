"""The tables of alerts: states, transitions, receivers, their channels, and what is to be sent."""

import sqlalchemy as sa

from serving.store.columns import Document, Time, name, number
from serving.store.schema import METADATA

ALERT_STATES = sa.Table(
    "alert_states",
    METADATA,
    sa.Column("account", name(), primary_key=True),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("body", Document, nullable=False),
    sa.Index("alert_states_by_level", "level", "account"),
)

ALERT_SIGNALS = sa.Table(
    "alert_signals",
    METADATA,
    sa.Column("account", name(), primary_key=True),
    sa.Column("at", Time, primary_key=True),
    sa.Column("body", Document, nullable=False),
    sa.Index("alert_signals_by_time", "at"),
    sqlite_with_rowid=False,
)
"""What a policy looked at, thinned; what another one would have said is told from it."""

ALERT_TRANSITIONS = sa.Table(
    "alert_transitions",
    METADATA,
    sa.Column("account", name(), primary_key=True),
    sa.Column("episode", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("kind", name(20), nullable=False),
    sa.Column("was", sa.Integer, nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("route", name(20), nullable=False),
    sa.Column("body", Document, nullable=False),
    sa.Index("alert_transitions_by_time", "at"),
)
"""Everything that ever changed; who was warned when is read from here."""

ALERT_WISHES = sa.Table(
    "alert_wishes",
    METADATA,
    sa.Column("account", name(), primary_key=True),
    sa.Column("acknowledged_entry", Time),  # when the acknowledged level was entered
    sa.Column("muted_until", Time),
    info={"topic": "wishes", "subject": "account"},
)
"""What people asked for; written by them alone, as states are by the watcher alone."""

RECEIVERS = sa.Table(
    "alert_receivers",
    METADATA,
    sa.Column("receiver", name(), primary_key=True),
    sa.Column("audience", name(20), nullable=False),  # owner, or desk for every account
    sa.Column("language", name(20), nullable=False),
    sa.Column("quiet", Document),
    sa.Column("inbox", Document),
    sa.Column("waits", sa.Boolean, nullable=False),  # whether a digest is being gathered
    sa.Column("created_at", Time, nullable=False),
    info={"topic": "receivers", "subject": "receiver"},
)

COVERED = sa.Table(
    "alert_covered",
    METADATA,
    sa.Column("account", name(), primary_key=True),
    sa.Column("receiver", name(), sa.ForeignKey("alert_receivers.receiver"), primary_key=True),
    sa.Index("alert_covered_by_receiver", "receiver"),
)

CHANNELS = sa.Table(
    "alert_channels",
    METADATA,
    sa.Column("id", name(40), primary_key=True),
    sa.Column("receiver", name(), sa.ForeignKey("alert_receivers.receiver"), nullable=False),
    sa.Column("kind", name(20), nullable=False),  # of `serving.notify.channels.KINDS`
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("secrets", Document, nullable=False),  # of a webhook, the one in use first
    sa.Column("rank", sa.Integer, nullable=False),  # 0 is told first, the next on its failure
    sa.Column("status", name(20), nullable=False),  # unverified, verified, stopped
    sa.Column("code_digest", name(100)),
    sa.Column("code_until", Time),
    sa.Column("code_tries", sa.Integer, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),  # since it last took one
    sa.Column("failing_since", Time),
    sa.Column("rest_until", Time),  # nothing is tried before
    sa.Column("error", sa.String(500)),  # of the last failure
    sa.Column("fault", sa.String(500)),  # why those who send cannot use it at all
    sa.Index("alert_channels_by_receiver", "receiver"),
)

CONSENTS = sa.Table(
    "alert_consents",
    METADATA,
    sa.Column("number", number(), primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("receiver", name(), nullable=False),
    sa.Column("channel", name(40), nullable=False),
    sa.Column("action", name(20), nullable=False),
    sa.Column("actor", name(), nullable=False),
    sa.Column("detail", Document),
)
"""Who agreed to what, when, and who ended it; never changed, only added to."""

OUTBOX = sa.Table(
    "alert_outbox",
    METADATA,
    sa.Column("number", number(), primary_key=True),
    sa.Column("key", name(500), nullable=False),
    sa.Column("channel", name(40), sa.ForeignKey("alert_channels.id"), nullable=False),
    sa.Column("receiver", name(), nullable=False),
    sa.Column("stream", name(), nullable=False),  # account whose messages keep their order
    sa.Column("urgency", sa.Integer, nullable=False),  # 0 is critical
    sa.Column("body", Document, nullable=False),
    sa.Column("status", name(20), nullable=False),  # waiting, sent, dead, stopped
    sa.Column("created_at", Time, nullable=False),
    sa.Column("due_at", Time, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("holder", name(100)),
    sa.Column("leased_until", Time),
    sa.Column("settled_at", Time),
    sa.Column("error", sa.String(500)),
    sa.UniqueConstraint("key", "channel", name="alert_outbox_once"),
    sa.Index("alert_outbox_by_turn", "status", "urgency", "number"),
    sa.Index("alert_outbox_by_stream", "channel", "stream", "status", "number"),
)

LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", name(100), primary_key=True),
    sa.Column("holder", name(100), nullable=False),
    sa.Column("until", Time, nullable=False),
)

HEARTBEATS = sa.Table(
    "heartbeats",
    METADATA,
    sa.Column("name", name(100), primary_key=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("detail", Document),
)
