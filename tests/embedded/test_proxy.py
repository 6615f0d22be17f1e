"""The proxy that plays network faults plays each of them, so that tests of outages mean what they say."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from proxy import Fault, Proxy


@pytest.fixture
async def heard() -> list[bytes]:
    return []


@pytest.fixture
async def proxy(heard: list[bytes]) -> AsyncIterator[Proxy]:
    """In front of a server that answers each line with the same."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            heard.append(line)
            writer.write(line)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        async with Proxy.to(f"http://{host}:{port}/") as proxy:
            yield proxy


async def ask(proxy: Proxy, line: bytes = b"hello\n") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(line)
        return await reader.readline()
    finally:
        writer.transport.abort()


async def test_it_passes_everything_on(proxy: Proxy) -> None:
    assert await ask(proxy) == b"hello\n"


async def test_it_refuses_and_accepts_again_at_the_same_address(proxy: Proxy) -> None:
    address = proxy.address
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await ask(proxy)
    await proxy.accept()
    assert proxy.address == address
    assert await ask(proxy) == b"hello\n"


async def test_it_resets_before_a_byte_passes(proxy: Proxy, heard: list[bytes]) -> None:
    proxy.fault = Fault.RESET
    with pytest.raises(ConnectionResetError):
        await ask(proxy)
    assert heard == []


async def test_it_cuts_the_answer_after_the_request_went_through(proxy: Proxy, heard: list[bytes]) -> None:
    proxy.fault = Fault.CUT_ANSWER
    with pytest.raises(ConnectionResetError):
        await ask(proxy)
    assert heard == [b"hello\n"]
    assert proxy.cut == 1


async def test_it_stalls_and_then_delivers(proxy: Proxy, heard: list[bytes]) -> None:
    proxy.fault = Fault.STALL
    asking = asyncio.create_task(ask(proxy))
    await asyncio.sleep(0.2)
    assert not asking.done()
    assert heard == []
    proxy.fault = Fault.NONE
    assert await asyncio.wait_for(asking, 60) == b"hello\n"


async def test_it_resets_connections_that_are_open(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()


async def test_it_vanishes_so_that_nobody_is_even_refused_and_comes_back(proxy: Proxy) -> None:
    proxy.vanish()
    asking = asyncio.create_task(ask(proxy))
    await asyncio.sleep(0.3)
    assert not asking.done()
    await proxy.accept()
    # The kernel knocks again after one second.
    assert await asyncio.wait_for(asking, 60) == b"hello\n"


async def test_it_loses_connections_without_a_word_and_new_ones_work(proxy: Proxy, heard: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"first\n")
    assert await reader.readline() == b"first\n"
    proxy.lose()
    writer.write(b"lost\n")
    waiting = asyncio.create_task(reader.readline())
    assert await ask(proxy, b"second\n") == b"second\n"
    assert not waiting.done()
    assert heard == [b"first\n", b"second\n"]
    waiting.cancel()
    writer.transport.abort()


async def test_it_leads_new_connections_elsewhere(proxy: Proxy) -> None:
    async def say_no(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"no\n")
        writer.close()

    async with await asyncio.start_server(say_no, "127.0.0.1", 0) as elsewhere:
        here, proxy.far = proxy.far, elsewhere.sockets[0].getsockname()[:2]
        assert await ask(proxy) == b"no\n"
        proxy.far = here
        assert await ask(proxy) == b"hello\n"
