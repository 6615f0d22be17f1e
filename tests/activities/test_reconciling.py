"""A look at the fleet while operations come and go, and how many repairs one look asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from desk import Desk
from temporalio.testing import ActivityEnvironment

from innkeeper.activities.reconciling import MOST_REPAIRS, Reconciling
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_findings import MemoryFindings
from innkeeper.gateways.memory_fleet import MemoryFleet
from innkeeper.gateways.memory_freezes import MemoryFreezes
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.model import catalog
from innkeeper.model.drift import repair_of
from innkeeper.model.errors import Unreachable
from innkeeper.model.findings import Looking, Reconciled
from innkeeper.model.freezes import Freeze, Scope
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Request
from innkeeper.model.ports import Page

PLAN = {"chart": {"path": "room"}, "drift": {"transition-stuck": "repair", "release-missing": "repair"}}
PLANS = catalog.parse({"plans": {"starter": PLAN}}, folder="")
LONG = timedelta(hours=1)


async def nothing(_: str) -> None:
    """Nothing happens meanwhile."""


@dataclass
class Door:
    """A desk by which no operation runs; what happens while it is asked, and what was handed in."""

    meanwhile: Callable[[str], Awaitable[None]] = nothing
    asked: list[str] = field(default_factory=list)

    async def deliver(self, request: Request) -> str:
        self.asked.append(request.instance)
        return "run"

    async def is_running(self, instance: str) -> bool:
        await self.meanwhile(instance)
        return False


class Stage:
    """A fleet in memory."""

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.findings = MemoryFindings(self.database)
        self.door = Door()
        self.cluster = MemoryCluster()
        self.freezes = MemoryFreezes(self.database)
        self.looks = Reconciling(
            self.database,
            self.findings,
            self.freezes,
            MemoryFleet(self.cluster),
            self.door,
            MemoryHelm(self.cluster),
            PLANS,
        )

    async def look(self) -> Reconciled:
        told: Reconciled = await ActivityEnvironment().run(self.looks.reconcile, Looking())
        return told

    def age(self) -> None:
        """Let all that happened be long ago."""
        for name, row in self.database.rows.items():
            self.database.rows[name] = row.model_copy(update={"updated_at": row.updated_at - LONG})


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_part_that_is_away_is_told_as_that(stage: Stage) -> None:
    stage.cluster.faults.fail("cluster.list_objects", Unreachable("the API server is away"), times=None)
    with pytest.raises(Unreachable, match="the API server is away"):
        await stage.look()


async def test_an_operation_that_ends_while_rows_are_read_is_not_stuck(stage: Stage) -> None:
    desk = Desk(stage.database, "acme")
    await desk.settle(Status.UNINSTALLED)
    await desk.settle(Status.PURGED, Kind.PURGE)
    claim = await desk.claim(Kind.PROVISION)
    stage.age()

    async def it_ends(_: str) -> None:
        await desk.finish(claim, Status.PURGED)

    stage.door.meanwhile = it_ends
    found = await stage.look()
    assert (found.found, found.asked, stage.door.asked) == ({}, [], [])
    assert found.looked_at == 1


async def test_what_is_really_stuck_is_found_and_repaired_once(stage: Stage) -> None:
    await Desk(stage.database, "acme").claim(Kind.PROVISION)
    stage.age()
    assert (await stage.look()).asked == ["acme"]
    assert stage.door.asked == ["acme"]


async def test_what_was_found_before_and_not_looked_at_now_is_not_answered(stage: Stage) -> None:
    desk = Desk(stage.database, "acme")
    claim = await desk.claim(Kind.PROVISION)
    stage.age()
    await stage.freezes.freeze(Freeze(scope=Scope.INSTANCE, name="acme", frozen_at=stage.database.now()))
    assert (await stage.look()).held == ["acme"]
    await desk.finish(claim, Status.ERROR)
    await stage.freezes.unfreeze(Scope.INSTANCE, "acme")
    await Desk(stage.database, "globex").claim(Kind.PROVISION)
    stage.age()
    assert (await stage.look()).asked == ["globex"], "acme's row tells its own error, for people"


async def test_a_look_asks_for_so_many_repairs_and_the_next_ones_for_the_others(stage: Stage) -> None:
    for number in range(MOST_REPAIRS + 7):
        await Desk(stage.database, f"i-{number:03}").claim(Kind.PROVISION)
    stage.age()
    await stage.look()
    assert len(stage.door.asked) == MOST_REPAIRS
    for name in stage.door.asked:
        (record,) = (await stage.findings.findings(Page(), instance=name)).items
        request = repair_of(stage.database.rows[name], record)
        stage.database.records[request.request_id] = next(iter(stage.database.records.values()))
    stage.door.asked.clear()
    await stage.look()
    assert stage.door.asked == [f"i-{number:03}" for number in range(MOST_REPAIRS, MOST_REPAIRS + 7)]


async def test_who_is_gone_while_rows_are_read_is_not_judged(stage: Stage) -> None:
    await Desk(stage.database, "acme").claim(Kind.PROVISION)
    stage.age()

    async def it_goes(name: str) -> None:
        del stage.database.rows[name]

    stage.door.meanwhile = it_goes
    assert (await stage.look()).found == {}
