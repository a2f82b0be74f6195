"""`forewarn mcp`: what it is started with."""

import pytest
from typer.testing import CliRunner

from serving.cli.serve import app


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "127.0.0.1:3000"])
def test_what_is_no_url_is_refused_before_an_agent_asks(url: str) -> None:
    """By its option, and not at the first tool that is called."""
    pytest.importorskip("mcp")
    done = CliRunner().invoke(app, ["mcp", "--url", url])
    assert done.exit_code == 2
    assert "is no URL of http or https" in done.output
