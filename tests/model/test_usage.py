"""From events to hours: what counts as used, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.model.sizes import Sizes
from innkeeper.model.usage import HOUR, METRICS, InstanceEvent, Run, hour_of, intervals, metered

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIZES = Sizes(cpu_millicores=250, memory_mib=512, storage_mib=2048)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def event(hours: float, status: Status, **more: Any) -> InstanceEvent:
    told = {"seq": int(hours * 1000) + 10**6, "tenant": "t1", "plan": "starter", "sizes": SIZES, **more}
    return InstanceEvent(at=at(hours), instance="acme", status=status, **told)


def run(hours: float, length: int = 1, **used: Any) -> Run:
    told: dict[str, Any] = dict.fromkeys(METRICS, 0) | {"tenant": "t1", "plan": "starter"} | used
    return Run(instance="acme", since=at(hours), hours=length, **told)


def running(hours: float, length: int = 1, *, part: Decimal = Decimal(1), **more: Any) -> Run:
    seconds = 3600 * part
    used = {"running_seconds": seconds, "cpu_seconds": seconds / 4, "memory_gib_seconds": seconds / 2}
    return run(hours, length, storage_gib_seconds=seconds * 2, **{**used, **more})


def test_an_hour_is_utc_wherever_the_moment_was_told() -> None:
    assert hour_of(datetime.fromisoformat("2026-03-01T14:45:10.5+05:30")) == datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_nothing_happened_and_nothing_was_used() -> None:
    assert metered([], at(0), at(5)) == []
    assert intervals([], at(5)) == []


def test_what_runs_uses_what_it_requests_in_hours_that_are_alike_told_once() -> None:
    assert metered([event(0.5, Status.RUNNING)], at(0), at(5.25)) == [
        running(1, 4),
        running(0, part=Decimal("0.5")),
        running(5, part=Decimal("0.25")),
    ]


def test_an_hour_with_a_microsecond_of_use_is_exact() -> None:
    begun = event(0, Status.RUNNING)
    [used] = metered([begun], at(0), begun.at + timedelta(microseconds=1))
    assert used.running_seconds == Decimal("0.000001")
    assert used.cpu_seconds == Decimal("0.00000025")
    assert used.memory_gib_seconds == Decimal("0.0000005")
    assert used.storage_gib_seconds == Decimal("0.000002")


@pytest.mark.parametrize("status", [Status.STOPPED, Status.UNINSTALLED, Status.ERROR])
def test_what_does_not_run_uses_its_volumes_alone(status: Status) -> None:
    assert metered([event(0, status)], at(0), at(1)) == [run(0, storage_gib_seconds=7200)]


def test_what_is_purged_uses_nothing() -> None:
    assert metered([event(0, Status.PURGED)], at(0), at(9)) == []


def test_what_was_never_observed_runs_without_sizes() -> None:
    assert metered([event(0, Status.RUNNING, sizes=None)], at(0), at(1)) == [run(0, running_seconds=3600)]


def test_what_is_being_made_does_not_run_yet() -> None:
    assert metered([event(0, Status.PROVISIONING)], at(0), at(1)) == []


def test_an_instance_counts_as_what_it_was_until_its_operation_has_ended() -> None:
    events = [
        event(0, Status.RUNNING),
        event(1, Status.UPGRADING, plan="team"),
        event(2, Status.RUNNING, plan="team"),
        event(3, Status.STOPPING, plan="team"),
        event(4, Status.STOPPED, plan="team"),
    ]
    found = [(each.since, each.until, each.status, each.plan) for each in intervals(events, at(5))]
    assert found == [
        (at(0), at(1), Status.RUNNING, "starter"),
        (at(1), at(2), Status.RUNNING, "starter"),
        (at(2), at(3), Status.RUNNING, "team"),
        (at(3), at(4), Status.RUNNING, "team"),
        (at(4), at(5), Status.STOPPED, "team"),
    ]


def test_two_plans_and_two_tenants_share_an_hour() -> None:
    events = [
        event(0, Status.RUNNING),
        event(0.25, Status.RUNNING, plan="team"),
        event(0.5, Status.PURGED),
        event(0.75, Status.RUNNING, tenant="t2"),
    ]
    quarter = Decimal("0.25")
    assert metered(events, at(0), at(1)) == [
        running(0, part=quarter),
        running(0, part=quarter, plan="team"),
        running(0, part=quarter, tenant="t2"),
    ]


def test_events_of_one_moment_count_in_the_order_in_which_they_were_written() -> None:
    events = [event(0, Status.STOPPED, seq=2), event(0, Status.RUNNING, seq=1)]
    assert [each.status for each in intervals(events, at(1))] == [Status.STOPPED]


def test_only_the_time_that_is_asked_for_is_told() -> None:
    events = [event(-9, Status.RUNNING), event(3.5, Status.STOPPED)]
    assert metered(events, at(2), at(4)) == [
        running(2),
        run(
            3,
            running_seconds=1800,
            cpu_seconds=450,
            memory_gib_seconds=900,
            storage_gib_seconds=7200,
        ),
    ]
    assert metered([event(-9, Status.RUNNING), event(-3, Status.PURGED)], at(0), at(1)) == []


def test_an_event_after_the_end_changes_nothing() -> None:
    assert metered([event(0, Status.RUNNING), event(2, Status.STOPPED)], at(0), at(1)) == [running(0)]


def test_operations_count_where_they_begin_and_failures_where_they_end() -> None:
    events = [
        event(0, Status.RUNNING),
        event(1.5, Status.UPGRADING, operation="r1", outcome=Outcome.RUNNING),
        event(3.5, Status.RUNNING, operation="r1", outcome=Outcome.UNDONE),
        event(4, Status.STOPPING, operation="r2", outcome=Outcome.RUNNING),
        event(4, Status.ERROR, operation="r2", outcome=Outcome.LEFT_BEHIND, seq=10**8),
        event(4.5, Status.STARTING, operation="r3", outcome=Outcome.RUNNING),
        event(4.75, Status.RUNNING, operation="r3", outcome=Outcome.DONE),
        event(4.875, Status.STOPPED),
    ]
    found = {each.since: (each.operations, each.failures) for each in metered(events, at(0), at(5)) if each.hours == 1}
    assert found == {at(0): (0, 0), at(1): (1, 0), at(2): (0, 0), at(3): (0, 1), at(4): (2, 1)}


def test_an_operation_in_an_hour_of_a_long_run_splits_it() -> None:
    events = [event(0, Status.RUNNING), event(5, Status.RESTARTING, operation="r", outcome=Outcome.RUNNING)]
    assert metered(events, at(0), at(10)) == [
        running(1, 4),
        running(6, 4),
        running(0),
        running(5, operations=1),
    ]


def test_hours_do_not_overlap() -> None:
    events = [event(hours, Status.RUNNING if number % 2 else Status.STOPPED) for number, hours in enumerate((0, 1, 7))]
    found = [each.since + number * HOUR for each in metered(events, at(0), at(20)) for number in range(each.hours)]
    assert sorted(found) == [at(hours) for hours in range(20)]
