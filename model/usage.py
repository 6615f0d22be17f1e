"""From what happened to what was used: an instance's events, the intervals between them, the hours they fall into.

All times and sizes are whole numbers (microseconds, millicores, MiB), so that whatever is added up, in any split of
windows, is exact. An operation that is under way changes nothing: until its end is written, the instance counts as what
it was before, and as its former plan's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from .instance import Status
from .messages import Message, Outcome
from .sizes import Sizes

HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)
_FAILED = frozenset({Outcome.UNDONE, Outcome.LEFT_BEHIND})


class InstanceEvent(BaseModel):
    """A row of `instance_events`: what an instance's row said from a moment on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seq: int
    """Of one instance, in the order in which they were written."""
    at: datetime
    instance: str
    tenant: str
    plan: str
    status: Status
    operation: str | None = None
    """The operation that wrote it: with a transitional status it began, with a settled one it ended."""
    outcome: Outcome | None = None
    sizes: Sizes | None = None
    """As last observed; None where nothing was yet."""


class Counted(NamedTuple):
    """What was used, in whole numbers that add up exactly."""

    running: int = 0
    """Microseconds."""
    cpu: int = 0
    """Microseconds × millicores."""
    memory: int = 0
    """Microseconds × MiB."""
    storage: int = 0
    """Microseconds × MiB."""
    operations: int = 0
    """Those that began."""
    failures: int = 0
    """Those that failed, undone or not."""

    def plus(self, other: Counted) -> Counted:
        """Both together."""
        return Counted(*(one + another for one, another in zip(self, other, strict=True)))


class Interval(NamedTuple):
    """A time between two events of an instance, or up to the end that was asked for."""

    since: datetime
    until: datetime
    tenant: str
    plan: str
    status: Status
    """The settled status that counts."""
    sizes: Sizes

    def counted(self, length: timedelta) -> Counted:
        """What is used in so much of this time: volumes as long as there are any, the rest while it runs."""
        time = length // _MICROSECOND
        storage = 0 if self.status is Status.PURGED else time * self.sizes.storage_mib
        if self.status is not Status.RUNNING:
            return Counted(storage=storage)
        return Counted(time, time * self.sizes.cpu_millicores, time * self.sizes.memory_mib, storage)


class Run(Message):
    """Hours in a row in each of which the same was used."""

    instance: str
    tenant: str
    plan: str
    since: datetime
    """A full hour."""
    hours: int
    running_seconds: Decimal
    cpu_seconds: Decimal
    memory_gib_seconds: Decimal
    storage_gib_seconds: Decimal
    operations: int
    failures: int


METRICS = {
    "running_seconds": "s",
    "cpu_seconds": "core·s",
    "memory_gib_seconds": "GiB·s",
    "storage_gib_seconds": "GiB·s",
    "operations": "",
    "failures": "",
}
"""The metrics that are metered for every instance, with their units, as `usage_metrics` names its columns."""


def hour_of(moment: datetime) -> datetime:
    """The full hour, in UTC, that a moment falls into."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def intervals(events: Iterable[InstanceEvent], until: datetime) -> list[Interval]:
    """The times between one instance's events, from the first that is settled up to `until`, in turn.

    Each event ends an interval, although it may change nothing that counts. Those without a length are left out.
    """
    found: list[Interval] = []
    settled: InstanceEvent | None = None
    since = until
    for event in _in_order(events):
        if settled is not None:
            found += _between(settled, since, min(event.at, until))
        since = event.at
        if event.status.settled:
            settled = event
    if settled is not None:
        found += _between(settled, since, until)
    return found


def _in_order(events: Iterable[InstanceEvent]) -> list[InstanceEvent]:
    return sorted(events, key=lambda event: (event.at, event.seq))


def _between(event: InstanceEvent, since: datetime, until: datetime) -> list[Interval]:
    if since >= until:
        return []
    return [Interval(since, until, event.tenant, event.plan, event.status, event.sizes or Sizes())]


def metered(events: Sequence[InstanceEvent], since: datetime, until: datetime) -> list[Run]:
    """What one instance used in the hours from `since`, a full hour, up to `until`, as few runs as is easy.

    Args:
        events: the last settled one before `since`, and all from then on.
    """
    singly: dict[tuple[datetime, str, str], Counted] = defaultdict(Counted)
    runs: list[Run] = []
    name = events[0].instance if events else ""

    def add(hour: datetime, tenant: str, plan: str, used: Counted) -> None:
        singly[hour, tenant, plan] = singly[hour, tenant, plan].plus(used)

    for each in intervals(events, until):
        begun = max(each.since, since)
        if begun >= each.until:
            continue
        first, last = hour_of(begun), hour_of(each.until)
        # The hours at both ends may be shared with other intervals, and with operations that begin or end there.
        add(first, each.tenant, each.plan, each.counted(min(first + HOUR, each.until) - begun))
        if last > first:
            add(last, each.tenant, each.plan, each.counted(each.until - last))
            whole = (last - first) // HOUR - 1
            runs += _run(name, each.tenant, each.plan, first + HOUR, whole, each.counted(HOUR))
    for event in events:
        if since <= event.at < until:
            add(hour_of(event.at), event.tenant, event.plan, _happened(event))
    for (hour, tenant, plan), used in sorted(singly.items()):
        runs += _run(name, tenant, plan, hour, 1, used)
    return runs


def _happened(event: InstanceEvent) -> Counted:
    if event.operation is None:
        return Counted()
    if not event.status.settled:
        return Counted(operations=1)
    return Counted(failures=int(event.outcome in _FAILED))


def _run(instance: str, tenant: str, plan: str, since: datetime, hours: int, used: Counted) -> list[Run]:
    """The run, none where nothing was used. An hour's figures have fewer digits than a Decimal holds."""
    if hours == 0 or not any(used):
        return []
    return [
        Run(
            instance=instance,
            tenant=tenant,
            plan=plan,
            since=since,
            hours=hours,
            running_seconds=Decimal(used.running) / 10**6,
            cpu_seconds=Decimal(used.cpu) / 10**9,
            memory_gib_seconds=Decimal(used.memory) / (1024 * 10**6),
            storage_gib_seconds=Decimal(used.storage) / (1024 * 10**6),
            operations=used.operations,
            failures=used.failures,
        )
    ]
