"""A server as a child process: started, awaited, and ended without leftovers."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from models.errors import ForewarnError
from serving.settings import Settings

SERVER = "serving.server"
ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 480.0
STOP_SECONDS = 30.0
OK = 200
SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN_SECONDS = 0.02
"""After which an order to stop that was dropped is given again."""


class ServerFailed(ForewarnError):  # noqa: N818 - named for what happened
    """The server ended or did not become ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server.

    Parameters
    ----------
    process
        Leader of its own session, so that its workers end with it.
    """

    process: "subprocess.Popen[bytes]"
    host: str
    port: int

    @property
    def url(self) -> str:
        """Address of the service."""
        return f"http://{self.host}:{self.port}"

    def wait_ready(self) -> dict[str, Any]:
        """Return the answer of `/readyz` once it is 200.

        Raises
        ------
        ServerFailed
            When the server ends first or takes too long.
        """
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise ServerFailed(f"the server ended with code {self.process.returncode}")
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                status, answer = self.ask("GET", "/readyz", timeout=2.0)
                if status == OK:
                    return dict(answer)
            time.sleep(0.1)
        raise ServerFailed(f"the server was not ready within {START_SECONDS:.0f} s")

    def ask(
        self, method: str, path: str, *, body: Any = None, timeout: float = 60.0
    ) -> tuple[int, Any]:
        """Return status and JSON of one request."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        with contextlib.closing(connection):
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def stop(self) -> None:
        """End the server and every worker of it."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


ALLOCATION = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
"""What keeps a process small under load: one lock holds its threads apart anyway, and each would
otherwise keep memory of its own that large requests leave behind. What a request of usual size
frees is kept for the next one: to fetch its pages anew took a tenth of its time. What an operator
says wins."""


def environment(settings: Settings) -> dict[str, str]:
    """Return a child's environment, which finds this source tree and these settings."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **ALLOCATION,
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        **settings.environment(),
    }


def become_server(settings: Settings, *, host: str, port: int) -> NoReturn:
    """Put a server in this process's place, which keeps its number, files and terminal."""
    command = _command(host, port)
    os.execve(command[0], command, environment(settings))  # noqa: S606 - our own module


def _command(host: str, port: int) -> list[str]:
    """Return the command line of a server."""
    return [sys.executable, "-m", SERVER, host, str(port)]


@contextlib.contextmanager
def running(
    settings: Settings, *, host: str, port: int, log: IO[bytes] | None = None
) -> Iterator[Server]:
    """Run a server for as long as the context lasts.

    Parameters
    ----------
    log
        Where its output goes; None for this process's own.
    """
    process = subprocess.Popen(  # noqa: S603 - our own module, arguments checked by typer
        _command(host, port),
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT if log is not None else None,
        start_new_session=True,
    )
    server = Server(process=process, host=host, port=port)
    try:
        yield server
    finally:
        with undisturbed():
            server.stop()


@contextlib.contextmanager
def compiling(settings: Settings) -> Iterator[None]:
    """Fill the compiler's cache in a process of its own while the context lasts.

    Not in this one: a signal that arrives inside the compiler's callbacks would be lost.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.application.scoring"],
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with undisturbed():
            process.kill()
            process.wait()


class StopRequested(BaseException):
    """SIGINT or SIGTERM arrived: an order, not an error, so that no handler of errors eats it."""


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `StopRequested`, and end the context quietly on it.

    Python drops what is raised inside callbacks of C (of the garbage collector, of ctypes) and
    only tells `sys.unraisablehook` of it: the order is then given again, by a timer's signal.
    """
    earlier = sys.unraisablehook

    def stop(number: int, _frame: object) -> None:
        raise StopRequested(number)

    def again(dropped: "sys.UnraisableHookArgs") -> None:
        if isinstance(dropped.exc_value, StopRequested):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        else:
            earlier(dropped)

    sys.unraisablehook = again
    try:
        with _handling(stop), contextlib.suppress(StopRequested):
            yield
    finally:
        sys.unraisablehook = earlier


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM while cleaning up, so that nothing is left behind."""
    with _handling(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handling(handler: Callable[[int, Any], None] | signal.Handlers) -> Iterator[None]:
    """Let one handler have every order to stop, the repeated one as well."""
    before = {number: signal.signal(number, handler) for number in (*SIGNALS, signal.SIGALRM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def is_free(host: str, port: int) -> bool:
    """Return whether a port can be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str) -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def absolute(settings: Settings) -> Settings:
    """Return settings whose paths hold from any working directory."""
    bundle, url = settings.bundle, settings.store
    prefix = "sqlite:///"
    if url is not None and url.startswith(prefix) and not url.startswith(f"{prefix}/"):
        rest = url.removeprefix(prefix)
        url = f"{prefix}{Path(rest).resolve()}" if rest and rest != ":memory:" else url
    files = {
        "bundle": bundle,
        "log_key": settings.log_key,
        "log_heads": settings.log_heads,
        "order_key": settings.order_key,
    }
    moved = {name: None if path is None else path.resolve() for name, path in files.items()}
    return settings.model_copy(update={**moved, "store": url})
