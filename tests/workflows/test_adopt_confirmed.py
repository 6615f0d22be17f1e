"""An adoption does what somebody has confirmed, or nothing; and what it brings counts against the plan's limits."""

from __future__ import annotations

from typing import Any

import by_hand
import pytest
from following import failed

from innkeeper.model.errors import Refused, Unreachable
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.model.ports import Ref, Release

from .conftest import World
from .test_adopt import SHOP, adopted, adopting, everything, previewed, shop


async def change(world: World) -> None:
    """Somebody upgrades the release once more."""
    once_more = Release(name="web", namespace=SHOP, chart=by_hand.ROOM, values={"replicas": 2}, mark="")
    await world.helm.upgrade(once_more, limit=60)


async def test_what_is_as_it_was_confirmed_is_adopted(world: World) -> None:
    await shop(world)
    seen = await previewed(world)
    assert seen.digest
    # Pods come and go.
    await world.cluster.patch(Ref("apps/v1", "Deployment", "web-web", SHOP), {"spec": {"replicas": 3}})
    assert (await previewed(world)).digest == seen.digest
    assert (await adopted(world, confirmed=seen.digest)).status is Status.RUNNING


async def test_what_is_no_more_as_it_was_confirmed_is_refused_and_nothing_touched(world: World) -> None:
    await shop(world)
    seen = await previewed(world)
    await change(world)
    before = await everything(world)
    with pytest.raises(Refused, match="'shop' is not what it was when its adoption was confirmed") as told:
        await adopted(world, confirmed=seen.digest)
    assert (told.value.cause.code, "--dry-run" in told.value.cause.fix) == ("NotAsConfirmed", True)
    assert await everything(world) == before
    assert await world.database.instance("acme") is None
    again = await previewed(world)
    assert (await adopted(world, confirmed=again.digest)).status is Status.RUNNING


async def test_what_changes_after_the_check_is_not_marked_either(world: World) -> None:
    await shop(world)
    seen = await previewed(world)
    with world.environment.with_time_skipping_disabled():
        hang = world.faults.hang("acme mark *")
        handle = await adopting(world, confirmed=seen.digest)
        await hang.reached.wait()
        await change(world)
        before = await everything(world)
        hang.release()
        result = await failed(handle)
    assert result.cause is not None
    assert (result.cause.code, result.outcome, result.status) == ("NotAsConfirmed", Outcome.UNDONE, Status.PURGED)
    assert await everything(world) == before


async def test_an_adoption_that_was_interrupted_at_its_marks_goes_on(world: World) -> None:
    await shop(world)
    confirmed: dict[str, Any] = {"confirmed": (await previewed(world)).digest}
    world.faults.fail("acme mark cluster.patch", Unreachable("the answer is lost"), when="after")
    assert (await adopted(world, **confirmed)).status is Status.RUNNING
    assert world.faults.unplayed == []


async def test_storage_that_is_brought_along_counts_at_the_claim(world: World) -> None:
    await (await world.innkeeper.provision("large", tenant="t-brings", plan="starter")).result()
    row = await world.row("large")
    assert row.sizes is not None
    world.database.rows["large"] = row.model_copy(update={"sizes": row.sizes.model_copy(update={"storage_mib": 1025})})
    await shop(world)
    assert (await previewed(world, plan="limited", tenant="t-brings")).storage_mib == 1024
    before = await everything(world)
    with pytest.raises(Refused, match=r"has 1\.00\d+ GiB of storage, asks for 1 GiB, and plan limited allows 2 GiB"):
        await adopted(world, plan="limited", tenant="t-brings")
    assert await everything(world) == before
    assert await world.database.instance("acme") is None
