"""The sweep's step: finds operations that were lost (terminated by hand, or with Temporal's state), asks for repairs.

It changes nothing itself. A repair is a request like any other, handed in by the door that everyone uses.
"""

from __future__ import annotations

import asyncio

from temporalio import activity

from ..model.errors import InnkeeperError, Pending
from ..model.freezes import FreezeRows, on
from ..model.instance import Instance
from ..model.ports import Desk, Page, Rows
from ..model.sweeps import Look, SweepPage, Swept, SweptPage, is_lost, repair_of

PAGE = 50
"""Rows of one step."""

AT_ONCE = 10
"""Rows that are looked at at the same time: Temporal has operations to serve as well."""

LONGEST_LOOK = 30.0
"""Seconds for one row. One that hangs must not hold up the rest."""


class Sweeps:
    """Looks at rows in transition."""

    def __init__(self, rows: Rows, freezes: FreezeRows, desk: Desk) -> None:
        self._rows = rows
        self._freezes = freezes
        self._desk = desk

    @activity.defn(name="sweep")
    async def sweep(self, page: SweepPage) -> SweptPage:
        """Look at one page of rows, and ask for a repair of each that nothing stands behind.

        Raises:
            Unreachable: the database does not answer; what fails for one row alone is told in the answer.
        """
        found = await self._rows.in_transition(Page(limit=PAGE, after=page.after), before=page.before)
        freezes = await self._freezes.freezes() if found.items else []
        places = asyncio.Semaphore(AT_ONCE)

        async def look(row: Instance) -> Look:
            async with places:
                return Look(row.name, held=True) if on(freezes, row) else await self._look_at(row)

        swept = Swept()
        for each in await asyncio.gather(*(look(row) for row in found.items)):
            swept = swept.plus(each.swept)
        return SweptPage(swept=swept, next=found.next)

    async def _look_at(self, row: Instance) -> Look:
        """What became of the row; nothing that goes wrong with it is raised."""
        try:
            async with asyncio.timeout(LONGEST_LOOK):
                return Look(row.name, asked=await self._ask(row))
        except InnkeeperError as error:
            return Look(row.name, failure=str(error))
        except TimeoutError:
            return Look(row.name, failure=f"no answer within {LONGEST_LOOK:g} s")
        except Exception as error:  # noqa: BLE001  # its text is withheld, as everywhere: it may quote a secret
            return Look(row.name, failure=f"unforeseen {type(error).__name__}")

    async def _ask(self, row: Instance) -> bool:
        """Ask for a repair if the row's operation is lost; False where it is not."""
        if await self._desk.is_running(row.name):
            return False
        # Read again: an operation writes its end before its workflow ends, maybe since the page was read.
        if not is_lost(row, await self._rows.instance(row.name)):
            return False
        try:
            await self._desk.deliver(repair_of(row))
        except Pending:
            return False  # Another request was quicker.
        return True
