"""Claims and endings of one tenant's instance, for tests that speak to a database of any kind."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from innkeeper.model.instance import TRANSITIONS, Instance, Kind, Status
from innkeeper.model.messages import OperationRecord, Outcome, Request
from innkeeper.model.ports import Database
from innkeeper.model.record_messages import Claim, ClaimRequest, Ending, Verdict

DURING = {transition.during: kind for kind, transition in TRANSITIONS.items()}


@dataclass
class Desk:
    """Requests of one tenant for one instance, with the boring parts filled in."""

    database: Database
    name: str = field(default_factory=lambda: f"i-{secrets.token_hex(6)}")
    tenant: str = field(default_factory=lambda: f"t-{secrets.token_hex(6)}")

    def request(self, kind: Kind, **other: Any) -> Request:
        told: dict[str, Any] = {
            "request_id": secrets.token_hex(8),
            "tenant": self.tenant,
            "plan": "starter" if TRANSITIONS[kind].creates else None,
            "asked_by": "a test",
        }
        return Request(kind=kind, instance=self.name, **told | other)

    async def claim(self, kind: Kind, *, run_id: str = "run", **other: Any) -> Claim:
        return await self.ask(self.request(kind, **other), run_id=run_id)

    async def ask(self, request: Request, *, run_id: str = "run") -> Claim:
        return await self.database.claim(
            ClaimRequest(
                request=request,
                workflow_id=f"instance/{request.instance}",
                run_id=run_id,
                namespace=request.home[0],
                release=request.home[1],
            )
        )

    async def finish(self, claim: Claim, status: Status, outcome: Outcome = Outcome.DONE, **other: Any) -> Instance:
        assert claim.operation is not None
        return await self.database.finish(
            Ending(
                request_id=claim.operation.id,
                instance=claim.operation.instance,
                generation=claim.generation,
                status=status,
                outcome=outcome,
                **other,
            )
        )

    async def settle(self, status: Status, kind: Kind = Kind.PROVISION) -> Claim:
        claim = await self.claim(kind)
        await self.finish(claim, status)
        return claim

    async def bring_to(self, status: Status) -> Status:
        """Make the row show `status`; returns the settled status that counts."""
        if status.settled:
            await self.settle(status)
            return status
        kind = DURING[status]
        before = min(TRANSITIONS[kind].allowed_from)
        await self.settle(before)
        assert (await self.claim(kind)).verdict is Verdict.CLAIMED
        return before

    async def row(self) -> Instance:
        row = await self.database.instance(self.name)
        assert row is not None
        return row

    async def record(self, request_id: str) -> OperationRecord:
        record = await self.database.operation(request_id)
        assert record is not None
        return record
