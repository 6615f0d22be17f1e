"""What was used, in Supabase: read and written by the functions of the migrations, over the rows' own connection."""

from __future__ import annotations

from collections.abc import Sequence

from innkeeper.model.messages import Message
from innkeeper.model.ports import Page
from innkeeper.model.reports import Recorded, UsageReport
from innkeeper.model.usage import Run
from innkeeper.model.usage_ports import Hours, Meter, Metered, MeterPage, RunningPage, Usage, UsagePage

from .database import SupabaseRows
from .usage_pages import cut, place_of, refused

RUNNING_PAGE = 500
"""Instances of one answer."""


class _Answer(Message):
    verdict: str
    subject: str = ""
    recorded: int = 0
    known: int = 0


class SupabaseUsage:
    """`model.usage_ports.UsageRows` and `Meters`, which needs the project's secret key. It is closed with its rows."""

    def __init__(self, rows: SupabaseRows) -> None:
        self._rows = rows

    async def usage(self, wanted: Usage, page: Page) -> UsagePage:
        """One page of figures.

        Raises:
            BadInput: the page's cursor is none of ours.
            Unreachable: no answer.
            Forbidden: the key or the token does not have the right.
        """
        told = wanted.model_dump(mode="json", exclude_none=True, exclude={"by"})
        after = None if page.after is None else place_of(page.after)
        found = await self._rows.call(
            UsagePage, "innkeeper_usage", **told, period=wanted.by, after=after, most=page.limit + 1
        )
        return cut(found.items, page.limit)

    async def record_usage(self, reports: Sequence[UsageReport]) -> Recorded:
        """Write all reports, or none.

        Raises:
            BadInput: a key was used with other content, an instance is not there, or a time has not come.
            Unreachable: no answer; they may have been written, and may be repeated.
            Forbidden: the key does not have a worker's rights.
        """
        answer = await self._rows.call(
            _Answer, "innkeeper_record_usage", reports=[each.model_dump(mode="json") for each in reports]
        )
        if answer.verdict != "written":
            raise refused(answer.verdict, answer.subject)
        return Recorded(recorded=answer.recorded, known=answer.known)

    async def metering_page(self, after: str | None, *, again: Hours | None = None) -> MeterPage:
        """The next instances to be metered.

        Raises:
            Unreachable: no answer.
            Forbidden: the key does not have a worker's rights.
            Permanent: the migrations are missing.
        """
        told = again.model_dump(mode="json") if again else {}
        return await self._rows.call(MeterPage, "innkeeper_metering_page", after=after, **told)

    async def meter(self, meters: Sequence[Meter], runs: Sequence[Run]) -> Metered:
        """Write what was metered.

        Raises:
            Unreachable: no answer; it may have been written, and may be repeated.
            Forbidden: the key does not have a worker's rights.
        """
        return await self._rows.call(
            Metered,
            "innkeeper_meter",
            meters=[each.model_dump(mode="json", exclude={"events"}) for each in meters],
            runs=[each.model_dump(mode="json") for each in runs],
        )

    async def running(self, plans: Sequence[str], after: str | None) -> RunningPage:
        """The instances of these plans that run.

        Raises:
            Unreachable: no answer.
            Forbidden: the key does not have a worker's rights.
        """
        return await self._rows.call(
            RunningPage, "innkeeper_running", plans=list(plans), after=after, most=RUNNING_PAGE
        )
