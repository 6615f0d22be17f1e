"""The example backend, as its customers meet it: over HTTP, on real parts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from supabase_lite import SupabaseLite, User

from innkeeper.embedded.options import Addresses

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def backend(addresses: Addresses, worker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service's URL."""
    log = tmp_path_factory.mktemp("backend") / "log"
    with socket.socket() as listening, log.open("w") as output:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        command = ["-m", "uvicorn", "backend.app:create_app", "--factory", "--app-dir", str(EXAMPLES)]
        child = subprocess.Popen(
            [sys.executable, *command, "--fd", str(listening.fileno())],
            env={**os.environ, **addresses.environment()},
            pass_fds=[listening.fileno()],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_up(child, log)
            yield url
        finally:
            child.terminate()
            child.wait(60)


def _wait_until_up(child: subprocess.Popen[bytes], log: Path) -> None:
    given_up = time.monotonic() + 120
    while "Application startup complete" not in log.read_text():
        assert child.poll() is None, log.read_text()
        assert time.monotonic() < given_up, log.read_text()
        time.sleep(0.05)


def signed_in(url: str, user: User) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {user.token}"}, timeout=60)


@pytest.fixture
async def ann(backend: str, lite: SupabaseLite) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(backend, lite.sign_up()) as client:
        yield client


@pytest.fixture
async def bob(backend: str, lite: SupabaseLite) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(backend, lite.sign_up()) as client:
        yield client


async def accepted(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 202, answer.text
    told: dict[str, str] = answer.json()
    return told


async def followed(client: httpx.AsyncClient, events: str, **headers: str) -> list[tuple[str, dict[str, Any]]]:
    """An operation's events, until the stream ends."""
    answer = await client.get(events, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [
        (kind, json.loads(data)) for kind, data in re.findall(r"event: (\w+)\nid: \d+\ndata: (.*)\n\n", answer.text)
    ]


async def ended(client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    *_, (kind, end) = await followed(client, (await accepted(answer))["events"])
    assert kind == "end"
    return end


async def test_a_customer_makes_stops_starts_restarts_and_deletes_an_instance(ann: httpx.AsyncClient) -> None:
    name = f"room-{secrets.token_hex(4)}"
    order = {"name": name, "plan": "starter"}
    told = await accepted(await ann.post("/instances", json=order))
    events = await followed(ann, told["events"])
    assert (events[0][1]["step"], events[0][1]["state"]) == ("check", "started")
    assert [data["step"] for kind, data in events if kind == "step" and data["state"] == "done"][-1] == "record"
    assert events[-1][0] == "end"
    assert events[-1][1]["outcome"] == "done"
    room = (await ann.get(f"/instances/{name}")).json()
    assert (room["status"], room["url"]) == ("running", f"https://{name}.rooms.example")
    assert "namespace" not in room
    for change, status in (("stop", "stopped"), ("start", "running"), ("restart", "running")):
        end = await ended(ann, await ann.post(f"/instances/{name}/{change}"))
        assert (end["kind"], end["outcome"]) == (change, "done")
        assert (await ann.get(f"/instances/{name}")).json()["status"] == status
    assert (await ended(ann, await ann.delete(f"/instances/{name}")))["outcome"] == "done"
    assert [item["status"] for item in (await ann.get("/instances")).json()["items"]] == ["uninstalled"]


async def test_handlers_answer_in_milliseconds_while_operations_run(ann: httpx.AsyncClient) -> None:
    names = [f"quick-{number}-{secrets.token_hex(3)}" for number in range(3)]
    took: list[float] = []

    async def timed(asking: Any) -> httpx.Response:
        started = time.monotonic()
        answer: httpx.Response = await asking
        took.append(time.monotonic() - started)
        return answer

    told = [
        await accepted(await timed(ann.post("/instances", json={"name": name, "plan": "starter"}))) for name in names
    ]
    started = time.monotonic()
    following = asyncio.gather(*(followed(ann, each["events"]) for each in told))
    while not following.done():
        await timed(ann.get("/instances"))
        await asyncio.sleep(0.05)
    operations = time.monotonic() - started
    assert all(events[-1][1]["outcome"] == "done" for events in await following)
    # A share of the operations' own time, since a loaded machine stretches both.
    assert statistics.median(took) < operations / 5, took
    for name in names:
        await ended(ann, await ann.delete(f"/instances/{name}"))


async def test_a_repeated_key_is_one_operation(ann: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    name = f"once-{secrets.token_hex(4)}"
    key = {"Idempotency-Key": "order-1"}
    order = {"name": name, "plan": "starter"}
    asked = await asyncio.gather(*(ann.post("/instances", json=order, headers=key) for _ in range(5)))
    told = [await accepted(answer) for answer in asked]
    assert len({each["operation"] for each in told}) == 1
    changed = await ann.post("/instances", json={**order, "plan": "created"}, headers=key)
    assert changed.status_code == 400
    assert changed.json()["cause"]["code"] == "RequestMismatch"
    await followed(ann, told[0]["events"])
    others = {"name": f"other-{secrets.token_hex(4)}", "plan": "starter"}
    assert (await ended(bob, await bob.post("/instances", json=others, headers=key)))["outcome"] == "done"


async def test_a_tenant_meets_no_other_tenants_instances(ann: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    name = f"private-{secrets.token_hex(4)}"
    told = await accepted(await ann.post("/instances", json={"name": name, "plan": "starter"}))
    await followed(ann, told["events"])
    for answer in (
        await bob.get(f"/instances/{name}"),
        await bob.post(f"/instances/{name}/stop"),
        await bob.delete(f"/instances/{name}"),
        await bob.get(told["operation"]),
        await bob.get(told["events"]),
        await ann.get(f"/instances/{name}/operations/no-such-run"),
    ):
        assert answer.status_code == 404, answer.text
        assert answer.json()["cause"]["code"] == "NotFound"
    assert (await bob.get("/instances")).json() == {"items": [], "next": None}
    taken = await bob.post("/instances", json={"name": name, "plan": "starter"})
    assert (taken.status_code, taken.json()["cause"]["code"]) == (409, "DuplicateName")
    assert (await ann.get(f"/instances/{name}")).json()["status"] == "running"


async def test_a_second_operation_on_a_busy_instance_is_told_what_runs(ann: httpx.AsyncClient) -> None:
    name = f"busy-{secrets.token_hex(4)}"
    # It is not ready before the second request has come, however late that comes.
    told = await accepted(await ann.post("/instances", json={"name": name, "plan": "slow"}))
    async with asyncio.timeout(60):
        while (await ann.get(f"/instances/{name}")).status_code == 404:
            await asyncio.sleep(0.02)
    busy = await ann.post(f"/instances/{name}/stop")
    assert busy.status_code == 409
    assert busy.json()["cause"]["message"].startswith(f"{name}: provision runs since")
    await followed(ann, told["events"])


async def test_what_was_ordered_while_something_runs_follows_it_and_a_deletion_replaces_it(
    ann: httpx.AsyncClient,
) -> None:
    name = f"queue-{secrets.token_hex(4)}"
    await ended(ann, await ann.post("/instances", json={"name": name, "plan": "starter"}))
    restart = await accepted(await ann.post(f"/instances/{name}/restart"))
    order, key = {"plan": "wide"}, {"Idempotency-Key": "order/2"}
    upgrade = await accepted(await ann.post(f"/instances/{name}/upgrade", json=order, headers=key))
    assert await accepted(await ann.post(f"/instances/{name}/upgrade", json=order, headers=key)) == upgrade
    described = (await ann.get(upgrade["operation"])).json()
    assert (described["kind"], described["outcome"]) in {("upgrade", "running"), ("upgrade", "done")}
    *_, (kind, end) = await followed(ann, upgrade["events"])
    assert (kind, end["kind"], end["outcome"]) == ("end", "upgrade", "done")
    assert (await ann.get(restart["operation"])).json()["outcome"] == "done"
    assert (await ann.get(f"/instances/{name}")).json()["plan"] == "wide"
    stop = await accepted(await ann.post(f"/instances/{name}/stop"))
    assert (await ended(ann, await ann.delete(f"/instances/{name}")))["outcome"] == "done"
    assert (await ann.get(stop["operation"])).json()["ended_at"] is not None
    assert (await ann.get(f"/instances/{name}")).json()["status"] == "uninstalled"


async def test_a_reader_that_reconnects_is_told_what_it_missed(ann: httpx.AsyncClient) -> None:
    name = f"again-{secrets.token_hex(4)}"
    told = await accepted(await ann.post("/instances", json={"name": name, "plan": "starter"}))
    whole = await followed(ann, told["events"])
    rest = await followed(ann, told["events"], **{"Last-Event-ID": "3"})
    assert rest == whole[3:]


async def test_a_refused_order_ends_with_its_cause(ann: httpx.AsyncClient) -> None:
    end = await ended(ann, await ann.post("/instances", json={"name": "no-plan", "plan": "imaginary"}))
    assert "imaginary" in end["cause"]["message"]
    assert (await ann.get("/instances/no-plan")).status_code == 404


@pytest.mark.parametrize("name", ["no.dots", "-", "x" * 41])
async def test_a_name_that_cannot_be_is_bad_input(ann: httpx.AsyncClient, name: str) -> None:
    answer = await ann.post("/instances", json={"name": name, "plan": "starter"})
    assert (answer.status_code, answer.json()["cause"]["code"]) == (400, "BadInput")
    assert answer.json()["cause"]["fix"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer forged"}, {"Authorization": "Basic YTpi"}])
async def test_without_a_valid_token_nothing_is_answered(backend: str, header: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=backend, headers=header) as nobody:
        answer = await nobody.get("/instances")
    assert (answer.status_code, answer.json()["cause"]["code"]) == (401, "Unauthenticated")
