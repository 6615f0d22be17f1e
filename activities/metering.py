"""The metering's step: from the events of some instances to what they used, one page of them at a time.

It may run any number of times, and at the same time: hours are written whole, in place of what they held.
"""

from __future__ import annotations

from temporalio import activity

from ..model.metering import MeteredPage, MeteringPage
from ..model.usage import metered
from ..model.usage_ports import Metered, Meters


class Metering:
    """Meters what instances use."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    @activity.defn(name="meter")
    async def meter(self, page: MeteringPage) -> MeteredPage:
        """Meter one page of instances.

        Raises:
            Unreachable: the database does not answer.
        """
        found = await self._meters.metering_page(page.after, again=page.again)
        runs = [run for each in found.meters for run in metered(each.events, each.since, each.until)]
        told = await self._meters.meter(found.meters, runs) if found.meters else Metered()
        return MeteredPage(metered=told, next=found.next)
