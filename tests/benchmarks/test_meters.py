"""Holds what the benchmarks' meters count, on what the kernel shows and on processes of our own."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys

import pytest

from innkeeper.benchmarks import costs
from innkeeper.benchmarks.costs import Costs, Relay

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11111 1 0000 100 0 0 10 0
   1: 0100007F:A000 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 22222 1 0000 20 4 30 10 -1
   2: 0100007F:1F90 0100007F:A000 01 00000000:00000000 00:00000000 00000000  1000        0 33333 1 0000 20 4 30 10 -1
   3: 0100007F:A001 0100007F:1F90 06 00000000:00000000 03:00001769 00000000     0        0 0 3 0000
   4: 0100007F:A002 0100007F:1F91 01 00000000:00000000 00:00000000 00000000  1000        0 44444 1 0000 20 4 30 10 -1
"""


def test_only_connections_that_lead_to_the_port_and_stand_are_counted() -> None:
    assert costs.established(TABLE, 0x1F90) == {"22222"}


def test_a_process_holds_the_connections_that_it_made_and_no_others() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = server.getsockname()[1]
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert costs.connections_of([os.getpid()], port) == 2
        assert costs.connections_of([os.getppid()], port) == 0


METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",resource="pods",scope="namespace",verb="LIST",version="v1"} 7
apiserver_request_total{code="404",component="apiserver",resource="pods",scope="resource",verb="LIST",version="v1"} 2
apiserver_request_total{code="201",component="apiserver",resource="pods",subresource="binding",verb="POST"} 1e+06
apiserver_request_total{code="200",component="apiserver",resource="",scope="",verb="GET",version=""} 3
apiserver_request_duration_seconds_count{resource="pods",verb="LIST"} 99
"""


def test_requests_are_told_apart_by_verb_and_resource_however_they_were_answered() -> None:
    assert costs.requests_in(METRICS) == {"LIST pods": 9, "POST pods": 1_000_000, "GET others": 3}


WAITS = "print(1, flush=True); sys.stdin.read()"
HAS_A_CHILD_THAT_WAITS = f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys; {WAITS}'])"


async def test_a_familys_members_are_its_children_and_theirs() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HAS_A_CHILD_THAT_WAITS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    await child.stdout.readline()
    family = list(costs.family_of(child.pid))
    assert len(family) == 2
    assert child.pid in family
    assert set(family) < set(costs.family_of(os.getpid()))
    await child.communicate(b"")


def test_the_children_of_a_process_count_once_they_have_ended() -> None:
    _, before = costs.cpu_of(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)
    assert costs.cpu_of(os.getpid())[1] > before


def test_a_process_that_is_gone_costs_nothing_more() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert costs.cpu_of(gone.pid) == (0.0, 0.0)
    assert costs.memory_of(gone.pid) == 0.0
    assert costs.connections_of([gone.pid], 1) == 0


def test_what_was_spent_is_the_difference_of_two_stands() -> None:
    before = Costs(10.0, {"worker": 1.0}, {"GET pods": 5, "LIST pods": 2}, 7)
    after = Costs(12.5, {"worker": 1.5}, {"GET pods": 8, "LIST pods": 2, "POST pods": 1}, 9)
    assert after.since(before) == Costs(2.5, {"worker": 0.5}, {"GET pods": 3, "POST pods": 1}, 2)


@pytest.mark.parametrize("calls", [1, 3])
async def test_each_call_of_the_database_is_counted_and_answered(calls: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    database = await asyncio.start_server(answer, "127.0.0.1", 0)
    relay = Relay("127.0.0.1", database.sockets[0].getsockname()[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", await relay.start())
    try:
        for _ in range(calls):
            writer.write(b"GET /rest/v1/instances HTTP/1.1\r\nHost: here\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 204 No Content\r\n\r\n"
        assert relay.calls == calls
    finally:
        writer.close()
        await relay.close()
        database.close()
