"""Settings of a file, the environment and the command line, with every fault listed."""

import json
import logging
import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.command import root
from models.errors import InvalidInput
from serving.cli.serve import app
from serving.settings import Settings, alert_settings, from_environment
from serving.telemetry import JsonLines

ROOT = Path(__file__).resolve().parents[3]


def faults(environment: dict[str, str]) -> dict[str, str]:
    """Return message by place of what is wrong."""
    with pytest.raises(InvalidInput) as caught:
        from_environment(environment)
    return {fault.where: fault.message for fault in caught.value.faults}


def test_the_environment_is_laid_over_the_file(tmp_path: Path) -> None:
    """A variable wins over the file's entry; the rest of the file stands."""
    file = tmp_path / "forewarn.toml"
    file.write_text('workers = 2\nburst = 7\norigins = ["https://desk.example"]\n')
    found = from_environment({"FOREWARN_SETTINGS": str(file), "FOREWARN_WORKERS": "3"})
    assert (found.workers, found.burst) == (3, 7)
    assert found.origins == ("https://desk.example",)


def test_nothing_stated_gives_the_defaults() -> None:
    """Without settings the rules alone answer, on one worker."""
    assert from_environment({}) == Settings()
    assert from_environment({"FOREWARN_BUNDLE": "", "FOREWARN_VECTORS": "x"}) == Settings()


def test_settings_survive_the_way_to_a_child() -> None:
    """What is handed on through the environment is read back as it was."""
    stated = Settings(
        bundle=Path("/b"), store="sqlite:////s", workers=4, origins=("https://a.example",)
    )
    assert from_environment(stated.environment()) == stated


def test_every_fault_is_listed_with_its_place(tmp_path: Path) -> None:
    """Unknown entries, values out of range and of the wrong kind are told at once."""
    file = tmp_path / "forewarn.toml"
    file.write_text("wokers = 2\nburst = 0\n")
    found = faults(
        {
            "FOREWARN_SETTINGS": str(file),
            "FOREWARN_WORKERS": "many",
            "FOREWARN_ORIGINS": "https://a.example,*",
        }
    )
    assert set(found) == {"/wokers", "/burst", "$FOREWARN_WORKERS", "$FOREWARN_ORIGINS/1"}
    assert "'many'" in found["$FOREWARN_WORKERS"]


@pytest.mark.parametrize("text", ["workers = ", "\x00"])
def test_a_file_that_is_not_toml_is_a_fault(tmp_path: Path, text: str) -> None:
    """The file is named with what is wrong in it."""
    file = tmp_path / "forewarn.toml"
    file.write_text(text)
    assert str(file) in faults({"FOREWARN_SETTINGS": str(file)})["$FOREWARN_SETTINGS"]


def test_an_absent_file_is_a_fault() -> None:
    """A file that was named must be there."""
    assert set(faults({"FOREWARN_SETTINGS": "/nowhere/at/all.toml"})) == {"$FOREWARN_SETTINGS"}


def test_every_fault_of_a_service_is_listed_before_it_starts(tmp_path: Path) -> None:
    """A store that no database is and a bundle that is not there, by option, variable or file."""
    absent = str(tmp_path / "nope")
    options = ["serve", "--store", "mysql://me:secret@nope/x", "--bundle", absent]
    told = CliRunner().invoke(app, options)
    assert told.exit_code == 2
    lines = told.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["--store", "--bundle"]
    assert absent in lines[1]
    assert "secret" not in told.stderr
    file = tmp_path / "forewarn.toml"
    file.write_text(f'bundle = "{absent}"\n')
    told = CliRunner().invoke(app, ["serve", "--settings", str(file)])
    assert (told.exit_code, absent in told.stderr) == (2, True)


@pytest.mark.parametrize("url", ["mysql://nope", "nope", "sqlite", "postgresql:/x", ""])
def test_a_store_that_no_database_is_is_a_fault(tmp_path: Path, url: str) -> None:
    """In the file as in the environment."""
    file = tmp_path / "forewarn.toml"
    file.write_text(f'store = "{url}"\n')
    assert set(faults({"FOREWARN_SETTINGS": str(file)})) == {"/store"}


@pytest.mark.parametrize("url", ["sqlite:///x", "postgresql://h/x", "postgresql+psycopg://h/x"])
def test_a_store_s_url_is_taken_as_it_stands(url: str) -> None:
    """With a driver or without."""
    assert from_environment({"FOREWARN_STORE": url}).store == url


def test_every_section_is_checked_whichever_is_asked_for(tmp_path: Path) -> None:
    """A fault of alerting is told to the service as well, and a secret to nobody."""
    file = tmp_path / "forewarn.toml"
    file.write_text(
        '[alerts]\npublic_url = "ftp://x"\nmail_url = "smtp://anna:secret@x"\n'
        "[watch]\nkeep_dys = 3\n[serve]\nport = 0\n"
    )
    found = faults({"FOREWARN_SETTINGS": str(file), "FOREWARN_ALERTS_ALLOWED_NETWORKS": "x"})
    assert set(found) == {
        "/alerts/public_url",
        "/alerts/mail_url",
        "$FOREWARN_ALERTS_ALLOWED_NETWORKS",
        "/watch/keep_dys",
        "/serve/port",
    }
    assert "secret" not in found["/alerts/mail_url"]
    assert found["/watch/keep_dys"].endswith("nearest: keep_days")


def test_alerting_reads_the_same_file(tmp_path: Path) -> None:
    """The file names the public address; a variable wins over it."""
    file = tmp_path / "forewarn.toml"
    file.write_text('store = "sqlite:///x"\n[alerts]\npublic_url = "https://a.example"\n')
    stated = {"FOREWARN_SETTINGS": str(file)}
    assert alert_settings(stated).public_url == "https://a.example"
    won = alert_settings({**stated, "FOREWARN_ALERTS_PUBLIC_URL": "https://b.example"})
    assert won.public_url == "https://b.example"


def test_a_table_that_is_none_is_a_fault(tmp_path: Path) -> None:
    """`alerts = 3` is told at its place."""
    file = tmp_path / "forewarn.toml"
    file.write_text("alerts = 3\n")
    assert set(faults({"FOREWARN_SETTINGS": str(file)})) == {"/alerts"}


def test_the_reference_page_is_written_from_the_code() -> None:
    """`python tests/builders/settings_page.py` writes it again."""
    sys.path.insert(0, str(ROOT / "tests/builders"))
    import settings_page  # noqa: PLC0415 - from its folder

    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page()


def test_one_file_sets_the_options_of_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`keys list` and `alerts status` read the store that the file names; an option wins."""
    monkeypatch.delenv("FOREWARN_STORE", raising=False)
    monkeypatch.setenv("FOREWARN_SETTINGS", "")
    first, second = (f"sqlite:///{tmp_path / name}" for name in ("first", "second"))
    file = tmp_path / "forewarn.toml"
    file.write_text(f'store = "{first}"\n')
    run = CliRunner().invoke
    made = ["keys", "create", "--label", "desk", "--scope", "read"]
    assert run(root(), ["--settings", str(file), *made]).exit_code == 0
    assert "desk" in run(root(), ["--settings", str(file), "keys", "list"]).output
    other = run(root(), ["--settings", str(file), "keys", "list", "--store", second])
    assert "desk" not in other.output
    assert run(root(), ["--settings", str(tmp_path / "none.toml"), "keys", "list"]).exit_code == 2


@pytest.mark.parametrize(
    ("command", "more"),
    [
        (["watch", "--bundle", "/nowhere", "--policy", "/none.toml", "--order-key", "/none"],
         ["--bundle: /nowhere is no directory", "/none.toml: cannot be read", "/none: is no key"]),
        (["deliver"], []),
        (["connections", "follow"], []),
        (["connect", "aave-v3", "--chain", "ethereum"], ["--rpc: "]),
    ],
)  # fmt: skip
def test_what_runs_for_long_lists_every_fault_at_its_start(
    command: list[str], more: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Settings, keys, files and the store, whichever comes first; nothing is begun."""
    monkeypatch.setenv("FOREWARN_ALERTS_PUBLIC_URL", "ftp://x")
    if command[0].startswith("connect"):
        monkeypatch.setenv("FOREWARN_CONNECT_KEY_FILE", str(tmp_path / "no-key"))
    store = f"postgresql://127.0.0.1:{closed_port()}/fw"
    result = CliRunner().invoke(app, [*command, "--store", store])
    assert result.exit_code == 2
    for text in ["$FOREWARN_ALERTS_PUBLIC_URL: ", "--store: postgresql://", *more]:
        assert text in result.output


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_log_line_tells_its_values_as_fields() -> None:
    """`accounts=%d` becomes a field of its own beside level, time and message."""
    record = logging.LogRecord(
        "forewarn.watch", logging.INFO, "x.py", 1, "leads holder=%s accounts=%d", ("a", 3), None
    )
    line = json.loads(JsonLines().format(record))
    assert (line["holder"], line["accounts"], line["level"]) == ("a", 3, "info")
    assert line["message"] == "leads holder=a accounts=3"
