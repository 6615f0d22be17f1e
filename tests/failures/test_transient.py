"""What fails for a while is tried again, and an answer that is lost after its effect changes nothing."""

from __future__ import annotations

import pytest
from in_memory import World

from innkeeper.model.errors import Forbidden, Unreachable
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome


@pytest.mark.parametrize("call", ["cluster.create", "cluster.list_objects", "helm.upgrade", "db.claim", "db.finish"])
async def test_what_fails_for_a_while_is_tried_again(world: World, call: str) -> None:
    world.faults.fail(call, Unreachable("gone for a moment"), times=3)
    result = await world.provisioned("retry-" + call.replace(".", "-").replace("_", "-"))
    assert result.outcome is Outcome.DONE
    assert world.faults.unplayed == []


@pytest.mark.parametrize("call", ["cluster.create", "helm.upgrade", "db.claim", "db.finish"])
async def test_an_answer_that_is_lost_after_the_effect_changes_nothing(world: World, call: str) -> None:
    name = "lost-" + call.replace(".", "-")
    world.faults.fail(call, Unreachable("the answer was lost"), when="after")
    result = await world.provisioned(name)
    assert (result.outcome, result.generation) == (Outcome.DONE, 1)
    assert (await world.row(name)).status is Status.RUNNING
    assert world.faults.unplayed == []


async def test_a_database_that_refuses_for_a_while_keeps_no_row_in_transition(world: World) -> None:
    world.faults.fail("db.claim", Unreachable("the answer was lost"), when="after")
    world.faults.fail("db.claim", Forbidden("the key was changed"), times=2, skip=1)
    world.faults.fail("db.finish", Forbidden("the key was changed"), times=2)
    assert (await world.provisioned("refused-rows")).outcome is Outcome.DONE
    row = await world.row("refused-rows")
    assert (row.status, row.generation) == (Status.RUNNING, 1)
    assert world.faults.unplayed == []
