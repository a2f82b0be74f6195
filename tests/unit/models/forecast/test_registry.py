"""The directory registry of bundles, and how a service follows its pointers."""

import queue
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bundles
import pytest

from features.pipeline import fingerprint
from models.errors import BundleRefused
from models.forecast import bundle, registry
from models.parameters.breakers import Breaker, Effect, Signal
from serving.application import breaker_board
from serving.application.deployment import Deployment, Follower, read_deployment, refreshed
from serving.store import open_store

AT = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return an empty registry."""
    (tmp_path / registry.VERSIONS).mkdir()
    return tmp_path


@pytest.fixture
def two(place: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Return a registry with two versions."""
    drawn = tmp_path_factory.mktemp("drawn")
    first, second = (bundles.write(drawn / str(seed), seed=seed) for seed in (7, 8))
    return place, registry.add(place, first), registry.add(place, second)


def point(place: Path, alias: registry.Alias, version: str | None) -> registry.Move:
    """Set a pointer."""
    return registry.point(place, alias, version, at=AT, actor="anna", reason="a test")


def load(place: Path) -> bundle.Bundle | None:
    """Load the champion."""
    return registry.load(place, "champion", fingerprint=fingerprint)


def test_versions_are_named_by_their_manifest_and_added_once(two: tuple[Path, str, str]) -> None:
    """The same bundle twice is one version; another manifest is another."""
    place, first, second = two
    assert first != second
    again = bundles.write(place / "again", seed=7)
    assert registry.add(place, again) == first
    assert set(registry.versions(place)) == {first, second}
    assert not [path for path in (place / registry.VERSIONS).iterdir() if path.name[0] == "."]


def test_a_pointer_moves_and_every_move_is_kept(two: tuple[Path, str, str]) -> None:
    """The champion in force is the last move; the one before can be found again."""
    place, first, second = two
    assert registry.pointer(place, "champion") is None
    assert load(place) is None
    for version in (first, second):
        point(place, "champion", version)
    point(place, "challenger", None)
    moves = registry.history(place)
    assert [(m.number, m.alias, m.version, m.actor) for m in moves] == [
        (1, "champion", first, "anna"),
        (2, "champion", second, "anna"),
        (3, "challenger", None, "anna"),
    ]
    assert moves[0].at == AT
    loaded, earlier = load(place), registry.before(place, "champion")
    assert loaded is not None
    assert loaded.version == second
    assert earlier is not None
    assert earlier.version == first


@pytest.mark.parametrize(
    ("moves", "wanted"),
    [
        ("A", None),
        ("AB", "A"),
        ("ABC", "B"),
        ("ABCB", "A"),  # rolled back once
        ("ABCBA", None),  # and once more
        ("ABCBD", "B"),  # what is promoted then takes the place of B, not of C
        ("ABCBC", "B"),
        ("A-B", "A"),
        ("ABB", "A"),
    ],
)
def test_the_version_before_is_that_whose_place_was_taken(
    place: Path, moves: str, wanted: str | None
) -> None:
    """Going back again goes farther back, never to what was gone back from; every move is kept."""
    for name in set(moves) - {"-"}:
        (place / registry.VERSIONS / name).mkdir()
        (place / registry.VERSIONS / name / bundle.MANIFEST).write_text(name)
    for name in moves:
        point(place, "champion", None if name == "-" else name)
        point(place, "challenger", None)
    found = registry.before(place, "champion")
    assert (None if found is None else found.version) == wanted
    kept = [m.version or "-" for m in registry.history(place) if m.alias == "champion"]
    assert "".join(kept) == moves


def test_a_move_whose_pointer_was_never_replaced_was_never_in_force(
    two: tuple[Path, str, str],
) -> None:
    """After a crash between the move and its pointer, the bundle before is in use and listed."""
    place, first, second = two
    point(place, "champion", first)
    standing = (place / "champion.json").read_text()
    point(place, "champion", second)
    (place / "champion.json").write_text(standing)
    assert [move.version for move in registry.history(place)] == [first]
    assert point(place, "champion", second).number == 3


def test_what_is_damaged_or_foreign_is_refused(two: tuple[Path, str, str]) -> None:
    """A changed booster, another manifest, a broken pointer, an unknown version."""
    place, first, second = two
    with pytest.raises(BundleRefused, match="no readable"):
        point(place, "champion", "000000000000")
    point(place, "champion", first)
    versions = place / registry.VERSIONS
    shutil.copy(versions / second / bundle.MANIFEST, versions / first / bundle.MANIFEST)
    with pytest.raises(BundleRefused, match="the pointer another"):
        load(place)
    point(place, "champion", second)
    with (versions / second / "expected_24h.txt").open("a") as booster:
        booster.write(" ")
    with pytest.raises(BundleRefused, match=r"expected_24h\.txt: has hash"):
        load(place)
    (place / "champion.json").write_text("{")
    with pytest.raises(BundleRefused, match="not a readable pointer"):
        load(place)


def test_the_last_good_bundle_stays_when_the_next_is_refused(two: tuple[Path, str, str]) -> None:
    """A damaged champion is told, not used; a sound one clears the doubt."""
    place, first, second = two
    none = read_deployment(place)
    assert none.model.bundle is None
    assert none.model.absence == "the registry names no champion yet"
    point(place, "champion", first)
    good = refreshed(place, none)
    assert good.model.bundle is not None
    assert good.model.bundle.version == first
    assert refreshed(place, good) is good
    with (place / registry.VERSIONS / second / "expected_1h.txt").open("a") as booster:
        booster.write(" ")
    point(place, "champion", second)
    kept = refreshed(place, good)
    assert kept.model.bundle is good.model.bundle
    assert "the champion was refused" in kept.model.refusals[0]
    assert kept.doubts == kept.model.refusals
    point(place, "champion", first)
    assert refreshed(place, kept).model.refusals == ()


def test_a_follower_hands_on_what_moved(two: tuple[Path, str, str]) -> None:
    """A pointer that moves reaches the service without a restart; none moves, none is told."""
    place, first, second = two
    point(place, "champion", first)
    told: queue.Queue[Deployment] = queue.Queue()
    follower = Follower(place, read_deployment(place), told.put)
    try:
        point(place, "challenger", second)
        found = told.get(timeout=30)
    finally:
        follower.stop()
    assert found.challenger is not None
    assert found.challenger.version == second
    assert found.model.bundle is not None
    assert found.model.bundle.version == first
    assert told.empty()


def test_a_breaker_that_freezes_promotion_keeps_what_is_in_use(
    two: tuple[Path, str, str], tmp_path: Path
) -> None:
    """A pointer that moves while it is open is handed on once a hand has reset it."""
    place, first, second = two
    point(place, "champion", first)
    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    breaker = Breaker(
        name="freeze",
        signal=Signal.DRIFT,
        trip=2.0,
        clear=1.0,
        hold=1,
        shortest=timedelta(0),
        longest=timedelta(days=1),
        effects=(Effect.FREEZE_PROMOTION,),
    )
    hand: dict[str, Any] = {"reason": "drill", "actor": "gov", "at": AT}
    with store.begin() as transaction:
        breaker_board.put(transaction, breaker, actor="gov", at=AT)
        breaker_board.by_hand(transaction, "freeze", is_trip=True, **hand)
    looks: queue.Queue[bool] = queue.Queue()
    told: queue.Queue[Deployment] = queue.Queue()

    def is_frozen() -> bool:
        result = breaker_board.is_frozen(store)
        looks.put(result)
        return result

    follower = Follower(place, read_deployment(place), told.put, is_frozen=is_frozen)
    try:
        point(place, "champion", second)
        assert looks.get(timeout=30)
        assert looks.get(timeout=30)
        assert told.empty()
        with store.begin() as transaction:
            later = {**hand, "at": AT + timedelta(minutes=1)}
            breaker_board.by_hand(transaction, "freeze", is_trip=False, **later)
        found = told.get(timeout=30)
    finally:
        follower.stop()
        store.close()
    assert found.model.bundle is not None
    assert found.model.bundle.version == second


def test_a_follower_outlives_what_nobody_foresaw(
    two: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A challenger that cannot be read is refused with its reason; a promotion after it arrives."""
    place, first, second = two
    point(place, "champion", first)
    real = registry.load

    def load(directory: Path, alias: registry.Alias, **more: Any) -> bundle.Bundle | None:
        move = registry.pointer(directory, alias)
        if alias == "challenger" and move is not None and move.version == second:
            raise KeyError("shift")
        return real(directory, alias, **more)

    monkeypatch.setattr(registry, "load", load)
    told: queue.Queue[Deployment] = queue.Queue()
    refused = threading.Event()

    def swap(found: Deployment) -> None:
        if not refused.is_set():
            refused.set()
            raise RuntimeError("the first hand-over fails")
        told.put(found)

    follower = Follower(place, read_deployment(place), swap)
    try:
        point(place, "challenger", second)
        kept = told.get(timeout=60)
        point(place, "challenger", None)
        point(place, "champion", second)
        promoted = told.get(timeout=60)
    finally:
        follower.stop()
    assert kept.doubts == ("the challenger was refused: it cannot be read (KeyError: 'shift')",)
    assert kept.model.bundle is not None
    assert kept.model.bundle.version == first
    while promoted.model.bundle is None or promoted.model.bundle.version != second:
        promoted = told.get(timeout=60)
    assert any("could not be followed" in record.getMessage() for record in caplog.records)
