"""The files of a book as they are found: of a directory, or as the log of a table lists them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyarrow import fs


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file that counts.

    Parameters
    ----------
    name
        Relative to the directory, or to the table.
    constants
        Columns that its log states for the whole file, since it was partitioned by them.
    left_out
        Rows that were deleted and still stand in the file, from 0, ascending.
    """

    name: str
    path: str
    constants: tuple[tuple[str, Any], ...] = ()
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files that count.

    Parameters
    ----------
    table
        Kind and version of the table they make up; empty for a directory.
    schema
        Columns with their Iceberg ids, by which files know them whatever they were called when a
        file was written; None where names alone tell.
    named
        Ids of columns in files that carry none, by the names they may have there.
    """

    filesystem: fs.FileSystem
    files: tuple[Listed, ...]
    table: Mapping[str, Any] = field(default_factory=dict)
    schema: pa.Schema | None = None
    named: Mapping[str, int] = field(default_factory=dict)
