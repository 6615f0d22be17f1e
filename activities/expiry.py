"""The metering's last step: trials that are over, and idle instances, are stopped by the door that everyone uses."""

from __future__ import annotations

import asyncio

from temporalio import activity

from ..model.catalog import Catalog
from ..model.errors import InnkeeperError, Pending
from ..model.expiry import Expired, ExpiryPage, stop_of
from ..model.freezes import FreezeRows
from ..model.messages import Request
from ..model.ports import Desk
from ..model.usage_ports import Meters

AT_ONCE = 10
"""Stops that are handed in at the same time."""


class Expiry:
    """Asks for the stops that plans want."""

    def __init__(self, meters: Meters, freezes: FreezeRows, desk: Desk, catalog: Catalog) -> None:
        self._meters = meters
        self._freezes = freezes
        self._desk = desk
        self._plans = {name: plan for name, plan in catalog.plans.items() if plan.stop_after or plan.idle_stop_after}

    @activity.defn(name="expire")
    async def expire(self, page: ExpiryPage) -> Expired:
        """Ask for a stop of each instance of one page whose time is over, and which is not frozen.

        Raises:
            Unreachable: the database does not answer; what fails for one instance alone is counted.
        """
        if not self._plans:
            return Expired()
        found = await self._meters.running(sorted(self._plans), page.after)
        freezes = await self._freezes.freezes() if found.items else []
        stops = [
            stop
            for each in found.items
            if not any(freeze.holds(instance=each.instance, plan=each.plan) for freeze in freezes)
            and (stop := stop_of(each, self._plans[each.plan])) is not None
        ]
        places = asyncio.Semaphore(AT_ONCE)

        async def ask(stop: Request) -> bool | None:
            async with places:
                return await self._ask(stop)

        told = await asyncio.gather(*(ask(stop) for stop in stops))
        return Expired(asked=told.count(True), failed=told.count(False), next=found.next)

    async def _ask(self, stop: Request) -> bool | None:
        """Whether the stop was handed in; None where another request was quicker."""
        try:
            await self._desk.deliver(stop)
        except Pending:
            return None
        except InnkeeperError as error:
            activity.logger.warning("%s: %s", stop.instance, error)
            return False
        return True
