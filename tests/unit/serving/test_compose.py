"""The compose file starts what is there: every command, setting, file and address in it is real."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import serving
from models.command import root
from serving.settings import SECTIONS, from_environment, prefix_of

DEPLOY = Path(serving.__file__).parent / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("forewarn")}
SETTINGS = {
    f"{prefix_of(section)}{name.upper()}"
    for section, model in SECTIONS.items()
    for name in model.model_fields
}


def parsed(command: list[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the context of a command line that is read, not run; raises where it is wrong."""
    import typer  # noqa: PLC0415 - the commands are built by it

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    group: Any = typer.main.get_command(root())
    context = group.make_context("forewarn", list(command), ignore_unknown_options=False)
    while getattr(context.command, "commands", None) is not None:
        rest = [*context._protected_args, *context.args]  # noqa: SLF001 - what stands after the group
        name, below, rest = context.command.resolve_command(context, rest)
        context = below.make_context(name, rest, parent=context)
    return context


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_is_one_that_the_command_line_takes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options are known and all it needs is stated, by options or by the environment."""
    service = OURS[name]
    program, *command = service["command"]
    assert program == "forewarn"
    assert set(service["environment"]) <= SETTINGS
    context = parsed(command, service["environment"], monkeypatch)
    stated = from_environment(service["environment"])
    assert stated.store is not None
    assert stated.store.endswith("@store/forewarn")
    assert context.params["store"] in {None, stated.store}


def test_a_wrong_option_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above would tell."""
    with pytest.raises(Exception, match="--nothing"):
        parsed(["watch", "--nothing"], {"FOREWARN_STORE": "sqlite://"}, monkeypatch)
    monkeypatch.delenv("FOREWARN_STORE")
    with pytest.raises(Exception, match="store"):
        parsed(["watch"], {}, monkeypatch)


def test_one_judges_one_sends_one_answers() -> None:
    """The watcher leaves sending to the deliverer, and the service's port is the published one."""
    assert "--no-deliver" in OURS["watch"]["command"]
    assert OURS["deliver"]["command"] == ["forewarn", "deliver"]
    command = OURS["service"]["command"]
    port = command[command.index("--port") + 1]
    assert OURS["service"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = scraped["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"service:{port}"]}]
    secret = job["authorization"]["credentials_file"].removeprefix("/run/secrets/")
    assert secret in SERVICES["prometheus"]["secrets"]
    mounted = {mount.split(":")[1] for mount in SERVICES["prometheus"]["volumes"]}
    assert set(scraped["rule_files"]) <= mounted


def test_what_is_named_is_declared() -> None:
    """Volumes, secrets, services waited for, and files that are mounted."""
    for name, service in SERVICES.items():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"]), name
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            known = source in COMPOSE["volumes"] or (DEPLOY / source).is_file()
            assert known, f"{name}: {source}"
    waited = OURS["service"]["depends_on"]["store"]["condition"]
    assert waited == "service_healthy"
    assert "healthcheck" in SERVICES["store"]


def test_no_password_stands_in_it() -> None:
    """It comes from a file beside, and compose refuses to start without it."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert re.findall(r"PASSWORD: (.*)", text) == ["${DATABASE_PASSWORD:?in .env}"]
    assert "forewarn:${DATABASE_PASSWORD:?in .env}@store" in text
