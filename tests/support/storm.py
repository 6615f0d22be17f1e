"""An HTTP server that only says no, in place of one that is overloaded or broken: where a proxy leads in a storm."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

from aiohttp import web


class No(NamedTuple):
    """One way to say it."""

    status: int
    retry_after: str = ""
    """The header's value; empty: there is none."""
    html: bool = False
    """As a load balancer says it, and not as the server itself does."""


TOO_MANY = (No(429, "1"),)
BROKEN = (No(503, "1"), No(500), No(502, html=True), No(504, html=True))
"""One after the other."""


@dataclass
class Heard:
    """One request that was answered with no."""

    method: str
    path: str
    at: float
    """By the monotonic clock."""


@dataclass
class Storm:
    """Answers every request in these ways, in turn. With a TLS context it speaks HTTPS."""

    ways: tuple[No, ...]
    tls: ssl.SSLContext | None = None
    heard: list[Heard] = field(default_factory=list)
    port: int = 0

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self.port

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        way = self.ways[len(self.heard) % len(self.ways)]
        self.heard.append(Heard(request.method, request.path, time.monotonic()))
        headers = {"Retry-After": way.retry_after} if way.retry_after else {}
        if way.html:
            text = f"<html><body><h1>{way.status} Bad Gateway</h1></body></html>"
            return web.Response(status=way.status, text=text, content_type="text/html", headers=headers)
        said = {"kind": "Status", "status": "Failure", "code": way.status, "message": "not now, please try again later"}
        return web.json_response(said, status=way.status, headers=headers)
