"""Number changes in the order of commits; tie an acknowledgement to the entry of a level."""

import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _name(length: int) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes on either database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Lay the tables and carry over acknowledgements; what stands is change number 1."""
    op.create_table(
        "changes",
        sa.Column("topic", _name(20), primary_key=True),
        sa.Column("subject", _name(200), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("changes_by_number", "changes", ["topic", "number"])
    op.create_table(
        "change_count",
        sa.Column("name", _name(20), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO change_count (name, number) VALUES ('changes', 1)")
    op.execute(
        """
        INSERT INTO changes (topic, subject, number, at)
        SELECT 'prices', '', 1, received_at FROM (
            SELECT received_at FROM prices ORDER BY received_at DESC LIMIT 1
        ) AS newest
        """
    )
    op.execute(
        """
        INSERT INTO changes (topic, subject, number, at)
        SELECT 'accounts', account, 1, received_at FROM (
            SELECT account, received_at FROM (
                SELECT account, received_at FROM positions
                UNION ALL SELECT account, received_at FROM events
            ) AS every ORDER BY received_at DESC LIMIT 1
        ) AS newest
        """
    )
    op.add_column("alert_wishes", sa.Column("acknowledged_entry", sa.BigInteger))
    _carry_over()
    op.drop_column("alert_wishes", "acknowledged_episode")
    op.drop_column("alert_wishes", "acknowledged_level")


def _carry_over() -> None:
    """Name the entry of the level that each acknowledgement was given for."""
    connection = op.get_bind()
    chosen = """
        SELECT w.account, w.acknowledged_episode, w.acknowledged_level, s.body
        FROM alert_wishes AS w JOIN alert_states AS s ON s.account = w.account
    """
    statement = sa.text("UPDATE alert_wishes SET acknowledged_entry = :at WHERE account = :account")
    for account, episode, level, text in connection.execute(sa.text(chosen)).all():
        body = json.loads(text)
        if body["episode"] == episode and (level or 0) >= body["level"] and body["entered_at"]:
            entered = datetime.fromisoformat(body["entered_at"])
            at = (entered - EPOCH) // timedelta(microseconds=1)
            connection.execute(statement, {"at": at, "account": account})
