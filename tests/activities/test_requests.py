"""A request that waited is delivered for as long as it takes, whatever refuses meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from temporalio.testing import ActivityEnvironment

from innkeeper.activities.requests import Requests
from innkeeper.model.errors import BadInput, Forbidden, Pending, Permanent, Transient
from innkeeper.model.instance import Kind
from innkeeper.model.messages import Request

ASKED = Request.of(Kind.STOP, "acme", request_id="r-1")


@dataclass
class Refusing:
    """A desk that refuses."""

    refusal: Exception

    async def deliver(self, request: Request) -> str:
        """See `ports.Desk.deliver`."""
        assert request is ASKED
        raise self.refusal

    async def is_running(self, instance: str) -> bool:
        """See `ports.Desk.is_running`."""
        raise AssertionError(instance)


@pytest.mark.parametrize(
    "refusal",
    [
        Forbidden("Temporal refuses this client", code="TemporalForbidden", object="namespace default", fix="a key"),
        BadInput("namespace", "default", "lacks search attributes", fix="register them"),
    ],
)
async def test_a_refusal_of_temporals_does_not_lose_the_request_that_waits(refusal: Permanent) -> None:
    with pytest.raises(Transient) as told:
        await ActivityEnvironment().run(Requests(Refusing(refusal)).deliver, ASKED)
    assert told.value.cause == refusal.cause


async def test_only_other_arguments_end_the_delivery_of_a_request_and_what_runs_is_waited_for() -> None:
    mismatch = BadInput("request_id", "r-1", "was used with other arguments", fix="x", code="RequestMismatch")
    for refusal in (mismatch, Pending("another operation runs")):
        with pytest.raises(type(refusal)) as told:
            await ActivityEnvironment().run(Requests(Refusing(refusal)).deliver, ASKED)
        assert told.value is refusal
