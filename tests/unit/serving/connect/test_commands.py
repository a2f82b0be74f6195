"""What `forewarn connect` and `forewarn connections` say and how they end."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import within

from serving.connect.secrets import VARIABLE, keys_of, new_key, seal, unseal
from serving.store import connections, open_store

OWNER = "0x" + "1" * 40
USUAL = ("--rpc", "http://127.0.0.1:1/secret", "--chain", "ethereum", "--once")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--address", "0x12"), 2, "--address/0: '0x12' is no address"),
        (("--chain", "moon", "--address", OWNER), 2, "--chain-id: state it"),
        ((), 2, "--address: name an address, or take all borrowers"),
        (("--rpc", "ftp://x", "--address", OWNER), 2, "--rpc/1: is no URL"),
        (("--address", OWNER), 1, "endpoint_failed: 127.0.0.1:1: cannot be reached"),
    ],
)
def test_what_cannot_be_connected_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    """Each fault names its option; a chain that does not answer is told by its code."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    done = within("connect", "aave-v3", "--store", url, *USUAL, *arguments)
    assert done.exit_code == code, done.output
    assert message in done.output
    assert "secret" not in done.output
    if code == 2:
        store = open_store(url)
        with store.read() as transaction:
            assert connections.every(transaction) == []
        store.close()


@pytest.mark.parametrize(
    ("venue", "reason"),
    [
        ("binance-coin-m", "binance-coin-m: its margin is held in a coin"),
        ("binance-coinm", "binance-coin-m: its margin is held in a coin"),
        ("bybit-inverse", "bybit-inverse: its margin is held in a coin"),
        ("moonwell", "moonwell: a fork of Compound v2 with rules of its own"),
        ("Liquity-V2", "liquity-v2: its interest rates are chosen by borrowers"),
        ("llamalend", "llamalend: its loans are converted within bands"),
        ("crvUSD", "llamalend: its loans are converted within bands"),
    ],
)
def test_a_venue_without_rules_is_refused_by_its_name(
    tmp_path: Path, venue: str, reason: str
) -> None:
    """With the reason, and no list of words; whatever else is asked, nothing is kept."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    for options in ((*USUAL, "--address", OWNER), ("--once",)):
        done = within("connect", venue, "--store", url, *options)
        assert done.exit_code == 2, done.output
        assert f"is not read: {reason}" in " ".join(done.output.split())
        assert "aave" not in done.output


def test_connections_are_listed_sealed_anew_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection stands in the list until it is removed; its secrets open with the new key."""
    url, old, new = f"sqlite:///{tmp_path / 'book.db'}", new_key(), new_key()
    store = open_store(url)
    sealed = seal({"rpc": ["https://x"]}, name="mine", keys=keys_of({VARIABLE: old}))
    with store.begin() as transaction:
        connections.write(transaction, "mine", {}, sealed=sealed, now=datetime.now(tz=UTC))
    assert "mine: not begun" in within("connections", "list", "--store", url).output
    monkeypatch.setenv(VARIABLE, f"{new},{old}")
    assert "1 sealed anew" in within("connections", "rotate", "--store", url).output
    with store.read() as transaction:
        stored = connections.read(transaction, "mine")
    assert stored is not None
    assert stored.sealed is not None
    assert unseal(stored.sealed, name="mine", keys=keys_of({VARIABLE: new}))
    assert within("connections", "remove", "mine", "--store", url).exit_code == 0
    assert within("connections", "remove", "mine", "--store", url).exit_code == 2
    store.close()


def test_a_key_is_made() -> None:
    """What is printed can be used as it is."""
    assert keys_of({VARIABLE: within("connections", "new-key").output})
