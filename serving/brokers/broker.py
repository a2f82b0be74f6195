"""A broker of its URL, with the client library that speaks its protocol."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from models.errors import Fault, InvalidInput
from serving.brokers.messages import Sink, Source, Subscription

NATS, KAFKA = "nats", "kafka"
SCHEMES: Mapping[str, str] = {"nats": NATS, "tls": NATS, "kafka": KAFKA}
"""Which protocol a URL's scheme stands for."""


def sink(url: str) -> Sink:
    """Return a sink of a broker's URL.

    Raises
    ------
    InvalidInput
        When it names no broker.
    """
    if _protocol(url) == NATS:
        from serving.brokers.nats_broker import NatsSink  # noqa: PLC0415 - of an extra

        return NatsSink(url)
    from serving.brokers.kafka_broker import KafkaSink  # noqa: PLC0415 - of an extra

    return KafkaSink(url)


def source(url: str, subscription: Subscription) -> Source:
    """Return a source of a broker's URL; raises as `sink` does."""
    if _protocol(url) == NATS:
        from serving.brokers.nats_broker import NatsSource  # noqa: PLC0415 - of an extra

        return NatsSource(url, subscription)
    from serving.brokers.kafka_broker import KafkaSource  # noqa: PLC0415 - of an extra

    return KafkaSource(url, subscription)


def url_fault(url: str) -> str | None:
    """Return why a URL names no broker; None where it does."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return str(error)
    if parts.scheme not in SCHEMES:
        return f"a broker is {' or '.join(f'{scheme}://HOST:PORT' for scheme in SCHEMES)}"
    return None if parts.netloc else "a broker's URL names its host"


def _protocol(url: str) -> str:
    """Return the protocol of a broker's URL."""
    fault = url_fault(url)
    if fault is not None:
        raise InvalidInput([Fault("/broker", fault)])
    return SCHEMES[urlsplit(url).scheme]
