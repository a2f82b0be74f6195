"""NATS JetStream by its own client, which lives on an event loop in a thread of its own.

The loop goes on while the reader writes into the store, so that the server hears of the connection
and of the message under way meanwhile.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, MaxPayloadError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig
from nats.js.errors import APIError, NotFoundError

from serving.brokers.messages import (
    DEAD,
    EARLIEST,
    BrokerFailed,
    Message,
    MessageRefused,
    Subscription,
    dead_headers,
)

T = TypeVar("T")
SECONDS = 10.0
ACK_WAIT = 5.0
"""After which a message whose reader fell silent is given to another, seconds."""

ID = "Nats-Msg-Id"
"""Header by which JetStream drops what is published twice within its window."""


class _Connection:
    """A client on its loop, which connects again by itself for as long as it is open."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()
        self._client = Client()
        try:
            self.run(lambda: self._connect(url))
        except BaseException:
            self._end()
            raise
        self.stream: JetStreamContext = self._client.jetstream(timeout=SECONDS)

    async def _connect(self, url: str) -> None:
        """Connect; what the client reports of lost connections is told by what fails then."""

        async def ignore(_error: Exception) -> None:
            """Leave the report to the call that fails."""

        await self._client.connect(
            url,
            error_cb=ignore,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=2,
            allow_reconnect=True,
        )

    def run(self, act: Callable[[], Coroutine[Any, Any, T]], seconds: float = SECONDS) -> T:
        """Return what a coroutine on the loop returns.

        Raises
        ------
        BrokerFailed
            When it failed, or took too long.
        MessageRefused
            When the server takes no message of this size.
        """
        future = asyncio.run_coroutine_threadsafe(act(), self._loop)
        try:
            return future.result(seconds)
        except MaxPayloadError as error:
            raise MessageRefused(f"NATS: {error}") from None
        except (Error, OSError, TimeoutError) as error:
            future.cancel()
            raise BrokerFailed(f"NATS: {str(error) or 'no answer'}") from error

    def spawn(self, work: Coroutine[Any, Any, None]) -> "Callable[[], bool]":
        """Begin what runs beside, and return what ends it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).cancel

    def close(self) -> None:
        """End the connection and its thread."""
        with contextlib.suppress(BrokerFailed):
            self.run(self._client.close)
        self._end()

    def _end(self) -> None:
        """End what runs on the loop, and its thread."""
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    """End every other task of the loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class NatsSink:
    """Writes messages into the streams that keep their subjects.

    Parameters
    ----------
    url
        `nats://` or, by TLS, `tls://`, with user and password or a token where they are needed.
    """

    def __init__(self, url: str) -> None:
        self._connection = _Connection(url)

    def publish(
        self,
        subject: str,
        body: bytes,
        *,
        key: str,
        headers: Mapping[str, str] | None = None,
        order: str = "",  # noqa: ARG002 - a stream has one order
    ) -> None:
        """Write one message; see `Sink`."""
        _publish(self._connection, subject, body, {**(headers or {}), ID: key})

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def _publish(
    connection: _Connection, subject: str, body: bytes, headers: Mapping[str, str]
) -> None:
    """Write one message and wait until it is on the server's disk."""
    connection.run(
        lambda: connection.stream.publish(subject, body, timeout=SECONDS, headers=dict(headers))
    )


class NatsSource:
    """A durable consumer of one stream, one message at a time, in the stream's order.

    JetStream gives what a dead reader left only after the messages behind it; with one message
    under way there is none behind it, so that no account is overwritten by its past. Several
    readers of one group take turns; rows are told in batches, so the store is what takes time.

    Parameters
    ----------
    subscription
        Its stream is named by the prefix, in capitals and with `-` for dots, and that of its dead
        letters by the same with `-DEAD`; both are made where they are not there.
    """

    def __init__(self, url: str, subscription: Subscription) -> None:
        self._subscription = subscription
        self._name = subscription.prefix.upper().replace(".", "-")
        self._connection = _Connection(url)
        self._quiet: Callable[[], bool] | None = None
        try:
            self._pull = self._connection.run(self._open)
        except BaseException:
            self._connection.close()
            raise

    async def _open(self) -> JetStreamContext.PullSubscription:
        """Make what is not there, and begin where the group is to begin."""
        js, wish = self._connection.stream, self._subscription
        await _make(js, self._name, f"{wish.prefix}.*")
        await _make(js, f"{self._name}-DEAD", f"{wish.prefix}.{DEAD}.*")
        if wish.start is not None:
            with contextlib.suppress(NotFoundError):
                await js.delete_consumer(self._name, wish.group)
        try:
            await js.consumer_info(self._name, wish.group)
        except NotFoundError:
            await js.add_consumer(self._name, self._consumer())
        return await js.pull_subscribe_bind(durable=wish.group, stream=self._name)

    def _consumer(self) -> ConsumerConfig:
        """Return the durable consumer as it is made."""
        wish = self._subscription
        config = ConsumerConfig(
            durable_name=wish.group,
            filter_subjects=list(wish.subjects),
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT,
            max_ack_pending=1,
            deliver_policy=DeliverPolicy.ALL,
        )
        if isinstance(wish.start, int):
            return config.evolve(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=wish.start
            )
        if isinstance(wish.start, datetime):
            return config.evolve(
                deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=wish.start.isoformat()
            )
        assert wish.start in {None, EARLIEST}  # noqa: S101 - no other text is a start
        return config

    def fetch(self, seconds: float) -> Sequence[Message]:
        """Return the next message; see `Source`."""
        try:
            (received,) = self._connection.run(
                lambda: self._pull.fetch(1, timeout=seconds), seconds + SECONDS
            )
        except BrokerFailed as error:
            if isinstance(error.__cause__, TimeoutError):
                return ()
            raise
        self._quiet = self._connection.spawn(_keep(received))
        return (_message(received),)

    def acknowledge(self, message: Message) -> None:
        """Acknowledge a message, and wait until the server has noted it."""
        handle: Msg = message.handle
        try:
            self._connection.run(lambda: handle.ack_sync(timeout=SECONDS))
        finally:
            self._release()

    def bury(self, message: Message, reason: bytes) -> None:
        """Write a message to the dead letters and acknowledge it; see `Source`."""
        subject = self._subscription.dead(message.subject)
        headers = {**dead_headers(message, reason), ID: f"dead {message.place}"}
        try:
            _publish(self._connection, subject, message.body, headers)
        except MessageRefused:  # too long with its reason; its place says where the body lies
            _publish(self._connection, subject, b"", headers)
        self.acknowledge(message)

    def lag(self) -> Mapping[str, int]:
        """Return how many messages of the stream wait, the one under way among them."""
        name, group = self._name, self._subscription.group
        info = self._connection.run(lambda: self._connection.stream.consumer_info(name, group))
        return {name: (info.num_pending or 0) + (info.num_ack_pending or 0)}

    def close(self) -> None:
        """End the connection; the durable consumer stays."""
        self._release()
        self._connection.close()

    def _release(self) -> None:
        """Tell the server no more that the message is under way."""
        if self._quiet is not None:
            self._quiet()
            self._quiet = None


async def _make(js: JetStreamContext, name: str, subject: str) -> None:
    """Make a stream where there is none of that name; one that is there stays as it is."""
    try:
        await js.stream_info(name)
    except NotFoundError:
        with contextlib.suppress(APIError):  # made by another in between; used, or refused, next
            await js.add_stream(StreamConfig(name=name, subjects=[subject]))


async def _keep(message: Msg) -> None:
    """Tell the server again and again that a message is being worked on."""
    while True:
        await asyncio.sleep(ACK_WAIT / 3)
        with contextlib.suppress(Error, OSError):
            await message.in_progress()


def _message(received: Msg) -> Message:
    """Return a message as the rest reads it."""
    metadata = received.metadata
    headers = {name.lower(): value for name, value in (received.headers or {}).items()}
    return Message(
        subject=received.subject,
        place=f"{metadata.stream}/{metadata.sequence.stream}",
        body=received.data,
        headers=headers,
        handle=received,
    )
