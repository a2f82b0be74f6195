"""The servers that run the API: uvicorn, as `forewarn serve` starts it, and BentoML."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import venue_bodies
from services import command, free_port, serving, wait_ready

ROOT = Path(__file__).parents[2]
CHAMPION = ROOT / "models" / "champion"
QUIET = {"BENTOML_DO_NOT_TRACK": "True", "OTEL_SDK_DISABLED": "true"}
ASKED: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/livez", None),
    ("GET", "/openapi.json", None),
    ("GET", "/v1/models", None),
    ("GET", "/v1/rulebooks", None),
    ("GET", "/desk", None),
    ("GET", "/nowhere", None),
    ("POST", "/v1/margin", venue_bodies.maker()),
    ("POST", "/v1/score", venue_bodies.maker()),
    ("POST", "/v1/score", {"accounts": 1}),
    ("DELETE", "/v1/score", None),
)
APART = {"date", "x-request-id"}
"""Headers that no two answers share."""


@contextlib.contextmanager
def by_bentoml(place: Path) -> Iterator[httpx.Client]:
    """Yield a client of the service as `bentoml serve` runs it."""
    port, log = free_port(), place / "bentoml.log"
    told = {"BENTOML_HOME": str(place), "FOREWARN_BUNDLE": str(CHAMPION)}
    serve = [sys.executable, "-m", "bentoml", "serve", "serving.service:Forewarn"]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*serve, "--host", "127.0.0.1", "--port", str(port), "--working-dir", str(ROOT)],
            env={**os.environ, **QUIET, **told},
            stdout=sink,
            stderr=sink,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client:
            wait_ready(client, process, log)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()


def told(client: httpx.Client) -> list[tuple[int, dict[str, str], Any]]:
    """Return status, headers and body of every question; what is drawn anew for each left out."""
    found = []
    for method, path, body in ASKED:
        headers = {"X-Request-Id": "mine"}
        answer = client.request(method, path, json=body, headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name not in APART}
        found.append((answer.status_code, kept, answer.text))
    return found


def families(client: httpx.Client) -> set[str]:
    """Return the names and types of everything that is counted."""
    lines = client.get("/metrics").text.splitlines()
    return {line for line in lines if line.startswith("# TYPE")}


def test_both_servers_answer_alike(tmp_path: Path) -> None:
    """Status, headers and bodies to the byte, and the same metrics."""
    with serving(tmp_path / "log", "--bundle", CHAMPION) as plain:
        expected, counted = told(plain), families(plain)
    assert [status for status, _, _ in expected] == [200] * 5 + [404, 200, 200, 422, 405]
    with by_bentoml(tmp_path) as client:
        for question, found, wanted in zip(ASKED, told(client), expected, strict=True):
            assert found == wanted, question
        assert families(client) == counted


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Return a service of two workers that is ready, and its port."""
    port = free_port()
    with (tmp_path / "log").open("wb") as sink:
        process = subprocess.Popen(
            command("serve", "--port", str(port), "--workers", "2"),
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=sink,
            stderr=sink,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client:
            wait_ready(client, process, tmp_path / "log")
        yield process, port
    finally:
        process.kill()
        process.wait()


def is_answering(port: int) -> bool:
    """Return whether somebody answers a new connection."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=60.0).is_success
    except httpx.TransportError:
        return False


def test_what_is_under_way_is_answered_before_the_end(
    started: tuple["subprocess.Popen[bytes]", int],
) -> None:
    """Told to stop, the service takes no new connection and ends once it has answered."""
    process, port = started
    body = json.dumps(venue_bodies.maker()).encode()
    head = "POST /v1/margin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port), 60.0) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:50])
        process.send_signal(signal.SIGTERM)
        while is_answering(port):
            time.sleep(0.05)
        assert process.poll() is None
        connection.sendall(body[50:])
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"verdict":"safe"' in answer
    assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("forked", "ending"), [(1, signal.SIGINT), (1, signal.SIGTERM), (2, signal.SIGTERM)]
)
def test_a_service_told_to_stop_while_it_starts_leaves_nothing(
    tmp_path: Path, forked: int, ending: signal.Signals
) -> None:
    """Neither a process nor a file nor a traceback, whether its worker has been forked or not."""
    log = tmp_path / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command("serve", "--port", str(free_port())),
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 60.0
        while sum("forkserver" in line for line in command_lines(process.pid)) < forked:
            assert time.monotonic() < until
            time.sleep(0.02)
        os.killpg(process.pid, ending)
        process.wait(60)
        while command_lines(process.pid):
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in log.read_text()
    assert list(tmp_path.iterdir()) == [log]


def command_lines(session: int) -> list[str]:
    """Return how every process of a session that still runs was started."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdigit() and os.getsid(int(entry.name)) == session:
                found.append((entry / "cmdline").read_text())
    return [line for line in found if line]


def test_workers_end_with_whoever_minds_them(
    started: tuple["subprocess.Popen[bytes]", int],
) -> None:
    """A supervisor that is killed leaves nobody behind who answers."""
    process, port = started
    process.kill()
    until = time.monotonic() + 60.0
    while is_answering(port):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_workers_that_cannot_start_end_the_service(tmp_path: Path) -> None:
    """The reason is logged, and nothing tries again for ever."""
    blocking = 'import sys; sys.modules["serving.worker"] = None'
    (tmp_path / "sitecustomize.py").write_text(blocking)
    ended = subprocess.run(
        command("serve", "--port", str(free_port())),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "serving.worker" in ended.stderr
