"""A claim and an ending are asked for until they are had: only what was asked wrongly, or overtaken, ends that."""

from __future__ import annotations

import pytest
from desk import Desk

from innkeeper.activities.records import Records
from innkeeper.gateways.faults import Faults
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.model import catalog
from innkeeper.model.errors import BadInput, Forbidden, InnkeeperError, Superseded, Transient
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome
from innkeeper.model.names import namespace_of
from innkeeper.model.record_messages import ClaimRequest, Ending

PLANS = catalog.parse({"plans": {"starter": {"chart": {"path": "room"}, "on_upgrade_failure": "park"}}}, folder="")


def records_of(desk: Desk, plans: catalog.Catalog = PLANS) -> Records:
    assert isinstance(desk.database, MemoryDatabase)
    return Records(desk.database, plans)


def claim_of(desk: Desk) -> ClaimRequest:
    return ClaimRequest(
        request=desk.request(Kind.PROVISION),
        workflow_id=f"instance/{desk.name}",
        run_id="run",
        namespace=namespace_of(desk.name),
        release=desk.name,
    )


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (BadInput("name", "a", "cannot be", fix="use another"), BadInput),
        (Forbidden("the key was changed"), Transient),
        (Transient("the database is starting"), Transient),
    ],
    ids=["bad input", "refused", "passing"],
)
async def test_a_claim_that_is_refused_is_tried_again_unless_it_was_asked_wrongly(
    refusal: InnkeeperError, told: type[InnkeeperError]
) -> None:
    faults = Faults()
    desk = Desk(MemoryDatabase(faults=faults))
    records = records_of(desk)
    faults.fail("db.claim", refusal)
    with pytest.raises(told) as refused:
        await records.claim(claim_of(desk))
    assert refused.value.cause == refusal.cause
    assert isinstance(refused.value, Transient) is (told is Transient)
    claimed = await records.claim(claim_of(desk))
    assert (claimed.on_upgrade_failure, claimed.deadlines) == ("park", PLANS.plan("starter").deadlines)


@pytest.mark.parametrize(
    ("refusal", "told"), [(Superseded("another claimed it"), Superseded), (Forbidden("the key was changed"), Transient)]
)
async def test_an_end_that_cannot_be_written_is_tried_again_unless_it_was_overtaken(
    refusal: InnkeeperError, told: type[InnkeeperError]
) -> None:
    faults = Faults()
    desk = Desk(MemoryDatabase(faults=faults))
    records = records_of(desk)
    claim = await desk.claim(Kind.PROVISION)
    assert claim.operation is not None
    ending = Ending(
        request_id=claim.operation.id,
        instance=desk.name,
        generation=claim.generation,
        status=Status.RUNNING,
        outcome=Outcome.DONE,
    )
    faults.fail("db.finish", refusal)
    with pytest.raises(told):
        await records.finish(ending)
    assert (await records.finish(ending)).status is Status.RUNNING


async def test_an_instance_whose_plan_is_gone_is_claimed_with_the_usual_deadlines() -> None:
    desk = Desk(MemoryDatabase())
    others = catalog.parse({"plans": {"other": {"chart": {"path": "room"}}}}, folder="")
    claimed = await records_of(desk, others).claim(claim_of(desk))
    assert (claimed.deadlines, claimed.on_upgrade_failure) == (catalog.Deadlines(), "rollback")


async def test_a_request_is_known_once_its_operation_has_ended() -> None:
    faults = Faults()
    desk = Desk(MemoryDatabase(faults=faults))
    records = records_of(desk)
    asked = claim_of(desk).request
    assert not await records.known(asked)
    claimed = await desk.database.claim(claim_of(desk).model_copy(update={"request": asked}))
    assert not await records.known(asked)
    await desk.database.finish(
        Ending(
            request_id=asked.request_id,
            instance=desk.name,
            generation=claimed.generation,
            status=Status.RUNNING,
            outcome=Outcome.DONE,
        )
    )
    assert await records.known(asked)
    faults.fail("db.operation", Forbidden("the key was changed"))
    with pytest.raises(Transient):
        await records.known(asked)
