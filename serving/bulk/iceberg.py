"""Iceberg tables: their metadata say which files count, which rows, and what columns are called."""

from collections.abc import Iterable, Iterator
from typing import Any

from pyarrow import fs
from pyarrow import parquet as pq
from pyiceberg.catalog import load_catalog
from pyiceberg.io.pyarrow import PyArrowFileIO, schema_to_pyarrow
from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.table import FileScanTask, StaticTable, Table
from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
from pyiceberg.table.puffin import PuffinFile
from pyiceberg.transforms import IdentityTransform

from models.errors import Fault, InvalidTable
from serving.bulk.listing import Listed, Listing

SCHEME = "iceberg://"
"""Before `CATALOG/NAMESPACE.TABLE`, of a catalog that pyiceberg's own settings describe."""

METADATA = ".metadata.json"


def listing(where: str) -> Listing:
    """Return the files of a table's current snapshot.

    Parameters
    ----------
    where
        `iceberg://CATALOG/NAMESPACE.TABLE`, a file of metadata, or a directory whose
        `version-hint.text` names it.

    Raises
    ------
    InvalidTable
        A table that cannot be read, and listing what in it is not understood.
    """
    try:
        table = _table(where)
        tasks = list(table.scan().plan_files())
        mapping = table.name_mapping()
        places = PyArrowFileIO(table.io.properties)
        deleted = _deleted(places, {each for task in tasks for each in task.delete_files})
    except Exception as error:  # noqa: BLE001 - of a catalog of any kind, which raises what it likes
        raise InvalidTable([Fault(where, f"cannot be read: {error}")]) from None
    faults: list[Fault] = []
    files = [_listed(table, task, deleted, faults) for task in tasks]
    roots = {places.parse_location(task.file.file_path)[:2] for task in tasks}
    if len(roots) > 1:
        faults.append(Fault(where, "has files in several places: " + str(sorted(roots))))
    if faults:
        raise InvalidTable(faults)
    snapshot = table.current_snapshot()
    return Listing(
        filesystem=_filesystem(places, roots),
        files=tuple(sorted(files, key=lambda file: file.name)),
        table={
            "format": "iceberg",
            "uuid": str(table.metadata.table_uuid),
            "snapshot": None if snapshot is None else snapshot.snapshot_id,
        },
        schema=schema_to_pyarrow(table.schema()),
        named={
            name: field.field_id
            for field in (() if mapping is None else mapping.root)
            for name in field.names
            if field.field_id is not None
        },
    )


def _table(where: str) -> Table:
    """Return a table."""
    if where.startswith(SCHEME):
        catalog, _, name = where.removeprefix(SCHEME).partition("/")
        return load_catalog(catalog).load_table(name)
    return StaticTable.from_metadata(where)


def _filesystem(places: PyArrowFileIO, roots: Iterable[tuple[str, str]]) -> fs.FileSystem:
    """Return where the files lie, in a form that workers read without the library."""
    for scheme, host in roots:
        filesystem = places.fs_by_scheme(scheme, host)
        return fs.LocalFileSystem() if isinstance(filesystem, fs.LocalFileSystem) else filesystem
    return fs.LocalFileSystem()


def _deleted(places: PyArrowFileIO, files: Iterable[DataFile]) -> dict[str, set[int]]:
    """Return the rows that files of deletions name, by the file that still holds them."""
    rows_of: dict[str, set[int]] = {}
    for file in files:
        for name, rows in _positions(places, file):
            rows_of.setdefault(name, set()).update(rows)
    return rows_of


def _positions(places: PyArrowFileIO, file: DataFile) -> Iterator[tuple[str, Iterable[int]]]:
    """Yield the rows that a file of deletions names."""
    with places.new_input(file.file_path).open() as opened:
        if file.file_format == FileFormat.PUFFIN:
            for vector in deletion_vectors_from_puffin_file(PuffinFile(opened.read())):
                yield vector.referenced_data_file, vector.to_vector().to_pylist()
        elif file.file_format == FileFormat.PARQUET:
            rows = pq.read_table(opened, columns=["file_path", "pos"]).to_pylist()
            for row in rows:
                yield row["file_path"], (row["pos"],)
        else:
            raise ValueError(f"{file.file_path} is {file.file_format}, not Parquet or Puffin")


def _listed(
    table: Table, task: FileScanTask, deleted: dict[str, set[int]], faults: list[Fault]
) -> Listed:
    """Return a file that the snapshot holds, and note what cannot be read of it."""
    where = task.file.file_path
    name = where.removeprefix(table.location().rstrip("/") + "/")
    if task.file.file_format != FileFormat.PARQUET:
        faults.append(Fault(name, f"is {task.file.file_format}, not Parquet"))
    return Listed(
        name=name,
        path=PyArrowFileIO.parse_location(where)[2],
        constants=tuple(_constants(table, task)),
        left_out=tuple(sorted(deleted.get(where, ()))),
    )


def _constants(table: Table, task: FileScanTask) -> Iterator[tuple[str, Any]]:
    """Yield the columns by whose own values the table is partitioned: a file may lack them."""
    spec = table.specs()[task.file.spec_id]
    for place, field in enumerate(spec.fields):
        column = table.schema().find_column_name(field.source_id)
        if isinstance(field.transform, IdentityTransform) and column is not None:
            yield column, task.file.partition[place]
