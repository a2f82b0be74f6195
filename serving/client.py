"""A typed client of the API.

    with Client("http://127.0.0.1:3000", key=token) as client:
        told = client.score(account, market=market)

Answers are the service's own types. A refusal is raised with its faults. Writes carry an
idempotency key of their own, so that asking again after a broken connection writes once.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import TypeAdapter

from models.errors import Fault, InvalidInput
from serving.schemas.accounts import AccountAnswer, AccountsPage, History, Upserted
from serving.schemas.allocation import AllocationAnswer
from serving.schemas.arrow import STREAM, read_stream, write_stream
from serving.schemas.assessment import Assessment, Batch
from serving.schemas.book import BookAnswer
from serving.schemas.conduct import ConductAnswer, PersonalBatch
from serving.schemas.margin import MarginAnswer, MarginBatch
from serving.schemas.models import ModelsAnswer
from serving.schemas.orders import MandateAnswer, OrderAnswer, OrdersAnswer
from serving.schemas.problems import Problem
from serving.schemas.pushed import PricesInForce, Pushed
from serving.schemas.stored import AccountSummary, Assessed
from serving.waits import retry_after

T = TypeVar("T")
Body = Mapping[str, Any]
ATTEMPTS = 4
BUSY = frozenset({429, 503})
FAILED = 400
MOST_ROWS = 100_000


class ServiceRefused(InvalidInput):
    """The service refused a request.

    Parameters
    ----------
    problem
        As it was answered; None where the answer was no problem document.
    """

    def __init__(self, status: int, problem: Problem | None) -> None:
        self.status = status
        self.problem = problem
        faults = () if problem is None else problem.errors
        super().__init__([Fault(fault.pointer, fault.detail) for fault in faults])

    def __str__(self) -> str:
        """Show what was refused and why."""
        if self.problem is None:
            return f"HTTP status {self.status}"
        listed = "".join(f"\n{fault}" for fault in self.faults)
        return f"{self.problem.title} ({self.status}): {self.problem.detail}{listed}"


class Client:
    """Asks one service.

    Parameters
    ----------
    key
        Bearer token; None on loopback without keys.
    transport
        Stands in for the network.
    sleep
        Waits between attempts.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )
        self._sleep = sleep

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._http.close()

    def score(self, account: Body | str, **shared: Any) -> Assessment:
        """Return the assessment of one account, in full or by its key in the store.

        Parameters
        ----------
        shared
            `as_of`, `features`, `reasons`, `plan` and `market` as in the document: of the
            market prices, candles, and what is read beside them (`funding`, `perpetuals`,
            `marks`, `open_interest`, `oracle_rounds`, `reserves`).
        """
        return self._post("/v1/score", {**shared, "account": account}, Assessment)

    def score_many(self, accounts: Sequence[Body | str], **shared: Any) -> Batch:
        """Return one item per account, in order."""
        return self._post("/v1/score", {**shared, "accounts": list(accounts)}, Batch)

    def score_features(
        self, columns: Mapping[str, npt.ArrayLike], *, market: str | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Return probabilities by head and horizon; NaN where a row could not be scored.

        Parameters
        ----------
        market
            Of the accounts, as `venue/market`: without it they are taken for accounts of markets
            in training.
        """
        table = pa.table({name: np.asarray(column) for name, column in columns.items()})
        if market is not None:
            table = table.replace_schema_metadata({"market": market})
        answer = self._request(
            "POST",
            "/v1/score/features",
            content=write_stream(table),
            headers={"Content-Type": STREAM},
        )
        scored = read_stream(answer.content, most_rows=MOST_ROWS)
        return {name: scored[name].to_numpy() for name in scored.column_names}

    def margin(self, account: Body | str, **shared: Any) -> MarginAnswer:
        """Return what the venue's rules say of one account."""
        return self._post("/v1/margin", {**shared, "account": account}, MarginAnswer)

    def margin_many(self, accounts: Sequence[Body | str], **shared: Any) -> MarginBatch:
        """Return what the rules say, one item per account, in order."""
        return self._post("/v1/margin", {**shared, "accounts": list(accounts)}, MarginBatch)

    def allocate(self, request: Body) -> AllocationAnswer:
        """Return which collateral to post where, as `POST /v1/allocate` takes it."""
        return self._post("/v1/allocate", request, AllocationAnswer)

    def conduct(self, owner: str, *, as_of: str | None = None) -> ConductAnswer:
        """Return how an owner behaved when a line came near."""
        path = f"/v1/owners/{quote(owner, safe='')}/conduct"
        return self._get(path, {"as_of": as_of}, ConductAnswer)

    def personal_requirements(self, accounts: Sequence[Body | str], **shared: Any) -> PersonalBatch:
        """Return what accounts are required beyond their venue, by their own records."""
        body = {**shared, "accounts": list(accounts)}
        return self._post("/v1/requirements/personal", body, PersonalBatch)

    def put_mandate(self, name: str, mandate: Body) -> MandateAnswer:
        """Let a keeper act for an owner, within limits."""
        return self._write("PUT", f"/v1/mandates/{quote(name, safe='')}", mandate, MandateAnswer)

    def end_mandate(self, name: str) -> MandateAnswer:
        """End a mandate: nothing more is made or accepted by it."""
        return self._write("DELETE", f"/v1/mandates/{quote(name, safe='')}", {}, MandateAnswer)

    def orders(self, **filters: Any) -> Iterator[OrderAnswer]:
        """Yield every order that the filters let through, newest first, page by page."""
        before: str | None = None
        while True:
            page = self._get("/v1/orders", {**filters, "before": before}, OrdersAnswer)
            yield from page.orders
            if (before := page.next) is None:
                return

    def order(self, name: str) -> OrderAnswer:
        """Return one order, exactly as it was signed."""
        return self._get(f"/v1/orders/{quote(name, safe='')}", {}, OrderAnswer)

    def ask_order(self, mandate: str, **what: Any) -> OrderAnswer:
        """Make an order now, of an `account` by its plan or of an `allocation`."""
        return self._write("POST", "/v1/orders", {"mandate": mandate, **what}, OrderAnswer)

    def accept_order(self, name: str) -> OrderAnswer:
        """Say that you act on an order; a refusal says why it was withdrawn instead."""
        return self._reported(name, "accept", {})

    def order_done(self, name: str, *, receipt: str) -> OrderAnswer:
        """Report that an order was carried out."""
        return self._reported(name, "done", {"receipt": receipt})

    def order_failed(self, name: str, *, reason: str, moved: bool = True) -> OrderAnswer:
        """Report that an order could not be carried out, and whether anything was moved."""
        return self._reported(name, "failed", {"reason": reason, "moved": moved})

    def _reported(self, name: str, what: str, body: Body) -> OrderAnswer:
        """Return an order after a keeper's report."""
        return self._write("POST", f"/v1/orders/{quote(name, safe='')}/{what}", body, OrderAnswer)

    def upsert(self, accounts: Sequence[Body], *, as_of: str | None = None) -> Upserted:
        """Write accounts and what they hold, all or none."""
        body = {"accounts": list(accounts), **({} if as_of is None else {"as_of": as_of})}
        return self._write("PUT", "/v1/accounts", body, Upserted)

    def push_prices(self, prices: Sequence[Body]) -> Pushed:
        """Push prices of assets."""
        return self._write("POST", "/v1/prices", {"prices": list(prices)}, Pushed)

    def push_events(self, events: Sequence[Body]) -> Pushed:
        """Push what happened to accounts."""
        return self._write("POST", "/v1/events", {"events": list(events)}, Pushed)

    def assess(self, accounts: Sequence[str]) -> Batch:
        """Assess accounts of the store and store the assessments."""
        return self._write("POST", "/v1/assessments", {"accounts": list(accounts)}, Batch)

    def account(self, key: str) -> AccountAnswer:
        """Return an account of the store."""
        return self._get(f"/v1/accounts/{quote(key, safe='')}", {}, AccountAnswer)

    def accounts(self, **filters: Any) -> Iterator[AccountSummary]:
        """Yield every account that the filters let through, page by page."""
        cursor: str | None = None
        while True:
            page = self._get("/v1/accounts", {**filters, "cursor": cursor}, AccountsPage)
            yield from page.accounts
            if (cursor := page.next) is None:
                return

    def history(self, key: str) -> Iterator[Assessed]:
        """Yield past assessments of an account, newest first."""
        path = f"/v1/accounts/{quote(key, safe='')}/assessments"
        cursor: str | None = None
        while True:
            page = self._get(path, {"cursor": cursor}, History)
            yield from page.assessments
            if (cursor := page.next) is None:
                return

    def prices(self) -> PricesInForce:
        """Return the prices in force."""
        return self._get("/v1/prices", {}, PricesInForce)

    def book(self, **filters: Any) -> BookAnswer:
        """Return the book in sum."""
        return self._get("/v1/book", filters, BookAnswer)

    def models(self) -> ModelsAnswer:
        """Return the model in use."""
        return self._get("/v1/models", {}, ModelsAnswer)

    def _get(self, path: str, stated: Body, kind: type[T]) -> T:
        """Return the answer to a GET; parameters that are None are left out."""
        query = {name: value for name, value in stated.items() if value is not None}
        return _read(self._request("GET", path, params=query), kind)

    def _post(self, path: str, body: Body, kind: type[T]) -> T:
        """Return the answer to a POST that writes nothing."""
        return _read(self._request("POST", path, json=body), kind)

    def _write(self, method: str, path: str, body: Body, kind: type[T]) -> T:
        """Return the answer to a write, under an idempotency key of its own."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return _read(self._request(method, path, json=body, headers=headers), kind)

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Return a sound answer; busy services and broken connections are asked again.

        Raises
        ------
        ServiceRefused
            When the answer is a refusal.
        httpx.TransportError
            When no attempt got an answer.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError:
                if attempt == ATTEMPTS:
                    raise
                self._sleep(0.1 * 2**attempt)
                continue
            if answer.status_code not in BUSY or attempt == ATTEMPTS:
                break
            delay = retry_after(answer.headers.get("Retry-After"), now=datetime.now(tz=UTC))
            self._sleep(1.0 if delay is None else delay.total_seconds())
        if answer.status_code >= FAILED:
            raise ServiceRefused(answer.status_code, _problem(answer))
        return answer


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the reader of a type; building it costs milliseconds."""
    return TypeAdapter(kind)


def _read(answer: httpx.Response, kind: type[T]) -> T:
    """Return an answer as its type."""
    chosen: Any = kind
    parsed: T = _adapter(chosen).validate_json(answer.content)
    return parsed


def _problem(answer: httpx.Response) -> Problem | None:
    """Return the problem of a refusal; None where another hand answered."""
    if not answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return None
    problem: Problem = _adapter(Problem).validate_json(answer.content)
    return problem
