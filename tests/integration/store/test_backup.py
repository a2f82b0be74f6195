"""A store is copied while it is written, and put back; what cannot be is refused, and stays."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.domain import Price
from serving.store import Store, StoreRefused, market, open_store
from serving.store.backup import back_up, restore

AT = datetime(2030, 1, 1, tzinfo=UTC)


def url(file: Path) -> str:
    """Return the URL of a SQLite store."""
    return f"sqlite:///{file}"


def push(store: Store, asset: str, value: int = 1) -> None:
    """Write one price."""
    with store.begin() as transaction:
        price = Price(value=value, decimals=0, observed_at=AT)
        market.push_prices(transaction, [(asset, price)], now=AT)


def assets(file: Path) -> set[str]:
    """Return the assets that a store has prices of."""
    store = open_store(url(file))
    with store.read() as transaction:
        names = set(market.prices(transaction, at=AT))
    store.close()
    return names


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a store that holds a price of ETH."""
    made = tmp_path / "book.sqlite3"
    store = open_store(url(made))
    push(store, "ETH")
    store.close()
    return made


def test_a_copy_is_of_one_moment_while_others_write(file: Path, tmp_path: Path) -> None:
    """Every price of a transaction is in the copy, or none; the copy is a store that opens."""
    over = threading.Event()
    store = open_store(url(file))

    def write() -> None:
        number = 0
        while not over.is_set():
            with store.begin() as transaction:
                both = [
                    (f"{side}{number}", Price(value=1, decimals=0, observed_at=AT)) for side in "AB"
                ]
                market.push_prices(transaction, both, now=AT)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            copy = tmp_path / f"copy-{number}.sqlite3"
            assert back_up(url(file), copy) == copy.stat().st_size
    finally:
        over.set()
        writer.join()
        store.close()
    for number in range(5):
        names = assets(tmp_path / f"copy-{number}.sqlite3")
        assert "ETH" in names
        assert {n[1:] for n in names if n[0] == "A"} == {n[1:] for n in names if n[0] == "B"}


def test_what_was_there_gives_way_and_is_kept(file: Path, tmp_path: Path) -> None:
    """Restored, the store is the copy; the one before lies beside it whole."""
    copy = tmp_path / "copy.sqlite3"
    back_up(url(file), copy)
    store = open_store(url(file))
    push(store, "BTC")
    store.close()
    with pytest.raises(StoreRefused, match="is there already"):
        restore(copy, url(file), replaces=False)
    aside = restore(copy, url(file), replaces=True)
    assert aside == file.with_name("book.sqlite3.before-1")
    assert (assets(file), assets(aside)) == ({"ETH"}, {"ETH", "BTC"})
    assert restore(copy, url(tmp_path / "new.sqlite3"), replaces=False) is None
    assert assets(tmp_path / "new.sqlite3") == {"ETH"}


def test_a_store_in_use_is_not_replaced(file: Path, tmp_path: Path) -> None:
    """Whoever has it open would go on writing into a file without a name."""
    copy = tmp_path / "copy.sqlite3"
    back_up(url(file), copy)
    store = open_store(url(file))
    push(store, "SOL")
    with pytest.raises(StoreRefused, match="is open elsewhere"):
        restore(copy, url(file), replaces=True)
    store.close()
    assert assets(file) == {"ETH", "SOL"}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["book.sqlite3", "copy.sqlite3"]


def test_a_damaged_copy_is_refused_and_changes_nothing(file: Path, tmp_path: Path) -> None:
    """Bytes that were lost are found; another program's database is none of ours."""
    copy = tmp_path / "copy.sqlite3"
    back_up(url(file), copy)
    held = bytearray(copy.read_bytes())
    held[8192:40960] = bytes(32768)
    copy.write_bytes(held)
    with pytest.raises(StoreRefused):
        restore(copy, url(file), replaces=True)
    copy.write_bytes(b"")
    with pytest.raises(StoreRefused, match="no store"):
        restore(copy, url(file), replaces=True)
    assert assets(file) == {"ETH"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("postgresql://user:secret@host/book", "pg_dump"),
        ("sqlite://", "names no file"),
        ("book.sqlite3", "cannot be read"),
        ("sqlite:////nowhere/book.sqlite3", "no such file"),
    ],
)
def test_what_cannot_be_copied_is_refused(tmp_path: Path, wrong: str, says: str) -> None:
    """With its reason, and without a password."""
    with pytest.raises(StoreRefused, match=says) as caught:
        back_up(wrong, tmp_path / "copy.sqlite3")
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
