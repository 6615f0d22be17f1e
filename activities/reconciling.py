"""The reconcile's step: lists the fleet, judges it, and writes what it finds. It changes nothing in the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio import activity

from ..model import drift, names
from ..model.catalog import Catalog
from ..model.drift_picture import LOOKS, Look, Picture, Stored
from ..model.drift_ports import Fleet
from ..model.errors import InnkeeperError
from ..model.finding_ports import Findings
from ..model.findings import Looking, Reconciled
from ..model.instance import Instance
from ..model.ports import Desk, Helm, Page, Rows

PAGE = 999
"""Rows of one call to the database."""

AT_ONCE = 4
"""Lists that are read at the same time, and rows in transition that are asked for."""

BATCH = 1000
"""Instances of one write."""


class Reconciling:
    """Looks at the fleet."""

    def __init__(self, rows: Rows, findings: Findings, fleet: Fleet, desk: Desk, helm: Helm, catalog: Catalog) -> None:
        self._rows = rows
        self._findings = findings
        self._fleet = fleet
        self._desk = desk
        self._helm = helm
        self._catalog = catalog
        self._known: dict[str, Stored] = {}
        """Stored revisions of the last look at all: what did not change since is not unpacked again."""

    @activity.defn(name="reconcile")
    async def reconcile(self, looking: Looking) -> Reconciled:
        """Look at one instance or all, write what is found and what is gone, and tell what it comes to.

        Raises:
            Unreachable: the database, the API server or Temporal does not answer.
            Conflict: a list grew too old while it was read.
        """
        # Rows first: an operation that begins after this has raised its row's generation, and the write notices.
        rows = await self._read_rows(looking.instance)
        running = await self._running([row for row in rows if not row.status.settled])
        open_on = await self._open_on(looking.instance)
        picture = await self._picture(rows, looking.instance)
        fleet = drift.Fleet(
            rows,
            picture,
            self._catalog,
            running=running,
            digests=await self._digests(rows),
            now=datetime.now(UTC),
            only=looking.instance,
        )
        looked, findings, told = await asyncio.to_thread(fleet.judge, open_on)
        for start in range(0, len(looked), BATCH):
            batch = looked[start : start + BATCH]
            those = {each.instance for each in batch}
            written = await self._findings.reconciled(batch, [each for each in findings if each.instance in those])
            told = told.model_copy(update={"written": told.written.plus(written)})
        return told

    async def _read_rows(self, only: str | None) -> list[Instance]:
        if only is not None:
            row = await self._rows.instance(only)
            return [] if row is None else [row]
        page = await self._rows.instances(Page(limit=PAGE))
        found = list(page.items)
        while page.next is not None:
            page = await self._rows.instances(Page(limit=PAGE, after=page.next))
            found += page.items
        return found

    async def _running(self, rows: Sequence[Instance]) -> set[str]:
        places = asyncio.Semaphore(AT_ONCE)

        async def runs(row: Instance) -> bool:
            async with places:
                return await self._desk.is_running(row.name)

        found = await asyncio.gather(*(runs(row) for row in rows))
        return {row.name for row, running in zip(rows, found, strict=True) if running}

    async def _open_on(self, only: str | None) -> list[str]:
        """The instances on which findings stand."""
        page = await self._findings.findings(Page(limit=PAGE), instance=only)
        found = list(page.items)
        while page.next is not None:
            page = await self._findings.findings(Page(limit=PAGE, after=page.next), instance=only)
            found += page.items
        return list(dict.fromkeys(each.instance for each in found))

    async def _picture(self, rows: Sequence[Instance], only: str | None) -> Picture:
        picture, places = Picture(self._known), asyncio.Semaphore(AT_ONCE)
        namespace = None if only is None else next((row.namespace for row in rows), names.namespace_of(only))

        async def take(look: Look) -> None:
            async with places:
                async for page in self._fleet.pages(look, namespace=namespace):
                    # In a thread: unpacking a few hundred records takes longer than a heartbeat may wait.
                    await asyncio.to_thread(picture.take, page)

        async with asyncio.TaskGroup() as group:
            for look in LOOKS:
                group.create_task(take(look))
        if only is None:
            self._known = picture.known
        return picture

    async def _digests(self, rows: Sequence[Instance]) -> dict[str, str]:
        """Plan → the fingerprint of its chart; of a chart that cannot be read now, nothing is said."""
        found: dict[str, str] = {}
        for name in sorted({row.plan for row in rows} & set(self._catalog.plans)):
            try:
                found[name] = await self._helm.chart_digest(self._catalog.plans[name].chart)
            except InnkeeperError as error:
                activity.logger.warning("the chart of plan %s cannot be read: %s", name, error)
        return found
