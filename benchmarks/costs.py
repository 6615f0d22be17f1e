"""What a stretch of a benchmark cost: CPU seconds by process, API requests by verb and resource, calls of the database.

CPU seconds are the kernel's. Those of children, of a worker's that live and of all that have ended, are Helm's, whoever
ran it: neither a worker nor the bench runs any other program. Requests are the API server's own count, whoever made
them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
CALLED = {
    "kube-apiserver": "API server",
    "etcd": "etcd",
    "kube-controller-manager": "controllers",
    "kube-scheduler": "controllers",
    "kwok": "simulated nodes",
    "temporal": "Temporal",
    "supabase": "Supabase",
    "worker": "worker",
}
"""Process → what the tables call it."""

PROCESSES = ("API server", "etcd", "controllers", "simulated nodes", "Temporal", "Supabase", "worker", "client", "Helm")
"""What CPU seconds are told of, in the tables' order. The client is the bench itself: who asks, or drives bare Helm."""

_REQUESTS = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_ESTABLISHED = "01"
_QUIET, _LOOK = 0.3, 0.5


@dataclass
class Costs:
    """What was spent, or the meters' stand."""

    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by `PROCESSES`."""
    requests: dict[str, int] = field(default_factory=dict)
    """Requests that the API server answered, by verb and resource."""
    calls: int = 0
    """Calls of the database that the worker made."""

    def since(self, before: Costs) -> Costs:
        """What was spent after an earlier stand; what was not asked for meanwhile is left out."""
        requests = {what: count - before.requests.get(what, 0) for what, count in self.requests.items()}
        return Costs(
            seconds=self.seconds - before.seconds,
            cpu={name: used - before.cpu.get(name, 0.0) for name, used in self.cpu.items()},
            requests={what: count for what, count in requests.items() if count},
            calls=self.calls - before.calls,
        )


def cpu_of(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of its children that have ended; none where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    user, system, user_of_children, system_of_children = map(int, fields[11:15])
    return (user + system) / TICKS, (user_of_children + system_of_children) / TICKS


def memory_of(pid: int) -> float:
    """MiB that a process holds; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20
    except OSError:
        return 0.0


def memory_by_process(pids: Mapping[str, int]) -> dict[str, float]:
    """MiB by `PROCESSES`."""
    found: dict[str, float] = {}
    for name, pid in pids.items():
        found[CALLED[name]] = found.get(CALLED[name], 0.0) + memory_of(pid)
        if name == "worker":
            found["Helm"] = sum(memory_of(helm) for helm in helms_of(pid))
    return found


def helms_of(worker: int) -> list[int]:
    """The Helms of a worker that live."""
    return [pid for pid in family_of(worker) if pid != worker]


def established(text: str, port: int) -> set[str]:
    """The inodes of the sockets in a /proc/net/tcp that are connected to a port."""
    lines = [line.split() for line in text.splitlines()[1:]]
    return {each[9] for each in lines if each[3] == _ESTABLISHED and int(each[2].rpartition(":")[2], 16) == port}


def connections_of(pids: Iterable[int], port: int) -> int:
    """Connections to a port of this machine that these processes hold."""
    wanted: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(table).exists():
            wanted |= established(Path(table).read_text(), port)
    return len(wanted & {inode for pid in pids for inode in _sockets_of(pid)})


def _sockets_of(pid: int) -> Iterator[str]:
    """The inodes of the sockets that a process holds now; files that it closes meanwhile are none."""
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                kind, _, inode = str(entry.readlink()).partition(":")
                if kind == "socket":
                    yield inode.strip("[]")


def family_of(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += parents.get(each, [])


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()


def requests_in(metrics: str) -> dict[str, int]:
    """Requests that an API server has answered, by verb and resource, from its metrics."""
    found: Counter[str] = Counter()
    for match in _REQUESTS.finditer(metrics):
        labels = dict(_LABEL.findall(match["labels"]))
        found[f"{labels['verb']} {labels['resource'] or 'others'}"] += int(float(match["count"]))
    return found


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
    """Reads all meters of one platform, whose processes may change."""

    def __init__(self, kubeconfig: Path, relay: Relay, pids: Callable[[], Mapping[str, int]]) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self._metrics = f"{cluster['server']}/metrics"
        self.port = int(cluster["server"].rpartition(":")[2])
        """The API server's."""
        self._trust = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile("w") as both:
            both.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
            both.flush()
            self._trust.load_cert_chain(both.name)
        self._relay = relay
        self.pids = pids

    async def before(self) -> Costs:
        """The meters' stand at the beginning of a stretch."""
        requests = await self._requests()
        return Costs(time.perf_counter(), self._cpu(), requests, self._relay.calls)

    async def after(self) -> Costs:
        """The stand at its end. Reading it counts no more to the stretch than `before` did."""
        stand = Costs(time.perf_counter(), self._cpu(), calls=self._relay.calls)
        stand.requests = await self._requests()
        return stand

    async def quiet(self, limit: float = 15.0) -> None:
        """Wait until the platform rests from what came before, but not for longer than `limit` seconds."""
        until = time.perf_counter() + limit
        former, at = sum(self._cpu().values()), time.perf_counter()
        while at < until:
            await asyncio.sleep(_LOOK)
            used, now = sum(self._cpu().values()), time.perf_counter()
            if used - former < _QUIET * (now - at):
                return
            former, at = used, now

    def _cpu(self) -> dict[str, float]:
        used = os.times()
        found = dict.fromkeys(PROCESSES, 0.0)
        found["client"] = used.user + used.system
        found["Helm"] = used.children_user + used.children_system
        for name, pid in self.pids().items():
            own, children = cpu_of(pid)
            found[CALLED[name]] += own
            found["Helm" if name == "worker" else CALLED[name]] += children
            if name == "worker":
                found["Helm"] += sum(sum(cpu_of(helm)) for helm in helms_of(pid))
        return found

    async def _requests(self) -> dict[str, int]:
        async with aiohttp.ClientSession() as session, session.get(self._metrics, ssl=self._trust) as answer:
            return requests_in(await answer.text())
