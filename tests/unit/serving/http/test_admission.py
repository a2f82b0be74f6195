"""Keys, rates and the gate: who may ask, how often, and from where."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from serving.http.admission import Admission, Keyring, is_local
from serving.http.keys import LOOPBACK, Scope, issue, recognise, successor
from serving.http.rate_limit import MOST_CALLERS, Bucket, Limiter, Rate, take
from serving.schemas.problems import ProblemKind, Refused
from serving.settings import Settings
from serving.store.keys import KeyRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def ring(*keys: KeyRecord) -> Keyring:
    """Return a keyring of some keys."""
    return Keyring(lambda: {key.id: key for key in keys})


def refusal(
    gate: Admission, header: str | None, scope: Scope, *, is_local: bool = False
) -> ProblemKind:
    """Return the kind of problem that a request is refused with."""
    with pytest.raises(Refused) as caught:
        gate.admit(header, scope, is_local=is_local, at=NOW, now=0.0)
    return caught.value.kind


def test_a_token_is_recognised_and_its_secret_is_not_kept() -> None:
    """The record holds a hash of the secret, from which the token cannot be read."""
    key, token = issue("desk", scopes=["read"], now=NOW)
    principal = recognise(f"Bearer {token}", {key.id: key}, now=NOW)
    assert principal is not None
    assert principal.id == key.id
    assert token.startswith(f"fw_{key.id}_")
    assert token.removeprefix(f"fw_{key.id}_") not in repr(key)
    assert len(key.digest) == 64


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic {token}",
        "{token}",
        "Bearer {token}x",
        "Bearer fw_0000000000000000_{secret}",
        "Bearer fw_{id}_0000000000000000000000000000000000000000000",
        "Bearer fw_{id}_",
        "Bearer fw_{id}_\u00e9",
    ],
)
def test_anything_but_the_whole_token_is_nobody(header: str | None) -> None:
    """A wrong scheme, id or secret proves nothing."""
    key, token = issue("desk", scopes=["read"], now=NOW)
    secret = token.removeprefix(f"fw_{key.id}_")
    sent = None if header is None else header.format(token=token, secret=secret, id=key.id)
    assert recognise(sent, {key.id: key}, now=NOW) is None


def test_a_key_ends_with_its_lifetime_and_its_revocation() -> None:
    """Neither an old nor a revoked key is recognised."""
    key, token = issue("desk", scopes=["read"], now=NOW, lifetime=HOUR)
    keys = {key.id: key}
    assert recognise(f"bearer {token}", keys, now=NOW + HOUR - timedelta(seconds=1)) is not None
    assert recognise(f"bearer {token}", keys, now=NOW + HOUR) is None


def test_a_successor_has_the_old_key_s_label_scopes_and_lifetime() -> None:
    """A rotated key lives as long as the first one was meant to."""
    old, _ = issue("desk", scopes=["write", "read"], now=NOW, lifetime=24 * HOUR)
    fresh, token = successor(old, now=NOW + HOUR)
    assert (fresh.label, fresh.scopes) == ("desk", ("read", "write"))
    assert fresh.expires_at == NOW + 25 * HOUR
    assert fresh.id != old.id
    assert token.startswith(f"fw_{fresh.id}_")


def test_every_fault_of_a_key_is_listed() -> None:
    """Unknown scopes, an empty label and a lifetime of nothing are told at once."""
    with pytest.raises(InvalidInput) as caught:
        issue("", scopes=["read", "fly"], now=NOW, lifetime=timedelta(0))
    assert [fault.where for fault in caught.value.faults] == ["/scopes", "/label", "/lifetime"]
    with pytest.raises(InvalidInput):
        issue("desk", scopes=[], now=NOW)


def test_loopback_is_open_until_a_key_exists() -> None:
    """The first live key closes the door for everyone without one."""
    key, token = issue("desk", scopes=["read"], now=NOW)
    empty, held = Admission(Settings(), ring()), Admission(Settings(), ring(key))
    assert empty.admit(None, Scope.ADMIN, is_local=True, at=NOW, now=0.0) is LOOPBACK
    assert refusal(empty, None, Scope.READ).status == 401
    assert refusal(held, None, Scope.READ, is_local=True).status == 401
    assert held.admit(f"Bearer {token}", Scope.READ, is_local=False, at=NOW, now=0.0).id == key.id


def test_a_scope_that_is_not_carried_is_forbidden() -> None:
    """Reading is not writing; admin is everything."""
    reader, token = issue("reader", scopes=["read"], now=NOW)
    chief, sesame = issue("chief", scopes=["admin"], now=NOW)
    gate = Admission(Settings(), ring(reader, chief))
    assert refusal(gate, f"Bearer {token}", Scope.WRITE).status == 403
    assert refusal(gate, f"Bearer {token}", Scope.WEIGHTS).status == 403
    for scope in Scope:
        gate.admit(f"Bearer {sesame}", scope, is_local=False, at=NOW, now=0.0)


def test_a_key_over_its_rate_is_told_when_to_come_back() -> None:
    """A worker of two serves half of the rate; the wait is rounded up to whole seconds."""
    key, token = issue("desk", scopes=["read"], now=NOW)
    gate = Admission(Settings(requests_per_second=1.0, burst=4, workers=2), ring(key))
    for _ in range(2):
        gate.admit(f"Bearer {token}", Scope.READ, is_local=False, at=NOW, now=0.0)
    with pytest.raises(Refused) as caught:
        gate.admit(f"Bearer {token}", Scope.READ, is_local=False, at=NOW, now=0.5)
    assert caught.value.kind.status == 429
    assert caught.value.headers["Retry-After"] == "2"
    gate.admit(f"Bearer {token}", Scope.READ, is_local=False, at=NOW, now=2.0)


def test_the_keys_last_read_are_trusted_for_five_minutes() -> None:
    """While the store is down a key still opens, but not for ever."""
    key, token = issue("desk", scopes=["read"], now=NOW)
    is_down = False

    def load() -> dict[str, KeyRecord]:
        if is_down:
            raise Refused(ProblemKind("unavailable", 503, ""), "down")
        return {key.id: key}

    gate = Admission(Settings(), Keyring(load))
    gate.admit(f"Bearer {token}", Scope.READ, is_local=False, at=NOW, now=0.0)
    is_down = True
    gate.admit(f"Bearer {token}", Scope.READ, is_local=False, at=NOW, now=299.0)
    with pytest.raises(Refused) as caught:
        gate.admit(f"Bearer {token}", Scope.READ, is_local=False, at=NOW, now=301.0)
    assert caught.value.kind.status == 503


def test_a_store_that_never_answered_opens_nothing() -> None:
    """Without one reading of the keys nobody is let in, not even from loopback."""

    def load() -> dict[str, KeyRecord]:
        raise Refused(ProblemKind("unavailable", 503, ""), "down")

    gate = Admission(Settings(), Keyring(load))
    assert refusal(gate, None, Scope.READ, is_local=True).status == 503


def test_keys_are_read_again_after_two_seconds() -> None:
    """A revocation is seen by the next reading."""
    key, token = issue("desk", scopes=["read"], now=NOW)
    keys = {key.id: key}
    gate = Admission(Settings(), Keyring(lambda: dict(keys)))
    gate.admit(f"Bearer {token}", Scope.READ, is_local=False, at=NOW, now=0.0)
    del keys[key.id]
    gate.admit(f"Bearer {token}", Scope.READ, is_local=False, at=NOW, now=1.9)
    with pytest.raises(Refused):
        gate.admit(f"Bearer {token}", Scope.READ, is_local=False, at=NOW, now=2.0)


def test_places_are_bounded_and_given_back() -> None:
    """One more request than may be answered at once is refused, until one ends."""
    gate = Admission(Settings(most_in_flight=1), ring())
    with gate.place("a"):
        with pytest.raises(Refused) as caught, gate.place("b"):
            pass
        assert caught.value.kind.status == 429
    with gate.place("b"):
        pass


def places(gate: Admission, stack: ExitStack, caller: str) -> int:
    """Take as many places as a caller is given and return how many they are."""
    for number in range(100):
        try:
            stack.enter_context(gate.place(caller))
        except Refused:
            return number
    raise AssertionError("no bound")


def test_a_caller_takes_half_of_the_places_that_others_leave() -> None:
    """Of 64: 32, then 16, 8, 4, 2 and 1 for callers who come later, and one is left."""
    gate = Admission(Settings(most_in_flight=64), ring())
    with ExitStack() as stack:
        assert [places(gate, stack, name) for name in "abcdef"] == [32, 16, 8, 4, 2, 1]
        assert places(gate, stack, "a") == 0
        assert places(gate, stack, "g") == 1
        assert places(gate, stack, "h") == 0
    with ExitStack() as stack:
        assert places(gate, stack, "h") == 32


def test_no_key_means_nobody_once_a_key_existed() -> None:
    """A key that was revoked or has ended opens nothing, and nothing else does on loopback."""
    for ended in ({"revoked_at": NOW - HOUR}, {"expires_at": NOW}):
        key, token = issue("chief", scopes=["admin"], now=NOW - 2 * HOUR)
        gate = Admission(Settings(), ring(replace(key, **ended)))
        assert refusal(gate, None, Scope.READ, is_local=True).status == 401
        assert refusal(gate, f"Bearer {token}", Scope.READ, is_local=True).status == 401


@pytest.mark.parametrize("is_down", [True, False])
def test_who_comes_while_old_keys_are_read_anew_waits_for_them(*, is_down: bool) -> None:
    """After hours of rest two requests at once are both let in; a failing store is asked once."""
    key, token = issue("desk", scopes=["read"], now=NOW)
    begun, free, asked = threading.Event(), threading.Event(), []

    def load() -> dict[str, KeyRecord]:
        asked.append(len(asked))
        if len(asked) > 1:
            begun.set()
            free.wait(10.0)
            if is_down:
                raise Refused(ProblemKind("unavailable", 503, ""), "down")
        return {key.id: key}

    gate = Admission(Settings(), Keyring(load))
    admit = partial(gate.admit, f"Bearer {token}", Scope.READ, is_local=False, at=NOW)
    admit(now=0.0)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(admit, now=7_200.0)
        begun.wait(10.0)
        second = pool.submit(admit, now=7_200.1)
        # The second has nothing to go by: it must not have been refused meanwhile.
        assert not wait([second], timeout=0.2).done
        free.set()
        told = [one.exception() for one in (first, second)]
    assert all(isinstance(one, Refused) if is_down else one is None for one in told)
    assert len(asked) == 2


def test_why_the_keys_cannot_be_read_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The caller is told that they cannot, the log why."""

    def load() -> dict[str, KeyRecord]:
        raise Refused(ProblemKind("unavailable", 503, ""), "the disk is on fire")

    with caplog.at_level("WARNING", "forewarn"):
        refusal(Admission(Settings(), Keyring(load)), None, Scope.READ, is_local=True)
    assert "the disk is on fire" in caplog.text


@pytest.mark.parametrize("header", ["forwarded", "via", "x-forwarded-for", "x-real-ip"])
def test_what_a_proxy_passes_on_is_not_local(header: str) -> None:
    """A proxy on this machine asks for somebody else."""
    assert not is_local("127.0.0.1", "127.0.0.1:3000", headers=["host", header])
    assert is_local("127.0.0.1", "127.0.0.1:3000", headers=["host", "accept"])


@pytest.mark.parametrize(
    ("client", "host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1:3000", True),
        ("127.0.0.1", "localhost", True),
        ("::1", "[::1]:3000", True),
        ("127.0.0.1", "evil.example:3000", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "", False),
        ("10.0.0.9", "127.0.0.1:3000", False),
        (None, "localhost", False),
    ],
)
def test_local_is_by_address_and_by_name(client: str | None, host: str, *, expected: bool) -> None:
    """A name that was made to lead to the loopback does not count as it."""
    assert is_local(client, host) is expected


@given(
    gaps=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=60),
    per_second=st.floats(0.1, 50.0),
    burst=st.integers(1, 20),
)
def test_no_more_than_the_rate_passes(gaps: list[float], per_second: float, burst: int) -> None:
    """However requests come, those that pass fit under burst plus rate times time."""
    rate, bucket, now, passed = Rate(per_second=per_second, burst=burst), None, 0.0, 0
    for gap in gaps:
        now += gap
        bucket, wait = take(bucket, rate, now=now)
        assert wait >= 0.0
        passed += wait == 0.0
    assert passed <= burst + per_second * now + 1e-6


def test_waiting_as_told_is_enough() -> None:
    """After the wait that was told, the request passes."""
    rate = Rate(per_second=4.0, burst=1)
    bucket, wait = take(Bucket(0.5, 10.0), rate, now=10.0)
    assert wait == 0.125
    assert take(bucket, rate, now=10.125)[1] == 0.0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    """Time that did not pass fills no bucket."""
    bucket, wait = take(Bucket(0.0, 100.0), Rate(per_second=1.0, burst=5), now=50.0)
    assert wait == 1.0
    assert bucket.tokens == 0.0


def test_callers_are_bounded() -> None:
    """A flood of names does not fill the memory."""
    limiter, rate = Limiter(), Rate(per_second=1.0, burst=1)
    for number in range(MOST_CALLERS + 5):
        limiter.wait(str(number), rate, now=float(number))
    assert len(limiter.buckets) == MOST_CALLERS
    assert not math.isclose(limiter.wait("0", rate, now=0.0), 1.0)
