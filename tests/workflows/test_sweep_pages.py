"""A sweep over many rows: page by page, a few at once, and no row's trouble is another's."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment
from told import all_causes

from innkeeper.activities.sweeps import AT_ONCE, Sweeps
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_freezes import MemoryFreezes
from innkeeper.model.errors import BadInput, Pending, Unreachable
from innkeeper.model.instance import Instance, Status
from innkeeper.model.messages import SWEEP_WORKFLOW, Request
from innkeeper.model.sweeps import MOST_NAMED, Swept
from innkeeper.worker import compose

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


@dataclass
class Counter:
    """A desk of its own: nothing runs behind it but what it is told, and it counts who stands at it."""

    running: set[str] = field(default_factory=set)
    refusals: dict[str, Exception] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0

    async def deliver(self, request: Request) -> str:
        if request.instance in self.refusals:
            raise self.refusals[request.instance]
        self.asked.append(request)
        return "run"

    async def is_running(self, instance: str) -> bool:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(0.001)
        self._now -= 1
        return instance in self.running


def lost(number: int) -> Instance:
    name = f"lost-{number:03}"
    return Instance(
        name=name,
        tenant="t1",
        plan="starter",
        namespace=f"inn-{name}",
        release=name,
        status=Status.STOPPING,
        settled=Status.RUNNING,
        generation=number + 1,
        created_at=LONG_AGO,
        updated_at=LONG_AGO,
    )


async def sweep(environment: WorkflowEnvironment, database: MemoryDatabase, desk: Counter) -> Swept:
    queue = f"sweeping-{uuid.uuid4().hex}"
    async with compose(environment.client, [Sweeps(database, MemoryFreezes(database), desk).sweep], task_queue=queue):
        swept: Swept = await environment.client.execute_workflow(
            SWEEP_WORKFLOW, id=queue, task_queue=queue, result_type=Swept
        )
    return swept


@pytest.fixture
def database() -> MemoryDatabase:
    """More rows than two pages hold, all in transition."""
    database = MemoryDatabase()
    database.rows = {row.name: row for row in map(lost, range(120))}
    return database


async def test_every_row_is_looked_at_once_a_few_at_a_time(
    environment: WorkflowEnvironment, database: MemoryDatabase
) -> None:
    desk = Counter(running={"lost-007", "lost-099"})
    swept = await sweep(environment, database, desk)
    assert (swept.looked_at, swept.busy, swept.asked, swept.failed) == (120, 2, 118, 0)
    assert len({request.instance for request in desk.asked}) == len(desk.asked) == 118
    assert 1 < desk.most_at_once <= AT_ONCE
    assert len(swept.repairs) == MOST_NAMED
    assert database.faults.count("db.in_transition") == 3


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (BadInput("request_id", "x", "was used with other arguments", fix="look who used it"), "look who used it"),
        (Unreachable("Temporal does not answer"), "Temporal does not answer"),
        (TimeoutError(), "no answer within"),
        (ValueError("password=hunter2"), "unforeseen ValueError"),
    ],
)
async def test_what_goes_wrong_with_one_row_is_told_and_the_others_go_on(
    environment: WorkflowEnvironment, database: MemoryDatabase, refusal: Exception, told: str
) -> None:
    desk = Counter(refusals={"lost-000": refusal, "lost-060": refusal})
    swept = await sweep(environment, database, desk)
    assert (swept.asked, swept.failed) == (118, 2)
    assert [failure.partition(":")[0] for failure in swept.failures] == ["lost-000", "lost-060"]
    assert all(told in failure for failure in swept.failures)
    assert "hunter2" not in str(swept)


async def test_failures_are_counted_to_the_last_and_named_up_to_a_limit(
    environment: WorkflowEnvironment, database: MemoryDatabase
) -> None:
    desk = Counter(refusals={name: Unreachable("no") for name in database.rows})
    swept = await sweep(environment, database, desk)
    assert (swept.failed, len(swept.failures), swept.repairs) == (120, MOST_NAMED, [])


async def test_who_is_quicker_than_the_sweep_is_left_to_it(
    environment: WorkflowEnvironment, database: MemoryDatabase
) -> None:
    desk = Counter(refusals={"lost-001": Pending("another operation runs")})
    swept = await sweep(environment, database, desk)
    assert (swept.busy, swept.asked, swept.failed) == (1, 119, 0)


@pytest.mark.parametrize(
    "since",
    [
        lambda row: row.model_copy(update={"status": Status.STOPPED, "settled": Status.STOPPED}),
        lambda row: row.model_copy(update={"status": Status.STARTING, "generation": row.generation + 1}),
    ],
    ids=["settled", "claimed anew"],
)
async def test_a_row_that_was_written_since_the_page_was_read_is_left_alone(
    environment: WorkflowEnvironment, since: Callable[[Instance], Instance]
) -> None:
    database, desk = MemoryDatabase(), Counter()
    database.rows["lost-000"] = lost(0)
    hang = database.faults.hang("db.instance")
    sweeping = asyncio.create_task(sweep(environment, database, desk))
    await hang.reached.wait()
    database.rows["lost-000"] = since(lost(0))
    hang.release()
    assert await sweeping == Swept(looked_at=1, busy=1)
    assert desk.asked == []


async def test_a_row_that_is_gone_by_now_is_left_alone(environment: WorkflowEnvironment) -> None:
    database, desk = MemoryDatabase(), Counter()
    database.rows["lost-000"] = lost(0)
    hang = database.faults.hang("db.instance")
    sweeping = asyncio.create_task(sweep(environment, database, desk))
    await hang.reached.wait()
    del database.rows["lost-000"]
    hang.release()
    assert await sweeping == Swept(looked_at=1, busy=1)


async def test_a_request_says_who_asks_for_whom_and_is_the_same_for_the_same_loss(
    environment: WorkflowEnvironment, database: MemoryDatabase
) -> None:
    desk = Counter()
    await sweep(environment, database, desk)
    await sweep(environment, database, desk)
    first = min(desk.asked, key=lambda request: request.instance)
    assert (first.request_id, first.tenant, first.asked_by) == ("sweep-lost-000-1", "t1", "sweep")
    assert len({request.digest for request in desk.asked}) == 120


async def test_a_database_that_is_down_for_a_while_is_waited_for_and_for_long_fails_the_sweep(
    environment: WorkflowEnvironment, database: MemoryDatabase
) -> None:
    database.faults.fail("db.in_transition", Unreachable("the database is down"), times=3)
    assert (await sweep(environment, database, Counter())).asked == 120
    database.faults.fail("db.in_transition", Unreachable("the database is down"), times=None)
    with pytest.raises(WorkflowFailureError) as told:
        await sweep(environment, database, Counter())
    assert "the database is down" in all_causes(told.value)
