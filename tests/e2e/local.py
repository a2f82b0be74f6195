"""The whole API in this process: every layer but the socket."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
import uvicorn

from features.simulate import SimulatedBook, simulate
from serving.application.deployment import read_deployment
from serving.application.sample_book import lay
from serving.application.scoring import ScoringService
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import open_store

Trained = tuple[Path, CompletedProcess[str]]
"""What the fixture of that name gives: a bundle, and what training said."""


def book() -> SimulatedBook:
    """Return a simulated book whose past lies before today's clock."""
    return simulate(seed=5, days=60, accounts=40, start=datetime(2020, 1, 1, tzinfo=UTC))


@contextmanager
def api(
    place: Path,
    bundle: Path,
    *,
    simulated: SimulatedBook | None = None,
    order_key: Path | None = None,
) -> Iterator[Api]:
    """Yield the API over a store in a directory, with a book laid into it where one is given."""
    settings = Settings(bundle=bundle, store=f"sqlite:///{place / 'book.sqlite3'}")
    store = open_store(str(settings.store))
    if simulated is not None:
        lay(simulated, store)
    model = read_deployment(bundle).model
    desk = ScoringService(model=model, store=store, bundle_dir=bundle, order_key=order_key)
    yield Api(routes(OPERATIONS), desk=desk, gate=Admission(settings, Keyring(desk.keys)))
    store.close()


class Caller:
    """Asks the API without a socket, one request after another.

    Parameters
    ----------
    address
        Where the requests seem to come from.
    """

    def __init__(self, app: Api, *, address: str = "127.0.0.1") -> None:
        self.app = app
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app, client=(address, 50_000))
        self._inner = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Return the answer to a request, with httpx's own options."""
        return self._runner.run(self._inner.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Return the answer to a GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Return the answer to a POST."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        """Return the answer to a PUT."""
        return self.request("PUT", path, **options)

    def close(self) -> None:
        """End the loop."""
        self._runner.run(self._inner.aclose())
        self._runner.close()


@contextmanager
def calling(
    place: Path, bundle: Path, *, simulated: SimulatedBook | None = None
) -> Iterator[Caller]:
    """Yield a caller of an API over a store in a directory."""
    with api(place, bundle, simulated=simulated) as app:
        caller = Caller(app)
        yield caller
        caller.close()


@contextmanager
def listening(app: Api) -> Iterator[str]:
    """Yield the URL of an API that listens on a real socket of this process."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(30)
