"""What fails for a while is tried again, and an answer that is lost after its effect changes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from in_memory import World

from innkeeper.model.errors import Forbidden, Unreachable
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.model.names import workflow_id_of


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


@pytest.mark.parametrize(("wish", "waited"), [(30, [30]), (86_400, [60]), (1, [])])
async def test_a_fast_call_that_is_told_to_come_back_later_does_so_and_holds_no_worker_until_then(
    world: World, wish: int, waited: list[int]
) -> None:
    name = f"later-{wish}"
    world.faults.fail("db.claim", Unreachable("too many requests", retry_after=wish))
    assert (await world.provisioned(name)).outcome is Outcome.DONE
    assert world.faults.count("db.claim") == 2
    history = await world.client.get_workflow_handle(workflow_id_of(name)).fetch_history()
    timers = [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        for event in history.events
        if event.HasField("timer_started_event_attributes")
    ]
    assert timers == [timedelta(seconds=seconds) for seconds in waited]
