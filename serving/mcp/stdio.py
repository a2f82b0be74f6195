"""The tools over standard input and output, asking the API in this process."""

from pathlib import Path

from serving.application.scoring import open_service
from serving.http.admission import Admission, Keyring
from serving.http.app import Api as HttpApi
from serving.http.routing import routes
from serving.mcp.asking import Api
from serving.mcp.tools import server
from serving.routes import OPERATIONS
from serving.settings import Settings


def serve_local(bundle: Path | None, store: str | None) -> None:
    """Serve one agent the tools over a store of this machine, until it ends the session.

    Whoever starts it can read the store: no key is asked for.
    """
    settings = Settings(bundle=bundle, store=store)
    desk = open_service(settings)
    api = HttpApi(routes(OPERATIONS), desk=desk, gate=Admission(settings, Keyring(None)))
    try:
        server(Api(app=api)).run("stdio")
    finally:
        api.close()
