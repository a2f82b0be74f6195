"""Terms files: what is in force when, every fault of a bad file, what-if variants."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from importlib import resources

import pytest

from models import terms
from models.errors import InvalidInput
from models.margin.fixed_point import RAD, RAY, WAD
from models.margin.venues import maker

FILES = sorted(
    file.name
    for file in resources.files("models.margin").joinpath("terms").iterdir()
    if file.name.endswith(".toml")
)
ENTRY = """
[[terms]]
valid_from = {start}
source = "a place"
retrieved = 2026-01-02
[terms.values]
mat = 1500000000000000000000000000
duty = 1000000000000000000000000000
dust = 0
chop = 1130000000000000000
hole = 1
hole_all = 2
{more}
"""
HEAD = 'venue = "maker"\nversion = "dss"\nmarket = "{market}"\n'


def file(*entries: tuple[str, str], market: str = "X-A") -> str:
    """Return a terms file with entries of (start, more lines)."""
    lines = [ENTRY.format(start=start, more=more) for start, more in entries]
    return HEAD.format(market=market) + "".join(lines)


def faults(text: str) -> dict[str, str]:
    """Return place and message of every fault of a file."""
    with pytest.raises(InvalidInput) as raised:
        terms.parse(text, name="x.toml")
    return {fault.where: fault.message for fault in raised.value.faults}


def in_force(at: datetime) -> maker.Terms:
    """Return the terms of ETH-B at a moment."""
    found = terms.terms_in_force("maker", "dss", "ETH-B", at).terms
    assert isinstance(found, maker.Terms)
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_file_decodes(name: str) -> None:
    """Dates ascend, fields fit, and the source and the day it was read are stated."""
    folder = resources.files("models.margin").joinpath("terms")
    entries = terms.parse(folder.joinpath(name).read_text(encoding="utf-8"), name=name)
    assert all(entry.source and entry.retrieved >= date(2020, 1, 1) for entry in entries)
    assert [entry.valid_until for entry in entries][:-1] == [e.valid_from for e in entries][1:]


def test_eth_b_through_time() -> None:
    """Ratio, fee, dust, penalty and limits on a day of 2020 and on one of 2021."""
    early = in_force(datetime(2020, 11, 1, tzinfo=UTC))
    assert (early.mat, early.chop, early.dust) == (RAY * 13 // 10, WAD * 113 // 100, 100 * RAD)
    assert early.duty == 1_000_000_001_847_694_957_439_350_562
    late = in_force(datetime(2021, 12, 31, tzinfo=UTC))
    assert (late.mat, late.chop, late.dust) == (RAY * 13 // 10, WAD * 113 // 100, 40_000 * RAD)
    assert late.duty == 1_000_000_001_996_917_783_620_820_123
    assert (late.hole, late.tail) == (30_000_000 * RAD, 8_400)
    assert (late.buf, late.cusp) == (RAY * 12 // 10, RAY * 4 // 10)


def test_change_holds_from_its_second() -> None:
    """At 14:05:58 the old fee, at 14:05:59 the new."""
    before = in_force(datetime(2021, 6, 21, 14, 5, 58, tzinfo=UTC))
    after = in_force(datetime(2021, 6, 21, 14, 5, 59, tzinfo=UTC))
    assert before.duty == 1_000_000_003_022_265_980_097_387_650
    assert after.duty == 1_000_000_002_732_676_825_177_582_095


def test_dated_terms_say_until_when() -> None:
    """The entry names its source, its beginning and the beginning of the next."""
    at = datetime(2021, 7, 1, tzinfo=UTC)
    found = terms.terms_in_force("maker", "dss", "ETH-B", at)
    assert found.valid_from == datetime(2021, 6, 21, 14, 5, 59, tzinfo=UTC)
    assert found.valid_until == datetime(2021, 7, 3, 17, 15, 44, tzinfo=UTC)
    assert "parameter_changes.csv" in found.source
    last = terms.terms_in_force("maker", "dss", "ETH-B", datetime(2030, 1, 1, tzinfo=UTC))
    assert last.valid_until is None


@pytest.mark.parametrize(
    ("market", "at", "where", "message"),
    [
        ("ETH-Z", datetime(2021, 1, 1, tzinfo=UTC), "/market", "known: .*maker/dss/ETH-B"),
        ("ETH-B", datetime(2020, 1, 1, tzinfo=UTC), "/at", "before the first terms, of 2020-10-19"),
        ("ETH-B", datetime(2021, 1, 1), "/at", "no time zone"),  # noqa: DTZ001 - the case
    ],
)
def test_no_terms_to_be_had(market: str, at: datetime, where: str, message: str) -> None:
    """An unknown market, a moment too early, and one without a zone."""
    with pytest.raises(InvalidInput, match=message) as raised:
        terms.terms_in_force("maker", "dss", market, at)
    assert raised.value.faults[0].where == where


def test_every_fault_of_a_file_is_listed() -> None:
    """Wrong type, unknown field, unfit nested value and dates in two entries, at once."""
    found = faults(
        file(
            ("2021-01-01T00:00:00Z", "par = 1.5\nmatt = 3"),
            ("2020-01-01T00:00:00Z", "curve = { kind = 'steep' }\ntail = 'long'"),
        )
    )
    assert set(found) == {
        "x.toml:/terms/0/values/par",
        "x.toml:/terms/1/valid_from",
        "x.toml:/terms/1/values/curve/kind",
        "x.toml:/terms/1/values/tail",
    }
    unknown = faults(file(("2021-01-01T00:00:00Z", "matt = 3\ncurve = { kind = 'linear', x = 1 }")))
    assert unknown == {
        "x.toml:/terms/0/values/matt": "unknown field; did you mean mat?",
        "x.toml:/terms/0/values/curve/x": "unknown field",
    }


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("venue = ", "x.toml:"),
        ('venue = "maker"', "x.toml:/version"),
        (file(), "x.toml:/terms"),
        (file(("2021-01-01T00:00:00", "")), "x.toml:/terms/0/valid_from"),
        (file(("2021-01-01T00:00:00Z", "")).replace("a place", ""), "x.toml:/terms/0/source"),
        (file(("2021-01-01T00:00:00Z", "")).replace("dss", "xyz"), "x.toml:/venue"),
        ("colour = 1\n" + file(("2021-01-01T00:00:00Z", "")), "x.toml:/colour"),
        (file(("2021-01-01T00:00:00Z", "")).replace("dust = 0", ""), "x.toml:/terms/0/values/dust"),
    ],
)
def test_faults_of_shape(text: str, where: str) -> None:
    """Each fault names its place."""
    assert where in faults(text)


def test_two_files_of_one_market_are_a_fault() -> None:
    """Otherwise which of them counts would be chance."""
    one, two = file(("2021-01-01T00:00:00Z", "")), file(("2022-01-01T00:00:00Z", ""))
    with pytest.raises(InvalidInput, match=r"b.toml:/market: maker/dss/X-A is in another file"):
        terms.parse_all({"a.toml": one, "b.toml": two})
    both = terms.parse_all(
        {"a.toml": one, "b.toml": file(("2021-01-01T00:00:00Z", ""), market="Y")}
    )
    assert set(both) == {("maker", "dss", "X-A"), ("maker", "dss", "Y")}


def test_faults_of_all_files_are_listed() -> None:
    """One bad file does not hide the next."""
    with pytest.raises(InvalidInput) as raised:
        terms.parse_all({"a.toml": "x", "b.toml": "y"})
    assert [fault.where for fault in raised.value.faults] == ["a.toml:", "b.toml:"]


def test_what_if_replaces_only_what_is_named() -> None:
    """A nested mapping replaces fields of the nested value."""
    now = in_force(datetime(2021, 7, 1, tzinfo=UTC))
    changed = terms.what_if(now, {"mat": RAY * 145 // 100, "curve": {"step": 60}})
    assert changed.mat == 1_450_000_000_000_000_000_000_000_000
    assert (changed.curve.step, changed.curve.kind) == (60, "stairstep")
    assert changed.duty == now.duty
    assert now.mat == RAY * 13 // 10


def test_what_if_lists_every_fault() -> None:
    """Unfit and unknown fields by path."""
    now = in_force(datetime(2021, 7, 1, tzinfo=UTC))
    with pytest.raises(InvalidInput) as raised:
        terms.what_if(now, {"mat": "high", "curve": {"kind": "flat"}})
    assert [fault.where for fault in raised.value.faults] == ["/mat", "/curve/kind"]
    with pytest.raises(InvalidInput, match="/height: unknown field"):
        terms.what_if(now, {"height": 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class Categories:
    """Terms with numbered categories, rationals and rows."""

    by_number: Mapping[int, Fraction]
    rows: tuple[maker.Curve, ...] = ()


def test_numbered_keys_rationals_and_rows_decode() -> None:
    """Keys of a file are text; a rational is written as one; rows are checked one by one."""
    found = terms.decode(Categories, {"by_number": {"1": "1/3", "2": "0.25"}}, where="")
    assert found == Categories(by_number={1: Fraction(1, 3), 2: Fraction(1, 4)})
    with pytest.raises(InvalidInput, match="/rows/0/slope: unknown field"):
        terms.decode(
            Categories, {"by_number": {}, "rows": [{"kind": "linear", "slope": 1}]}, where=""
        )
