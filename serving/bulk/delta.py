"""Delta tables: the log says which files count, which rows of them, and what they share."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyarrow import fs

from models.errors import Fault, InvalidTable
from serving.bulk.listing import Listed, Listing

UNDERSTOOD = frozenset({"deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})
"""Features that a reader may meet: the first is read, the others leave files as they are."""

RENAMING = "delta.columnMapping.mode"


def listing(where: str, filesystem: fs.FileSystem, root: str) -> Listing:
    """Return the files of the newest version of a table.

    Parameters
    ----------
    where
        As it was named; the library takes the same paths and URIs.
    root
        The same place within the filesystem.

    Raises
    ------
    InvalidTable
        A table that cannot be read, or one with features that change what its files say.
    """
    try:
        table = DeltaTable(where)
        faults = _unread(table)
        if faults:
            raise InvalidTable([Fault(where, detail) for detail in faults])
        actions = pa.table(table.get_add_actions()).to_pylist()
        deleted = pa.table(table.deletion_vectors()).to_pylist()
    except (DeltaError, OSError) as error:
        raise InvalidTable([Fault(where, f"cannot be read: {error}")]) from None
    masks = {unquote(each["filepath"]): each["selection_vector"] for each in deleted}
    files = [_listed(action, root, masks) for action in actions]
    if masks:
        raise InvalidTable([Fault(name, "has deleted rows of no file") for name in sorted(masks)])
    return Listing(
        filesystem=filesystem,
        files=tuple(sorted(files, key=lambda file: file.name)),
        table={"format": "delta", "version": table.version()},
    )


def _unread(table: DeltaTable) -> list[str]:
    """Return what a table has that would have to be known to read it."""
    features = set(table.protocol().reader_features or ()) - UNDERSTOOD - {"columnMapping"}
    unread = [f"has the Delta feature {feature}, which is not read" for feature in sorted(features)]
    if table.metadata().configuration.get(RENAMING, "none") != "none":
        unread.append(f"maps names of columns ({RENAMING}), which is not read: copy it without")
    return unread


def _listed(action: Mapping[str, Any], root: str, masks: dict[str, list[bool]]) -> Listed:
    """Return a file that the log adds, and take the mask of the rows that still count."""
    name = unquote(action["path"])
    path = f"{root}/{name}"
    if "://" in name:
        raise InvalidTable([Fault(name, "lies outside its table, as a clone's files do")])
    of_file = next((uri for uri in masks if uri.endswith(unquote(path))), None)
    counts = np.array(masks.pop(of_file)) if of_file is not None else np.ones(0, bool)
    return Listed(
        name=name,
        path=path,
        constants=tuple((action.get("partition") or {}).items()),
        left_out=tuple(np.flatnonzero(~counts).tolist()),
    )
