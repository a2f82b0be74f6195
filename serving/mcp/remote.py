"""The tools of a running service over standard input and output, without what judges."""

from serving.mcp.asking import Api
from serving.mcp.tools import server


def serve_remote(url: str, *, key: str | None) -> None:
    """Serve one agent the tools of a running service, until it ends the session."""
    server(Api(url, key=key)).run("stdio")
