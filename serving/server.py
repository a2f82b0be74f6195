"""What a server runs, and the server that `forewarn serve` becomes: uvicorn with its workers.

The supervising process imports this module only to mind its workers, so that what a worker needs
to answer is imported by the worker.
"""

import asyncio
import math
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from multiprocessing import forkserver, resource_tracker
from typing import TYPE_CHECKING

import uvicorn
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import _subprocess
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from serving.imports import FITTING, without
from serving.settings import from_environment

if TYPE_CHECKING:
    from serving.mcp.mount import Mount

AGENTS = "/mcp"
PROTOCOL = "serving.http.connection:Connection"
"""What keeps connections within bounds, as uvicorn imports it."""

PRELOADED = "serving.preload"
"""What is imported by the process that workers are forked from."""

LONGEST_PLACE = 107 - len("/pymp-12345678/listener-12345678")
"""Bytes of a directory's name below which multiprocessing can name a socket (unix(7): 107)."""

METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory in which workers count together; read where the library is imported."""

HEALTH_SECONDS = 60
"""After which a worker that does not say that it lives is replaced."""


class Application:
    """The API and the tools for agents, opened and closed with the server that runs them."""

    def __init__(self) -> None:
        self._api: ASGIApp | None = None
        self._agents: Mount | None = None
        self._router = Router(lifespan=lambda _: self.living())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the server's own start and end."""
        app: ASGIApp | None = self._api
        if scope["type"] == "lifespan":
            app = self._router.lifespan
        elif self._agents is not None and scope.get("path") == AGENTS:
            app = self._agents
        if app is not None:
            await app(scope, receive, send)

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """Answer for as long as the context lasts.

        Raises
        ------
        InvalidInput
            Listing every faulty setting.
        """
        settings = from_environment()
        supervisor = multiprocessing.parent_process()
        if supervisor is not None:
            # Its end, however it came, is the end of its workers.
            loop = asyncio.get_running_loop()
            loop.add_reader(supervisor.sentinel, signal.raise_signal, signal.SIGTERM)
        async with AsyncExitStack() as stack:
            with _ended_at_once():
                with without(*FITTING):
                    from serving.http.tracing import traced  # noqa: PLC0415 - see the docstring
                    from serving.worker import open_api  # noqa: PLC0415 - of the module

                api = open_api(settings)
            stack.callback(api.close)
            self._api, end = traced(api)
            stack.callback(end)
            if settings.mcp:
                from serving.mcp.mount import Mount  # noqa: PLC0415 - a second, and an extra

                hosts, origins = settings.hosts, settings.origins
                self._agents = Mount(api, hosts=hosts, origins=origins)
                await stack.enter_async_context(self._agents.running())
            yield


@contextmanager
def _ended_at_once() -> Iterator[None]:
    """Let SIGTERM end this process where it stands: nothing is under way that must be answered."""
    later = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, later)


class Supervisor(Multiprocess):
    """Replaces a worker that ends, and ends where one could not even start."""

    def init_processes(self) -> None:
        """Start the workers, unless what they are forked from is told to stop together with this.

        Raises
        ------
        EOFError
            When it ended by itself.
        """
        try:
            super().init_processes()
        except EOFError:
            if not self.signal_queue:
                raise

    def terminate_all(self) -> None:
        """Refuse new connections and let the workers answer what is under way."""
        for listening in self.sockets:
            listening.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Replace workers that ended, even one that ended while it was asked whether it lives.

        As long as its end of the pipe is open here as well, its answer would be waited for.
        """
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()


def fork_workers() -> None:
    """Let uvicorn fork its workers from one process that has imported what all of them need.

    The supervisor itself imports next to nothing, and so is not what they are forked from. It
    speaks to that process over a socket in the directory of temporary files; where the name of
    that is too long for one, every worker imports for itself.
    """
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_PLACE:
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    _subprocess.spawn = context  # type: ignore[assignment]  # the one place that uvicorn leaves
    # Ctrl-C interrupts all of a terminal's processes: it is for the supervisor to end the others.
    resource_tracker.ensure_running()  # would let the signal in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    forkserver.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(host: str, port: int) -> int:
    """Answer by the environment's settings until SIGINT or SIGTERM; return the exit code."""
    settings = from_environment()
    config = uvicorn.Config(
        "serving.server:Application",
        factory=True,
        host=host,
        port=port,
        http=PROTOCOL,
        lifespan="on",
        workers=settings.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.timeout_seconds),
        timeout_worker_healthcheck=HEALTH_SECONDS,
    )
    with tempfile.TemporaryDirectory(prefix="forewarn-metrics-") as place:
        os.environ.setdefault(METRICS, place)
        supervisor = Supervisor(config, [config.bind_socket()])
        fork_workers()
        supervisor.run()
    return int(any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes))


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1], int(sys.argv[2])))
