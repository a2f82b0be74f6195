"""A real `forewarn serve` process, and asking it over real HTTP."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

LONGEST_START = 120.0

FIRST_PORT, BLOCK, BLOCKS = 20_000, 100, 120
BEGIN = FIRST_PORT + BLOCK * (os.getpid() % BLOCKS)
PORTS = itertools.cycle(range(BEGIN, BEGIN + BLOCK))
"""This worker's own, in turn, and below those that the system hands out to connections."""


def free_port() -> int:
    """Return a port that nobody listens on, nor is given before its server does."""
    while True:
        port = next(PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def command(*arguments: str | Path) -> list[str]:
    """Return the command line `forewarn …` of this very source tree."""
    code = "from models.command import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


@contextlib.contextmanager
def serving(log: Path, *arguments: str | Path) -> Iterator[httpx.Client]:
    """Yield a client of a running `forewarn serve`, ended with SIGTERM and exit code 0."""
    port = free_port()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command("serve", "--port", str(port), *arguments), stdout=sink, stderr=sink
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client:
            wait_ready(client, process, log)
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(30)


def wait_ready(client: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the service is ready."""
    until = time.monotonic() + LONGEST_START
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text())
