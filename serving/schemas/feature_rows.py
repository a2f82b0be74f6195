"""Ready features in, probabilities out: columns as JSON, base64 or Arrow.

For callers who keep the feature frame themselves and score a whole book at once. Of a sound
body numbers are read where they lie and the rest by msgspec; whatever either refuses is read
again, slowly, to list every fault.
"""

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, ValidationError

from models.errors import Fault, InvalidInput
from serving.schemas import requests
from serving.schemas.arrow import MOST_COLUMNS, read_stream
from serving.schemas.fields import Body, Name, Strict
from serving.schemas.number_lists import extracted
from serving.schemas.strict_json import escape, read

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MOST_ROWS = 100_000
FINGERPRINT = "^[0-9a-f]{64}$"
_MOST_TEXT = 8 * MOST_ROWS * 4 // 3 + 4

Column = (
    Annotated[
        list[Annotated[float, Field(allow_inf_nan=False, strict=True)] | None],
        Field(max_length=MOST_ROWS),
    ]
    | Annotated[str, Field(max_length=_MOST_TEXT)]
)


class FeaturesBody(Body):
    """The body of `POST /v1/score/features`."""

    columns: Annotated[dict[Name, Column], Field(max_length=MOST_COLUMNS)] = Field(
        description="by feature: numbers with null where missing, or base64 of little-endian "
        "float64 with NaN where missing; every baseline of `GET /v1/models` and every feature that "
        "it says is read"
    )
    feature_fingerprint: Annotated[str, Field(pattern=FINGERPRINT)] | None = Field(
        default=None, description="refused when the model reads other features"
    )
    market: Name | None = Field(
        default=None,
        description="venue/market of the accounts: expected is unattended where the model has "
        "seen no owners there; without it they are taken for accounts of markets in training",
    )
    intervals: Strict = Field(default=False, description="Venn-Abers intervals as well")
    encoding: Literal["numbers", "base64"] = Field(
        default="numbers", description="form of the answer's columns"
    )


class _Fast(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The same body, as msgspec reads it."""

    columns: dict[str, list[float | None] | str]
    feature_fingerprint: (
        Annotated[str, msgspec.Meta(pattern=FINGERPRINT)] | msgspec.UnsetType | None
    ) = msgspec.UNSET
    market: (
        Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | msgspec.UnsetType | None
    ) = msgspec.UNSET
    intervals: bool | msgspec.UnsetType = msgspec.UNSET
    encoding: Literal["numbers", "base64"] | msgspec.UnsetType = msgspec.UNSET

    def given(self) -> dict[str, Any]:
        """Return the fields beside the columns that the body states."""
        fields = ((name, getattr(self, name)) for name in _OPTIONS)
        return {name: value for name, value in fields if value is not msgspec.UNSET}


_FLOAT = pa.float64()
_FAST = msgspec.json.Decoder(_Fast)
_OPTIONS = tuple(name for name in _Fast.__struct_fields__ if name != "columns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Ready features of some accounts.

    Parameters
    ----------
    names
        Of the columns, unique.
    values
        Shape (columns, rows); NaN where missing.
    market
        Of the accounts, as `venue/market`; None where it is not said.
    """

    names: tuple[str, ...]
    values: Floats
    feature_fingerprint: str | None = None
    market: str | None = None
    intervals: bool = False
    encoding: Literal["numbers", "base64", "arrow"] = "numbers"

    @property
    def rows(self) -> int:
        """Number of accounts."""
        return self.values.shape[1]


def of_json(body: bytes) -> Features:
    """Return the features of a JSON body.

    Raises
    ------
    NotJson
        When it is not JSON.
    InvalidInput
        Listing every fault.
    """
    rest, values = extracted(body) or (body, None)
    decoded = _fast(rest)
    if decoded is None:
        return _slow(body)
    if values is not None and len(values) == len(decoded.columns):
        _refuse_rows(values.shape[1])
        return Features(names=tuple(decoded.columns), values=values, **decoded.given())
    columns = _columns(decoded.columns) if values is None else None
    if columns is None:
        return _slow(body)
    return Features(names=tuple(columns), values=_stacked(columns), **decoded.given())


def of_arrow(body: bytes) -> Features:
    """Return the features of an Arrow stream, one column each; `market` stands in its metadata.

    Raises
    ------
    Refused
        When it is no plain stream.
    InvalidInput
        Listing every column that does not hold numbers.
    """
    table = read_stream(body, most_rows=MOST_ROWS)
    faults = [
        Fault(f"/columns/{escape(field.name)}", f"{field.type} where float64 is needed")
        for field in table.schema
        if not (pa.types.is_floating(field.type) or pa.types.is_integer(field.type))
    ]
    if faults:
        raise InvalidInput(faults)
    _refuse_rows(len(table))
    market = (table.schema.metadata or {}).get(b"market")
    return Features(
        names=tuple(table.column_names),
        values=_laid_out(table),
        market=None if market is None else market.decode("utf-8", "replace"),
        encoding="arrow",
    )


def _laid_out(table: pa.Table) -> Floats:
    """Return columns of numbers as float64 above each other, NaN where one holds none."""
    for place, field in enumerate(table.schema):
        if field.type != _FLOAT:
            column = table.column(place).cast(_FLOAT)
            table = table.set_column(place, field.with_type(_FLOAT), column)
    parts = [
        batch.to_tensor(null_to_nan=True, row_major=False).to_numpy().T
        for batch in table.to_batches()
    ]
    return parts[0] if len(parts) == 1 else np.hstack(parts)


def matrix(given: Features, names: Sequence[str], *, needed: Collection[str]) -> Floats:
    """Return the named columns side by side, NaN where one is not given, shape (rows, names).

    Parameters
    ----------
    needed
        Those of the names that may not be left out.

    Raises
    ------
    InvalidInput
        Naming the columns that are missing, unknown or hold an infinite number.
    """
    out = np.full((given.rows, len(names)), np.nan)
    out[:, _places(given.names, tuple(names), frozenset(needed))] = given.values.T
    is_infinite = np.isinf(out)
    if is_infinite.any():
        raise InvalidInput(
            [
                Fault(f"/columns/{escape(names[int(place)])}", "holds an infinite number")
                for place in np.flatnonzero(is_infinite.any(axis=0))
            ]
        )
    return out


@lru_cache(maxsize=64)
def _places(given: tuple[str, ...], names: tuple[str, ...], needed: frozenset[str]) -> Ints:
    """Return the place of every given column among some names; callers send the same ones.

    Raises
    ------
    InvalidInput
        Naming the columns that are missing or unknown.
    """
    place = {name: i for i, name in enumerate(names)}
    stated = frozenset(given)
    absent = [name for name in names if name in needed and name not in stated]
    strange = [name for name in given if name not in place]
    faults = [Fault(f"/columns/{escape(name)}", "the column is missing") for name in absent]
    faults += [Fault(f"/columns/{escape(name)}", "no such feature") for name in strange]
    if faults:
        raise InvalidInput(faults)
    return np.array([place[name] for name in given], dtype=np.int64)


def _fast(body: bytes) -> _Fast | None:
    """Return the body as msgspec reads it; None where it may hold a fault.

    A colon stands once per key and nowhere else in a sound body: more colons than keys mean
    that a key stands twice, of which msgspec keeps the last, or that a text holds one.
    """
    try:
        decoded = _FAST.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    keys = 1 + len(decoded.given()) + len(decoded.columns)
    is_sound = body.count(b":") == keys and len(decoded.columns) <= MOST_COLUMNS
    return decoded if is_sound else None


def _columns(stated: Mapping[str, list[float | None] | str]) -> dict[str, Floats] | None:
    """Return columns as numbers; None where one is no base64 of them."""
    try:
        return {name: _numbers(column) for name, column in stated.items()}
    except ValueError:
        return None


def _slow(body: bytes) -> Features:
    """Return the body's features, or list its faults."""
    validated = _checked(body)
    faults: list[Fault] = []
    columns: dict[str, Floats] = {}
    for name, column in validated.columns.items():
        try:
            columns[name] = _numbers(column)
        except ValueError as error:
            faults.append(Fault(f"/columns/{escape(name)}", str(error)))
    if faults:
        raise InvalidInput(faults)
    return Features(
        names=tuple(columns),
        values=_stacked(columns),
        feature_fingerprint=validated.feature_fingerprint,
        market=validated.market,
        intervals=validated.intervals,
        encoding=validated.encoding,
    )


def _checked(body: bytes) -> FeaturesBody:
    """Return the body, or list its faults."""
    tree, faults = read(body)
    validated: FeaturesBody | None = None
    try:
        validated = FeaturesBody.model_validate(tree)
    except ValidationError as error:
        reported = {fault.where for fault in faults}
        faults.extend(fault for fault in requests.pointers(error) if fault.where not in reported)
    if faults or validated is None:
        raise InvalidInput(faults)
    return validated


def _numbers(column: Sequence[float | None] | str) -> Floats:
    """Return one column as numbers.

    Raises
    ------
    ValueError
        When it is no base64 of whole float64 numbers.
    """
    if not isinstance(column, str):
        return np.array(column, dtype=np.float64)
    try:
        raw = binascii.a2b_base64(column, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from None
    if len(raw) % 8:
        raise ValueError(f"{len(raw)} bytes are no whole number of float64")
    return np.frombuffer(raw, dtype="<f8").astype(np.float64, copy=False)


def _stacked(columns: Mapping[str, Floats]) -> Floats:
    """Return columns of one length above each other.

    Raises
    ------
    InvalidInput
        When they differ, or hold nothing or too much.
    """
    sizes = {name: len(column) for name, column in columns.items()}
    rows = max(sizes.values(), default=0)
    faults = [
        Fault(f"/columns/{escape(name)}", f"{size} rows where another column has {rows}")
        for name, size in sizes.items()
        if size != rows
    ]
    _refuse_rows(rows, faults)
    return np.stack(list(columns.values()))


def _refuse_rows(rows: int, faults: Sequence[Fault] = ()) -> None:
    """Refuse no rows, too many, and what else was found."""
    every = list(faults)
    if not 0 < rows <= MOST_ROWS:
        every.append(Fault("/columns", f"{rows} rows, 1 to {MOST_ROWS} needed"))
    if every:
        raise InvalidInput(every)


def encoded(column: Floats, encoding: str) -> Any:
    """Return one column of the answer; what could not be scored is null, or NaN in base64."""
    if encoding == "base64":
        return base64.b64encode(column.astype("<f8", copy=False).tobytes()).decode("ascii")
    if np.isnan(column).any():
        return [None if np.isnan(value) else value for value in column.tolist()]
    return column.tolist()
