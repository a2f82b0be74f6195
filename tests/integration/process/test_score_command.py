"""A book of files is scored to the bit as requests are, however it is cut, spread or broken off."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import many_venues
import pandas as pd
import pyarrow as pa
import pytest
from commands import within
from pyarrow import parquet as pq

from features.simulate import simulate
from features.table_schemas import TABLES
from models.errors import InvalidInput
from serving.application import sample_book
from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.bulk import market, run
from serving.bulk.accounts import find
from serving.bulk.results import DIGEST, STANDING
from serving.schemas.stored import Assessed
from serving.store import accounts, assessments, frames, open_store

ROOT = Path(__file__).resolve().parents[3]
CHAMPION = ROOT / "models" / "champion"
UNASKED = {"features", "plan", "plan_absence", "request_id"}
COPIES = 4
Body = dict[str, Any]


def copies(bodies: Sequence[Body]) -> list[Body]:
    """Return a book in which every account stands several times under other names."""
    return [{**body, "id": f"{body['id']}#{n}"} for n in range(COPIES) for body in bodies]


@pytest.fixture(scope="module", params=["vaults", "many venues"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a store with a market and its accounts: vaults with events, or many venues."""
    found = f"sqlite:///{tmp_path_factory.mktemp('store')}/book.sqlite3"
    store = open_store(found)
    if request.param == "vaults":
        sample_book.lay(simulate(seed=5, days=34, accounts=40), store)
    else:
        many_venues.lay(store)
        with store.begin() as transaction:
            at = many_venues.AT
            accounts.upsert(transaction, copies(many_venues.book()), at=at, now=at)
    store.close()
    return found


@pytest.fixture(scope="module")
def held(url: str) -> list[Body]:
    """Return the accounts of the store as they would stand in a request."""
    store = open_store(url)
    with store.read() as transaction:
        bodies = accounts.read(transaction, accounts.keys(transaction))
    store.close()
    return list(bodies.values())


def row(body: Body, *, nested: bool = False) -> Body:
    """Return an account as a row, what is nested as JSON text or as it is."""
    kept: Body = {name: part for name, part in body.items() if name != "id"}
    for name in ("legs", "options", "terms", "events"):
        part = kept.get(name)
        if part is not None and not (nested and name in {"legs", "events"}):
            kept[name] = json.dumps(part)
    return {"account": body["id"], "owner": "nobody reads it", **kept}


def written(directory: Path, rows: Sequence[Body], *, files: int = 2) -> Path:
    """Write rows as Parquet, in several files of several row groups."""
    directory.mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // files)
    schema = pa.Table.from_pylist(list(rows)).schema
    for number in range(files):
        part = pa.Table.from_pylist(rows[number * size : (number + 1) * size], schema=schema)
        pq.write_table(part, directory / f"book-{number}.parquet", row_group_size=7)
    (directory / "_SUCCESS.parquet").write_text("the mark of a writer, no table")
    return directory


def wish(book: Path, url: str, out: Path, **more: Any) -> run.Wish:
    """Return the whole wish."""
    chosen = {"rows_a_part": 10, "reasons": True, "bundle": CHAMPION, **more}
    return run.Wish(accounts=str(book), market=url, out=out, **chosen)


def scored(asked: run.Wish, spread: run.Spread = run.in_process) -> dict[str, Any]:
    """Score a book and return its manifest."""
    ready = run.prepare(asked, now=many_venues.AT)
    return run.run(ready, spread, on_done=lambda _: None)


def parts(out: Path) -> dict[str, bytes]:
    """Return the results of a book, byte by byte."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("part-*.parquet"))}


def rows_of(out: Path) -> list[Body]:
    """Return the rows of a book's results as JSON has them."""
    tables = [pq.read_table(path) for path in sorted(out.glob("part-*.parquet"))]
    return [_json(each) for each in pa.concat_tables(tables).to_pylist()]


def _json(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, dict):
        return {name: _json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_json(part) for part in value]
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def answered(url: str, item: Body) -> list[Body]:
    """Return what a request about stored accounts is answered with."""
    store = open_store(url)
    desk = ScoringService(model=read_deployment(CHAMPION).model, store=store)
    answer = json.loads(desk.score(json.dumps(item).encode(), "asked"))
    store.close()
    told = answer["assessments"] if "accounts" in item else [answer]
    for each in told:
        for reason in each["reasons"]:
            assert reason.pop("values") is not None
        for notice in (*each["notices"], *each["degraded_reasons"]):
            del notice["values"]
    return [{n: part for n, part in each.items() if n not in UNASKED} for each in told]


@pytest.mark.parametrize("nested", [False, True])
def test_files_are_scored_as_requests_are(
    url: str, held: list[Body], tmp_path: Path, *, nested: bool
) -> None:
    """Every field of every account: one by one, in one request, and from files in small parts."""
    book = written(tmp_path / "book", [row(body, nested=nested) for body in held])
    manifest = scored(wish(book, url, tmp_path / "out"))
    told = rows_of(tmp_path / "out")
    keys = [body["id"] for body in held]
    asked = answered(url, {"accounts": keys})
    assert [each["account"] for each in told] == keys
    assert manifest["rows"] == len(keys)
    assert manifest["refused"] == 0
    added = {"file", "row", "errors", *STANDING.names}
    plain = [{n: p for n, p in each.items() if n not in added} for each in told]
    assert plain == asked
    assert [answered(url, {"account": key})[0] for key in keys[:5]] == plain[:5]
    size = -(-len(keys) // 2)
    assert [(each["file"], each["row"]) for each in told] == [
        (f"book-{n // size}.parquet", n % size + 1) for n in range(len(keys))
    ]


@pytest.mark.parametrize("url", ["many venues"], indirect=True)
def test_two_processes_write_the_bytes_of_one(url: str, held: list[Body], tmp_path: Path) -> None:
    """And the same manifest, whose hashes are those of the files."""
    book = written(tmp_path / "book", [row(body) for body in held])
    one = scored(wish(book, url, tmp_path / "one"))
    two = scored(wish(book, url, tmp_path / "two"), run.over_processes(2))
    assert one == two
    assert parts(tmp_path / "one") == parts(tmp_path / "two")
    for entry in one["parts"]:
        assert run.hashed(tmp_path / "one" / entry["file"]) == entry["sha256"]
    assert sum(entry["rows"] for entry in one["parts"]) == len(held)


def test_a_directory_of_tables_is_the_market_of_a_store(url: str, tmp_path: Path) -> None:
    """Exported tables say what the store says, but whether it was simulated."""
    store = open_store(url)
    kinds = {"prices": "csv", "candles": "parquet", "state": "csv", "terms": "parquet"}
    with store.read() as transaction:
        for name, suffix in kinds.items():
            frame = frames.read(transaction, name)
            if not len(frame):
                continue
            path = tmp_path / f"{name}.{suffix}"
            frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    store.close()
    stored = market.read(url, at=None, now=many_venues.AT)
    of_files = market.read(str(tmp_path), at=stored.at, now=many_venues.AT)
    as_told = replace(of_files, simulated=stored.simulated)
    assert market.digest(as_told) == market.digest(stored)
    assert len(stored.prices) > 0
    newest = max(price.observed_at for price in of_files.prices.values())
    assert market.read(str(tmp_path), at=None, now=many_venues.AT).at == newest


BREAK_OFF = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from serving.bulk import run
if __name__ == "__main__":
    accounts, market, bundle, out = sys.argv[1:]
    asked = run.Wish(accounts=accounts, market=market, bundle=Path(bundle), out=Path(out),
                     rows_a_part=10)
    ready = run.prepare(asked, now=datetime.now(tz=UTC))
    run.run(ready, run.over_processes(2), on_done=lambda done: None)
"""


def _children(parent: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def _await(seen: Any, *, within_s: float = 300.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + within_s
    while not seen():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


@pytest.mark.parametrize("url", ["vaults"], indirect=True)
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_a_run_that_is_killed_is_gone_on_with(held: list[Body], url: str, tmp_path: Path) -> None:
    """Parts that were written stay as they are, and the whole is that of a run never broken."""
    many = [{**body, "id": f"{body['id']}/{n}"} for n in range(400 // len(held)) for body in held]
    book = written(tmp_path / "book", [row(body) for body in many])
    script = tmp_path / "score.py"
    script.write_text(BREAK_OFF)
    out = tmp_path / "out"
    command = [sys.executable, str(script), str(book), url, str(CHAMPION), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = subprocess.Popen(command, env=environment)
    _await(lambda: sum(1 for _ in out.glob("part-*.parquet")) >= 2 or begun.poll() is not None)
    children = _children(begun.pid)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    _await(lambda: not any(Path(f"/proc/{child}/fd").exists() for child in children))
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}
    asked = wish(book, url, out, reasons=False)
    ready = run.prepare(asked, now=many_venues.AT)
    assert {part.name for part in ready.finished} == before.keys()
    assert 2 <= len(before) < len(ready.parts)
    gone_on = run.run(ready, run.in_process, on_done=lambda _: None)
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    whole = scored(wish(book, url, tmp_path / "whole", reasons=False))
    assert gone_on == whole
    assert parts(out) == parts(tmp_path / "whole")
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("url", ["many venues"], indirect=True)
def test_a_torn_part_is_scored_again(held: list[Body], url: str, tmp_path: Path) -> None:
    """A file of another plan, without a row or cut short is no result."""
    book = written(tmp_path / "book", [row(body) for body in held])
    whole = scored(wish(book, url, tmp_path / "out"))
    part = tmp_path / "out" / "part-000001.parquet"
    sound, table = part.read_bytes(), pq.read_table(part)

    def to_do() -> run.Ready:
        return run.prepare(wish(book, url, tmp_path / "out"), now=many_venues.AT)

    for spoilt in (table.replace_schema_metadata({DIGEST: b"other"}), table[:-1]):
        pq.write_table(spoilt, part)
        assert [each.number for each in to_do().left] == [1]
    part.write_bytes(sound)
    assert not to_do().left
    part.write_bytes(sound[:-100])
    ready = to_do()
    assert [each.number for each in ready.left] == [1]
    assert run.run(ready, run.in_process, on_done=lambda _: None) == whole


BROKEN: tuple[tuple[str, Body, str, str], ...] = (
    ("no JSON", {"legs": '[{"kind": "debt",'}, "legs", "is no JSON"),
    ("no legs", {"legs": None}, "legs", "Field required"),
    ("no name", {"account": None}, "account", "Field required"),
    ("unknown venue", {"venue": "atlantis"}, "venue", "atlantis"),
    ("from later on", {"at": "2099-01-01T00:00:00+00:00"}, "at", "is later than as_of"),
    ("no zone", {"at": "2020-01-01T00:00:00"}, "at", "does not say its zone"),
    ("no time", {"opened_at": "yesterday"}, "opened_at", "is no time"),
    (
        "rounded already",
        {"legs": '[{"kind": "collateral", "asset": "ETH", "quantity": 1.5}]'},
        "legs/0/quantity",
        "float",
    ),
    (
        "a key twice",
        {"legs": '[{"kind": "debt", "asset": "A", "asset": "B", "quantity": "1"}]'},
        "legs/0/asset",
        "the key stands twice",
    ),
)


@pytest.mark.parametrize("url", ["many venues"], indirect=True)
def test_every_fault_is_named_and_no_row_is_dropped(
    held: list[Body], url: str, tmp_path: Path
) -> None:
    """File, column and row, in the results and in the list; sound rows are as ever."""
    sound = [row(body) for body in held[:12]]
    spoilt = [{**sound[0], **change} for _, change, _, _ in BROKEN]
    mixed = [*sound[:5], *spoilt, *sound[5:]]
    for each in mixed:
        each.setdefault("at", None)
    book = written(tmp_path / "book", mixed, files=1)
    out = tmp_path / "out"
    ended = within(
        "score", "--accounts", book, "--market", url, "--bundle", CHAMPION, "--out", out,
        "--workers", "1", "--reasons",
    )  # fmt: skip
    assert ended.exit_code == 2, ended.output
    told = rows_of(out)
    assert len(told) == len(mixed)
    plain = written(tmp_path / "plain", sound, files=1)
    scored(wish(plain, url, tmp_path / "sound"))
    expected = [{**each, "row": 0} for each in rows_of(tmp_path / "sound")]
    assert [{**each, "row": 0} for each in told if each["errors"] is None] == expected
    with (out / "faults.csv").open(newline="") as file:
        faults = list(csv.DictReader(file))
    for number, (name, change, column, message) in enumerate(BROKEN):
        where = f"book-0.parquet:{column}:row {6 + number}"
        said = told[5 + number]
        assert said["rule"] is None, name
        assert said["account"] == {**spoilt[0], **change}["account"], name
        assert (where, True) in {
            (error["where"], message in error["message"]) for error in said["errors"]
        }, (name, said["errors"])
        assert all({"where": e["where"], "message": e["message"]} in faults for e in said["errors"])
        assert where in ended.output
    assert len(faults) == sum(len(each["errors"] or ()) for each in told)


@pytest.mark.parametrize("url", ["many venues"], indirect=True)
def test_a_file_of_other_columns_is_refused(held: list[Body], tmp_path: Path) -> None:
    """Before anything is scored, every file with every column that it lacks or misnames."""
    rows = [row(body) for body in held[:3]]
    lacking = [{k: v for k, v in each.items() if k not in {"legs", "venue"}} for each in rows]
    book = written(tmp_path / "book", lacking, files=1)
    numbered = [{**each, "account": 7, "opened_at": 5} for each in rows]
    pq.write_table(pa.Table.from_pylist(numbered), book / "numbered.parquet")
    (book / "torn.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InvalidInput) as caught:
        find(str(book))
    places = {fault.where for fault in caught.value.faults}
    assert places == {
        "book-0.parquet:venue",
        "book-0.parquet:legs",
        "numbered.parquet:account",
        "numbered.parquet:opened_at",
        "torn.parquet",
    }
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("url", ["many venues"], indirect=True)
def test_what_is_no_book_is_refused(held: list[Body], url: str, tmp_path: Path) -> None:
    """Nothing there, nothing in it, and a directory whose results are of another run."""
    for where, words in ((tmp_path / "absent", "is not there"), (tmp_path, "holds no Parquet")):
        with pytest.raises(InvalidInput, match=words):
            find(str(where))
    book = written(tmp_path / "book", [row(body) for body in held[:3]])
    scored(wish(book, url, tmp_path / "out"))
    with pytest.raises(InvalidInput, match=r"another run \(reasons differ\)"):
        scored(wish(book, url, tmp_path / "out", reasons=False))
    with pytest.raises(InvalidInput, match="holds something else"):
        scored(wish(book, url, book))
    with pytest.raises(InvalidInput, match="holds none of"):
        scored(wish(book, str(book), tmp_path / "elsewhere"))


def test_a_store_keeps_what_was_scored(held: list[Body], url: str, tmp_path: Path) -> None:
    """Of the accounts that it knows, once however often; of others it says that it does not."""
    book = written(tmp_path / "book", [row(body) for body in held])
    options = ("score", "--market", url, "--bundle", CHAMPION, "--workers", "1", "--store", url)
    for _ in range(2):
        ended = within(*options, "--accounts", book, "--out", tmp_path / "out")
        assert ended.exit_code == 0, ended.output
    store = open_store(url)
    stands: list[Assessed] = []
    with store.read() as transaction:
        prices = frames.read(transaction, "prices")
        for told in rows_of(tmp_path / "out"):
            (kept,) = assessments.history(transaction, told["account"])
            assert kept.verdict == told["rule"]["verdict"]
            by_horizon = {each["horizon"]: each for each in told["forecast"]}
            day = by_horizon.get("24h", {})
            assert kept.expected_24h == day.get("expected")
            assert assessments.latest(transaction, told["account"]) == kept
            stands.append(kept)
            if kept.trigger_asset is not None and kept.distance:
                _holds_its_line(kept, told["rule"]["trigger"], prices)
    store.close()
    assert sum(kept.trigger_price is not None for kept in stands) > len(stands) / 4
    assert all(kept.collateral_value is not None for kept in stands if kept.requirement)
    stranger = written(tmp_path / "strangers", [row({**held[0], "id": "stranger"})], files=1)
    ended = within(*options, "--accounts", stranger, "--out", tmp_path / "more")
    assert ended.exit_code == 2
    assert "book-0.parquet:account:row 1: the store knows no account 'stranger'" in ended.output


def _holds_its_line(kept: Assessed, trigger: Body, prices: pd.DataFrame) -> None:
    """Check a line against the answer's trigger, and its distance against a price that was told."""
    assert kept.trigger_asset == trigger["asset"]
    assert kept.trigger_side == trigger["direction"]
    line, away = float(Fraction(trigger["price"])), kept.distance
    assert kept.trigger_price == pytest.approx(line)
    assert away is not None
    at = line / (1 - away if kept.trigger_side == "below" else 1 + away)
    told = prices[prices["asset"] == kept.trigger_asset]
    known = pd.concat([told["value"], told["next_value"].dropna()]).astype(float)
    known /= 10.0 ** int(told["decimals"].iloc[0])
    assert (known / at - 1).abs().min() < 1e-9


def test_every_table_of_a_market_is_read() -> None:
    """A table that a store learns to keep is the market's, unless it is of accounts."""
    assert {*market.READ, *market.ACCOUNTS} == set(TABLES)
