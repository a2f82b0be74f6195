"""What is written to and read from a broker: messages, sinks, and sources that keep order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from models.errors import ForewarnError

DEAD = "dead"
"""Part of a subject under which messages lie that could not be taken."""

EARLIEST = "earliest"


class BrokerFailed(ForewarnError):  # noqa: N818 - named for what happened
    """The broker was not reached, or did not confirm in time; worth another attempt."""


class MessageRefused(ForewarnError):  # noqa: N818 - named for what happened
    """The broker will never take this message, such as one that is too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as it was read.

    Parameters
    ----------
    subject
        NATS subject, or Kafka topic.
    place
        Where it stands, once and for all: stream and sequence, or topic, partition and offset.
    headers
        Names in lower case.
    handle
        The client library's own object, by which it is acknowledged.
    """

    subject: str
    place: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    handle: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What is read, and as whom.

    Parameters
    ----------
    prefix
        Of every subject: `PREFIX.KIND` is read, and `PREFIX.dead.KIND` takes what was refused.
    kinds
        Last part of the subjects that are read.
    group
        Consumer group (Kafka), or durable consumer (NATS): it shares one place in the stream.
    start
        Where the group is to begin again, whatever it has read: `earliest`, a sequence or offset,
        or an aware time; None to go on where it stands.
    """

    prefix: str
    kinds: Sequence[str]
    group: str
    start: str | int | datetime | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects or topics that are read."""
        return tuple(f"{self.prefix}.{kind}" for kind in self.kinds)

    def dead(self, subject: str) -> str:
        """Return where a refused message of a subject goes."""
        return f"{self.prefix}.{DEAD}.{subject.rpartition('.')[2]}"


class Sink(Protocol):
    """Writes messages."""

    def publish(
        self,
        subject: str,
        body: bytes,
        *,
        key: str,
        headers: Mapping[str, str] | None = None,
        order: str = "",
    ) -> None:
        """Write one message and return when the broker has it.

        Parameters
        ----------
        key
            The message's own, the same on every attempt: readers know a repeat by it.
        order
            Messages of one order are read in order; of none, as the broker spreads them.

        Raises
        ------
        BrokerFailed
            When it is not known to have arrived.
        MessageRefused
            When it never will.
        """

    def close(self) -> None:
        """End the connection."""


class Source(Protocol):
    """Reads messages in the order of the stream, each at least once.

    No message is given before the one before it, of its partition, was acknowledged or given to
    the same reader: what a reader that died had not acknowledged comes first.
    """

    def fetch(self, seconds: float) -> Sequence[Message]:
        """Return the next messages, or none after some seconds.

        Raises
        ------
        BrokerFailed
            When the broker was not reached.
        """

    def acknowledge(self, message: Message) -> None:
        """Say that a message needs never be read again; raises `BrokerFailed`."""

    def bury(self, message: Message, reason: bytes) -> None:
        """Write a message, with why it was refused, to the dead letters, and acknowledge it."""

    def lag(self) -> Mapping[str, int]:
        """Return by stream or partition how many messages wait; raises `BrokerFailed`."""

    def close(self) -> None:
        """Leave the group."""


def dead_headers(message: Message, reason: bytes) -> dict[str, str]:
    """Return the headers of a dead letter: why, and where it stood."""
    return {
        **message.headers,
        "forewarn-reason": reason.decode(),
        "forewarn-subject": message.subject,
        "forewarn-place": message.place,
    }
