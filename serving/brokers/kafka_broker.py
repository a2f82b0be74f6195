"""What speaks Kafka's protocol, by librdkafka: Kafka, Redpanda and the queues of clouds."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage

from serving.brokers.messages import (
    EARLIEST,
    BrokerFailed,
    Message,
    MessageRefused,
    Subscription,
    dead_headers,
)

SECONDS = 10.0
COMMIT_EVERY_MS = 1000
TOPICS_EVERY_MS = 5000
"""After which a topic that was made since is read."""

SILENT_MS = 10_000
"""After which the partitions of a reader that fell silent are given to another."""

KEY = "idempotency-key"
TOO_LONG = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
NOT_YET = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._PARTITION_EOF})  # noqa: SLF001
"""What a poll reports of a topic that is still to be made, and of one read to its end."""


def settings(url: str) -> dict[str, Any]:
    """Return librdkafka's settings of a URL: hosts, user and password, and what its query names.

    >>> settings("kafka://h:9092,i:9092?client.id=desk")
    {'bootstrap.servers': 'h:9092,i:9092', 'client.id': 'desk'}
    """
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    stated: dict[str, Any] = {"bootstrap.servers": hosts, **dict(parse_qsl(parts.query))}
    if credentials:
        user, _, password = credentials.partition(":")
        stated |= {"sasl.username": unquote(user), "sasl.password": unquote(password)}
        stated.setdefault("sasl.mechanism", "PLAIN")
        stated.setdefault("security.protocol", "SASL_SSL")
    return stated


class KafkaSink:
    """Writes messages, confirmed by every replica in step.

    Parameters
    ----------
    url
        `kafka://HOST:PORT,…`, with settings of librdkafka as its query.
    """

    def __init__(self, url: str) -> None:
        limit = {"message.timeout.ms": int(SECONDS * 1000)}
        self._producer = _reached(
            Producer({"enable.idempotence": True, **limit, **settings(url), **_QUIET})
        )

    def publish(
        self,
        subject: str,
        body: bytes,
        *,
        key: str,
        headers: Mapping[str, str] | None = None,
        order: str = "",
    ) -> None:
        """Write one message; see `Sink`."""
        _publish(self._producer, subject, body, {**(headers or {}), KEY: key}, order)

    def close(self) -> None:
        """Wait for what is under way."""
        self._producer.flush(SECONDS)


def _publish(
    producer: Producer, topic: str, body: bytes, headers: Mapping[str, str], order: str
) -> None:
    """Write one message and wait until the replicas have it; raises as `Sink.publish` does."""
    answered = threading.Event()
    errors: list[KafkaError] = []

    def answer(error: KafkaError | None, _message: KafkaMessage) -> None:
        if error is not None:
            errors.append(error)
        answered.set()

    try:
        producer.produce(
            topic, body, key=order or None, headers=list(headers.items()), on_delivery=answer
        )
    except (KafkaException, BufferError) as error:
        raise _failure(error) from None
    producer.flush(2 * SECONDS)
    if not answered.is_set():
        raise BrokerFailed("Kafka: no answer")
    if errors:
        raise _failure(KafkaException(errors[0]))


class KafkaSource:
    """A member of a consumer group, which reads its partitions one message at a time.

    Messages of one partition are in order; give messages that build on each other, such as an
    account and what happened to it, one topic's partition by their key, or one partition alone.
    """

    def __init__(self, url: str, subscription: Subscription) -> None:
        self._subscription = subscription
        group = {**settings(url), **_QUIET, "group.id": subscription.group}
        self._producer = Producer({"enable.idempotence": True, **settings(url), **_QUIET})
        # Asks beside: on the connection that fetches, questions wait for messages to come.
        self._asking = _reached(Consumer({**group, "enable.auto.commit": False}))
        self._consumer = Consumer(
            {
                "auto.offset.reset": EARLIEST,
                "topic.metadata.refresh.interval.ms": TOPICS_EVERY_MS,
                "session.timeout.ms": SILENT_MS,
                **group,
                # What was acknowledged is committed in the background, and at the end.
                "enable.auto.commit": True,
                "auto.commit.interval.ms": COMMIT_EVERY_MS,
                "enable.auto.offset.store": False,
            }
        )
        self._begun: set[tuple[str, int]] = set()
        self._consumer.subscribe(list(subscription.subjects), on_assign=self._assigned)

    def _assigned(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        """Begin each partition where it is to be read again, the first time it is given here."""
        start = self._subscription.start
        if start is None:
            return
        fresh = [part for part in parts if (part.topic, part.partition) not in self._begun]
        self._begun |= {(part.topic, part.partition) for part in fresh}
        places = [self._begin(part, start) if part in fresh else part for part in parts]
        consumer.assign(places)
        if fresh:
            # The group's place is moved now, so that its lag is told from there.
            consumer.commit(offsets=places, asynchronous=False)

    def _begin(self, part: TopicPartition, start: str | int | datetime) -> TopicPartition:
        """Return the offset of a partition to begin at, within what the broker still holds."""
        low, high = self._asking.get_watermark_offsets(part, timeout=SECONDS)
        offset = low
        if isinstance(start, int):
            offset = min(max(start, low), high)
        elif isinstance(start, datetime):
            at = TopicPartition(part.topic, part.partition, int(start.timestamp() * 1000))
            (received,) = self._asking.offsets_for_times([at], timeout=SECONDS)
            offset = received.offset if received.offset >= 0 else high
        return TopicPartition(part.topic, part.partition, offset)

    def fetch(self, seconds: float) -> Sequence[Message]:
        """Return the next message; see `Source`."""
        try:
            received = self._consumer.poll(seconds)
        except KafkaException as error:
            raise _failure(error) from None
        if received is None:
            return ()
        fault = received.error()
        if fault is not None:
            if fault.code() in NOT_YET:
                return ()
            raise _failure(KafkaException(fault))
        return (_message(received),)

    def acknowledge(self, message: Message) -> None:
        """Let the offset behind a message be committed within a second."""
        try:
            self._consumer.store_offsets(message=message.handle)
        except KafkaException as error:
            raise _failure(error) from None

    def bury(self, message: Message, reason: bytes) -> None:
        """Write a message to the dead letters and commit; see `Source`."""
        topic, headers = self._subscription.dead(message.subject), dead_headers(message, reason)
        key = message.handle.key() or b""
        try:
            _publish(self._producer, topic, message.body, headers, key.decode(errors="replace"))
        except MessageRefused:  # too long with its reason; its place says where the body lies
            _publish(self._producer, topic, b"", headers, "")
        self.acknowledge(message)

    def lag(self) -> Mapping[str, int]:
        """Return by partition of every topic how many messages wait for the group."""
        start = self._subscription.start
        try:
            parts = self._partitions()
            committed = self._asking.committed(parts, timeout=SECONDS) if parts else []
            if start is not None and not self._begun:
                committed = [self._begin(part, start) for part in parts]
            return {f"{part.topic}/{part.partition}": self._behind(part) for part in committed}
        except KafkaException as error:
            raise _failure(error) from None

    def _partitions(self) -> list[TopicPartition]:
        """Return the partitions of the topics that are there."""
        topics = self._asking.list_topics(timeout=SECONDS).topics
        return [
            TopicPartition(topic, number)
            for topic in self._subscription.subjects
            if topic in topics
            for number in topics[topic].partitions
        ]

    def _behind(self, part: TopicPartition) -> int:
        """Return how many messages of a partition were not committed yet."""
        low, high = self._asking.get_watermark_offsets(part, timeout=SECONDS)
        return int(high - (part.offset if part.offset >= 0 else low))

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()
        self._asking.close()
        self._producer.flush(SECONDS)


_QUIET: Mapping[str, Any] = {"log_level": 2, "error_cb": lambda _error: None}
"""Lost connections are mended by the library, and told by what fails meanwhile."""


def _reached(client: Any) -> Any:
    """Return a client whose broker answers; raises `BrokerFailed`."""
    try:
        client.list_topics(timeout=SECONDS)
    except KafkaException as error:
        raise _failure(error) from None
    return client


def _failure(error: KafkaException | BufferError) -> BrokerFailed | MessageRefused:
    """Return what a failure means to who wrote or read."""
    cause = error.args[0] if error.args else None
    if isinstance(cause, KafkaError):
        if cause.code() in TOO_LONG:
            return MessageRefused(f"Kafka: {cause.str()}")
        return BrokerFailed(f"Kafka: {cause.str()}")
    return BrokerFailed(f"Kafka: {error}")


def _message(received: KafkaMessage) -> Message:
    """Return a message as the rest reads it."""
    stated = dict(received.headers() or ())
    headers = {
        name.lower(): value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        for name, value in stated.items()
    }
    topic = received.topic() or ""
    return Message(
        subject=topic,
        place=f"{topic}/{received.partition()}/{received.offset()}",
        body=received.value() or b"",
        headers=headers,
        handle=received,
    )
