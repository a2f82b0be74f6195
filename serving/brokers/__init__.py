"""Messages from and to a broker: NATS JetStream and what speaks Kafka's protocol.

A broker is named by a URL; `broker.sink` and `broker.source` open it. The client libraries come
with the extra `streams` and are loaded when a broker is opened, not before.
"""
