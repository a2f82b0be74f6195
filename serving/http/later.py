"""What takes long: begun by one request, run beside, and read at its place by another."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from serving.application.scoring import ScoringService
from serving.http.idempotency import written
from serving.http.routing import Answer, Call
from serving.store import Transaction

ACCEPTED = 202

Begun = tuple[Any, Callable[[], None]]
"""What is answered, with its `id`, and the work that follows."""


def begun(
    desk: ScoringService,
    call: Call,
    *,
    action: str,
    subject: str,
    place: str,
    act: Callable[[Transaction], Begun],
) -> Answer:
    """Write that something begins, run it beside once that is kept, and answer with its place.

    A repeat gets the first answer, and runs nothing again.

    Parameters
    ----------
    action, subject
        As `written` takes them.
    place
        Path under which what came of it is read by its id.
    act
        Writes that it begins.

    Raises
    ------
    StoreFailed, StoreConflict, Refused
        As `written` raises them; nothing runs then.
    """
    works: list[Callable[[], None]] = []

    def first(transaction: Transaction) -> Any:
        answer, work = act(transaction)
        works.append(work)
        return answer

    answer = written(desk, call, action=action, subject=subject, act=first)
    where = f"{place}/{msgspec.json.decode(answer.body)['id']}"
    for work in works:
        threading.Thread(target=work, name=where, daemon=True).start()
    return replace(answer, status=ACCEPTED, headers={"location": where})
