"""What a caller is told when Supabase refuses, is not there, or is something else; played by real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from innkeeper.gateways.database import SupabaseDatabase, SupabaseRows
from innkeeper.model.errors import BadInput, Forbidden, InnkeeperError, Permanent, Unreachable
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome, Request
from innkeeper.model.ports import Page
from innkeeper.model.record_messages import ClaimRequest, Ending

KEY = "sb_secret_not-to-be-seen-anywhere"
TOKEN = "token.not-to-be.seen-either"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Call = Callable[[SupabaseDatabase], Awaitable[object]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that reads each request whole and then does as `handler` says."""
    tasks: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def telling(status: str, body: str, *headers: str) -> Handler:
    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", body]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()

    return handler


async def read(database: SupabaseDatabase) -> object:
    return await database.instances(Page())


async def claim(database: SupabaseDatabase) -> object:
    request = Request.of(Kind.STOP, "acme", request_id="r1")
    return await database.claim(
        ClaimRequest(request=request, workflow_id="w", run_id="r", namespace="inn-acme", release="acme")
    )


async def finish(database: SupabaseDatabase) -> object:
    return await database.finish(
        Ending(request_id="r1", instance="acme", generation=1, status=Status.STOPPED, outcome=Outcome.DONE)
    )


async def ping(database: SupabaseDatabase) -> None:
    await database.ping()


CALLS = [read, claim, finish, ping]


async def failure(url: str, call: Call, *, timeout: float = 30.0) -> InnkeeperError:
    async with await SupabaseDatabase.connect(url, KEY, timeout=timeout, access_token=TOKEN) as database:
        with pytest.raises(InnkeeperError) as caught:
            await call(database)
    told: BaseException | None = caught.value
    while told is not None:
        assert KEY not in str(told)
        assert TOKEN not in str(told)
        told = told.__cause__
    return caught.value


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "503 Unavailable", "429 Too Many", "408 Timeout"])
async def test_an_overloaded_supabase_is_asked_again_when_it_wishes(call: Call, status: str) -> None:
    async with serving(telling(status, '{"message": "not now"}', "Retry-After: 7")) as url:
        error = await failure(url, call)
    assert isinstance(error, Unreachable)
    assert error.retry_after == 7
    assert "not now" in str(error)


@pytest.mark.parametrize("wish", ["", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-1"])
async def test_a_wish_that_is_no_number_of_seconds_is_none(wish: str) -> None:
    async with serving(telling("503 Unavailable", "", f"Retry-After: {wish}")) as url:
        error = await failure(url, read)
    assert isinstance(error, Unreachable)
    assert error.retry_after is None


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_a_refused_key_names_the_setting_that_holds_it(call: Call, status: str) -> None:
    async with serving(telling(status, '{"message": "Invalid API key"}')) as url:
        error = await failure(url, call)
    assert isinstance(error, Forbidden)
    assert "INNKEEPER_SUPABASE_KEY" in error.cause.fix
    assert "Invalid API key" in error.cause.message


@pytest.mark.parametrize("call", CALLS)
async def test_missing_tables_and_functions_name_the_migrations(call: Call) -> None:
    said = '{"code": "PGRST202", "message": "Could not find the function public.innkeeper_claim"}'
    async with serving(telling("404 Not Found", said)) as url:
        error = await failure(url, call)
    assert isinstance(error, Permanent)
    assert error.cause.code == "SchemaMissing"
    assert "supabase/migrations" in error.cause.fix


async def test_an_older_schema_names_the_migrations() -> None:
    async with serving(telling("200 OK", "0")) as url:
        error = await failure(url, ping)
    assert isinstance(error, Permanent)
    assert "supabase/migrations" in error.cause.fix


async def test_a_row_that_this_version_cannot_read_names_the_field() -> None:
    async with serving(telling("200 OK", '[{"name": "acme", "status": "floating"}]')) as url:
        error = await failure(url, read)
    assert isinstance(error, Permanent)
    assert "status" in error.cause.message


@pytest.mark.parametrize("call", CALLS)
async def test_a_request_that_supabase_refuses_is_not_tried_again(call: Call) -> None:
    async with serving(telling("400 Bad Request", '{"message": "no such column", "details": "row (1, x)"}')) as url:
        error = await failure(url, call)
    assert isinstance(error, Permanent)
    assert "no such column" in str(error)
    assert "row (1, x)" not in str(error)


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    async with serving(telling("302 Found", "", "Location: http://127.0.0.1:1/")) as url:
        error = await failure(url, read)
    assert isinstance(error, Permanent)
    assert "INNKEEPER_SUPABASE_URL" in error.cause.fix


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", ["<html>Welcome</html>", "[1]", '{"hello": "world"}', '"x"', ""])
async def test_something_else_than_supabase_is_not_taken_for_it(call: Call, body: str) -> None:
    if call is read and not body:
        body = "{}"  # supabase-py takes an empty answer for no rows
    async with serving(telling("200 OK", body)) as url:
        error = await failure(url, call)
    assert isinstance(error, Unreachable)
    assert "INNKEEPER_SUPABASE_URL" in error.cause.fix


@pytest.mark.parametrize("call", CALLS)
async def test_nobody_at_the_address_is_unreachable(call: Call) -> None:
    async with serving(telling("200 OK", "")) as url:
        pass
    error = await failure(url, call)
    assert isinstance(error, Unreachable)
    assert url in str(error)


async def test_an_answer_cut_short_is_unreachable() -> None:
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[")
        await writer.drain()

    for handler in (cut, telling("nonsense", "")):
        async with serving(handler) as url:
            assert isinstance(await failure(url, read), Unreachable)


@pytest.mark.parametrize("call", CALLS)
async def test_no_call_takes_longer_than_its_timeout_however_slowly_it_is_answered(call: Call) -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    began = time.monotonic()
    async with serving(trickle) as url:
        error = await failure(url, call, timeout=0.5)
    assert isinstance(error, Unreachable)
    assert "0.5 s" in str(error)
    assert time.monotonic() - began < 25, "all of the answer would take 50 s"


async def test_a_cancelled_call_stops() -> None:
    async def never(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(never) as url, await SupabaseDatabase.connect(url, KEY) as database:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(database.ping(), 0.2)


@pytest.mark.parametrize("url", ["", "example.com", "ftp://example.com", "https://", "https://me:hidden@example.com"])
async def test_a_url_that_is_none_is_refused_by_its_setting(url: str) -> None:
    with pytest.raises(BadInput, match="INNKEEPER_SUPABASE_URL") as caught:
        await SupabaseDatabase.connect(url, KEY)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "two words", f"{KEY}\n", "schlüssel"])
async def test_a_key_that_cannot_be_one_is_refused_without_quoting_it(key: str) -> None:
    with pytest.raises(Forbidden, match="INNKEEPER_SUPABASE_KEY") as caught:
        await SupabaseDatabase.connect("http://127.0.0.1:1", key)
    assert not key or key not in str(caught.value)
    with pytest.raises(Forbidden, match="sign in"):
        await SupabaseRows.connect("http://127.0.0.1:1", KEY, access_token=key)
