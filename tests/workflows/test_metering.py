"""A metering from its start to its end, over what operations wrote."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from asking import ask
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment
from told import all_causes

from innkeeper.activities.expiry import Expiry
from innkeeper.activities.metering import Metering
from innkeeper.client.desk import TemporalDesk
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_freezes import MemoryFreezes
from innkeeper.gateways.memory_usage import MemoryUsage
from innkeeper.model import catalog
from innkeeper.model.errors import BadInput, ReleaseFailed, Unreachable
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.messages import METERING_WORKFLOW
from innkeeper.model.ports import Page
from innkeeper.model.sizes import Sizes
from innkeeper.model.usage import HOUR, InstanceEvent
from innkeeper.model.usage_ports import Hours, Metered, Usage
from innkeeper.worker import compose
from innkeeper.workflows.metering import PAGES

from .conftest import World

PLANS = catalog.parse({"plans": {"starter": {"chart": {"path": "room"}}}}, folder="")
TRIALS = catalog.parse({"plans": {"starter": {"chart": {"path": "room"}, "stop_after": "365d"}}}, folder="")
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def filled(instances: int, *, until: datetime, page: int = 500) -> MemoryUsage:
    """Instances that run since `BEGUN`, on a database whose clock stands still."""
    database = MemoryDatabase(clock=lambda: until)
    for number in range(instances):
        name = f"i-{number:03}"
        database.rows[name] = Instance(
            name=name,
            tenant="t1",
            plan="starter",
            namespace=f"inn-{name}",
            release=name,
            status=Status.RUNNING,
            settled=Status.RUNNING,
            generation=1,
            created_at=BEGUN,
            updated_at=BEGUN,
        )
        told: dict[str, Any] = {"instance": name, "tenant": "t1", "plan": "starter", "status": Status.RUNNING}
        database.events.append(InstanceEvent(seq=number + 1, at=BEGUN, sizes=Sizes(storage_mib=1024), **told))
    return MemoryUsage(database, page=page)


async def meter(
    environment: WorkflowEnvironment,
    usage: MemoryUsage,
    again: Hours | None = None,
    *,
    plans: catalog.Catalog = PLANS,
    queue: str = "",
) -> Metered:
    queue = queue or f"metering-{uuid.uuid4().hex}"
    expiry = Expiry(usage, MemoryFreezes(usage._database), TemporalDesk(environment.client, queue), plans)
    async with compose(environment.client, [Metering(usage).meter, expiry.expire], task_queue=queue):
        told: Metered = await environment.client.execute_workflow(
            METERING_WORKFLOW,
            args=[] if again is None else [again],
            id=queue,
            task_queue=queue,
            result_type=Metered,
        )
    return told


async def test_all_instances_are_metered_page_by_page_however_long_nobody_did(environment: WorkflowEnvironment) -> None:
    usage = filled(7, until=BEGUN + 400 * 24 * HOUR, page=3)
    assert await meter(environment, usage) == Metered(instances=7, windows=7 * 400 * 24)
    found = (await usage.usage(Usage(), Page(limit=1000))).items
    assert {each.quantity for each in found} == {Decimal(86_400)}
    assert {each.final for each in found} == {True}
    assert await meter(environment, usage) == Metered()


async def test_a_history_holds_so_many_pages_and_the_rest_is_another_runs(environment: WorkflowEnvironment) -> None:
    usage = filled(PAGES + 20, until=BEGUN + HOUR, page=1)
    queue = f"metering-{uuid.uuid4().hex}"
    assert await meter(environment, usage, plans=TRIALS, queue=queue) == Metered(
        instances=PAGES + 20, windows=PAGES + 20
    )
    # Each page was metered, and each was looked at for stops, although no run has so many.
    assert usage._database.faults.count("db.meter") == usage._database.faults.count("db.running") == PAGES + 20
    # The first runs meter all there is before anything is looked at.
    assert await runs_of(environment, queue) == [
        {"meter": PAGES},
        {"meter": 20, "expire": PAGES - 20},
        {"expire": 40},
    ]


async def runs_of(environment: WorkflowEnvironment, workflow: str) -> list[dict[str, int]]:
    """What each run of a workflow called, and how often; the first comes first."""
    runs: list[dict[str, int]] = []
    run = None
    while run is None or run:
        history = await environment.client.get_workflow_handle(workflow, run_id=run).fetch_history()
        run = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
        called = (event.activity_task_scheduled_event_attributes.activity_type.name for event in history.events)
        runs.insert(0, dict(Counter(name for name in called if name)))
    return runs


async def test_past_hours_are_metered_again_with_the_same_result(environment: WorkflowEnvironment) -> None:
    usage = filled(2, until=BEGUN + 100.5 * HOUR)
    await meter(environment, usage)
    before = dict(usage.hours)
    again = Hours(since=BEGUN + 10 * HOUR, until=BEGUN + 20 * HOUR)
    assert await meter(environment, usage, again) == Metered(instances=2)
    assert (usage.hours, usage.corrections) == (before, [])
    # What was spoilt by hand is as it should be again.
    for key in list(usage.hours):
        usage.hours[key] = usage.hours[key] | {"running_seconds": Decimal(1)}
    assert await meter(environment, usage, again) == Metered(instances=2, windows=20, corrections=20)
    assert sum(figures == before[key] for key, figures in usage.hours.items()) == 20


async def test_a_database_that_is_down_for_a_while_is_waited_for_and_for_long_fails_the_metering(
    environment: WorkflowEnvironment,
) -> None:
    usage = filled(5, until=BEGUN + HOUR, page=2)
    usage._database.faults.fail("db.meter", Unreachable("gone"), when="after", times=2)
    usage._database.faults.fail("db.metering_page", Unreachable("gone"), times=2)
    told = await meter(environment, usage)
    assert (told.corrections, len(usage.hours)) == (0, 5)
    usage._database.faults.fail("db.metering_page", Unreachable("the database is down"), times=None)
    with pytest.raises(WorkflowFailureError) as failed:
        await meter(environment, usage)
    assert "the database is down" in all_causes(failed.value)


async def test_what_was_written_before_a_failure_stands_and_the_next_metering_goes_on(
    environment: WorkflowEnvironment,
) -> None:
    usage = filled(5, until=BEGUN + HOUR, page=2)
    usage._database.faults.fail("db.metering_page", Unreachable("gone"), times=None, skip=2)
    with pytest.raises(WorkflowFailureError):
        await meter(environment, usage)
    assert len(usage.hours) == 4
    usage._database.faults.clear()
    assert (await meter(environment, usage)).windows == 1


async def metered(world: World, name: str) -> dict[str, Decimal]:
    """What the instance used in this hour and the one before, by metric."""
    await world.innkeeper.meter()
    found: dict[str, Decimal] = {}
    for each in (await world.usage.usage(Usage(instance=name), Page(limit=1000))).items:
        found[each.metric] = found.get(each.metric, Decimal(0)) + each.quantity
    return found


async def test_an_instance_uses_what_its_pods_and_volumes_request_until_it_is_purged(world: World) -> None:
    await world.provisioned("user")
    sizes = (await world.row("user")).sizes
    assert sizes is not None
    assert min(sizes.cpu_millicores, sizes.memory_mib, sizes.storage_mib) > 0
    running = await metered(world, "user")
    assert running["cpu_seconds"] == running["running_seconds"] * sizes.cpu_millicores / 1000
    for kind in (Kind.STOP, Kind.UNINSTALL):
        await (await ask(world.client, kind, "user")).result()
        assert (await world.row("user")).sizes == sizes
        before = await metered(world, "user")
        after = await metered(world, "user")
        assert after["running_seconds"] == before["running_seconds"]
        assert after["storage_gib_seconds"] > before["storage_gib_seconds"]
    await (await ask(world.client, Kind.PURGE, "user")).result()
    assert (await world.row("user")).sizes is None
    last = await metered(world, "user")
    assert await metered(world, "user") == last
    assert last["operations"] == 4
    assert "failures" not in last


async def test_more_replicas_are_more_use(world: World) -> None:
    await world.provisioned("grown")
    before = (await world.row("grown")).sizes
    await (await ask(world.client, Kind.UPGRADE, "grown", plan="crowded")).result()
    after = (await world.row("grown")).sizes
    assert before is not None
    assert after is not None
    assert after.cpu_millicores > before.cpu_millicores
    assert after.storage_mib == before.storage_mib


async def test_an_operation_that_fails_is_counted_as_one_that_did(world: World) -> None:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    handle = await world.innkeeper.provision("failing", tenant="t1", plan="starter")
    with pytest.raises(Exception, match="chart says no"):
        await handle.result()
    assert await metered(world, "failing") == {"operations": 1, "failures": 1}


async def test_a_backend_has_the_workers_meter_when_it_wants(world: World) -> None:
    await world.provisioned("asked")
    first = await world.innkeeper.meter()
    assert first.instances >= 1
    now = datetime.now(UTC)
    again = await world.innkeeper.meter(since=now - 2 * HOUR, until=now)
    assert (again.instances, again.corrections) == (first.instances, 0)
    for since, until in ((now, None), (None, now)):
        with pytest.raises(BadInput, match="None is missing"):
            await world.innkeeper.meter(since=since, until=until)
    world.faults.fail("db.metering_page", Unreachable("the database is down"), times=None)
    with pytest.raises(Unreachable, match=r"nobody could meter within 600 s: .*the database is down"):
        await world.innkeeper.meter()
