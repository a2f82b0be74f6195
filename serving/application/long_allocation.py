"""Allocations that take long: begun by one request, answered to another."""

import json
import logging
import uuid
from datetime import datetime, timedelta
from typing import Any

import msgspec

from models.errors import ForewarnError
from serving.application.allocation import answered, solution_of
from serving.application.allocation_question import Question, question_of
from serving.application.scoring import ScoringService
from serving.schemas import requests
from serving.schemas.allocation import (
    LONGEST,
    AllocationAnswer,
    AllocationStatus,
    LongAllocateBody,
)
from serving.store import Store, Transaction, allocations
from serving.store.allocations import AllocationRow

LOGGER = logging.getLogger("forewarn.allocation")
LOST = timedelta(seconds=10 * LONGEST)
"""Without a word for so long, whoever ran an allocation has ended."""


def question(content: bytes, desk: ScoringService) -> tuple[LongAllocateBody, Question]:
    """Return what a body asks.

    Raises
    ------
    NotJson
        When the body is not JSON.
    InvalidInput
        Listing every fault: what is at fault is told before anything runs.
    """
    body, faults = requests.parse(content, LongAllocateBody)
    return body, question_of(desk, body, faults)


def begin(transaction: Transaction, content: bytes, *, now: datetime) -> AllocationRow:
    """Write that an allocation begins."""
    return allocations.begin(transaction, uuid.uuid4().hex, json.loads(content), now=now)


def run(
    desk: ScoringService, store: Store, name: str, body: LongAllocateBody, question: Question
) -> None:
    """Run an allocation to its end, and keep what came of it."""
    status, outcome = allocations.FAILED, {"error": "ended by a defect: see the log"}
    try:
        solution = solution_of(question, body.time_limit)
        outcome = msgspec.to_builtins(answered(desk, body, solution, name))
        status = allocations.DONE
    except ForewarnError as error:
        outcome = {"error": str(error)[:1000]}
    except Exception:  # nobody waits for it: recorded as a row and in the log
        LOGGER.exception("allocation %s", name)
    finally:
        with store.begin() as transaction:
            allocations.end(transaction, name, status, outcome, now=desk.clock())


def status_of(row: AllocationRow, request_id: str, *, now: datetime) -> AllocationStatus:
    """Return an allocation as it is answered; one without a word for long is lost."""
    is_lost = row.status == allocations.RUNNING and now - row.updated_at > LOST
    body: Any = row.body
    is_done = row.status == allocations.DONE
    return AllocationStatus(
        request_id=request_id,
        id=row.id,
        status=allocations.FAILED if is_lost else row.status,
        begun_at=row.begun_at,
        updated_at=row.updated_at,
        error=None if body is None or is_done else body["error"],
        allocation=msgspec.convert(body, AllocationAnswer) if is_done else None,
    )
