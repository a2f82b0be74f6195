"""A book that stands in a Delta or an Iceberg table is scored as the same rows in plain files."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import many_venues
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from models.errors import InvalidInput
from serving.bulk import run
from serving.bulk.accounts import find, parts
from serving.store import open_store

WHY = "comes with the extra tables"
deltalake = pytest.importorskip("deltalake", reason=f"no Delta library: it {WHY}")
pytest.importorskip("pyiceberg", reason=f"no Iceberg library: it {WHY}")

from pyiceberg.catalog.sql import SqlCatalog  # noqa: E402
from pyiceberg.expressions import EqualTo  # noqa: E402
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat  # noqa: E402
from pyiceberg.table import DataScan, FileScanTask, Table  # noqa: E402
from pyiceberg.types import LongType  # noqa: E402
from pyroaring import BitMap  # noqa: E402

Row = dict[str, Any]
SCHEMA = pa.schema(
    [
        (name, pa.string())
        for name in ("account", "venue", "version", "market", "chain", "terms", "legs")
    ]
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a store with a market."""
    found = f"sqlite:///{tmp_path_factory.mktemp('store')}/book.sqlite3"
    store = open_store(found)
    many_venues.lay(store)
    store.close()
    return found


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Return accounts of many venues, each three times."""
    names = ("venue", "version", "market", "chain")
    return [
        {
            "account": f"{body['id']}#{n}",
            **{name: body.get(name) for name in names},
            "terms": json.dumps(body["terms"]) if "terms" in body else None,
            "legs": json.dumps(body["legs"]),
        }
        for n in range(3)
        for body in many_venues.book()
    ]


def table(rows: Sequence[Row]) -> pa.Table:
    """Return rows as they are written."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def told(where: str, url: str, out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the manifest of a scored book, and what is said of each account."""
    asked = run.Wish(accounts=where, market=url, bundle=None, out=out, rows_a_part=5)
    ready = run.prepare(asked, now=many_venues.AT)
    manifest = run.run(ready, run.in_process, on_done=lambda _: None)
    said = [
        each for part in manifest["parts"] for each in pq.read_table(out / part["file"]).to_pylist()
    ]
    assert len(said) == manifest["rows"]
    found = {each["account"]: each for each in said}
    assert len(found) == len(said)
    return manifest, found


def without_place(said: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of accounts, but for the file and the row where they stand."""
    return {
        name: {field: value for field, value in each.items() if field not in {"file", "row"}}
        for name, each in said.items()
    }


def plain(rows: Sequence[Row], url: str, directory: Path) -> dict[str, Any]:
    """Return what is said of the same rows in one plain file."""
    directory.mkdir()
    pq.write_table(table(rows), directory / "all.parquet")
    return without_place(told(str(directory / "all.parquet"), url, directory / "out")[1])


def test_a_delta_table_is_scored_by_its_newest_version(
    url: str, rows: list[Row], tmp_path: Path
) -> None:
    """Several files and partitions, rows deleted, added and overwritten; old files stay unread."""
    place = str(tmp_path / "book")
    deltalake.write_deltalake(place, table(rows[:10]), partition_by=["venue", "market"])
    deltalake.write_deltalake(place, table(rows[10:]), mode="append")
    gone = rows[4]["account"]
    deltalake.DeltaTable(place).delete(f"account = '{gone}'")
    manifest, said = told(place, url, tmp_path / "out")
    left = [each for each in rows if each["account"] != gone]
    assert without_place(said) == plain(left, url, tmp_path / "plain")
    assert manifest["table"] == {"format": "delta", "version": 2}
    assert manifest["refused"] == 0
    assert len(manifest["accounts"]) > 3
    assert all("venue=" in each["file"] for each in manifest["accounts"])
    deltalake.DeltaTable(place).delete(f"account = '{rows[5]['account']}'")
    with pytest.raises(InvalidInput, match=r"another run \(accounts, table differ\)"):
        told(place, url, tmp_path / "out")


def z85(data: bytes) -> str:
    """Return bytes in the alphabet of ZeroMQ, in which a Delta log writes them."""
    ours = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    theirs = (
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    )
    return base64.b85encode(data).translate(bytes.maketrans(ours, theirs)).decode()


def bitmaps(positions: Sequence[int]) -> bytes:
    """Return rows as both formats write them: count of bitmaps, then each by its upper half."""
    return (1).to_bytes(8, "little") + bytes(4) + BitMap(positions).serialize()


def test_rows_that_a_delta_log_deletes_are_left_out_in_place(
    url: str, rows: list[Row], tmp_path: Path
) -> None:
    """By a deletion vector, in the log by the protocol's text: others keep their row's number."""
    place, deleted = tmp_path / "book", [1, 6, 11]
    deltalake.write_deltalake(str(place), table(rows))
    log = place / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    vector = (1681511377).to_bytes(4, "little") + bitmaps(deleted)
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": ["deletionVectors"],
                "writerFeatures": ["deletionVectors"],
            }
        if "add" in action:
            action["add"]["deletionVector"] = {
                "storageType": "i",
                "pathOrInlineDv": z85(vector + bytes(-len(vector) % 4)),
                "sizeInBytes": len(vector),
                "cardinality": len(deleted),
            }
    log.write_text("\n".join(map(json.dumps, actions)))
    manifest, said = told(str(place), url, tmp_path / "out")
    left = [(n, each) for n, each in enumerate(rows) if n not in deleted]
    assert {name: each["row"] for name, each in said.items()} == {
        each["account"]: n + 1 for n, each in left
    }
    assert without_place(said) == plain([each for _, each in left], url, tmp_path / "plain")
    assert sum(part["rows"] for part in manifest["parts"]) == len(left)


def test_faults_of_a_delta_table_are_named_with_their_place(
    url: str, rows: list[Row], tmp_path: Path
) -> None:
    """A column that is missing, of another type or a partition by a number; a row; a feature."""
    lacking = table(rows[:4]).drop_columns(["legs"])
    at = lacking.column_names.index("account")
    numbered = lacking.set_column(at, "account", pa.array(range(4)))
    deltalake.write_deltalake(str(tmp_path / "bad"), numbered, partition_by=["account"])
    with pytest.raises(InvalidInput) as caught:
        find(str(tmp_path / "bad"))
    places = {(fault.where.rpartition(":")[2], fault.message) for fault in caught.value.faults}
    assert ("legs", "column missing") in places
    assert ("account", "is partitioned by 3, not text") in places
    assert all("account=" in fault.where for fault in caught.value.faults)

    spoilt = [*rows[:2], {**rows[2], "legs": '[{"kind": "none"}]'}]
    deltalake.write_deltalake(str(tmp_path / "row"), table(spoilt))
    manifest, said = told(str(tmp_path / "row"), url, tmp_path / "out")
    (file,) = manifest["accounts"]
    assert manifest["refused"] == 1
    wheres = {error["where"] for error in said[rows[2]["account"]]["errors"]}
    assert any(
        where.startswith(f"{file['file']}:legs/0") and where.endswith(":row 3") for where in wheres
    )

    mapped = tmp_path / "mapped"
    deltalake.write_deltalake(
        str(mapped), table(rows[:2]), configuration={"delta.columnMapping.mode": "name"}
    )
    with pytest.raises(InvalidInput, match="maps names of columns"):
        find(str(mapped))
    log = mapped / "_delta_log" / f"{0:020}.json"
    log.write_text("no log")
    with pytest.raises(InvalidInput, match="cannot be read"):
        find(str(mapped))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    """Yield a catalog with a namespace."""
    made = SqlCatalog(
        "local", uri=f"sqlite:///{tmp_path}/catalog.sqlite3", warehouse=f"file://{tmp_path}/house"
    )
    made.create_namespace("desk")
    yield made
    made.close()


RENAMED = (
    ("market", "was_market"),
    ("venue", "market"),
    ("was_market", "venue"),
    ("chain", "unread"),
)
NEW_NAMES = ["account", "market", "version", "venue", "unread", "terms", "legs"]
"""Of the columns of `SCHEMA` after that."""


def created(catalog: SqlCatalog, rows: Sequence[Row]) -> Table:
    """Return a table of two files."""
    made = catalog.create_table("desk.book", schema=SCHEMA)
    made.append(table(rows[:10]))
    made.append(table(rows[10:]))
    return made


def test_an_iceberg_table_is_scored_by_its_snapshot(
    catalog: SqlCatalog, url: str, rows: list[Row], tmp_path: Path
) -> None:
    """Rows deleted, columns renamed since files were written; by metadata, and by catalog."""
    swapped = [{**each, "venue": each["market"], "market": each["venue"]} for each in rows]
    made = created(catalog, swapped)
    gone = rows[4]["account"]
    made.delete(EqualTo("account", gone))
    for was, new in RENAMED:
        with made.update_schema() as change:
            change.rename_column(was, new)
    made.append(table([{**swapped[0], "account": "later"}]).rename_columns(NEW_NAMES))
    made.refresh()
    manifest, said = told(made.metadata_location, url, tmp_path / "out")
    left = [{**each, "chain": None} for each in rows if each["account"] != gone]
    left.append({**rows[0], "account": "later", "chain": None})
    assert without_place(said) == plain(left, url, tmp_path / "plain")
    assert manifest["table"]["format"] == "iceberg"
    assert manifest["table"]["snapshot"] == made.current_snapshot().snapshot_id
    assert {each["rows"] for each in manifest["accounts"]} == {9, len(rows) - 10, 1}
    assert all(each["file"].startswith("data/") for each in manifest["accounts"])

    environment = {
        **os.environ,
        "PYICEBERG_CATALOG__LOCAL__TYPE": "sql",
        "PYICEBERG_CATALOG__LOCAL__URI": f"sqlite:///{tmp_path}/catalog.sqlite3",
    }
    asked = "from serving.bulk.accounts import find; print(find('iceberg://local/desk.book').rows)"
    counted = subprocess.run(
        [sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True
    )
    assert int(counted.stdout) == len(left)
    place = made.location().removeprefix("file://")
    with pytest.raises(InvalidInput, match="version-hint"):
        find(place)
    hint = Path(place, "metadata", "version-hint.text")
    hint.write_text(Path(made.metadata_location).name)
    assert find(place).rows == len(left)


def test_rows_that_an_iceberg_table_deletes_are_left_out_in_place(
    catalog: SqlCatalog,
    url: str,
    rows: list[Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a file of positions and by a deletion vector, as other writers of tables lay them."""
    made = created(catalog, rows)
    tasks = sorted(made.scan().plan_files(), key=lambda task: task.file.record_count)
    first, second = (task.file.file_path for task in tasks)
    in_first = [
        each["account"] for each in pq.read_table(first.removeprefix("file://")).to_pylist()
    ]
    in_second = [
        each["account"] for each in pq.read_table(second.removeprefix("file://")).to_pylist()
    ]
    positions, puffin = tmp_path / "positions.parquet", tmp_path / "vector.puffin"
    pq.write_table(pa.table({"file_path": [first] * 2, "pos": pa.array([0, 2])}), positions)
    vector = bytes.fromhex("d1d33964") + bitmaps([1])
    blob = len(vector).to_bytes(4, "big") + vector + bytes(4)
    footer = {
        "blobs": [
            {
                "type": "deletion-vector-v1",
                "fields": [],
                "snapshot-id": 1,
                "sequence-number": 1,
                "offset": 4,
                "length": len(blob),
                "properties": {"referenced-data-file": second},
            }
        ]
    }
    payload = json.dumps(footer).encode()
    magic = b"PFA1"
    puffin.write_bytes(
        magic + blob + magic + payload + len(payload).to_bytes(4, "little") + bytes(4) + magic
    )

    def deletions(path: Path, kind: FileFormat) -> DataFile:
        return DataFile.from_args(
            content=DataFileContent.POSITION_DELETES, file_path=str(path), file_format=kind
        )

    def planned(_: DataScan) -> list[FileScanTask]:
        return [
            FileScanTask(tasks[0].file, delete_files={deletions(positions, FileFormat.PARQUET)}),
            FileScanTask(tasks[1].file, delete_files={deletions(puffin, FileFormat.PUFFIN)}),
        ]

    monkeypatch.setattr(DataScan, "plan_files", planned)
    _, said = told(made.metadata_location, url, tmp_path / "out")
    gone = {in_first[0], in_first[2], in_second[1]}
    left = [each for each in rows if each["account"] not in gone]
    assert without_place(said) == plain(left, url, tmp_path / "plain")
    for name, places in (("first", in_first), ("second", in_second)):
        for number, account in enumerate(places):
            assert account in gone or said[account]["row"] == number + 1, name


def test_faults_of_an_iceberg_table_are_named_with_their_place(
    catalog: SqlCatalog, rows: list[Row], tmp_path: Path
) -> None:
    """A column dropped, one of another type, a structure renamed inside, what is no table."""
    made = created(catalog, rows)
    with made.update_schema() as change:
        change.delete_column("legs")
        change.delete_column("venue")
    with made.update_schema() as change:
        change.add_column("venue", LongType())
    made.append(table(rows[:1]).select(["account", "market"]).append_column("venue", pa.array([1])))
    with pytest.raises(InvalidInput) as caught:
        find(made.metadata_location)
    found = {(fault.where.rpartition(":")[2], fault.message) for fault in caught.value.faults}
    assert ("legs", "column missing") in found
    assert ("venue", "column missing") in found
    assert ("venue", "is int64, not text") in found
    assert all(fault.where.startswith("data/") for fault in caught.value.faults)

    legs = pa.array([[{"kind": "debt", "asset": "USDC", "quantity": "1"}]])
    nested = table(rows[:1]).drop_columns(["legs"]).append_column("legs", legs)
    other = catalog.create_table("desk.nested", schema=nested.schema)
    other.append(nested)
    with other.update_schema() as change:
        change.rename_column("legs.quantity", "amount")
    with pytest.raises(InvalidInput, match=r":legs: its fields .* were renamed since"):
        find(other.metadata_location)
    for where in (f"{tmp_path}/none.metadata.json", "iceberg://nobody/desk.book"):
        with pytest.raises(InvalidInput, match="cannot be read"):
            find(where)


def test_a_part_is_of_rows_that_count(rows: list[Row], tmp_path: Path) -> None:
    """Where all rows of a part were deleted there is no part."""
    pq.write_table(table(rows[:12]), tmp_path / "all.parquet")
    source = find(str(tmp_path / "all.parquet"))
    (file,) = source.files
    cut = replace(source, files=(replace(file, left_out=(0, 4, 5, 6, 7)),))
    assert [(part.number, part.start, part.stop, part.rows) for part in parts(cut, 4)] == [
        (0, 0, 4, 3),
        (1, 8, 12, 4),
    ]
