"""The doctor names what is wrong, and changes nothing."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from models.command import root
from models.domain import Price
from serving.cli.doctor import Status, examine
from serving.connect.secrets import VARIABLE, keys_of, new_key, seal
from serving.http.keys import issue
from serving.log.heads import new_key as signing_key
from serving.store import alerts, connections, consents, keys, market, open_store
from serving.store.alerts import DESK, Receiver

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def look(place: Path, **environment: str) -> dict[tuple[str, Status], list[str]]:
    """Return what is found of the store in a directory, by check and status."""
    variables = {"FOREWARN_STORE": f"sqlite:///{place / 'book.sqlite3'}", **environment}
    findings: dict[tuple[str, Status], list[str]] = {}
    for one in examine(variables, open_store=open_store, now=NOW):
        findings.setdefault((one.check, one.status), []).append(one.text)
    return findings


@pytest.fixture(autouse=True)
def store(book_url: str) -> Any:
    """Yield a store with a fresh price."""
    opened = open_store(book_url)
    with opened.begin() as transaction:
        price = Price(value=1, decimals=0, observed_at=NOW)
        market.push_prices(transaction, [("ETH", price)], now=NOW)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Return what is left on every disk, in bytes; room enough unless a test says otherwise."""
    left = {"free": 20 * 2**30}

    def usage(_path: Path) -> SimpleNamespace:
        return SimpleNamespace(total=2**40, used=2**40 - left["free"], free=left["free"])

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return left


def test_a_disk_without_room_for_a_copy_of_the_store_is_a_fault(
    tmp_path: Path, disk: dict[str, int]
) -> None:
    """A gigabyte beside a copy must be left, however large the disk is."""
    disk["free"] = 2**30 + 64 * 2**20
    assert ("disk", Status.OK) in look(tmp_path)
    disk["free"] = 2**30
    assert ("disk", Status.FAULT) in look(tmp_path)


def test_a_sound_installation_has_no_fault(tmp_path: Path) -> None:
    """Nothing is at fault; that no keys, bundle and receivers exist is said."""
    findings = look(tmp_path)
    assert not [text for (_, status), text in findings.items() if status is Status.FAULT]
    assert {check for check, status in findings if status is Status.WARNING} == {
        "model",
        "keys",
        "channels",
    }


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Looking makes no file."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    assert ("store", Status.FAULT) in look(place)
    assert list(place.iterdir()) == []


def test_every_setting_at_fault_is_named(tmp_path: Path) -> None:
    """All of them at once, and what can be looked at is."""
    wrong = {"FOREWARN_WORKERS": "many", "FOREWARN_ALERTS_MAIL_URL": "smtp.example.org"}
    findings = look(tmp_path, **wrong)
    assert "WORKERS" in str(findings["settings", Status.FAULT])
    assert ("versions", Status.OK) in findings


def test_keys_and_their_files_are_looked_at(store: Any, tmp_path: Path) -> None:
    """Keys that ended, that end soon, that others may read, and that are none."""
    log, order = tmp_path / "log.key", tmp_path / "order.key"
    signing_key(log)
    log.chmod(0o644)
    order.write_text("no key")
    named = {"FOREWARN_LOG_KEY": str(log), "FOREWARN_ORDER_KEY": str(order), VARIABLE: "short"}
    record, _ = issue("desk", scopes=["read"], now=NOW, lifetime=timedelta(days=3))
    with store.begin() as transaction:
        keys.insert(transaction, record)
    findings = look(tmp_path, **named)
    faults = " ".join(findings["keys", Status.FAULT])
    assert "may be read by others" in faults
    assert "order.key" in faults
    assert VARIABLE in faults
    assert "desk of the API ends" in findings["keys", Status.WARNING][0]
    later = examine(
        {"FOREWARN_STORE": f"sqlite:///{tmp_path / 'book.sqlite3'}"},
        open_store=open_store,
        now=NOW + timedelta(days=4),
    )
    assert any("nobody is answered" in one.text for one in later)


def test_channels_connections_clock_and_prices_are_looked_at(store: Any, tmp_path: Path) -> None:
    """Mail without a server, a sealed connection without a key, prices from the future."""
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="desk", audience=DESK), [], now=NOW)
        channel = consents.add(
            transaction,
            receiver="desk",
            kind="mail",
            target="desk@example.org",
            secrets_=(),
            rank=0,
            actor="x",
            now=NOW,
        )
        code = consents.challenge(transaction, channel, actor="x", now=NOW)
        consents.confirm(transaction, channel, code, actor="x", now=NOW)
        key = new_key()
        sealed = seal({"rpc": ["https://x"]}, name="mine", keys=keys_of({VARIABLE: key}))
        connections.write(transaction, "mine", {}, sealed=sealed, now=NOW)
        later = NOW + timedelta(hours=2)
        price = Price(value=1, decimals=0, observed_at=later)
        market.push_prices(transaction, [("BTC", price)], now=later)
    findings = look(tmp_path)
    assert "MAIL_URL" in findings["channels", Status.FAULT][0]
    assert "no links" in findings["channels", Status.WARNING][0]
    public = look(tmp_path, FOREWARN_ALERTS_PUBLIC_URL="https://risk.example.org")
    assert ("channels", Status.WARNING) not in public
    assert "no key to unseal" in findings["connections", Status.FAULT][0]
    assert "still to come" in findings["clock", Status.FAULT][0]
    assert ("connections", Status.OK) in look(tmp_path, **{VARIABLE: key})


def test_the_command_ends_as_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 where something is at fault; JSON has every finding."""
    for name in [name for name in os.environ if name.startswith("FOREWARN_")]:
        monkeypatch.delenv(name)
    url = f"sqlite:///{tmp_path / 'nowhere.sqlite3'}"
    done = CliRunner().invoke(root(), ["doctor", "--store", url, "--json"])
    findings = {one["check"]: one["status"] for one in json.loads(done.stdout)}
    assert (done.exit_code, findings["store"], findings["versions"]) == (1, "fault", "ok")
    assert CliRunner().invoke(root(), ["doctor"]).exit_code == 0
