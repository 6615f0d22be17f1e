"""A request that would pass a limit of its plan is refused before anything is touched."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.client import Kind, OperationHandle, Refused, Status, UsageReport

from .conftest import World


async def provision(world: World, name: str, tenant: str) -> OperationHandle:
    return await world.innkeeper.provision(name, tenant=tenant, plan="limited")


async def test_a_third_instance_is_refused_with_limit_value_and_fix(world: World) -> None:
    for name in ("first", "second"):
        await (await provision(world, name, "t-three")).result()
    with pytest.raises(Refused, match="'t-three' has 2 instances, and plan limited allows 2") as told:
        await (await provision(world, "third", "t-three")).result()
    assert (told.value.cause.code, told.value.cause.fix) == (
        "LimitReached",
        "purge an instance that is not needed, or choose a plan that allows more",
    )
    assert await world.namespace("third") is None
    assert await world.database.instance("third") is None


async def test_five_requests_at_once_get_two_instances(world: World) -> None:
    handles = [await provision(world, f"at-once-{number}", "t-five") for number in range(5)]
    ends = await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["OperationResult"] * 2 + ["Refused"] * 3


async def test_storage_that_a_chart_would_ask_for_is_counted(world: World) -> None:
    row = await world.innkeeper.provision("large", tenant="t-large", plan="starter")
    await row.result()
    found = await world.row("large")
    assert found.sizes is not None
    world.database.rows["large"] = found.model_copy(
        update={"sizes": found.sizes.model_copy(update={"storage_mib": 1025})}
    )
    with pytest.raises(Refused, match=r"has 1\.00\d+ GiB of storage, asks for 1 GiB, and plan limited allows 2 GiB"):
        await (await provision(world, "small", "t-large")).result()


async def test_who_has_used_up_a_metric_cannot_start_and_can_stop(world: World) -> None:
    await (await provision(world, "talker", "t-talk")).result()
    report = UsageReport.of("talker", "calls", 10, key="talker/1")
    await world.usage.record_usage([report])
    for ask in (world.innkeeper.restart, world.innkeeper.start, world.innkeeper.upgrade):
        with pytest.raises(Refused, match="has used 10 calls this month, and plan limited allows 10"):
            await (await ask("talker")).result()
    assert (await (await world.innkeeper.stop("talker")).result()).status is Status.STOPPED
    assert (await (await world.innkeeper.repair("talker")).result()).kind is Kind.REPAIR
    upgraded = await (await world.innkeeper.upgrade("talker", plan="starter")).result()
    assert upgraded.status is Status.STOPPED
    assert (await (await world.innkeeper.start("talker")).result()).status is Status.RUNNING
