"""The part of the client that reports and reads usage: the extra `rows`, as reading instances does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy

from ..model import names
from ..model.errors import BadInput, Unreachable
from ..model.messages import METERING_WORKFLOW
from ..model.ports import Page
from ..model.reports import MOST_REPORTS, Recorded, UsageReport
from ..model.usage_ports import Figure, Hours, Metered, Usage, UsagePage
from . import connection
from .endings import reason_of
from .rows import RowsSource

PATIENCE = timedelta(minutes=10)
"""How long a metering that is asked for may take, a worker's absence included."""


class UsageClient:
    """Reports what the product itself counts, and reads what was used."""

    _rows: RowsSource
    _client: Client
    _task_queue: str

    async def record_usage(
        self, name: str, metric: str, quantity: Decimal | float | str, *, key: str, at: datetime | None = None
    ) -> bool:
        """Report that an instance used so much of a metric of yours (extra `rows`, the service role's key).

        Ask again with the same `key` until it is answered: it counts once. False where it had been counted before.

        Args:
            name: the instance's.
            metric: e.g. ``api_calls``; small letters, digits and underscores.
            quantity: of it; nought or more, with nine decimals at the most.
            key: names this report for ever, over all instances; up to 200 printable characters.
            at: when, an hour ahead at the most; None: now. What is reported late belongs to the window it happened in,
                and leaves a trace there.

        Raises:
            BadInput: something of it cannot be, there is no such instance, or the key was used with other content.
            MissingExtra: the extra `rows` is not installed.
            Unreachable: the database does not answer; it may have been counted.
            Forbidden: the key is not the service role's.
        """
        report = UsageReport.of(name, metric, quantity, key=key, at=at)
        return (await self.record_usage_batch([report])).recorded == 1

    async def record_activity(self, name: str, *, at: datetime | None = None) -> bool:
        """Report that somebody uses an instance, so that its plan's `idle_stop_after` begins anew (extra `rows`).

        Counts once a minute however often it is said, as the metric `activity`; what else is reported says the same.
        False where the minute had been counted. Raises as `record_usage` does.
        """
        moment = (at or datetime.now(UTC)).astimezone(UTC).replace(second=0, microsecond=0)
        instance = names.normalise(name)
        key = f"activity/{instance}/{moment:%Y-%m-%dT%H:%M}"
        return await self.record_usage(instance, "activity", 1, key=key, at=moment)

    async def record_usage_batch(self, reports: Iterable[UsageReport]) -> Recorded:
        """Write up to 1,000 reports (`UsageReport.of`) at once, or none of them. Raises as `record_usage` does."""
        told = list(reports)
        if len(told) > MOST_REPORTS:
            fix = f"give {MOST_REPORTS:,} at a time"
            raise BadInput("reports", f"{len(told):,} reports", "are too many for one call", fix=fix)
        usage = await self._rows.open_usage()
        return await usage.record_usage(told) if told else Recorded(recorded=0, known=0)

    async def meter(self, *, since: datetime | None = None, until: datetime | None = None) -> Metered:
        """Have the workers meter now, and wait for the end: all that happened since they last did.

        With `since` and `until` they meter those past hours again, which gives the same and mends what was spoilt.

        Raises:
            BadInput: one of them is given without the other.
            Unreachable: Temporal, the workers or the database do not answer.
        """
        if (since is None) is not (until is None):
            raise BadInput("until" if since else "since", None, "is missing", fix="give both, or none")
        again = [Hours(since=since, until=until)] if since and until else []
        with connection.temporal_errors(self._client):
            handle = await self._client.start_workflow(
                METERING_WORKFLOW,
                args=again,
                id="/".join(["metering", *(f"{hours.since.isoformat()}/{hours.until.isoformat()}" for hours in again)]),
                task_queue=self._task_queue,
                result_type=Metered,
                execution_timeout=PATIENCE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=connection.ANSWER_WITHIN,
            )
            try:
                told: Metered = await handle.result()
            except WorkflowFailureError as error:
                raise Unreachable(
                    f"nobody could meter within {PATIENCE.total_seconds():g} s: {reason_of(error)}",
                    code="NotMetered",
                    fix=f"see that a worker runs, and why it failed: workflow {handle.id} in Temporal's UI",
                ) from None
        return told

    async def usage(
        self,
        name: str | None = None,
        *,
        tenant: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        by: Literal["hour", "day"] = "day",
        limit: int = 1000,
        after: str | None = None,
    ) -> UsagePage:
        """One page of what was used, by instance and window (extra `rows`).

        Args:
            name: of this instance only.
            tenant: of this tenant only.
            since: windows that begin then or later.
            until: windows that begin before; each window is told whole.
            by: the windows, hours or days of UTC.
            limit: figures of a page; a window has one a metric that was used.
            after: the `next` of the page before.

        Raises as `record_usage` does; with a user's token, that user's tenant's figures are all there are.
        """
        wanted = Usage(
            tenant=tenant, instance=None if name is None else names.normalise(name), since=since, until=until, by=by
        )
        usage = await self._rows.open_usage()
        return await usage.usage(wanted, Page(limit=limit, after=after))

    async def usage_all(
        self,
        name: str | None = None,
        *,
        tenant: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        by: Literal["hour", "day"] = "day",
    ) -> AsyncGenerator[Figure, None]:
        """Every figure, read page by page (extra `rows`). Takes and raises what `usage` does."""
        after = None
        while True:
            page = await self.usage(name, tenant=tenant, since=since, until=until, by=by, after=after)
            for figure in page.items:
                yield figure
            if page.next is None:
                return
            after = page.next
