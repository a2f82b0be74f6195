"""The command `forewarn mcp`: the tools over standard input and output, for one agent."""

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
KEY = "FOREWARN_KEY"


@app.command()
def mcp(
    *,
    url: Annotated[
        str | None,
        typer.Option(help=f"Of a running service; its key is read from ${KEY}."),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Directory of the bundle, where no service is asked.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Database URL, where no service is asked.")
    ] = None,
) -> None:
    """Serve an agent the tools over standard input and output; they read and never write."""
    if url is not None and (bundle is not None or store is not None):
        raise typer.BadParameter(
            "a service has a bundle and a store of its own", param_hint="--url"
        )
    if url is not None and not url.startswith(("http://", "https://")):
        raise typer.BadParameter("is no URL of http or https", param_hint="--url")
    if url is not None:
        from serving.mcp.remote import serve_remote

        serve_remote(url, key=os.environ.get(KEY))
    else:
        from serving.mcp.stdio import serve_local

        serve_local(bundle, store)
