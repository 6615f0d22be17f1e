"""A TCP proxy that plays what networks do: refuse, reset, stall, vanish, lose connections, or cut the answer.

async with Proxy("127.0.0.1", 54321) as proxy:
    proxy.fault = Fault.CUT_ANSWER  # from now on, for new data on every connection
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from enum import Enum, auto
from types import TracebackType
from typing import Self


class Fault(Enum):
    """What happens to connections from now on."""

    NONE = auto()
    RESET = auto()
    """New connections are accepted and reset before a byte passes."""
    STALL = auto()
    """Connections stay open, and nothing passes in either direction until the fault is lifted."""
    CUT_ANSWER = auto()
    """Requests pass; the connection is reset at the first byte of the answer."""


class Proxy:
    """Forwards from a port of its own to `host:port`; the port stays the same, whatever is played."""

    def __init__(self, host: str, port: int) -> None:
        self.far = (host, port)
        """Where new connections lead."""
        self._server: asyncio.Server | None = None
        self._place: socket.socket | None = None
        """Keeps the port while nobody listens on it: else another process might get it for a connection of its own."""
        self._hole: list[socket.socket] = []
        self._connections: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self._lost: list[asyncio.StreamWriter] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._fault = Fault.NONE
        self.port = 0
        self.cut = 0
        """How many answers were cut so far."""

    @classmethod
    def to(cls, address: str) -> Proxy:
        """A proxy in front of ``host:port``, with or without a scheme."""
        host, _, port = address.rpartition("//")[2].rstrip("/").rpartition(":")
        return cls(host, int(port))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """How many connections stand, lost ones not counted."""
        return len(self._connections)

    @property
    def fault(self) -> Fault:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        if fault is Fault.STALL:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def accept(self) -> None:
        """Accept connections."""
        for stuffed in self._hole:
            stuffed.close()
        self._hole.clear()
        if self._place is None:
            self._place = _bound(self.port)
            self.port = self._place.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_port=True)

    async def refuse(self) -> None:
        """Reset all connections and refuse new ones until `accept`."""
        self._close()
        self.reset()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def vanish(self) -> None:
        """Be gone as a host is whose packets are dropped, until `accept`: nobody is refused, nobody gets through.

        What is connected stays so; stall or lose it as you need.
        """
        self._close()
        self._hole = _black_hole(self.port)

    def lose(self) -> None:
        """Forget all connections without a word: both ends think that they are open, and nothing ever passes again."""
        for task, writers in self._connections.items():
            self._lost += writers
            task.cancel()
        self._connections.clear()

    def reset(self) -> None:
        """Reset all connections; new ones are welcome."""
        for task, writers in self._connections.items():
            for writer in writers:
                _reset(writer)
            task.cancel()

    def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Reset all connections and give the port up."""
        for stuffed in self._hole:
            stuffed.close()
        for writer in self._lost:
            _reset(writer)
        await self.refuse()
        if self._place is not None:
            self._place.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = (writer,)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                if self._fault is Fault.RESET:
                    return
                far_reader, far_writer = await asyncio.open_connection(*self.far)
                self._connections[task] = (writer, far_writer)
                await asyncio.gather(
                    self._pump(reader, far_writer, is_answer=False), self._pump(far_reader, writer, is_answer=True)
                )
            finally:
                for open_writer in self._connections.pop(task, ()):
                    _reset(open_writer)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool) -> None:
        while data := await source.read(65_536):
            await self._flowing.wait()
            if is_answer and self._fault is Fault.CUT_ANSWER:
                self.cut += 1
                raise ConnectionResetError
            sink.write(data)
            await sink.drain()
        sink.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, as a machine that lost the connection does, and not with an orderly end."""
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _bound(port: int) -> socket.socket:
    """A socket with this port, any free one for 0, which others of this user may share."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    place.bind(("127.0.0.1", port))
    return place


def _black_hole(port: int) -> list[socket.socket]:
    """Sockets that keep a port from answering: the kernel drops what comes to a listener whose queue is full."""
    listener = _bound(port)
    listener.listen(0)
    filling = socket.socket()
    filling.setblocking(False)
    filling.connect_ex(("127.0.0.1", port))
    return [filling, listener]
