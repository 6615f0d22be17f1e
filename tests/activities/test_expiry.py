"""One page of instances that run: which stops are handed in, and what is told of those that cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field

from desk import Desk
from temporalio.testing import ActivityEnvironment

from innkeeper.activities.expiry import Expiry
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_freezes import MemoryFreezes
from innkeeper.gateways.memory_usage import MemoryUsage
from innkeeper.model import catalog
from innkeeper.model.errors import BadInput, InnkeeperError, Pending
from innkeeper.model.expiry import Expired, ExpiryPage
from innkeeper.model.instance import Status
from innkeeper.model.messages import Request

PLANS = catalog.parse({"plans": {"starter": {"chart": {"path": "room"}, "stop_after": "1s"}}}, folder="")
OTHERS = catalog.parse({"plans": {"starter": {"chart": {"path": "room"}}}}, folder="")


@dataclass
class Door:
    """A desk that notes what is handed in, and refuses what it is told to."""

    refusals: dict[str, InnkeeperError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def deliver(self, request: Request) -> str:
        if request.instance in self.refusals:
            raise self.refusals[request.instance]
        self.asked.append(request.instance)
        return "run"

    async def is_running(self, instance: str) -> bool:
        return False


async def long_ago(*names: str) -> MemoryDatabase:
    """Instances that run since always."""
    database = MemoryDatabase()
    for name in names:
        await Desk(database, name).settle(Status.RUNNING)
    database.events = [event.model_copy(update={"at": event.at.replace(year=2020)}) for event in database.events]
    database.rows = {
        name: row.model_copy(update={"created_at": row.created_at.replace(year=2020)})
        for name, row in database.rows.items()
    }
    return database


async def expire(
    database: MemoryDatabase, door: Door, plans: catalog.Catalog = PLANS, after: str | None = None, page: int = 500
) -> Expired:
    expiry = Expiry(MemoryUsage(database, page=page), MemoryFreezes(database), door, plans)
    told: Expired = await ActivityEnvironment().run(expiry.expire, ExpiryPage(after=after))
    return told


async def test_what_cannot_be_handed_in_is_counted_and_the_others_are_asked() -> None:
    door = Door({"busy": Pending("another operation runs"), "odd": BadInput("request_id", "x", "is used", fix="look")})
    told = await expire(await long_ago("a", "busy", "odd", "z"), door)
    assert (told, door.asked) == (Expired(asked=2, failed=1), ["a", "z"])


async def test_instances_are_looked_at_page_by_page() -> None:
    database, door = await long_ago("a", "b", "c"), Door()
    first = await expire(database, door, page=2)
    assert first == Expired(asked=2, next="b")
    assert await expire(database, door, after=first.next, page=2) == Expired(asked=1)
    assert door.asked == ["a", "b", "c"]


async def test_where_no_event_tells_since_when_nothing_is_stopped() -> None:
    database, door = await long_ago("a", "b", "c"), Door()
    database.events.clear()
    assert await expire(database, door, page=2) == Expired(next="b")


async def test_where_no_plan_stops_anything_the_database_is_not_asked() -> None:
    database = await long_ago("a")
    assert await expire(database, Door(), OTHERS) == Expired()
    assert database.faults.count("db.running") == 0
