"""Live views of namespaces over one stream per kind for the whole worker, however many watches there are.

A stream covers the cluster and is a few connections where a watch per instance would be hundreds. It only tells what
changed; what a namespace holds is read by one list per kind when a watch enters it. So a view is at least as new as
its entry (a list without a resourceVersion is a read that the API server must not answer from an older state), costs
memory for watched namespaces only, and needs no list of the whole cluster. The two are joined by resourceVersion,
which is an ordered number (Kubernetes KEP-5504): of what the stream tells, a namespace takes what is newer than its
list.

Connections that are half open are noticed: each stream is ended by the server after some seconds, with a bookmark
just before, so one that says nothing for longer is dead. A broken stream goes on where it stopped; where the
server has forgotten that place (410), the watched namespaces are listed anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..model.errors import InnkeeperError, Transient, Unreachable
from ..model.health import WATCHED, Watched
from ..model.ports import Manifest, Watch
from .kubernetes_api import Api


class Pace(NamedTuple):
    """How long watches wait for what, in seconds."""

    stream: int = 10
    """For how long the server keeps a stream open."""
    silence: float = 14.0
    """Without a byte for this long a stream counts as dead; longer than `stream`."""
    patience: float = 30.0
    """Without a word from the server for this long, watches are told."""
    linger: float = 60.0
    """For how long streams are kept when the last watch has left."""


_LISTS_AT_ONCE = 16
_LONGEST_PAUSE = 2.0
_LONGEST_WISH = 60.0
"""Seconds of a Retry-After that are honoured: a wrong one must not blind a worker for a day."""

_NAMESPACES = re.compile(rb'"namespace":"([^"]*)"')
_PLURALS = {
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "Job": "jobs",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Pod": "pods",
    "Event": "events",
}

log = logging.getLogger(__name__)


@dataclass
class _Shelf:
    """One kind's objects in one namespace: a list, and what the stream told after it."""

    objects: dict[str, Manifest] = field(default_factory=dict)
    floor: int = 0
    """The resourceVersion of the list: nothing older changes the shelf."""
    lists: int = 0
    """Lists under way; as long as there are any, what the stream tells is kept for them."""
    recent: list[tuple[str, Manifest]] = field(default_factory=list)

    def take(self, change: str, obj: Manifest) -> None:
        if self.lists:
            self.recent.append((change, obj))
        self._put(change, obj)

    def listed(self, objects: Iterable[Manifest], version: int) -> None:
        if version <= self.floor:
            return
        self.floor = version
        self.objects = {obj["metadata"]["uid"]: obj for obj in objects}
        for change, obj in self.recent:
            self._put(change, obj)

    def _put(self, change: str, obj: Manifest) -> None:
        meta = obj["metadata"]
        if int(meta["resourceVersion"]) <= self.floor:
            return
        if change == "DELETED":
            self.objects.pop(meta["uid"], None)
        else:
            self.objects[meta["uid"]] = obj


class _Namespace:
    """What is shared by all watches of one namespace."""

    def __init__(self) -> None:
        self.shelves = {kind: _Shelf() for kind in WATCHED}
        self.watches = 0
        self.version = 0
        self.wake = asyncio.Event()

    def touch(self) -> None:
        """Something changed: wake whoever waits. Many changes before they run are one wake-up."""
        self.version += 1
        self.wake.set()
        self.wake = asyncio.Event()


class _View:
    """One caller's `ports.Watch`."""

    def __init__(self, hub: Hub, namespace: _Namespace) -> None:
        self._hub = hub
        self._namespace = namespace
        self._seen = -1

    def objects(self) -> Sequence[Manifest]:
        """See `ports.Watch.objects`."""
        self._seen = self._namespace.version
        return [obj for shelf in self._namespace.shelves.values() for obj in shelf.objects.values()]

    async def changed(self) -> None:
        """See `ports.Watch.changed`.

        Raises:
            Unreachable: the API server has not said a word for `Pace.patience` seconds.
        """
        while self._namespace.version == self._seen:
            lost = self._hub.lost()
            if lost is not None:
                raise lost
            await self._namespace.wake.wait()


class _Stream:
    """One kind's changes over the whole cluster, for as long as the hub has watches."""

    def __init__(self, hub: Hub, kind: Watched) -> None:
        self._hub = hub
        self._kind = kind
        self._position: str | None = None
        self._starting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._failures = 0
        self._heard_at = 0.0
        self.lost = ""
        """Why nothing has been heard for `Pace.patience` seconds; empty as long as something was."""

    async def start(self) -> None:
        """Return once every later change will be told."""
        async with self._starting:
            if self._task is None:
                self._position = await self._hub.position(self._kind)
                self._heard()
                self._task = asyncio.create_task(self._run(), name=f"watch {self._kind.kind}")

    def stop(self) -> asyncio.Task[None] | None:
        """End it; the task that is on its way out, if there is one."""
        self._heard()
        ending, self._task = self._task, None
        if ending is not None:
            ending.cancel()
        return ending

    async def _run(self) -> None:
        while True:
            pause, wish = 0.05, 0.0
            try:
                await self._follow(await self._resumed())
            except (InnkeeperError, ValueError, KeyError) as broken:
                self._failures += 1
                pause = min(_LONGEST_PAUSE, 0.05 * 2 ** min(self._failures, 10))
                self._broke(broken)
                if isinstance(broken, Transient):
                    wish = min(broken.retry_after or 0.0, _LONGEST_WISH)
            # The jitter comes on top of what the server asks for.
            await asyncio.sleep(wish + pause * random.uniform(0.5, 1.0))  # noqa: S311  (no secret)

    async def _resumed(self) -> str:
        """Where to go on; where that is forgotten, the present, after which the watched namespaces are read anew."""
        position = self._position
        if position is None:
            position = await self._hub.position(self._kind)
            await self._hub.list_again(self._kind)
            self._position = position
        return position

    async def _follow(self, position: str) -> None:
        query = {
            "watch": "true",
            "resourceVersion": position,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(self._hub.pace.stream),
        }
        if self._kind.fields:
            query["fieldSelector"] = self._kind.fields
        async with aclosing(
            self._hub.api.stream(path_of(self._kind), query=query, silence=self._hub.pace.silence)
        ) as lines:
            async for line in lines:
                self._heard()
                named = _NAMESPACES.findall(line)
                if line and (not named or self._hub.watched(named)):
                    self._read(json.loads(line))

    def _read(self, event: Manifest) -> None:
        obj = event["object"]
        if event["type"] == "ERROR":
            self._position = None
            raise Unreachable(f"The watch of {self._kind.kind} ended: {obj.get('message', 'no reason given')}")
        self._position = obj["metadata"]["resourceVersion"]
        if event["type"] != "BOOKMARK":
            self._hub.told(self._kind, event["type"], obj)

    def _heard(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._failures = 0
        self.lost = ""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _broke(self, broken: Exception) -> None:
        """Keep trying, and see to it that the watches are told when that has lasted too long."""
        if not isinstance(broken, Transient):
            # Either the server refuses, or it said what cannot be read: what came after is unknown.
            self._position = None
            log.warning("The watch of %s broke: %s", self._kind.kind, broken)
        if self._alarm is None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_at(self._heard_at + self._hub.pace.patience, self._hub.alarm, self, str(broken))


class Hub:
    """All watches of one worker on one cluster."""

    def __init__(self, api: Api, pace: Pace) -> None:
        self.api = api
        self.pace = pace
        self._namespaces: dict[str, _Namespace] = {}
        self._streams = [_Stream(self, kind) for kind in WATCHED]
        self._slots = asyncio.Semaphore(_LISTS_AT_ONCE)
        self._leaving: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def watch(self, name: str) -> AsyncIterator[Watch]:
        """See `ports.Cluster.watch`."""
        if self._leaving is not None:
            self._leaving.cancel()
        namespace = self._namespaces.setdefault(name, _Namespace())
        namespace.watches += 1
        try:
            # The streams first: what happens between a stream's start and the list is told by both.
            await _all(stream.start() for stream in self._streams)
            await _all(self._list(kind, name, namespace) for kind in WATCHED)
            yield _View(self, namespace)
        finally:
            namespace.watches -= 1
            if not namespace.watches:
                del self._namespaces[name]
            if not self._namespaces:
                self._leaving = asyncio.get_running_loop().call_later(self.pace.linger, self._stop)

    async def close(self) -> None:
        """End every stream."""
        if self._leaving is not None:
            self._leaving.cancel()
        await asyncio.gather(*self._stop(), return_exceptions=True)

    def watched(self, names: Iterable[bytes]) -> bool:
        """Whether one of these namespaces has a watch."""
        return any(name.decode() in self._namespaces for name in names)

    def lost(self) -> Unreachable | None:
        """The error where a stream has heard nothing for too long."""
        for stream in self._streams:
            if stream.lost:
                return Unreachable(stream.lost, object=self.api.server, fix="check that the API server runs")
        return None

    def alarm(self, stream: _Stream, why: str) -> None:
        """A stream has heard nothing for too long: tell every watch."""
        stream.lost = f"Nothing heard of the cluster's changes for {self.pace.patience:g} s: {why}"
        for namespace in self._namespaces.values():
            namespace.wake.set()
            namespace.wake = asyncio.Event()

    def told(self, kind: Watched, change: str, obj: Manifest) -> None:
        """One change from a stream."""
        namespace = self._namespaces.get(obj["metadata"].get("namespace", ""))
        if namespace is not None:
            namespace.shelves[kind].take(change, _slim(obj))
            namespace.touch()

    async def position(self, kind: Watched) -> str:
        """Where the cluster's history of a kind stands now."""
        query = {"limit": "1", **({"fieldSelector": kind.fields} if kind.fields else {})}
        answer = await self.api.call("GET", path_of(kind), query=query)
        if answer.status != 200:
            raise self.api.refused(answer, f"list {kind.kind} objects of all namespaces")
        return str(answer.body["metadata"]["resourceVersion"])

    async def list_again(self, kind: Watched) -> None:
        """Read a kind anew in every watched namespace: some of its changes were missed."""
        await _all(self._list(kind, name, namespace) for name, namespace in list(self._namespaces.items()))

    async def _list(self, kind: Watched, name: str, namespace: _Namespace) -> None:
        shelf = namespace.shelves[kind]
        shelf.lists += 1
        try:
            async with self._slots:
                query = {"fieldSelector": kind.fields} if kind.fields else {}
                answer = await self.api.call("GET", path_of(kind, name), query=query)
            if answer.status != 200:
                raise self.api.refused(answer, f"list {kind.kind} objects of namespace {name}")
            items = answer.body.get("items") or ()
            objects = [_slim({"apiVersion": kind.api_version, "kind": kind.kind, **item}) for item in items]
            shelf.listed(objects, int(answer.body["metadata"]["resourceVersion"]))
            namespace.touch()
        finally:
            shelf.lists -= 1
            if not shelf.lists:
                shelf.recent.clear()

    def _stop(self) -> list[asyncio.Task[None]]:
        return [ending for stream in self._streams if (ending := stream.stop()) is not None]


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all at once; the first failure ends the others, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def path_of(kind: Watched, namespace: str | None = None) -> str:
    """The URL path of a watched kind's objects."""
    root = "/api" if "/" not in kind.api_version else "/apis"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}/{kind.api_version}{scope}/{_PLURALS[kind.kind]}"


def _slim(obj: Manifest) -> Manifest:
    """Without the bulk of managedFields; their times stay, which tell when an object was last written."""
    for entry in obj["metadata"].get("managedFields") or ():
        entry.pop("fieldsV1", None)
    return obj
