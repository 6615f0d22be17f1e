"""What a stretch of a benchmark cost: CPU seconds by process, API requests by verb and resource, calls of the database.

CPU seconds are the kernel's and hold those of children that have ended, so a worker's are its Helms', too. Requests are
the API server's own count, whoever made them.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
_REQUESTS = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class Costs:
    """What was spent, or the meters' stand."""

    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by process; `bench` is the one that asks, or that runs bare Helm."""
    requests: dict[str, int] = field(default_factory=dict)
    """Requests that the API server answered, by verb and resource."""
    calls: int = 0
    """Calls of the database."""

    def since(self, before: Costs) -> Costs:
        """What was spent after an earlier stand."""
        return Costs(
            seconds=self.seconds - before.seconds,
            cpu={name: used - before.cpu.get(name, 0.0) for name, used in self.cpu.items()},
            requests={what: count - before.requests.get(what, 0) for what, count in self.requests.items()},
            calls=self.calls - before.calls,
        )


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def memory_of(pid: int) -> float:
    """MiB that a process holds; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20
    except OSError:
        return 0.0


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()


class Relay:
    """Passes connections on to the database and counts the calls on them: one for each head of an HTTP/1.1 request."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self.calls = 0

    async def start(self) -> int:
        """Listen on a free port of this machine, which is returned."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no more; connections end with their ends."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass_on(reader, back, counted=True), self._pass_on(there, writer, counted=False))

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, counted: bool) -> None:
        try:
            while data := await source.read(65536):
                if counted:
                    self.calls += data.count(b" HTTP/1.1\r\n")
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()


class Meter:
    """Reads all meters of one platform."""

    def __init__(self, kubeconfig: Path, relay: Relay, pids: Mapping[str, int]) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self._metrics = f"{cluster['server']}/metrics"
        self._trust = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile("w") as both:
            both.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
            both.flush()
            self._trust.load_cert_chain(both.name)
        self._relay = relay
        self._pids = pids

    async def read(self) -> Costs:
        """The meters' stand now."""
        used = os.times()
        bench = used.user + used.system + used.children_user + used.children_system
        return Costs(
            seconds=time.perf_counter(),
            cpu={"bench": bench, **{name: cpu_of(pid) for name, pid in self._pids.items()}},
            requests=await self._requests(),
            calls=self._relay.calls,
        )

    async def _requests(self) -> dict[str, int]:
        async with aiohttp.ClientSession() as session, session.get(self._metrics, ssl=self._trust) as answer:
            text = await answer.text()
        found: Counter[str] = Counter()
        for match in _REQUESTS.finditer(text):
            labels = dict(_LABEL.findall(match["labels"]))
            found[f"{labels['verb']} {labels['resource']}"] += int(float(match["count"]))
        return found
