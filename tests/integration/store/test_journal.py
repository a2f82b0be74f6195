"""Repeated requests, the audit log and keys."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from serving.store import Store, StoreConflict, StoreFailed, audit, keys
from serving.store.audit import AuditEntry
from serving.store.idempotency import RequestKey, StoredAnswer, answer_once, forget_answers
from serving.store.keys import KeyRecord

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST = RequestKey(actor="me", key="k", digest="d")


def acting(done: list[str], answer: StoredAnswer) -> Callable[[], StoredAnswer]:
    """Return an act that notes that it was done."""

    def act() -> StoredAnswer:
        done.append("done")
        return answer

    return act


def test_the_same_request_is_done_once_and_answered_alike(store: Store) -> None:
    """Another actor may use the same key; another body under it is a conflict."""
    done: list[str] = []
    for answer in (StoredAnswer(201, b"first"), StoredAnswer(500, b"second")):
        with store.begin() as transaction:
            told = answer_once(transaction, FIRST, acting(done, answer), now=NOON)
        assert told == StoredAnswer(201, b"first")
    assert done == ["done"]
    other = RequestKey(actor="me", key="k", digest="e")
    with pytest.raises(StoreConflict, match="another body"), store.begin() as transaction:
        answer_once(transaction, other, acting(done, StoredAnswer(200, b"")), now=NOON)
    theirs = RequestKey(actor="you", key="k", digest="e")
    with store.begin() as transaction:
        told = answer_once(transaction, theirs, acting(done, StoredAnswer(200, b"yours")), now=NOON)
    assert told == StoredAnswer(200, b"yours")
    with store.begin() as transaction:
        assert forget_answers(transaction, before=NOON + HOUR) == 2


def test_a_request_that_failed_may_be_made_again(store: Store) -> None:
    """Nothing is kept of what was not done."""

    def fails() -> StoredAnswer:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), store.begin() as transaction:
        answer_once(transaction, FIRST, fails, now=NOON)
    with store.begin() as transaction:
        told = answer_once(transaction, FIRST, lambda: StoredAnswer(200, b"now"), now=NOON)
    assert told == StoredAnswer(200, b"now")


def test_the_audit_log_is_read_in_pages(store: Store) -> None:
    """Lines keep their order and their numbers."""
    entries = [
        AuditEntry(
            at=NOON, actor="me", action="push", subject=str(i), request_id="r", detail={"n": i}
        )
        for i in range(3)
    ]
    with store.begin() as transaction:
        for entry in entries:
            audit.note(transaction, entry)
    with store.read() as transaction:
        page = audit.audit(transaction, limit=2)
        rest = audit.audit(transaction, after=page[-1][0])
    assert [entry for _, entry in (*page, *rest)] == entries


def test_a_key_is_found_expires_and_is_revoked(store: Store) -> None:
    """What is kept of a key says from when it opens nothing any more."""
    lasting = KeyRecord(id="l", digest="1", label="desk", scopes=("read",), created_at=NOON)
    brief = KeyRecord(
        id="b", digest="2", label="", scopes=(), created_at=NOON, expires_at=NOON + HOUR
    )
    with store.begin() as transaction:
        keys.insert(transaction, lasting)
        keys.insert(transaction, brief)
    with pytest.raises(StoreFailed), store.begin() as transaction:
        keys.insert(transaction, lasting)
    with store.begin() as transaction:
        assert keys.find(transaction, "l") == lasting
        assert keys.find(transaction, "x") is None
        assert [key.id for key in keys.list_all(transaction)] == ["b", "l"]
        assert keys.revoke(transaction, "l", at=NOON + 2 * HOUR)
        assert not keys.revoke(transaction, "l", at=NOON + 3 * HOUR)
        assert not keys.revoke(transaction, "x", at=NOON)
        valid = [keys.exists(transaction, at=NOON + n * HOUR) for n in (0, 1, 2)]
        assert brief.is_valid(NOON)
        assert not brief.is_valid(NOON + HOUR)
    assert valid == [True, True, False]
