"""Random histories of instances: what is metered is what a model that knows nothing of the product's ways says."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.model.sizes import Sizes
from innkeeper.model.usage import HOUR, METRICS, InstanceEvent, Run, hour_of, metered

BEGUN = datetime(2026, 3, 1, 7, tzinfo=UTC)
SLOT = timedelta(minutes=12)
"""What the model looks at at once: nothing happens within one."""

Hour = tuple[datetime, str, str]
Figures = dict[Hour, dict[str, Fraction]]


def expanded(runs: Iterable[Run]) -> Figures:
    """The runs' hours one by one; no two are of the same hour, tenant and plan."""
    found: Figures = {}
    for run in runs:
        for number in range(run.hours):
            hour = (run.since + number * HOUR, run.tenant, run.plan)
            assert hour not in found
            found[hour] = {metric: Fraction(getattr(run, metric)) for metric in METRICS}
    return found


def seen(events: Sequence[InstanceEvent], since: datetime, until: datetime) -> list[InstanceEvent]:
    """What the metering is given of a history."""
    before = [event for event in events if event.at < since and event.status.settled]
    last = sorted(before, key=lambda event: (event.at, event.seq))[-1:]
    return [*last, *(event for event in events if since <= event.at < until)]


def history(chance: random.Random, slots: int) -> list[InstanceEvent]:
    """Events at the beginnings of slots, in any order, several at once among them."""
    return [
        InstanceEvent(
            seq=seq,
            at=BEGUN + SLOT * chance.randrange(slots),
            instance="acme",
            tenant=chance.choice(["t1", "t1", "t2"]),
            plan=chance.choice(["starter", "team"]),
            status=chance.choice(list(Status)),
            operation=chance.choice([None, f"r{seq}"]),
            outcome=chance.choice([None, *Outcome]),
            sizes=chance.choice(
                [
                    None,
                    Sizes(cpu_millicores=chance.randrange(5000), memory_mib=chance.randrange(9000), storage_mib=seq),
                ]
            ),
        )
        for seq in range(chance.randrange(1, 9))
    ]


def by_the_model(events: Sequence[InstanceEvent], slots: int) -> Figures:
    """Slot by slot: the last settled status that was written by then is what the instance is."""
    found: Figures = defaultdict(lambda: dict.fromkeys(METRICS, Fraction(0)))
    ordered = sorted(events, key=lambda event: (event.at, event.seq))
    seconds = int(SLOT.total_seconds())
    for number in range(slots):
        now = BEGUN + SLOT * number
        hour = now.replace(minute=0)
        known = [event for event in ordered if event.at <= now and event.status.settled]
        if known and known[-1].status is not Status.PURGED:
            last, sizes = known[-1], known[-1].sizes or Sizes()
            used = found[hour, last.tenant, last.plan]
            used["storage_gib_seconds"] += Fraction(seconds * sizes.storage_mib, 1024)
            if last.status is Status.RUNNING:
                used["running_seconds"] += seconds
                used["cpu_seconds"] += Fraction(seconds * sizes.cpu_millicores, 1000)
                used["memory_gib_seconds"] += Fraction(seconds * sizes.memory_mib, 1024)
        for event in ordered:
            if event.at == now and event.operation:
                failed = event.status.settled and event.outcome in (Outcome.UNDONE, Outcome.LEFT_BEHIND)
                found[hour, event.tenant, event.plan]["operations"] += not event.status.settled
                found[hour, event.tenant, event.plan]["failures"] += failed
    return {hour: used for hour, used in found.items() if any(used.values())}


def test_ten_thousand_histories_are_metered_as_a_simple_model_says() -> None:
    chance = random.Random(20260301)  # noqa: S311  # histories that come again
    for _ in range(10_000):
        slots = chance.randrange(1, 45)
        events = history(chance, slots)
        until = BEGUN + SLOT * slots
        assert expanded(metered(events, BEGUN, until)) == by_the_model(events, slots), events


moments = st.integers(0, 9 * 3_600_000_000 - 1).map(lambda after: BEGUN + timedelta(microseconds=after))
statuses = st.sampled_from([Status.RUNNING, Status.STOPPED, Status.STOPPING, Status.UNINSTALLED, Status.PURGED])
sizes = st.builds(
    Sizes, cpu_millicores=st.integers(0, 99_999), memory_mib=st.integers(0, 999_999), storage_mib=st.integers(0, 10**7)
)
lives = st.lists(st.tuples(moments, statuses, sizes, st.sampled_from(["t1", "t2"])), min_size=1, max_size=7)


@given(lives, st.lists(moments, max_size=6), moments)
def test_the_sum_over_any_split_of_windows_is_the_whole(
    life: list[tuple[datetime, Status, Sizes, str]], cuts: list[datetime], until: datetime
) -> None:
    events = [
        InstanceEvent(seq=seq, at=at, instance="acme", tenant=tenant, plan="starter", status=status, sizes=size)
        for seq, (at, status, size, tenant) in enumerate(life)
    ]
    whole = expanded(metered(seen(events, BEGUN, until), BEGUN, until))

    # Metered in any number of steps, each of which writes its hours in place of what they held.
    stepwise: Figures = {}
    since = BEGUN
    for cut in [*sorted(cut for cut in cuts if cut < until), until]:
        fresh = expanded(metered(seen(events, since, cut), since, cut))
        stepwise = {hour: used for hour, used in stepwise.items() if hour[0] < since} | fresh
        since = hour_of(cut)
    assert stepwise == whole

    # In each hour by itself, and all of them together.
    hours = [BEGUN + number * HOUR for number in range(9)]
    singly = [
        expanded(metered(seen(events, hour, min(hour + HOUR, until)), hour, min(hour + HOUR, until)))
        for hour in hours
        if hour < until
    ]
    assert {hour: used for each in singly for hour, used in each.items()} == whole
    assert _running(events, until) == sum(used["running_seconds"] for used in whole.values())


def _running(events: Sequence[InstanceEvent], until: datetime) -> Fraction:
    """How long it ran, without any window: from each time that it began to run to the next settled status."""
    settled = sorted((event.at, event.seq, event.status) for event in events if event.status.settled)
    total = timedelta()
    for number, (at, _, status) in enumerate(settled):
        end = min(settled[number + 1][0], until) if number + 1 < len(settled) else until
        if status is Status.RUNNING:
            total += max(end - at, timedelta())
    return Fraction(total // timedelta(microseconds=1), 10**6)
