"""Accounts as Parquet: the files, the parts they are cut into, rows as accounts of a request."""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import fs
from pyarrow import parquet as pq

from features.places import place
from models.errors import Fault, InvalidInput, InvalidTable
from serving.bulk.listing import Listed, Listing
from serving.schemas import requests
from serving.schemas.strict_json import escape, read_each

NEEDED = ("account", "venue", "market", "legs")
NESTED = ("legs", "options", "terms", "events")
"""Columns of JSON text, or of nested values with the same names."""

TIMES = ("opened_at", "at")
NAMES = (*NEEDED, "version", "chain", "options", "terms", "events", *TIMES)
"""Columns that are read; others, such as `owner`, are left unread."""

BATCH = 1000
"""Rows that are judged at once."""

MOST_HASHED = 2**20
"""Bytes that are read at once to be hashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of accounts.

    Parameters
    ----------
    name
        Relative to the directory that was named.
    groups
        Rows of each row group.
    sha256
        Of its bytes.
    columns
        Names in the file, and here, of what is read.
    constants
        What the log of a table states for every row.
    left_out
        Rows that the log of a table deletes, from 0, ascending.
    """

    name: str
    path: str
    groups: tuple[int, ...]
    sha256: str
    columns: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, str], ...] = ()
    left_out: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the file that count."""
        return sum(self.groups) - len(self.left_out)

    def left_within(self, start: int, stop: int) -> tuple[int, ...]:
        """Return the rows between two that do not count."""
        return self.left_out[bisect_left(self.left_out, start) : bisect_left(self.left_out, stop)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of a book, in the order of their names.

    Parameters
    ----------
    table
        Kind and version of the table they are of; empty for a directory.
    """

    filesystem: fs.FileSystem
    files: tuple[File, ...]
    table: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Accounts of the book."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some rows of one file, whose results are one file.

    Parameters
    ----------
    start, stop
        Rows of the file from 0, the last one not included.
    rows
        As many of them as count.
    """

    number: int
    file: int
    start: int
    stop: int
    rows: int

    @property
    def name(self) -> str:
        """File of its results."""
        return f"part-{self.number:06d}.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a file of accounts.

    Parameters
    ----------
    number
        In its file, from 0.
    account
        As the row names it; None where it does not.
    body
        The account, or every fault of the row.
    """

    number: int
    account: str | None
    body: requests.AccountBody | InvalidInput

    @property
    def place(self) -> str:
        """JSON pointer under which faults of the row are noted."""
        return place_of(self.number)


def place_of(number: int) -> str:
    """Return the JSON pointer under which faults of a row are noted.

    >>> place_of(6)
    '/accounts/6'
    """
    return f"/accounts/{number}"


def find(where: str) -> Source:
    """Return the files of a directory, a table, or the one file, of this machine or of a URI.

    Parameters
    ----------
    where
        Path, or a URI that pyarrow knows: `s3://bucket/book`, `gs://`, `hdfs://`, `file://`; of
        Parquet files, a Delta table or an Iceberg table; or `iceberg://CATALOG/NAMESPACE.TABLE`.

    Raises
    ------
    InvalidTable
        Nothing there, and listing every file that cannot be read or lacks a column.
    """
    try:
        listing = _listing(where)
    except (OSError, ValueError) as error:
        raise InvalidTable([Fault(where, f"cannot be read: {error}")]) from None
    if not listing.files:
        raise InvalidTable([Fault(where, "holds no Parquet file")])
    faults: list[Fault] = []
    files = [_file(listing, listed, faults) for listed in listing.files]
    if faults:
        raise InvalidTable(faults)
    sound = tuple(file for file in files if file is not None)
    return Source(filesystem=listing.filesystem, files=sound, table=listing.table)


def _listing(where: str) -> Listing:
    """Return the Parquet files that count, in the order of their names.

    Raises
    ------
    InvalidTable
        Nothing there, and a table that cannot be read.
    """
    if where.startswith("iceberg://") or where.endswith(".metadata.json"):
        return _iceberg(where)
    filesystem, root = (
        fs.FileSystem.from_uri(where)
        if "://" in where
        else (fs.LocalFileSystem(), str(Path(where).absolute()))
    )
    info = filesystem.get_file_info(root)
    if info.type == fs.FileType.NotFound:
        raise InvalidTable([Fault(root, "is not there")])
    if info.type == fs.FileType.File:
        only = Listed(name=PurePosixPath(root).name, path=root)
        return Listing(filesystem=filesystem, files=(only,))
    if _is_directory(filesystem, f"{root}/_delta_log"):
        from serving.bulk import delta  # noqa: PLC0415 - of an extra

        return delta.listing(where, filesystem, root)
    if _is_directory(filesystem, f"{root}/metadata"):
        return _iceberg(where)
    listed = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
    named = {str(PurePosixPath(each.path).relative_to(root)): each for each in listed}
    files = tuple(
        Listed(name=name, path=each.path)
        for name, each in sorted(named.items())
        if each.type == fs.FileType.File and name.endswith(".parquet") and not _is_hidden(name)
    )
    return Listing(filesystem=filesystem, files=files)


def _iceberg(where: str) -> Listing:
    """Return the files of an Iceberg table."""
    from serving.bulk import iceberg  # noqa: PLC0415 - of an extra

    return iceberg.listing(where)


def _is_directory(filesystem: fs.FileSystem, path: str) -> bool:
    """Return whether a path is a directory."""
    return bool(filesystem.get_file_info(path).type == fs.FileType.Directory)


def _is_hidden(name: str) -> bool:
    """Return whether a file is of the writer's own making, as a name that starts so says."""
    return any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


def _file(listing: Listing, listed: Listed, faults: list[Fault]) -> File | None:
    """Return a file, or None after noting why it cannot be used."""
    try:
        with listing.filesystem.open_input_file(listed.path) as opened:
            digest = hashlib.sha256()
            while chunk := opened.read(MOST_HASHED):
                digest.update(chunk)
            opened.seek(0)
            file = pq.ParquetFile(opened)
            schema, metadata = file.schema_arrow, file.metadata
    except (OSError, pa.ArrowException) as error:
        faults.append(Fault(listed.name, f"cannot be read: {error}"))
        return None
    columns = dict(_columns(listing, listed, schema, faults))
    constants = tuple(_constants(listed, {*NAMES} - {*columns.values()}, faults))
    types = {here: schema.field(there).type for there, here in columns.items()}
    faults += _schema_faults(types | {name: pa.string() for name, _ in constants}, listed.name)
    groups = tuple(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups))
    return File(
        name=listed.name,
        path=listed.path,
        groups=groups,
        sha256=digest.hexdigest(),
        columns=tuple(columns.items()),
        constants=constants,
        left_out=listed.left_out,
    )


def _constants(listed: Listed, lacking: set[str], faults: list[Fault]) -> Iterator[tuple[str, str]]:
    """Yield the columns that a file lacks and its table's log states, as text."""
    for name, value in listed.constants:
        if name not in lacking or value is None:
            continue
        if name in TIMES and isinstance(value, datetime) and value.tzinfo is not None:
            yield name, value.isoformat()
        elif isinstance(value, str):
            yield name, value
        else:
            faults.append(Fault(f"{listed.name}:{name}", f"is partitioned by {value!r}, not text"))


def _columns(
    listing: Listing, listed: Listed, schema: pa.Schema, faults: list[Fault]
) -> Iterator[tuple[str, str]]:
    """Yield the columns that are read, by their names in a file and here."""
    if listing.schema is None:
        yield from ((name, name) for name in NAMES if name in schema.names)
        return
    columns = {_id(each): each for each in listing.schema if each.name in NAMES}
    for column in schema:
        meant = columns.get(_id(column) or listing.named.get(column.name))
        if meant is None:
            continue
        inside, current = dict(_fields(column.type)), dict(_fields(meant.type))
        if None in inside or any(current.get(key, name) != name for key, name in inside.items()):
            detail = "its fields have no Iceberg ids, or were renamed since: write the file anew"
            faults.append(Fault(f"{listed.name}:{column.name}", detail))
        yield column.name, meant.name


def _id(column: pa.Field) -> int | None:
    """Return the Iceberg id of a column; None where it carries none."""
    text = (column.metadata or {}).get(b"PARQUET:field_id")
    return None if text is None else int(text)


def _fields(kind: pa.DataType) -> Iterator[tuple[int | None, str]]:
    """Yield ids and names of the fields of structures within a type."""
    if pa.types.is_struct(kind):
        for part in (kind.field(place) for place in range(kind.num_fields)):
            yield _id(part), part.name
            yield from _fields(part.type)
    elif pa.types.is_map(kind):
        yield from _fields(kind.key_type)
        yield from _fields(kind.item_type)
    elif pa.types.is_nested(kind):
        yield from _fields(kind.value_type)


def _schema_faults(types: Mapping[str, pa.DataType], name: str) -> Iterator[Fault]:
    """Yield the columns that a file lacks, and those of a type that says something else."""
    for column in NAMES:
        kind = types.get(column)
        if kind is None:
            if column in NEEDED:
                yield Fault(f"{name}:{column}", "column missing")
        elif column in TIMES:
            if not (_is_text(kind) or (pa.types.is_timestamp(kind) and kind.tz is not None)):
                detail = f"is {kind}: a time is a timestamp with its zone, or ISO 8601 text"
                yield Fault(f"{name}:{column}", detail)
        elif not _is_text(kind) and (column not in NESTED or not pa.types.is_nested(kind)):
            yield Fault(f"{name}:{column}", f"is {kind}, not text")


def _is_text(kind: pa.DataType) -> bool:
    """Return whether the cells of a type are text."""
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    )


def parts(source: Source, rows: int) -> list[Part]:
    """Return the parts of a book: each of one file, and of so many rows or fewer."""
    cuts = [
        (place, start, min(start + rows, sum(file.groups)))
        for place, file in enumerate(source.files)
        for start in range(0, sum(file.groups), rows)
    ]
    counted = [
        (place, start, stop, stop - start - len(source.files[place].left_within(start, stop)))
        for place, start, stop in cuts
    ]
    return [
        Part(number=number, file=place, start=start, stop=stop, rows=count)
        for number, (place, start, stop, count) in enumerate(each for each in counted if each[-1])
    ]


def read(source: Source, part: Part, *, at: datetime) -> Iterator[list[Row]]:
    """Yield the rows of a part that count, some at a time.

    Parameters
    ----------
    at
        Moment of the question: a row that stands from later on is at fault.
    """
    file = source.files[part.file]
    here = dict(file.columns)
    with source.filesystem.open_input_file(file.path) as opened:
        table = pq.ParquetFile(opened)
        first, groups = _overlapping(file.groups, part)
        for batch in table.iter_batches(BATCH, row_groups=groups, columns=[*here]):
            begin, end = max(part.start - first, 0), min(part.stop - first, len(batch))
            if begin < end:
                rows = np.arange(first + begin, first + end)
                section = batch.slice(begin, end - begin)
                left_out = file.left_within(first + begin, first + end)
                if left_out:
                    counts = np.isin(rows, left_out, invert=True)
                    rows, section = rows[counts], section.filter(pa.array(counts))
                if len(rows):
                    yield _rows(_named(section, file, here), rows.tolist(), at=at)
            first += len(batch)
            if first >= part.stop:
                return


def _named(batch: pa.RecordBatch, file: File, here: Mapping[str, str]) -> pa.RecordBatch:
    """Return a batch under the names that are used here, with what every row shares."""
    columns = {here[name]: batch[name] for name in batch.schema.names}
    shared = {name: pa.array([value] * len(batch), pa.string()) for name, value in file.constants}
    return pa.RecordBatch.from_pydict(columns | shared)


def _overlapping(groups: Sequence[int], part: Part) -> tuple[int, list[int]]:
    """Return the row groups that hold a part, and the first row of the first of them."""
    ends = list(accumulate(groups))
    overlapping = [
        number
        for number, (end, size) in enumerate(zip(ends, groups, strict=True))
        if end - size < part.stop and end > part.start
    ]
    return ends[overlapping[0]] - groups[overlapping[0]], overlapping


def _rows(batch: pa.RecordBatch, numbers: Sequence[int], *, at: datetime) -> list[Row]:
    """Return the rows of a batch, which have these numbers in their file."""
    faults: list[list[Fault]] = [[] for _ in range(len(batch))]
    columns = {
        name: _cells(name, column, numbers, faults)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    stands = columns.pop("at", [None] * len(batch))
    columns["id"] = columns.pop("account")
    names = tuple(columns)
    return [
        _row(dict(zip(names, cells, strict=True)), number, since, at, noted)
        for number, noted, since, *cells in zip(
            numbers, faults, stands, *columns.values(), strict=True
        )
    ]


def _row(
    cells: dict[str, Any], number: int, since: str | None, at: datetime, noted: list[Fault]
) -> Row:
    """Return one row."""
    item = {name: cell for name, cell in cells.items() if cell is not None}
    where = place_of(number)
    if since is not None:
        noted.extend(_late(since, at, f"{where}/at"))
    named = item.get("id")
    return Row(number=number, account=named, body=requests.sound(item, where, noted))


def _late(since: str, at: datetime, where: str) -> Iterator[Fault]:
    """Yield what is wrong with the moment from which a row stands."""
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        yield Fault(where, f"{since[:40]!r} is no time such as 2026-01-31T23:59:59Z")
        return
    if moment.tzinfo is None:
        yield Fault(where, f"{since[:40]} does not say its zone")
    elif moment > at:
        yield Fault(where, f"{since} is later than as_of {at.isoformat()}")


def _cells(
    name: str, column: pa.Array, numbers: Sequence[int], faults: list[list[Fault]]
) -> list[Any]:
    """Return the cells of a column as a request has them; None where there is none."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        moments = column.cast(pa.timestamp("us")).to_pylist()
        return [None if m is None else m.replace(tzinfo=UTC).isoformat() for m in moments]
    cells = column.to_pylist()
    if name not in NESTED:
        return cells
    if pa.types.is_nested(kind):
        return [_plain(cell, is_map=pa.types.is_map(kind)) for cell in cells]
    filled = [index for index, cell in enumerate(cells) if cell is not None]
    parsed = read_each([cells[index].encode() for index in filled])
    for index, (tree, cell_faults) in zip(filled, parsed, strict=True):
        cells[index] = tree
        if cell_faults:
            where = f"{place_of(numbers[index])}/{escape(name)}"
            faults[index].extend(
                Fault(f"{where}{fault.where}", fault.message) for fault in cell_faults
            )
    return cells


def _plain(value: Any, *, is_map: bool = False) -> Any:
    """Return a nested value as JSON has it, without what is left out."""
    if isinstance(value, list):
        return {k: _plain(v) for k, v in value} if is_map else [_plain(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if part is not None}
    if isinstance(value, datetime):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else value


def located(fault: Fault, file: str, number: int) -> Fault:
    """Return a fault of a row as of a file, its column and its row.

    >>> located(Fault("/accounts/6/legs/0/quantity", "is negative"), "a.parquet", 6).where
    'a.parquet:legs/0/quantity:row 7'
    """
    prefix = f"{place_of(number)}/"
    if not f"{fault.where}/".startswith(prefix):
        return Fault(place(file, f"market {fault.where}", number), fault.message)
    column = fault.where.removeprefix(prefix[:-1]).removeprefix("/")
    first, _, rest = column.partition("/")
    column = "account" if first == "id" else first
    return Fault(place(file, f"{column}/{rest}" if rest else column, number), fault.message)
