"""What was used, in memory, for tests of workflows: the contract of gateways/usage_rows.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from innkeeper.model.instance import Instance, Status
from innkeeper.model.ports import Page
from innkeeper.model.reports import Recorded, UsageReport
from innkeeper.model.usage import HOUR, METRICS, InstanceEvent, Run, hour_of
from innkeeper.model.usage_ports import Figure, Hours, Meter, Metered, MeterPage, Running, RunningPage, Usage, UsagePage

from .memory_database import MemoryDatabase
from .usage_pages import Place, cut, place, place_of, refused

Key = tuple[str, datetime, str, str]
"""Instance, hour, tenant and plan."""

Figures = dict[str, Decimal]
"""By the names of the metrics."""


class Correction(NamedTuple):
    """A figure that changed after its hour had been metered to its end."""

    instance: str
    tenant: str
    plan: str
    metric: str
    window_start: datetime
    before: Decimal
    after: Decimal


class MemoryUsage:
    """`model.usage_ports.Meters` over the events of a database in memory."""

    def __init__(self, database: MemoryDatabase, *, page: int = 500) -> None:
        self.hours: dict[Key, Figures] = {}
        """What was metered."""
        self.corrections: list[Correction] = []
        self.metered: dict[str, tuple[datetime, int]] = {}
        """Instance → up to when, and the newest event that was seen."""
        self.records: dict[str, UsageReport] = {}
        """What was reported, by key."""
        self.reported: dict[Key, Figures] = defaultdict(dict)
        """The same, added up."""
        self._database = database
        self._page = page

    async def usage(self, wanted: Usage, page: Page) -> UsagePage:
        """One page of figures.

        Raises:
            BadInput: the page's cursor is none of ours.
        """
        after = None if page.after is None else place_of(page.after)
        async with self._database.faults.around("db.usage"):
            found = sorted(self._figures(wanted), key=place)
            if after is not None:
                last = (after[0], datetime.fromisoformat(after[1]), *after[2:])
                found = [figure for figure in found if place(figure) > last]
            return cut(found, page.limit)

    async def record_usage(self, reports: Sequence[UsageReport]) -> Recorded:
        """Write all reports, or none.

        Raises:
            BadInput: a key was used with other content, an instance is not there, or a time has not come.
        """
        async with self._database.faults.around("db.record_usage"):
            for each in sorted(reports, key=lambda report: report.instance):
                if each.instance not in self._database.rows:
                    raise refused("absent", each.instance)
            latest = max((each.at for each in reports if each.at), default=self._database.now())
            if latest > self._database.now() + HOUR:
                raise refused("future", f"{latest.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
            records = dict(self.records)
            for each in reports:
                records.setdefault(each.key, each.model_copy(update={"at": each.at or self._database.now()}))
            for each in sorted(reports, key=lambda report: report.key):
                if each.model_copy(update={"at": each.at or records[each.key].at}) != records[each.key]:
                    raise refused("mismatch", each.key)
            fresh = [report for key, report in records.items() if key not in self.records]
            for report in fresh:
                self._record(report)
            return Recorded(recorded=len(fresh), known=len(reports) - len(fresh))

    async def metering_page(self, after: str | None, *, again: Hours | None = None) -> MeterPage:
        """The next instances to be metered, by name."""
        async with self._database.faults.around("db.metering_page"):
            names = sorted(name for name in self._database.rows if after is None or name > after)
            page = names[: self._page]
            found = [self._again(name, again) if again else self._due(name) for name in page]
            return MeterPage(
                meters=[each for each in found if each is not None and each.since < each.until],
                next=page[-1] if len(names) > len(page) else None,
            )

    async def meter(self, meters: Sequence[Meter], runs: Sequence[Run]) -> Metered:
        """Write what was metered."""
        async with self._database.faults.around("db.meter"):
            told = Metered()
            for each in meters:
                until, seq = self.metered.get(each.instance, (None, 0))
                behind = until is not None and each.until < until and each.until != hour_of(each.until)
                if seq <= each.seq and not behind:
                    told = told.plus(self._write(each, until, [run for run in runs if run.instance == each.instance]))
            return told

    def _record(self, report: UsageReport) -> None:
        """Write one report that is new, and trace what becomes of an hour that was final."""
        at = report.at or self._database.now()
        known = [event for event in self._events(report.instance) if event.at <= at]
        last = max(known, key=lambda event: (event.at, event.seq), default=None)
        owner = last or self._database.rows[report.instance]
        key = (report.instance, hour_of(at), owner.tenant, owner.plan)
        before = self.reported[key].get(report.metric, Decimal(0))
        self.records[report.key] = report
        self.reported[key][report.metric] = after = before + report.quantity
        self._database.reported.append((owner.tenant, report.metric, at, report.quantity))
        metered = self.metered.get(report.instance)
        if metered is not None and hour_of(at) + HOUR <= metered[0] and before != after:
            self.corrections.append(Correction(key[0], key[2], key[3], report.metric, key[1], before, after))

    def _figures(self, wanted: Usage) -> Iterator[Figure]:
        totals: dict[Place, Decimal] = defaultdict(Decimal)
        for (instance, hour, tenant, plan), figures in (*self.hours.items(), *self.reported.items()):
            window = hour if wanted.by == "hour" else hour.replace(hour=0)
            if (
                wanted.tenant in (None, tenant)
                and wanted.instance in (None, instance)
                and (wanted.since is None or window >= wanted.since)
                and (wanted.until is None or window < wanted.until)
            ):
                for metric, quantity in figures.items():
                    totals[instance, window, tenant, plan, metric] += quantity
        length = HOUR if wanted.by == "hour" else 24 * HOUR
        for (instance, window, tenant, plan, metric), quantity in totals.items():
            if not quantity:
                continue
            metered = self.metered[instance][0] if instance in self.metered else window
            yield Figure(
                tenant=tenant,
                instance=instance,
                plan=plan,
                metric=metric,
                window_start=window,
                window_end=window + length,
                quantity=quantity,
                final=window + length <= metered,
            )

    async def running(self, plans: Sequence[str], after: str | None) -> RunningPage:
        """The instances of these plans that run."""
        async with self._database.faults.around("db.running"):
            rows = [row for _, row in sorted(self._database.rows.items()) if row.status is Status.RUNNING]
            found = [row for row in rows if row.plan in plans and (after is None or row.name > after)]
            items = [each for row in found[: self._page] for each in self._running(row)]
            return RunningPage(items=items, next=found[self._page - 1].name if len(found) > self._page else None)

    def _running(self, row: Instance) -> list[Running]:
        """Since when an instance runs; nothing where no event tells."""
        settled = sorted((e for e in self._events(row.name) if e.status.settled), key=lambda e: (e.at, e.seq))
        own = [
            e.at for e in settled if e.status is Status.RUNNING and e.tenant == row.tenant and e.at >= row.created_at
        ]
        stopped = max((e.at for e in settled if e.status is not Status.RUNNING), default=None)
        runs = [e.at for e in settled if e.status is Status.RUNNING and (stopped is None or e.at > stopped)]
        if not own or not runs:
            return []
        active = [each.at for each in self.records.values() if each.instance == row.name and each.quantity and each.at]
        return [
            Running(
                instance=row.name,
                tenant=row.tenant,
                plan=row.plan,
                generation=row.generation,
                now=self._database.now(),
                first_ran=min(own),
                runs_since=min(runs),
                active_at=max(active, default=None),
            )
        ]

    def _due(self, name: str) -> Meter | None:
        until, seen = self.metered.get(name, (None, 0))
        events = self._events(name)
        unseen = [event for event in events if event.seq > seen]
        if not unseen and (until is None or self._is_over(name, until)):
            return None
        since = hour_of(min([event.at for event in unseen] + ([until] if until else [])))
        return _meter(name, max((event.seq for event in unseen), default=seen), since, self._database.now(), events)

    def _is_over(self, name: str, until: datetime) -> bool:
        """Whether it is purged, and its last day, or that of its last report, is metered to its end."""
        if self._database.rows[name].status is not Status.PURGED:
            return False
        reported = [each.at for each in self.records.values() if each.instance == name and each.at]
        last = max([event.at for event in self._events(name)] + reported)
        return until >= hour_of(last).replace(hour=0) + 24 * HOUR

    def _again(self, name: str, span: Hours) -> Meter | None:
        if name not in self.metered:
            return None
        until, seen = self.metered[name]
        events = self._events(name)
        since = hour_of(max(span.since, min(event.at for event in events)))
        return _meter(name, seen, since, min(until, hour_of(span.until + HOUR - timedelta.resolution)), events)

    def _events(self, name: str) -> list[InstanceEvent]:
        return [event for event in self._database.events if event.instance == name]

    def _write(self, meter: Meter, former: datetime | None, runs: Sequence[Run]) -> Metered:
        held = {
            key: figures
            for key, figures in self.hours.items()
            if key[0] == meter.instance and meter.since <= key[1] < meter.until
        }
        fresh: dict[Key, Figures] = {}
        for run in runs:
            figures = {metric: Decimal(getattr(run, metric)) for metric in METRICS}
            for number in range(run.hours):
                fresh[run.instance, run.since + number * HOUR, run.tenant, run.plan] = figures
        changed = [key for key in held.keys() | fresh.keys() if held.get(key) != fresh.get(key)]
        traced = [
            Correction(key[0], key[2], key[3], metric, key[1], before, after)
            for key in changed
            if former is not None and key[1] + HOUR <= former
            for metric in METRICS
            for before, after in [(_of(held, key, metric), _of(fresh, key, metric))]
            if before != after
        ]
        self.corrections += traced
        self.hours = {key: figures for key, figures in self.hours.items() if key not in held} | fresh
        self.metered[meter.instance] = (max(meter.until, former or meter.until), meter.seq)
        return Metered(instances=1, windows=len(changed), corrections=len(traced))


def _of(figures: dict[Key, Figures], key: Key, metric: str) -> Decimal:
    return figures.get(key, {}).get(metric, Decimal(0))


def _meter(name: str, seq: int, since: datetime, until: datetime, events: Sequence[InstanceEvent]) -> Meter:
    before = [event for event in events if event.at < since and event.status.settled]
    last = sorted(before, key=lambda event: (event.at, event.seq))[-1:]
    within = [event for event in events if since <= event.at < until]
    return Meter(instance=name, seq=seq, since=since, until=until, events=[*last, *within])
