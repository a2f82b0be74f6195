"""Where the accounts of a book stand, now and in the past, and what was expected of them."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import numpy as np
from pydantic import Field

from models.alerting.signals import Level
from models.horizons import HORIZONS, LABELS, REFERENCE
from serving.application.scoring import ScoringService
from serving.http.idempotency import opened
from serving.http.keys import Scope
from serving.http.query import Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, compressed, json_answer
from serving.routes.book import BookQuery
from serving.schemas import problems
from serving.schemas.book_map import BookCourse, BookMap, Holding, MapCells
from serving.schemas.change_requests import Horizon
from serving.schemas.fields import Name, Time
from serving.store import book_course, market, overview
from serving.store.assessments import AccountFilter
from serving.store.book_course import Expected
from serving.store.overview import Placed

DISTANCE_STEP = 0.005
DECADE_STEPS = 20
"""Cells of the map: by so much of the price, and by so many of them per power of ten of value."""

VALUES = (1e-9, 1e30)
"""Beyond which values stand in the outermost cells."""

ROWS = DECADE_STEPS * 40
WIDEST = 2000
"""Cells along the distance: ten times the price, beyond which all stand in the last one."""

LEVELS = 1 + 1 + max(map(int, Level))
NEAR = 0.1
MOST_HOLDINGS = 10
WEEK = timedelta(days=7)


class MapQuery(BookQuery):
    """Which accounts `GET /v1/book/map` places, and when."""

    as_of: Time | None = Field(
        default=None,
        description="as the accounts were last judged by this moment, from the history; now if "
        "left out",
    )


class CourseQuery(Query):
    """Which part of the past `GET /v1/book/course` tells."""

    venue: Name | None = None
    horizon: Horizon = REFERENCE
    begin: Time | None = Field(default=None, description="a week before the end if left out")
    end: Time | None = Field(default=None, description="now if left out")


@dataclass(slots=True)
class _Group:
    """What some accounts hold together."""

    accounts: int = 0
    near: int = 0
    value: float = 0.0

    def add(self, row: Placed) -> None:
        """Count an account in."""
        self.accounts += 1
        self.near += row.distance is not None and row.distance <= NEAR
        self.value += row.collateral_value or 0.0


Groups = Mapping[tuple[str, str | None], _Group]


def place(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/book/map`."""
    query = read_query(call.query, MapQuery)
    criteria = AccountFilter(**query.model_dump(exclude={"as_of"}))
    with opened(desk).read() as transaction:
        now = market.clock(transaction, now=desk.clock())
        rows = overview.placed(transaction, criteria, at=query.as_of)
        assets = overview.assets(transaction, criteria, near=NEAR, at=query.as_of)
        is_simulated = market.notes(transaction).get("simulated") == "yes"
    venues = tuple(sorted({row.venue for row in rows}))
    cells, unplaced = _cells(rows, {venue: number for number, venue in enumerate(venues)})
    totals = _grouped((row.venue, row) for row in rows)
    by_asset: Groups = {
        (total.venue, total.asset): _Group(total.accounts, total.near, total.collateral_value)
        for total in assets
    }
    answer = json_answer(
        BookMap(
            request_id=call.request_id,
            as_of=query.as_of or now,
            simulated=is_simulated,
            accounts=len(rows) - unplaced,
            unplaced=unplaced,
            venues=venues,
            cells=cells,
            owners=_largest(_grouped((row.owner, row) for row in rows), totals),
            assets=_largest(by_asset, totals),
            by_venue=_largest(totals, totals),
        )
    )
    return compressed(answer, call)


def _cells(rows: Sequence[Placed], venues: Mapping[str, int]) -> tuple[MapCells, int]:
    """Return accounts gathered in cells, and how many have no place."""
    located = [row for row in rows if row.distance is not None and (row.collateral_value or 0) > 0]
    distance = np.array([row.distance for row in located], dtype=float)
    value = np.array([row.collateral_value for row in located], dtype=float)
    venue = np.array([venues[row.venue] for row in located], dtype=np.int64)
    level = np.array([-1 if row.level is None else row.level for row in located], dtype=np.int64)
    across = np.ceil(distance / DISTANCE_STEP).clip(0, WIDEST)
    up = np.floor(DECADE_STEPS * np.log10(value.clip(*VALUES))) - np.log10(VALUES[0]) * DECADE_STEPS
    key = venue
    for part, size in ((across, WIDEST + 1), (up, ROWS), (level + 1, LEVELS)):
        key = key * size + part.astype(np.int64)
    _, first, cell, accounts = np.unique(
        key, return_index=True, return_inverse=True, return_counts=True
    )
    names = {int(level): level.name.lower() for level in Level}
    cells = MapCells(
        venue=tuple(venue[first].tolist()),
        level=tuple(names.get(part) for part in level[first].tolist()),
        distance=tuple(np.round(np.bincount(cell, distance) / accounts, 5).tolist()),
        value=tuple(float(f"{mean:.6g}") for mean in np.bincount(cell, value) / accounts),
        accounts=tuple(accounts.tolist()),
        account=tuple(
            located[place].account if count == 1 else None
            for place, count in zip(first.tolist(), accounts.tolist(), strict=True)
        ),
    )
    return cells, len(rows) - len(located)


def _grouped(named: Iterable[tuple[str | None, Placed]]) -> Groups:
    """Return what accounts hold together by venue and name."""
    groups: dict[tuple[str, str | None], _Group] = defaultdict(_Group)
    for name, row in named:
        groups[row.venue, name].add(row)
    return groups


def _largest(groups: Groups, totals: Groups) -> tuple[Holding, ...]:
    """Return the largest groups of each venue."""
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], -item[1].value))
    return tuple(
        Holding(
            name=name,
            venue=venue,
            accounts=group.accounts,
            near=group.near,
            collateral_value=group.value,
            share=group.value / whole if (whole := totals[venue, venue].value) else None,
        )
        for _, part in groupby(ordered, key=lambda item: item[0][0])
        for (venue, name), group in list(part)[:MOST_HOLDINGS]
    )


def course(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/book/course`."""
    query = read_query(call.query, CourseQuery)
    with opened(desk).read() as transaction:
        now = market.clock(transaction, now=desk.clock())
        end = query.end or now
        begin = query.begin or end - WEEK
        said = book_course.read(transaction, begin=begin, end=end, venue=query.venue)
        happened = book_course.liquidated(transaction, begin=begin, end=now, venue=query.venue)
        is_simulated = market.notes(transaction).get("simulated") == "yes"
    hours = [list(group) for _, group in groupby(said, key=lambda row: row.at)]
    span = timedelta(hours=HORIZONS[LABELS.index(query.horizon)])
    at = tuple(group[0].at for group in hours)
    return json_answer(
        BookCourse(
            request_id=call.request_id,
            simulated=is_simulated,
            horizon=query.horizon,
            at=at,
            accounts=tuple(sum(row.accounts for row in group) for group in hours),
            unattended=tuple(_summed(group, f"unattended_{query.horizon}") for group in hours),
            expected=tuple(_summed(group, f"expected_{query.horizon}") for group in hours),
            liquidated=tuple(
                _count(happened, moment, moment + span) if moment + span <= now else None
                for moment in at
            ),
        )
    )


def _summed(said: Sequence[Expected], chance: str) -> float:
    """Return a sum over the venues."""
    return sum(row.chances[chance] for row in said)


def _count(happened: Sequence[tuple[datetime, str]], begin: datetime, end: datetime) -> int:
    """Return how many accounts were liquidated within (begin, end]."""
    times = [at for at, _ in happened]
    within = happened[bisect_right(times, begin) : bisect_right(times, end)]
    return len({account for _, account in within})


OPERATIONS = (
    Operation(
        name="book_map",
        method="GET",
        path="/v1/book/map",
        scope=Scope.READ,
        work=place,
        summary="Where accounts stand by value and distance to the line, in columns",
        details="Accounts of like distance (0.5 % of the price) and value (a twentieth of a power "
        "of ten) are one cell, so that a book of any size is drawn; beside it the largest owners, "
        "assets and venues.",
        meaning="The cells, and in whose hands and what the collateral is",
        answer_types=(BookMap,),
        parameters=parameters(MapQuery),
        refusals=(problems.INVALID,),
    ),
    Operation(
        name="book_course",
        method="GET",
        path="/v1/book/course",
        scope=Scope.READ,
        work=course,
        summary="Liquidations expected over time, and how many came",
        details="One point an hour, as the watch first said it within the hour.",
        meaning="The course in columns",
        answer_types=(BookCourse,),
        parameters=parameters(CourseQuery),
        refusals=(problems.INVALID,),
    ),
)
