"""The types of the store's columns: how Python's values stand in both databases."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(separators=(",", ":")).encode


def microseconds(at: datetime) -> int:
    """Return an aware time as microseconds since 1970, exactly."""
    return (at - EPOCH) // MICROSECOND


class Time(sa.TypeDecorator[datetime]):
    """An aware UTC time, kept as microseconds since 1970."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return what the database keeps."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the time."""
        return None if value is None else EPOCH + value * MICROSECOND


class Duration(sa.TypeDecorator[timedelta]):
    """A length of time, kept as microseconds."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return what the database keeps."""
        return None if value is None else value // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> timedelta | None:  # noqa: ARG002
        """Return the length of time."""
        return None if value is None else value * MICROSECOND


class Whole(sa.TypeDecorator[int]):
    """An exact integer of any size, kept as decimal text."""

    impl = sa.String(100)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return what the database keeps."""
        return None if value is None else str(int(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return the integer."""
        return None if value is None else int(value)


class Document(sa.TypeDecorator[Any]):
    """A tree of JSON, kept as text so that no database touches its numbers."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return what the database keeps."""
        return None if value is None else _encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """Return the tree."""
        return None if value is None else json.loads(value)


def name(length: int = 200) -> sa.types.TypeEngine[str]:
    """Return the type of a name, ordered by its bytes on either database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def number() -> sa.types.TypeEngine[int]:
    """Return the type of a running number, which SQLite counts only as INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def insertion(dialect: str, table: sa.Table) -> Any:
    """Return an insertion that takes an `ON CONFLICT` clause, for a dialect of that name."""
    return {"sqlite": sqlite, "postgresql": postgresql}[dialect].insert(table)
