"""When a lease is renewed, when it is in doubt, and when it is gone."""

from __future__ import annotations

from geartrain.server.lease import Lease


def joined(sent: float = 100.0) -> Lease:
    lease = Lease(3.0)
    lease.join(sent)
    return lease


def test_a_server_that_has_not_joined_holds_nothing_and_doubts_nothing() -> None:
    lease = Lease(3.0)
    assert lease.lost
    assert not lease.in_doubt(1000.0)


def test_a_lease_is_renewed_each_third() -> None:
    lease = joined(100.0)
    assert lease.renewal_due() == 101.0
    lease.renewed(101.5)
    assert lease.renewal_due() == 102.5


def test_a_lease_is_in_doubt_a_tenth_before_its_end_counted_from_the_asking() -> None:
    lease = joined(100.0)
    assert not lease.in_doubt(102.69)
    assert lease.in_doubt(102.71)


def test_a_renewal_that_was_sent_long_ago_is_worth_no_more_than_its_sending() -> None:
    """The answer was read after a pause of thirty seconds: the lease may be another's."""
    lease = joined(100.0)
    lease.renewed(101.0)
    assert lease.in_doubt(131.0)


def test_an_older_answer_that_comes_later_changes_nothing() -> None:
    lease = joined(100.0)
    lease.renewed(102.0)
    lease.renewed(101.0)
    assert not lease.in_doubt(104.5)


def test_a_renewal_that_failed_is_tried_again_after_a_twelfth() -> None:
    lease = joined(100.0)
    lease.not_renewed(101.5)
    assert lease.renewal_due() == 101.75
    lease.renewed(101.75)
    assert lease.renewal_due() == 102.75


def test_a_failure_before_the_next_renewal_is_due_does_not_hasten_it() -> None:
    lease = joined(100.0)
    lease.not_renewed(100.1)
    assert lease.renewal_due() == 101.0


def test_doubt_ends_with_the_next_renewal() -> None:
    lease = joined(100.0)
    assert lease.in_doubt(103.0)
    lease.renewed(103.5)
    assert not lease.in_doubt(103.6)


def test_a_lost_lease_is_no_doubt_until_the_server_joins_again() -> None:
    lease = joined(100.0)
    lease.lose()
    assert lease.lost
    assert not lease.in_doubt(200.0)
    lease.join(200.0)
    assert not lease.lost
    assert not lease.in_doubt(201.0)
    assert lease.in_doubt(203.0)
