"""One price move raises the whole book: nothing lost, critical first, one aggregate."""

from alert_storm import lay, strike

from serving.store import Store

ACCOUNTS, OWNERS = 600, 60


def test_a_storm_is_told_once_and_whole(store: Store) -> None:
    """Every account is told or waits, each owner gets one message, the desk gets one of all."""
    lay(store, ACCOUNTS, OWNERS)
    storm = strike(store, ACCOUNTS)
    assert storm.transitions == ACCOUNTS
    assert storm.notified + storm.waiting == ACCOUNTS
    assert storm.order == sorted(storm.order)
    assert storm.per_owner == 1
    assert [one["counts"] for one in storm.desk] == [{"critical": 60, "warning": 540}]
    assert storm.desk[0]["items"][0]["level"] == "critical"
    assert len(storm.desk[0]["items"]) + storm.desk[0]["more"] == ACCOUNTS


def test_owners_of_many_small_accounts_stay_within_their_budget(store: Store) -> None:
    """An owner of five accounts gets its criticals and at most twelve others at once."""
    lay(store, 50, 10)
    storm = strike(store, 50)
    assert storm.notified + storm.waiting == 50
    assert storm.per_owner <= 12
