"""The protocols of what was used: what is to be metered and what came of it, kept apart from operations' own rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

from pydantic import Field

from .messages import Message
from .ports import Page
from .reports import Recorded, UsageReport
from .usage import InstanceEvent, Run


class Hours(Message):
    """A time whose hours are to be metered again."""

    since: datetime
    until: datetime


class Meter(Message):
    """One instance's time that is to be metered."""

    instance: str
    seq: int
    """The newest of its events that was seen."""
    since: datetime
    """A full hour."""
    until: datetime
    events: list[InstanceEvent] = Field(default_factory=list)
    """The last settled one before `since`, and all from then on."""


class MeterPage(Message):
    """Instances by name, as far as they are to be metered."""

    meters: list[Meter]
    next: str | None = None
    """Give it as `after` to go on; None at the end."""


class Metered(Message):
    """What a metering, or one page of it, has written."""

    instances: int = 0
    windows: int = 0
    """Hours whose figures are new or other than before."""
    corrections: int = 0
    """Figures that changed of hours that had been metered to their end; each left a trace."""
    stops: int = 0
    """Stops that plans wanted, of trials that are over and of idle instances."""

    def plus(self, other: Metered) -> Metered:
        """Both together."""
        return Metered(
            instances=self.instances + other.instances,
            windows=self.windows + other.windows,
            corrections=self.corrections + other.corrections,
            stops=self.stops + other.stops,
        )


class Figure(Message):
    """How much of one metric an instance used in one window."""

    tenant: str
    instance: str
    plan: str
    metric: str
    window_start: datetime
    window_end: datetime
    quantity: Decimal
    """Exact; in the metric's unit."""
    final: bool
    """The window is metered to its end; a correction after that leaves a trace."""


class UsagePage(Message):
    """What was used, by instance and window."""

    items: list[Figure]
    next: str | None = None
    """Give it as `after` to read on; None at the end."""


class Usage(Message):
    """Which figures are asked for."""

    tenant: str | None = None
    instance: str | None = None
    since: datetime | None = None
    """Windows that begin then or later."""
    until: datetime | None = None
    """Windows that begin before."""
    by: Literal["hour", "day"] = "day"
    """The windows: hours or days, of UTC."""


class UsageRows(Protocol):
    """What was used, as it can be read, and what is reported."""

    async def usage(self, wanted: Usage, page: Page) -> UsagePage:
        """One page of figures, without those that are nothing.

        Raises:
            BadInput: the page's cursor is none of ours.
        """
        ...

    async def record_usage(self, reports: Sequence[UsageReport]) -> Recorded:
        """Write all reports, or none; those whose keys are known are not counted again.

        Raises:
            BadInput: a key was used with other content, an instance is not there, or a time lies more than an hour
                ahead; names the first.
        """
        ...


class Running(Message):
    """An instance that runs, and since when: what trials and idle times are counted from."""

    instance: str
    tenant: str
    plan: str
    generation: int
    now: datetime
    """By the database's clock."""
    first_ran: datetime
    """When it first ran as this tenant's."""
    runs_since: datetime
    """When it began to run after it last did not."""
    active_at: datetime | None = None
    """The latest time of which anything was reported, None where nothing ever was."""


class RunningPage(Message):
    """Running instances of some plans, by name."""

    items: list[Running]
    next: str | None = None
    """Give it as `after` to go on; None at the end."""


class Meters(Protocol):
    """What the metering reads and writes."""

    async def metering_page(self, after: str | None, *, again: Hours | None = None) -> MeterPage:
        """The next instances to be metered, by name.

        That is what happened since they were last metered, or since the hour of an event that came late; with `again`
        the same hours as before, and no others.
        """
        ...

    async def meter(self, meters: Sequence[Meter], runs: Sequence[Run]) -> Metered:
        """Write what was metered, in place of what these hours held; repeating it is harmless.

        Who comes late, with less than was known by then, writes nothing.
        """
        ...

    async def running(self, plans: Sequence[str], after: str | None) -> RunningPage:
        """The instances of these plans that run and have no operation, by name."""
        ...
