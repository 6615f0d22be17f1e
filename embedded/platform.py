"""The platform on this machine: Temporal, Supabase and Kubernetes, started and stopped as one.

async with Platform(Options(state_dir=Path("state"), temporal_in_memory=True)) as platform:
    print(platform.addresses.temporal_address)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from ..model.errors import BadInput
from . import builds, toolchain
from . import supabase as supabases
from . import temporal as temporals
from .errors import PartDied, PlatformError, ToolMissing
from .files import private_directory, write_private
from .kubernetes import CONTEXT, Kubernetes
from .lock import StateLock
from .options import ADDRESSES, Addresses, Options
from .parts import Part
from .ports import Ports
from .supabase import Supabase
from .temporal import Temporal
from .worker import WorkerProcess

__all__ = ["Addresses", "Options", "Platform"]

OWN_ANSWERS_WITHIN = 15.0
"""Seconds that the user's own parts have to answer."""


def _silent(line: str) -> None:
    """Progress that nobody asked for."""


class Platform:
    """One platform on one state directory; started by `start` or ``async with``, and gone when its process is.

    Made of `Options`, or of their fields as keywords; `progress` gets a line for people now and then.
    """

    def __init__(
        self, options: Options | None = None, *, progress: Callable[[str], None] = _silent, **chosen: Any
    ) -> None:
        self.options = options or Options(**chosen)
        self._progress = progress
        self.state = self.options.state_dir.absolute()
        """Holds all that is this platform's."""
        self._lock = StateLock(self.state)
        self._ports: Ports | None = None
        self._parts: dict[str, Part] = {}
        self._addresses = Addresses()
        self._helm = self.options.helm

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def addresses(self) -> Addresses:
        """Where the parts are, once they have started."""
        return self._addresses

    @property
    def logs(self) -> Path:
        """The directory of the parts' log files."""
        return self.state / "logs"

    @property
    def pids(self) -> dict[str, int]:
        """The ids of the running processes, by name."""
        return {name: pid for part in self._parts.values() for name, pid in part.pids.items()}

    async def start(self) -> Addresses:
        """Start all parts at once and wait until each truly answers; nothing is left running if one does not.

        Raises:
            AlreadyRuns: another process runs a platform on this state directory.
            BadInput: the user's own parts are not named as they must be.
            PlatformError: a tool is missing, or a part died or did not answer.
        """
        self._check_own_parts()
        private_directory(self.state)
        self._lock.take()
        try:
            write_private(self.state / ".gitignore", "*\n")
            private_directory(self.logs)
            self._ports = Ports(self.state / "ports.json")
            parts = [self._start_own_or(name) for name in ("temporal", "supabase", "kubernetes")]
            await _all([*parts, self._find_helm()])
            self._publish()
            if self.options.worker:
                await self._start_worker()
        except BaseException:
            await self.kill()
            raise
        return self._addresses

    async def stop(self) -> None:
        """Stop all parts, the worker first; their data stays. Harmless where nothing runs."""
        worker = self._parts.pop("worker", None)
        if worker is not None:
            await worker.stop()
        parts, self._parts = list(self._parts.values()), {}
        await asyncio.gather(*(part.stop() for part in parts))
        self._retire()

    async def kill(self) -> None:
        """End every process at once, as a crash would."""
        parts, self._parts = list(self._parts.values()), {}
        await asyncio.gather(*(part.kill() for part in parts))
        self._retire()

    async def stop_part(self, name: str, *, crash: bool = False) -> None:
        """Stop one part, ``temporal``, ``supabase``, ``kubernetes`` or ``worker``, the others running on."""
        part = self._parts[name]
        await (part.kill() if crash else part.stop())

    async def start_part(self, name: str) -> None:
        """Start a part again that `stop_part` stopped, at the address it had."""
        await self._parts[name].start()
        self._publish()

    async def died(self) -> PartDied:
        """Wait until a process of a part ends by itself, and say which and how. The worker's deaths do not count."""
        waiting = [asyncio.ensure_future(part.died()) for part in self._parts.values()]
        if not waiting:
            # All parts are the user's own.
            await asyncio.Event().wait()
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _start_own_or(self, name: str) -> None:
        """Start the part, unless the user has one, which then must answer."""
        options = self.options
        if name == "temporal" and options.temporal_address:
            await temporals.answers(options.temporal_address, options.temporal_namespace, timeout=OWN_ANSWERS_WITHIN)
            self._update(temporal_address=options.temporal_address, temporal_namespace=options.temporal_namespace)
        elif name == "supabase" and options.supabase_url:
            url, key = options.supabase_url.rstrip("/"), options.supabase_key or ""
            await supabases.answers(url, key, timeout=OWN_ANSWERS_WITHIN)
            self._update(supabase_url=url, supabase_service_key=key)
        elif name == "kubernetes" and options.kubeconfig:
            self._update(kubeconfig=options.kubeconfig.absolute(), context=options.context)
        elif name in options.parts:
            starts = {"temporal": self._temporal, "supabase": self._supabase, "kubernetes": self._kubernetes}
            part = await starts[name]()
            self._parts[name] = part
            begun = time.monotonic()
            await part.start()
            self._progress(f"{name.capitalize()} answers after {time.monotonic() - begun:.1f} s.")

    async def _temporal(self) -> Part:
        tool = await toolchain.temporal(self.options.temporal)
        if tool is None:
            raise ToolMissing("temporal: not found.", fix="pip install 'innkeeper[embedded]'")
        return Temporal(
            self.state / "temporal",
            self.logs,
            self._known_ports,
            tool.path,
            in_memory=self.options.temporal_in_memory,
            search_attributes=self.options.search_attributes,
        )

    async def _supabase(self) -> Part:
        node = await builds.ensure_node(self.options.node, self._progress)
        lite = await builds.ensure_lite(node, self._progress)
        return Supabase(self.state / "supabase", self.logs, self._known_ports, node, lite)

    async def _kubernetes(self) -> Part:
        programs = await builds.ensure_control_plane(self.options.control_plane, self.options.go, self._progress)
        return Kubernetes(self.state / "kubernetes", self.logs, self._known_ports, programs)

    async def _find_helm(self) -> None:
        """The worker's: the settings', else one that stays from one call to the next where it can be had."""
        if self.options.worker and self._helm is None:
            try:
                self._helm = await builds.ensure_resident_helm(self.options.go, self._progress)
            except (PlatformError, OSError) as error:
                self._progress(f"{error}\nUntil then the worker starts a Helm for each call, which takes longer.")

    async def _start_worker(self) -> None:
        environment = self._addresses.environment()
        if self._helm:
            environment["INNKEEPER_HELM"] = str(self._helm)
        if self.options.catalog:
            environment["INNKEEPER_CATALOG"] = str(self.options.catalog.absolute())
        found = self._addresses
        if not (found.temporal_address and found.supabase_url and found.kubeconfig):
            raise PlatformError("A worker needs Temporal, Supabase and Kubernetes.", fix="start all parts")
        worker = WorkerProcess(self.logs, found.temporal_address, found.temporal_namespace, environment, self._progress)
        self._parts["worker"] = worker
        await worker.start()

    @property
    def _known_ports(self) -> Ports:
        if self._ports is None:
            raise PlatformError("The platform has not been started.")
        return self._ports

    def _publish(self) -> None:
        """Gather the addresses and leave them for others to find."""
        for part in self._parts.values():
            if isinstance(part, Temporal):
                self._update(temporal_address=part.address, temporal_ui=part.ui)
            elif isinstance(part, Supabase):
                keys = part.keys
                self._update(
                    supabase_url=part.url,
                    supabase_service_key=keys.secret,
                    supabase_anon_key=keys.publishable,
                    supabase_jwt_secret=keys.jwt_secret,
                )
            elif isinstance(part, Kubernetes):
                self._update(kubeconfig=part.kubeconfig, context=CONTEXT)
        write_private(self.state / ADDRESSES, self._addresses.model_dump_json(indent=2) + "\n")

    def _retire(self) -> None:
        (self.state / ADDRESSES).unlink(missing_ok=True)
        self._lock.release()

    def _update(self, **known: str | Path | None) -> None:
        self._addresses = self._addresses.model_copy(update=known)

    def _check_own_parts(self) -> None:
        options = self.options
        if options.kubeconfig:
            _check_context(options.kubeconfig, options.context)
        elif options.context:
            raise BadInput("context", options.context, "belongs to no kubeconfig", fix="name it with --kubeconfig")
        if options.supabase_url and not options.supabase_key:
            raise BadInput(
                "supabase_key", None, "is missing", fix="set INNKEEPER_SUPABASE_KEY to the service role's key"
            )


def _check_context(kubeconfig: Path, context: str | None) -> None:
    try:
        document = yaml.safe_load(kubeconfig.read_text())
        known = [entry["name"] for entry in document.get("contexts") or []]
    except OSError as error:
        raise BadInput("kubeconfig", str(kubeconfig), f"cannot be read: {error.strerror}", fix="name a file") from None
    except (yaml.YAMLError, AttributeError, TypeError, KeyError):
        raise BadInput("kubeconfig", str(kubeconfig), "is no kubeconfig", fix="name another file") from None
    choices = ", ".join(known) or "none"
    if not context:
        # Its current context is whatever somebody last worked on.
        raise BadInput("context", context, "is missing", fix=f"name one of this kubeconfig's with --context: {choices}")
    if context not in known:
        raise BadInput("context", context, f"is not in {kubeconfig}", fix=f"name one of these: {choices}")


async def _all(starts: Iterable[Awaitable[None]]) -> None:
    """Await all at once; when one fails, the others are cancelled and its error is raised."""
    tasks = [asyncio.ensure_future(start) for start in starts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
