"""Accounts as Parquet: the files, the parts they are cut into, rows as accounts of a request."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import fs
from pyarrow import parquet as pq

from features.tables import place
from models.errors import Fault, InvalidInput, InvalidTable
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
    """

    name: str
    path: str
    groups: tuple[int, ...]
    sha256: str

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return sum(self.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of a book, in the order of their names."""

    filesystem: fs.FileSystem
    files: tuple[File, ...]

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
    """

    number: int
    file: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """Rows of the part."""
        return self.stop - self.start

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
    """Return the files of a directory, or the one file, of this machine or of a URI.

    Parameters
    ----------
    where
        Path, or a URI that pyarrow knows: `s3://bucket/book`, `gs://`, `hdfs://`, `file://`.

    Raises
    ------
    InvalidTable
        Nothing there, and listing every file that cannot be read or lacks a column.
    """
    try:
        filesystem, root = (
            fs.FileSystem.from_uri(where)
            if "://" in where
            else (fs.LocalFileSystem(), str(Path(where).absolute()))
        )
        paths = _paths(filesystem, root)
    except (OSError, ValueError) as error:
        raise InvalidTable([Fault(where, f"cannot be read: {error}")]) from None
    if not paths:
        raise InvalidTable([Fault(where, "holds no Parquet file")])
    faults: list[Fault] = []
    files = [_file(filesystem, path, name, faults) for name, path in paths]
    if faults:
        raise InvalidTable(faults)
    return Source(filesystem=filesystem, files=tuple(file for file in files if file is not None))


def _paths(filesystem: fs.FileSystem, root: str) -> list[tuple[str, str]]:
    """Return names and paths of the Parquet files under a root, in the order of the names.

    Raises
    ------
    InvalidTable
        A table of a kind whose files do not tell which of them count.
    """
    info = filesystem.get_file_info(root)
    if info.type == fs.FileType.NotFound:
        raise InvalidTable([Fault(root, "is not there")])
    if info.type == fs.FileType.File:
        return [(PurePosixPath(root).name, root)]
    listed = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
    named = {str(PurePosixPath(each.path).relative_to(root)): each for each in listed}
    for sign, kind in (("_delta_log", "Delta"), ("metadata", "Iceberg")):
        if sign in named and named[sign].type == fs.FileType.Directory:
            detail = f"is a {kind} table, whose log says which files count: export it as Parquet"
            raise InvalidTable([Fault(root, detail)])
    return sorted(
        (name, each.path)
        for name, each in named.items()
        if each.type == fs.FileType.File and name.endswith(".parquet") and not _is_hidden(name)
    )


def _is_hidden(name: str) -> bool:
    """Return whether a file is of the writer's own making, as a name that starts so says."""
    return any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


def _file(filesystem: fs.FileSystem, path: str, name: str, faults: list[Fault]) -> File | None:
    """Return a file, or None after noting why it cannot be used."""
    try:
        with filesystem.open_input_file(path) as opened:
            digest = hashlib.sha256()
            while chunk := opened.read(MOST_HASHED):
                digest.update(chunk)
            opened.seek(0)
            file = pq.ParquetFile(opened)
            schema, metadata = file.schema_arrow, file.metadata
    except (OSError, pa.ArrowException) as error:
        faults.append(Fault(name, f"cannot be read: {error}"))
        return None
    faults += _schema_faults(schema, name)
    groups = tuple(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups))
    return File(name=name, path=path, groups=groups, sha256=digest.hexdigest())


def _schema_faults(schema: pa.Schema, name: str) -> Iterator[Fault]:
    """Yield the columns that a file lacks, and those of a type that says something else."""
    types: Mapping[str, pa.DataType] = dict(zip(schema.names, schema.types, strict=True))
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
        (place, start, min(start + rows, file.rows))
        for place, file in enumerate(source.files)
        for start in range(0, file.rows, rows)
    ]
    return [
        Part(number=number, file=place, start=start, stop=stop)
        for number, (place, start, stop) in enumerate(cuts)
    ]


def read(source: Source, part: Part, *, at: datetime) -> Iterator[list[Row]]:
    """Yield the rows of a part, some at a time.

    Parameters
    ----------
    at
        Moment of the question: a row that stands from later on is at fault.
    """
    file = source.files[part.file]
    with source.filesystem.open_input_file(file.path) as opened:
        table = pq.ParquetFile(opened)
        columns = [name for name in NAMES if name in table.schema_arrow.names]
        first, groups = _overlapping(file.groups, part)
        for batch in table.iter_batches(BATCH, row_groups=groups, columns=columns):
            begin, end = max(part.start - first, 0), min(part.stop - first, len(batch))
            if begin < end:
                yield _rows(batch.slice(begin, end - begin), first + begin, at=at)
            first += len(batch)
            if first >= part.stop:
                return


def _overlapping(groups: Sequence[int], part: Part) -> tuple[int, list[int]]:
    """Return the row groups that hold a part, and the first row of the first of them."""
    ends = list(accumulate(groups))
    overlapping = [
        number
        for number, (end, size) in enumerate(zip(ends, groups, strict=True))
        if end - size < part.stop and end > part.start
    ]
    return ends[overlapping[0]] - groups[overlapping[0]], overlapping


def _rows(batch: pa.RecordBatch, first: int, *, at: datetime) -> list[Row]:
    """Return the rows of a batch, whose first one has a number."""
    faults: list[list[Fault]] = [[] for _ in range(len(batch))]
    columns = {
        name: _cells(name, column, first, faults)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    stands = columns.pop("at", [None] * len(batch))
    columns["id"] = columns.pop("account")
    names = tuple(columns)
    return [
        _row(dict(zip(names, cells, strict=True)), first + number, since, at, faults[number])
        for number, (since, *cells) in enumerate(zip(stands, *columns.values(), strict=True))
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


def _cells(name: str, column: pa.Array, first: int, faults: list[list[Fault]]) -> list[Any]:
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
    filled = [number for number, cell in enumerate(cells) if cell is not None]
    parsed = read_each([cells[number].encode() for number in filled])
    for number, (tree, cell_faults) in zip(filled, parsed, strict=True):
        cells[number] = tree
        if cell_faults:
            where = f"{place_of(first + number)}/{escape(name)}"
            faults[number].extend(
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
