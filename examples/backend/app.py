"""A SaaS's backend on Innkeeper: its customers make, stop, start, restart, upgrade, delete and watch their instances.

uvicorn backend.app:create_app --factory --app-dir examples
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from innkeeper.client import BadInput, Innkeeper, Instance, OperationDescription, OperationHandle

from .answers import Accepted, NotFound, Room, Rooms, Taken, answer_errors
from .events import server_sent
from .settings import Settings
from .tenants import Tenants


class Wish(BaseModel):
    """What a customer orders."""

    name: str
    plan: str


class Change(BaseModel):
    """The plan that a customer moves to."""

    plan: str


class Caller:
    """Who asks, with what their request may touch."""

    def __init__(self, innkeeper: Innkeeper, tenant: str, key: str | None) -> None:
        self.innkeeper = innkeeper
        self.tenant = tenant
        self.key = (uuid.uuid5(uuid.NAMESPACE_OID, key) if key else uuid.uuid4()).hex
        """Stands for the `Idempotency-Key` in addresses, whatever characters that has."""

    @property
    def request_id(self) -> str:
        """The tenant's own: two tenants may choose the same key."""
        return f"{self.tenant}:{self.key}"

    async def instance(self, name: str) -> Instance:
        """The caller's instance of this name."""
        found = await self.innkeeper.get(name)
        if found is None or found.tenant != self.tenant:
            raise NotFound(f"there is no instance {name}")
        return found

    async def operation(self, name: str, key: str) -> tuple[OperationHandle, OperationDescription]:
        """The caller's operation, or the request that waits to be one."""
        try:
            handle = await self.innkeeper.handle(f"{self.tenant}:{key}", name=name)
            return handle, await handle.describe()
        except BadInput:
            raise NotFound(f"there is no operation {key} of {name}") from None

    def accepted(self, handle: OperationHandle) -> Accepted:
        """Where the operation that was just asked for can be followed."""
        return Accepted.of(handle.instance, self.key)


async def caller(
    request: Request,
    authorization: Annotated[str | None, Header()] = None,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Caller:
    """The caller of this request, by the token's tenant."""
    tenant = await request.app.state.tenants.of(authorization)
    return Caller(request.app.state.innkeeper, tenant, idempotency_key)


By = Annotated[Caller, Depends(caller)]


def create_app() -> FastAPI:
    """The service, by the settings in the environment."""
    settings = Settings.load()

    @asynccontextmanager
    async def connected(app: FastAPI) -> AsyncIterator[None]:
        connecting = Innkeeper.connect(supabase_url=settings.supabase_url, supabase_key=settings.supabase_key)
        async with await connecting as innkeeper, httpx.AsyncClient(timeout=5) as http:
            app.state.innkeeper = innkeeper
            app.state.tenants = Tenants(http, settings.supabase_url, settings.supabase_key)
            yield

    app = FastAPI(title="Rooms", lifespan=connected)
    answer_errors(app)
    _orders(app)
    _views(app)
    return app


def _orders(app: FastAPI) -> None:
    """What starts an operation: answered with 202 once it is durable, long before it is done."""

    @app.post("/instances", status_code=202)
    async def create(wish: Wish, by: By) -> Accepted:
        found = await by.innkeeper.get(wish.name)
        if found is not None and found.tenant != by.tenant:
            raise Taken(f"the name {found.name} is taken")
        return by.accepted(
            await by.innkeeper.provision(
                wish.name, tenant=by.tenant, plan=wish.plan, request_id=by.request_id, asked_by=by.tenant
            )
        )

    @app.post("/instances/{name}/stop", status_code=202)
    async def stop(name: str, by: By) -> Accepted:
        await by.instance(name)
        return by.accepted(await by.innkeeper.stop(name, tenant=by.tenant, request_id=by.request_id))

    @app.post("/instances/{name}/start", status_code=202)
    async def start(name: str, by: By) -> Accepted:
        await by.instance(name)
        return by.accepted(await by.innkeeper.start(name, tenant=by.tenant, request_id=by.request_id))

    @app.post("/instances/{name}/restart", status_code=202)
    async def restart(name: str, by: By) -> Accepted:
        await by.instance(name)
        return by.accepted(await by.innkeeper.restart(name, tenant=by.tenant, request_id=by.request_id))

    @app.post("/instances/{name}/upgrade", status_code=202)
    async def upgrade(name: str, change: Change, by: By) -> Accepted:
        """What was bought is not lost because something runs just now: it waits for that."""
        await by.instance(name)
        return by.accepted(
            await by.innkeeper.upgrade(
                name, plan=change.plan, tenant=by.tenant, request_id=by.request_id, on_conflict="wait"
            )
        )

    @app.delete("/instances/{name}", status_code=202)
    async def delete(name: str, by: By) -> Accepted:
        """Replaces what runs. The data stays until it is purged, which is an operator's decision."""
        await by.instance(name)
        return by.accepted(await by.innkeeper.uninstall(name, tenant=by.tenant, request_id=by.request_id))


def _views(app: FastAPI) -> None:
    @app.get("/instances")
    async def rooms(by: By, limit: int = 50, after: str | None = None) -> Rooms:
        page = await by.innkeeper.list(tenant=by.tenant, limit=max(1, min(limit, 200)), after=after)
        return Rooms(items=[Room.of(instance) for instance in page.items], next=page.next)

    @app.get("/instances/{name}")
    async def room(name: str, by: By) -> Room:
        return Room.of(await by.instance(name))

    @app.get("/instances/{name}/operations/{key}")
    async def operation(name: str, key: str, by: By) -> OperationDescription:
        return (await by.operation(name, key))[1]

    @app.get("/instances/{name}/operations/{key}/events")
    async def events(name: str, key: str, by: By, last_event_id: Annotated[int, Header(ge=0)] = 0) -> StreamingResponse:
        handle, _ = await by.operation(name, key)
        stream = server_sent(handle, skip=last_event_id)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
