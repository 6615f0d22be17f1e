"""The reconcile's step: lists the fleet, judges it, and writes what it finds. It changes nothing in the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from temporalio import activity

from ..model import drift, names
from ..model.catalog import Catalog
from ..model.drift_kinds import Policy
from ..model.drift_picture import CLOSE_LOOKS, LOOKS, Look, Picture, Stored
from ..model.drift_ports import Fleet
from ..model.errors import InnkeeperError, Pending
from ..model.finding_ports import Findings
from ..model.findings import MOST_NAMED, Finding, FindingRecord, Looking, Reconciled
from ..model.freezes import FreezeRows, on
from ..model.instance import Instance
from ..model.ports import Desk, Helm, Page, Rows

PAGE = 999
"""Rows of one call to the database."""

AT_ONCE = 4
"""Rows in transition that are asked for at the same time."""

LISTS_AT_ONCE = 2
"""Lists that are read at the same time: more are no faster, since each page is unpacked, and all are held at once."""

BATCH = 1000
"""Instances of one write."""

MOST_REPAIRS = 100
"""That one look asks for: where a whole fleet drifts at once, its repairs are to leave room for people's requests."""


class Reconciling:
    """Looks at the fleet."""

    def __init__(
        self,
        rows: Rows,
        findings: Findings,
        freezes: FreezeRows,
        fleet: Fleet,
        desk: Desk,
        helm: Helm,
        catalog: Catalog,
    ) -> None:
        self._rows = rows
        self._findings = findings
        self._freezes = freezes
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
        rows = await self._reread(rows, running)
        open_on = dict.fromkeys(each.instance for each in await self._standing(looking.instance))
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
        if any(each.policy is Policy.REPAIR for each in findings):
            told = await self._respond({row.name: row for row in rows}, findings, looking.instance, told)
        return told

    async def _respond(
        self, rows: Mapping[str, Instance], findings: Sequence[Finding], only: str | None, told: Reconciled
    ) -> Reconciled:
        """Ask for the repairs that plans want: one an instance at a time, each once, and none of what is frozen.

        Of what stands, only what was found just now: the others' instances were left alone, and may be well.
        """
        found = {(each.instance, each.what, each.object) for each in findings if each.policy is Policy.REPAIR}
        standing = await self._standing(only)
        wanted = [each for each in standing if (each.instance, each.what, each.object) in found]
        freezes = await self._freezes.freezes()
        asked: dict[str, None] = {}
        held: dict[str, None] = {}
        failures: list[str] = []
        for finding in wanted:
            if len(asked) == MOST_REPAIRS:
                break
            row = rows[finding.instance]
            if row.name in asked or row.name in held:
                continue
            if on(freezes, row):
                held[row.name] = None
                continue
            request = drift.repair_of(row, finding)
            try:
                if await self._rows.operation(request.request_id) is None:
                    await self._desk.deliver(request)
                    asked[row.name] = None
            except Pending:
                continue  # Another request was quicker; what it leaves is looked at next time.
            except InnkeeperError as error:
                failures.append(f"{row.name}: {error}")
        more = {"asked": list(asked)[:MOST_NAMED], "held": list(held)[:MOST_NAMED], "failures": failures[:MOST_NAMED]}
        return told.model_copy(update=more)

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

    async def _reread(self, rows: Sequence[Instance], running: Collection[str]) -> list[Instance]:
        """The rows, those in transition that nothing stands behind as they are now: it may have ended since."""
        found: list[Instance] = []
        for row in rows:
            if row.status.settled or row.name in running:
                found.append(row)
            elif (now := await self._rows.instance(row.name)) is not None:
                found.append(now)
        return found

    async def _standing(self, only: str | None) -> list[FindingRecord]:
        """The findings that stand."""
        page = await self._findings.findings(Page(limit=PAGE), instance=only)
        found = list(page.items)
        while page.next is not None:
            page = await self._findings.findings(Page(limit=PAGE, after=page.next), instance=only)
            found += page.items
        return found

    async def _picture(self, rows: Sequence[Instance], only: str | None) -> Picture:
        picture, places = Picture(self._known, close=only is not None), asyncio.Semaphore(LISTS_AT_ONCE)
        namespace = None if only is None else next((row.namespace for row in rows), names.namespace_of(only))

        async def take(look: Look) -> None:
            async with places:
                async for page in self._fleet.pages(look, namespace=namespace):
                    # In a thread: unpacking a few hundred records takes longer than a heartbeat may wait.
                    await asyncio.to_thread(picture.take, page)

        try:
            async with asyncio.TaskGroup() as group:
                for look in LOOKS if only is None else CLOSE_LOOKS:
                    group.create_task(take(look))
        except ExceptionGroup as failures:
            # The first: a group is an error that nobody foresaw, and no part that is away.
            raise failures.exceptions[0] from None
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
