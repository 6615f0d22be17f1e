"""Row-level security: what signed-in tenants, strangers and the worker may see and do, over HTTP."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from supabase_lite import SupabaseLite

from innkeeper.gateways.database import SupabaseDatabase, SupabaseRows
from innkeeper.model.errors import Forbidden
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome, Request
from innkeeper.model.names import namespace_of
from innkeeper.model.ports import Page
from innkeeper.model.record_messages import ClaimRequest, Ending

READABLE = ["instances", "operations", "my_instances", "my_operations", "instance_overview"]
KEY_OF = {"instances": "name", "operations": "instance", "my_operations": "instance"}


@dataclass(frozen=True)
class Account:
    """A tenant with a signed-in user and one running instance."""

    tenant: str
    token: str
    instance: str
    request_id: str


async def open_account(worker: SupabaseDatabase, tenant: str, token: str) -> Account:
    name, request_id = f"i-{secrets.token_hex(6)}", secrets.token_hex(8)
    request = Request.of(Kind.PROVISION, name, request_id=request_id, tenant=tenant, plan="starter")
    claim = await worker.claim(
        ClaimRequest(
            request=request, workflow_id=f"instance/{name}", run_id="r", namespace=namespace_of(name), release=name
        )
    )
    await worker.finish(
        Ending(
            request_id=request_id,
            instance=name,
            generation=claim.generation,
            status=Status.RUNNING,
            outcome=Outcome.DONE,
            url=f"https://{name}.example",
        )
    )
    return Account(tenant, token, name, request_id)


@pytest.fixture
async def worker(lite: SupabaseLite) -> AsyncIterator[SupabaseDatabase]:
    async with await SupabaseDatabase.connect(lite.url, lite.secret_key) as connected:
        yield connected


@pytest.fixture
async def alice(lite: SupabaseLite, worker: SupabaseDatabase) -> Account:
    """A user who is a tenant of her own."""
    user = lite.sign_up()
    return await open_account(worker, user.id, user.token)


@pytest.fixture
async def bob(lite: SupabaseLite, worker: SupabaseDatabase) -> Account:
    """A user who belongs to the tenant that the service role wrote into his token."""
    tenant = f"org-{secrets.token_hex(4)}"
    token = lite.token(sub="5f4f6c3e-6a3c-4f0e-8a53-0c6f4a6f1f10", app_metadata={"tenant": tenant})
    return await open_account(worker, tenant, token)


def as_user(lite: SupabaseLite, token: str | None) -> httpx.AsyncClient:
    headers = {"apikey": lite.publishable_key} | ({"Authorization": f"Bearer {token}"} if token else {})
    return httpx.AsyncClient(base_url=f"{lite.url}/rest/v1", headers=headers)


def names_in(table: str, rows: list[dict[str, Any]]) -> list[str]:
    return [row[KEY_OF.get(table, "name")] for row in rows]


@pytest.mark.parametrize("table", READABLE)
async def test_each_of_two_tenants_sees_exactly_its_own_rows(
    lite: SupabaseLite, alice: Account, bob: Account, table: str
) -> None:
    for account in (alice, bob):
        async with as_user(lite, account.token) as client:
            answer = await client.get(f"/{table}")
        assert answer.status_code == 200
        assert names_in(table, answer.json()) == [account.instance]


@pytest.mark.parametrize("table", READABLE)
async def test_nobody_signed_in_sees_nothing(lite: SupabaseLite, alice: Account, table: str) -> None:
    async with as_user(lite, None) as client:
        answer = await client.get(f"/{table}")
    assert answer.status_code in {401, 403} or answer.json() == []


async def test_a_tenants_view_leaves_the_workings_out(lite: SupabaseLite, alice: Account) -> None:
    async with as_user(lite, alice.token) as client:
        [instance] = (await client.get("/my_instances")).json()
        [operation] = (await client.get("/my_operations")).json()
        [overview] = (await client.get("/instance_overview")).json()
    assert (instance["status"], instance["busy"], instance["upgrade_pending"]) == ("running", False, False)
    workings = {"workflow_id", "run_id", "digest", "asked_by", "generation", "found", "former_plan", "decisions"}
    assert not workings & (set(operation) | set(instance))
    assert (overview["last_operation"], overview["last_outcome"]) == (alice.request_id, "done")
    assert overview["upgrade_pending"] is False


async def test_what_users_say_of_themselves_makes_them_nobody_else(lite: SupabaseLite, alice: Account) -> None:
    impostor = lite.sign_up(tenant=alice.tenant)
    tokens = [
        impostor.token,
        lite.token(sub=impostor.id, user_metadata={"tenant": alice.tenant}),
        lite.token(sub=impostor.id, app_metadata={"tenant": ""}),
        lite.token(sub=impostor.id, tenant=alice.tenant),
    ]
    for token in tokens:
        async with as_user(lite, token) as client:
            assert (await client.get("/instances")).json() == []


async def test_a_token_that_the_project_did_not_sign_opens_nothing(lite: SupabaseLite, alice: Account) -> None:
    head, body, _ = alice.token.split(".")
    async with as_user(lite, f"{head}.{body}.{'A' * 43}") as client:
        answer = await client.get("/instances")
    assert answer.status_code in {401, 403} or answer.json() == []


@pytest.mark.parametrize("signed_in", [True, False])
async def test_only_the_service_role_writes_rows(
    lite: SupabaseLite, worker: SupabaseDatabase, alice: Account, bob: Account, signed_in: bool
) -> None:
    before = [await worker.instance(account.instance) for account in (alice, bob)]
    records = [await worker.operation(account.request_id) for account in (alice, bob)]
    row = {"name": "mine", "tenant": alice.tenant, "plan": "big", "namespace": "n", "release": "r", "status": "error"}
    async with as_user(lite, alice.token if signed_in else None) as client:
        for table, key in (("instances", "name"), ("operations", "id"), ("my_instances", "name")):
            for account in (alice, bob):
                value = account.request_id if key == "id" else account.instance
                await client.patch(f"/{table}", params={key: f"eq.{value}"}, json={"url": "https://evil.example"})
                await client.delete(f"/{table}", params={key: f"eq.{value}"})
        assert (await client.post("/instances", json=row | {"settled": "error"})).is_error
        assert (
            await client.post(
                "/instances", json=row | {"name": alice.instance}, headers={"Prefer": "resolution=merge-duplicates"}
            )
        ).is_error
    assert [await worker.instance(account.instance) for account in (alice, bob)] == before
    assert [await worker.operation(account.request_id) for account in (alice, bob)] == records
    assert await worker.instance("mine") is None


@pytest.mark.parametrize("signed_in", [True, False])
async def test_only_the_service_role_calls_the_functions(
    lite: SupabaseLite, worker: SupabaseDatabase, alice: Account, signed_in: bool
) -> None:
    before = await worker.instance(alice.instance)
    assert before is not None
    claim = {
        "request_id": "stolen",
        "digest": "d",
        "kind": "stop",
        "instance": alice.instance,
        "tenant": alice.tenant,
        "plan": None,
        "namespace": "n",
        "release": "r",
        "workflow_id": "w",
        "run_id": "r",
        "asked_by": "",
        "allowed_from": ["running"],
        "during": "stopping",
        "creates": False,
    }
    finish = {
        "request_id": alice.request_id,
        "instance": alice.instance,
        "generation": before.generation,
        "status": "error",
        "outcome": "undone",
        "url": None,
        "revision": None,
        "cause": None,
        "steps": [],
        "decisions": [],
        "plan": "big",
        "upgrade_pending": True,
    }
    async with as_user(lite, alice.token if signed_in else None) as client:
        for function, arguments in (("claim", claim), ("finish", finish), ("schema", {})):
            answer = await client.post(f"/rpc/innkeeper_{function}", json=arguments)
            assert answer.status_code in {401, 403}, answer.text
    assert await worker.instance(alice.instance) == before


async def test_a_backend_reads_a_tenants_rows_with_the_tenants_token(
    lite: SupabaseLite, alice: Account, bob: Account
) -> None:
    async with await SupabaseRows.connect(lite.url, lite.publishable_key, access_token=alice.token) as rows:
        assert [row.name for row in (await rows.instances(Page())).items] == [alice.instance]
        assert [record.id for record in (await rows.operations(Page())).items] == [alice.request_id]
        assert await rows.instance(bob.instance) is None
        assert await rows.operation(bob.request_id) is None
        assert (await rows.instances(Page(), tenant=bob.tenant)).items == []


async def test_a_worker_with_a_key_that_may_not_write_is_told_which_key_it_needs(lite: SupabaseLite) -> None:
    for key in (lite.publishable_key, "sb_secret_nobody-knows-this-one"):
        async with await SupabaseDatabase.connect(lite.url, key) as database:
            with pytest.raises(Forbidden, match="INNKEEPER_SUPABASE_KEY") as caught:
                await database.ping()
        assert key not in str(caught.value)
