"""Handing in requests from within: the one that waited for its turn, and the repairs that the sweep asks for."""

from __future__ import annotations

from temporalio import activity

from ..model.errors import Permanent, Transient
from ..model.messages import Delivered, Request
from ..model.ports import Desk


class Requests:
    """Delivers requests by the door that everyone uses."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @activity.defn(name="deliver")
    async def deliver(self, request: Request) -> Delivered:
        """Start the request's operation, or find its run.

        Raises:
            Pending: another operation runs on the instance; tried again until it has ended.
            Transient: Temporal refuses for now (an expired key, a search attribute that is missing); tried again too:
                whoever asked was told that the request waits, and may be gone.
            BadInput: the request id was used with other arguments.
        """
        try:
            return Delivered(run_id=await self._desk.deliver(request))
        except Permanent as refusal:
            if refusal.cause.code == "RequestMismatch":
                raise
            raise Transient.of(refusal.cause) from None
