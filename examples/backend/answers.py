"""What the service's callers see: its models, and each error as a status with its cause."""

from __future__ import annotations

from datetime import datetime

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from innkeeper.client import BadInput, Busy, Cause, InnkeeperError, Instance, Refused, Status

from .tenants import Unauthenticated

STATUSES: dict[type[InnkeeperError], int] = {BadInput: 400, Busy: 409, Refused: 409}
"""Anything else means that a part behind this service did not do as it should: 502."""


class Room(BaseModel):
    """An instance as its tenant sees it."""

    name: str
    plan: str
    status: Status
    url: str | None
    cause: Cause | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, instance: Instance) -> Room:
        """Leave out what is the operator's business."""
        return cls.model_validate(instance.model_dump(include=set(cls.model_fields)))


class Rooms(BaseModel):
    """A page of instances."""

    items: list[Room]
    next: str | None


class Accepted(BaseModel):
    """An operation that runs now, or when its turn comes."""

    instance: str
    operation: str
    """Where the operation can be read."""
    events: str
    """Where it can be followed, as server-sent events."""

    @classmethod
    def of(cls, instance: str, key: str) -> Accepted:
        """The addresses carry the request's key and not a run, which a request that waits does not have yet."""
        operation = f"/instances/{instance}/operations/{key}"
        return cls(instance=instance, operation=operation, events=f"{operation}/events")


class NotFound(Exception):
    """There is no such thing, or it is another tenant's, which is told nobody."""


class Taken(Exception):
    """The name is another tenant's."""


def answer_errors(app: FastAPI) -> None:
    """Answer each error as JSON: ``{"cause": {"code": …, "message": …, "fix": …}}``."""

    @app.exception_handler(InnkeeperError)
    async def innkeeper(_: Request, error: InnkeeperError) -> JSONResponse:
        return _answer(next((code for kind, code in STATUSES.items() if isinstance(error, kind)), 502), error.cause)

    @app.exception_handler(NotFound)
    async def not_found(_: Request, error: NotFound) -> JSONResponse:
        return _answer(404, Cause(code="NotFound", message=str(error), fix="list what there is: GET /instances"))

    @app.exception_handler(Taken)
    async def taken(_: Request, error: Taken) -> JSONResponse:
        return _answer(409, Cause(code="DuplicateName", message=str(error), fix="choose another name"))

    @app.exception_handler(Unauthenticated)
    async def unauthenticated(_: Request, error: Unauthenticated) -> JSONResponse:
        return _answer(401, Cause(code="Unauthenticated", message=str(error)))


def _answer(status: int, cause: Cause) -> JSONResponse:
    return JSONResponse({"cause": cause.model_dump()}, status)
